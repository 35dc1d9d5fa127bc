"""Golden frames lie in folders, or stand in a table, that say which verdict each must get."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from edge.errors import UserError
from edge.frames import Frame, Skip
from edge.models.sets.class_words import GOOD, GROUND_TRUTH, is_bad_folder, is_good_folder
from edge.models.sets.frame_set import UNKNOWN_KIND
from edge.models.sets.manifest import MANIFEST
from edge.models.sets.open import LABELS, open_set
from edge.storage.frames_on_disk import left_out_of, pictures_in, read_frames, read_pictures
from edge.storage.recording import is_recording

Expected: TypeAlias = Literal["pass", "fail"]


@dataclass(frozen=True, slots=True)
class GoldenFolder:
    """A folder of golden frames has the verdict that each of them must get.

    ``names``: its pictures that are meant, None for all of it. ``kind``: the class of all of them, None if the folders
    under it say.
    """

    folder: Path
    expected: Expected
    names: tuple[str, ...] | None = None
    kind: str | None = None

    def read(self, bits: int | None) -> Iterator[Frame | Skip]:
        """Read the frames, as ``read_frames`` does."""
        return read_frames(self.folder, bits) if self.names is None else read_pictures(self.folder, self.names, bits)

    def under(self, root: Path) -> str:
        """Return the folder's path under the golden folder; empty for that folder itself."""
        return "" if self.folder == root else self.folder.relative_to(root).as_posix()

    def kind_of(self, name: str) -> str:
        """Return the class of the frame of this name: ``good``, or the kind of defect that its folder names."""
        if self.kind is not None:
            return self.kind
        if self.expected == "pass":
            return GOOD
        if not is_bad_folder(self.folder.name):
            return self.folder.name
        within = name.split("/")[:-1]
        return within[-1] if within and not is_recording(self.folder) else UNKNOWN_KIND


def golden_folders(folder: Path) -> list[GoldenFolder]:
    """The folders of golden frames and the verdict that each must get.

    ``good`` and ``bad``, or as other data sets call these (``ok``, ``ng``, ...); or as in MVTec AD, in ``folder`` or in
    ``folder/test``: ``good`` and one folder for each defect. Where there is a ``labels.csv``, what that says.

    Raises:
        UserError: no such folders, or a table that is none.
    """
    if not folder.is_dir():
        raise UserError(f"--golden {folder}: no such folder", expected=_LAYOUT)
    if (folder / LABELS).is_file() or (folder / MANIFEST).is_file():
        return _labelled(folder)
    root = folder if _good_in(folder) is not None or not (folder / "test").is_dir() else folder / "test"
    held = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    good = _good_in(root)
    bad = [name for name in held if is_bad_folder(name)] or [name for name in held if name != good]
    if good is None or not bad:
        raise UserError(
            f"--golden {folder}: known good and known bad frames are needed, both",
            received=", ".join(held) or "no folder",
            expected=_LAYOUT,
        )
    return [GoldenFolder(root / good, "pass"), *(GoldenFolder(root / name, "fail") for name in bad)]


_LAYOUT: Final = (
    "a folder with good/ and bad/, or with good/ and a folder for each defect, in it or in its test/, or with a labels.csv"
)


def _good_in(folder: Path) -> str | None:
    return next((path.name for path in sorted(folder.iterdir()) if path.is_dir() and is_good_folder(path.name)), None)


def _labelled(folder: Path) -> list[GoldenFolder]:
    """One entry for each class that the table or the set names."""
    found, classes = open_set(folder), dict[str, list[str]]()
    for frame in found.frames:
        if frame.label in ("good", "defect"):
            classes.setdefault(frame.kind, []).append(frame.file)
    if GOOD not in classes or len(classes) < 2:
        raise UserError(
            f"--golden {folder}: known good and known bad frames are needed, both",
            received=", ".join(f"{len(names)} {kind}" for kind, names in sorted(classes.items())) or "no label",
            expected="labels of both",
        )
    ordered = sorted(classes.items(), key=lambda item: (item[0] != GOOD, item[0]))
    return [GoldenFolder(found.root, "pass" if kind == GOOD else "fail", tuple(names), kind) for kind, names in ordered]


def left_out_of_golden(folders: Sequence[GoldenFolder]) -> Iterator[str]:
    """Say what is not judged: in the golden folders, and in those beside them; or what the labels don't name."""
    if folders[0].names is not None:
        root = folders[0].folder
        named = {name for group in folders for name in group.names or ()}
        without = [name for name in pictures_in(root).names if name not in named and not name.startswith(GROUND_TRUTH)]
        if without:
            yield f"{root}: {len(without)} pictures without a label, or of which people say different things"
        return
    taken = {group.folder for group in folders}
    for path in sorted(taken):
        left_out = left_out_of(path)
        if left_out:
            yield f"{path}: {left_out}"
    for path in sorted(folders[0].folder.parent.iterdir()):
        if path.is_dir() and path not in taken and not path.name.startswith(".") and (names := pictures_in(path).names):
            yield f"{path}: {len(names)} pictures in a folder that is neither good nor bad"
