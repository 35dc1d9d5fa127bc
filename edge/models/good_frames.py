"""One gate reads folders of good frames for ``edge fit``, ``edge calibrate`` and ``edge build --frames``.

Data sets keep more than good frames under one root: defects, masks, frames for tests. Whoever names the root means the good
frames that are there to learn from, so those are taken, and what is left out is reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from edge.errors import UserError
from edge.frames import Frame, Skip
from edge.models.sets.class_words import BAD_FOLDERS, GOOD_FOLDERS, is_good_folder, says_bad
from edge.models.sets.manifest import MANIFEST
from edge.models.sets.open import LABELS, open_set
from edge.storage.frames_on_disk import count_entries, count_frames, pictures_in, read_frames, read_pictures
from edge.storage.mask_names import masks_among
from edge.storage.pictures import frame_name
from edge.storage.recording import is_recording

_TRAIN: Final = frozenset({"train", "training"})
_BAD: Final = BAD_FOLDERS | {"test"}


@dataclass(frozen=True, slots=True)
class GoodFrames:
    """Good frames of one product, from the first on each time they are gone through.

    ``folder``: what is read; ``names``: its pictures that are taken, None if all of it is (a recording or a video too).
    ``notes``: what was left out and why, for people. ``without``: names of frames (``frame_name``) that are passed over.
    ``bits``: as ``open_reel``'s. ``not_taken``: what lies beside the pictures and can't be read, in words.
    ``unread``: names of the frames that could not be read, known once the frames were gone through.
    """

    folder: Path
    names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    without: frozenset[str] = frozenset()
    bits: int | None = None
    not_taken: str = ""
    unread: dict[str, int] = field(default_factory=dict, compare=False)

    def __iter__(self) -> Iterator[Frame | Skip]:
        return self._taken(self.part(0, None))

    def part(self, start: int, stop: int | None) -> Iterator[Frame | Skip]:
        """Entries from ``start`` up to ``stop``, those of ``without`` among them."""
        if self.names is not None:
            return read_pictures(self.folder, self.names[start:stop], self.bits, start)
        return read_frames(self.folder, self.bits, start, stop)

    def entries(self) -> int:
        """How many there are to ``part``; a loss of a recording is one."""
        return count_entries(self.folder) if self.names is None else len(self.names)

    def _taken(self, frames: Iterator[Frame | Skip]) -> Iterator[Frame | Skip]:
        for frame in frames:
            if isinstance(frame, Skip):
                self.unread[f"{frame.frame_ref}, frame {frame.frame_id_first}"] = frame.count
            elif self.without and frame_name(frame.meta.frame_ref, frame.meta.frame_id) in self.without:
                continue
            yield frame

    @property
    def lacks(self) -> tuple[str, ...]:
        """What should have been read and was not, in words; complete once the frames were gone through."""
        count = sum(self.unread.values())
        unread = f"{count} frame{'s' * (count != 1)} of {self.folder} could not be read" if count else ""
        beside = f"left out of {self.folder}: {self.not_taken}" if self.not_taken else ""
        return tuple(text for text in (unread, beside) if text)

    def count(self) -> int | None:
        """How many frames there are, lost and left out ones included; None if a video doesn't tell."""
        return count_frames(self.folder) if self.names is None else len(self.names)

    def leave_out(self, names: Sequence[str]) -> GoodFrames:
        """The same frames without those of these names."""
        return replace(self, without=self.without | frozenset(names))


def good_frames(path: Path, bits: int | None = None, *, side: str = "fit") -> GoodFrames:
    """The good frames that ``path`` means: a set, a folder of pictures, the root of a data set, a recording, a picture or a
    video.

    Of a set (``edge gather``) or of pictures with a ``labels.csv`` the frames that are labelled good, and of a split one
    those of ``side``; ``fit`` is the folder ``train``, too.

    Of a folder tree in which some folders are called ``good`` (``ok``, ``normal``) those are taken, and of these the ones
    under ``train`` if there is one. Otherwise masks (``masks_among``) and folders of defects (``says_bad``) are left
    out; where every folder says so, none is believed.

    Raises:
        UserError: there is no such path; the good frames of several products lie under it; all that it holds are masks
            or defects.
    """
    if path.suffix == ".jsonl" or (path / MANIFEST).is_file() or (path / LABELS).is_file():
        return _of_set(path, bits, side)
    if not path.is_dir() or is_recording(path):
        return GoodFrames(path, bits=bits)
    found = pictures_in(path)
    names = list(found.names)
    folders = {name: tuple(part.casefold() for part in name.split("/")[:-1]) for name in names}
    masks = masks_among(names)
    taken = [name for name in names if GOOD_FOLDERS.intersection(folders[name]) and name not in masks]
    if taken:
        trained = [name for name in taken if _TRAIN.intersection(folders[name])]
        taken = trained or taken
        _expect_one_set(path, taken)
    else:
        plain = [name for name in names if name not in masks and not _BAD.intersection(folders[name])]
        taken = [name for name in plain if not any(map(says_bad, name.split("/")[:-1]))] or plain
    if names and not taken:
        raise UserError(
            f"{path}: no good frame is in it",
            received=_listed(Counter(_folder_of(name) for name in names)),
            expected="pictures of good parts; folders and files of masks and of defects are left out",
            fix="name the folder that holds them",
        )
    left = [name for name in names if name not in set(taken)]
    doubts = _doubts(taken)
    if not left:
        return GoodFrames(path, notes=doubts, bits=bits, not_taken=found.left_out_text)
    notes = (*_notes(path, taken, left, masks, folders), *doubts)
    return GoodFrames(path, tuple(taken), notes, bits=bits, not_taken=found.beside(taken).left_out_text)


def _of_set(path: Path, bits: int | None, side: str) -> GoodFrames:
    """Good frames of a set's side; frames without a label count as good where no frame of the set has one."""
    frames = open_set(path)
    labelled = any(frame.label for frame in frames.frames)
    sides = ("fit", "train") if side == "fit" else (side,)  # folders call it train
    among = frames.of(*sides) if frames.sides else frames.frames
    chosen = [frame for frame in among if frame.label == ("good" if labelled else None)]
    if not chosen:
        raise UserError(
            f"{path}: no good frame is in its side {side}" if frames.sides else f"{path}: no frame of it is labelled good",
            received=_listed(Counter(f"{frame.side or 'no side'}, {frame.kind}" for frame in frames.frames)),
            expected="frames that somebody called good",
            fix="label it: edge label; or split it: edge split",
        )
    taken = " and ".join(name for name in frames.sides if name in sides)
    whole = f"the side {taken} of the split" if frames.sides else "its frames that are labelled good"
    note = f"{path}: {len(chosen)} of {len(frames)} frames are taken: {whole}"
    depths = {frame.bits for frame in chosen if frame.bits is not None}
    depth = depths.pop() if len(depths) == 1 and depths != {8} else None
    return GoodFrames(frames.root, tuple(frame.file for frame in chosen), (note,), bits=bits or depth)


def _expect_one_set(path: Path, taken: Sequence[str]) -> None:
    """Raises UserError where good frames lie in several folders that are no parts of one set."""
    sets = Counter(_set_of(name) for name in taken)
    if len(sets) > 1:
        raise UserError(
            f"{path}: holds the good frames of several products or cameras",
            received=_listed(sets),
            expected="those of one, which lie alike",
            fix=f"name one of them, for example {path / min(sets)}",
        )


def _set_of(name: str) -> str:
    """The folder up to the part that is called ``good``."""
    parts = name.split("/")[:-1]
    last = max(index for index, part in enumerate(parts) if is_good_folder(part))
    return "/".join(parts[: last + 1])


def _notes(
    path: Path, taken: Sequence[str], left: Sequence[str], masks: frozenset[str], folders: dict[str, tuple[str, ...]]
) -> Iterator[str]:
    sets = {_set_of(name) for name in taken if GOOD_FOLDERS.intersection(folders[name])}
    if sets:
        yield f"{path} is a data set: its {min(sets)} is taken, {_pictures(len(taken))}"
    others = [name for name in left if name not in masks]
    if len(others) < len(left):
        found = Counter(_folder_of(name) for name in left if name in masks)
        yield f"left out as masks: {_pictures(len(left) - len(others))} ({_listed(found)})"
    if others:
        yield f"left out as no good frames to learn from: {_listed(Counter(map(_folder_of, others)))}"


def _doubts(taken: Sequence[str]) -> tuple[str, ...]:
    """A note of files whose own names say that the part is defective; none where all of them do."""
    doubted = [name for name in taken if says_bad(name.rpartition("/")[2].rpartition(".")[0])]
    if not doubted or len(doubted) == len(taken):
        return ()
    return (f"taken as good though the name says otherwise: {_listed(Counter(doubted))}",)


def _folder_of(name: str) -> str:
    return name.rpartition("/")[0] or name.rpartition("/")[2]


def _listed(counts: Counter[str], most: int = 6) -> str:
    shown = [f"{name} ({count})" if count > 1 else name for name, count in list(counts.items())[:most]]
    return ", ".join(shown) + (f" and {len(counts) - most} more" if len(counts) > most else "")


def _pictures(count: int) -> str:
    return f"{count} picture{'s' * (count != 1)}"
