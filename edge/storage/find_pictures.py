"""Pictures are found under a folder in natural order, with a list of what was left out: nothing is passed over in
silence.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.errors import first_few

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp")
"""File names that count as pictures in a folder, whatever their case."""
_NO_PICTURES: Final = frozenset((".csv", ".html", ".json", ".jsonl", ".log", ".md", ".txt", ".xml", ".yaml", ".yml"))
_HEADS: Final = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"GIF8", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"8BPS")
_NAMES: Final = (
    *(".avif", ".cr2", ".dcm", ".dng", ".exr", ".fits", ".gif", ".heic", ".jls", ".jp2", ".jxl", ".npy", ".npz", ".pgm"),
    *(".pnm", ".ppm", ".qoi", ".raw", ".tga", ".webp", ".avi", ".mcap", ".mkv", ".mov", ".mp4", ".ts", ".webm"),
    *(".7z", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip", ".zst"),
)
"""Kinds of pictures that aren't read, and of videos and archives, which may hold some."""
_SYSTEM: Final = frozenset(("@eaDir", "__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found"))
"""Folders that Synology, macOS, Windows and ext4 make: what lies there is nobody's frame."""
_THUMBNAILS: Final = frozenset(("thumb", "thumbs", "thumbnail", "thumbnails"))
_NUMBERS: Final = re.compile(r"([0-9]+)")


@dataclass(frozen=True, slots=True)
class FoundPictures:
    """Found pictures have ``names``, their paths under the folder; ``left_out`` maps a reason in words to the paths left
    out for it.
    """

    names: tuple[str, ...]
    left_out: dict[str, tuple[str, ...]]
    other_files: int = 0
    """Number of files of a kind that holds no pictures, such as notes and labels."""

    @property
    def count_left_out(self) -> int:
        return sum(map(len, self.left_out.values()))

    @property
    def left_out_text(self) -> str:
        """Say what was left out, for people; empty if nothing was."""
        return "; ".join(f"{len(paths)} {why}: {first_few(paths, 5)}" for why, paths in self.left_out.items())

    def beside(self, names: Collection[str]) -> FoundPictures:
        """Return only these pictures, and what was left out in their folders."""
        folders = {name.rpartition("/")[0] for name in names}
        near = {
            why: tuple(path for path in paths if path.rpartition("/")[0] in folders) for why, paths in self.left_out.items()
        }
        return FoundPictures(tuple(names), {why: paths for why, paths in near.items() if paths})


NOT_READ: Final = "of a kind that is not read"
CLOSED: Final = "that cannot be opened"
BROKEN: Final = "that point nowhere"
SPECIAL: Final = "that are no files"
AGAIN: Final = "that lead back to a folder above them"


def find_pictures(folder: Path) -> FoundPictures:
    """Find the pictures under ``folder``, nested folders and links to folders included, in natural order.

    Hidden files and folders are passed over, so are those that systems make for themselves, and thumbnails of pictures
    that are there. A folder that is reached twice is read twice, but not within itself.
    """
    left_out: dict[str, list[str]] = {}
    names: list[str] = []
    others = 0
    for path, why in _files(folder, "", (_identity(folder),)):
        if why is not None:
            left_out.setdefault(why, []).append(path)
        elif path.lower().endswith(SUFFIXES):
            names.append(path)
        elif _may_be_picture(folder / path):
            left_out.setdefault(NOT_READ, []).append(path)
        else:
            others += 1
    thumbnails = _thumbnails(names)
    names, others = [name for name in names if name not in thumbnails], others + len(thumbnails)
    sorted_paths = {why: tuple(sorted(paths, key=natural_key)) for why, paths in sorted(left_out.items())}
    return FoundPictures(tuple(sorted(names, key=natural_key)), sorted_paths, others)


def _thumbnails(names: list[str]) -> set[str]:
    """Return the pictures in a folder of thumbnails that have the name of a picture outside such a folder."""
    small = {name for name in names if any(part.casefold() in _THUMBNAILS for part in name.split("/")[:-1])}
    if not small:
        return small
    shown = {_stem(name) for name in names if name not in small}
    return {name for name in small if _stem(name) in shown}


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0].casefold()


def natural_key(path: str) -> tuple[Any, ...]:
    """Return a sort key by which ``part_9`` comes before ``part_10``, folder by folder; capitals count as small letters."""
    folders = [
        [(0, int(text), "") if i % 2 else (1, 0, text) for i, text in enumerate(_NUMBERS.split(part.casefold()))]
        for part in path.split("/")
    ]
    return (folders, path)


def _files(folder: Path, under: str, above: tuple[tuple[int, int] | None, ...]) -> Iterator[tuple[str, str | None]]:
    """Yield every file under the folder, or a path that can't be followed, and why."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".") and entry.name not in _SYSTEM]
    except OSError:
        yield under or ".", CLOSED
        return
    for entry in found:
        path = f"{under}/{entry.name}" if under else entry.name
        try:
            is_folder = entry.is_dir()
        except OSError:  # a link in a circle
            yield path, BROKEN
            continue
        if is_folder:
            identity = _identity(Path(entry.path)) if entry.is_symlink() else (entry.inode(), entry.stat().st_dev)
            if identity in above:
                yield path, AGAIN
            else:
                yield from _files(Path(entry.path), path, (*above, identity))
        elif not entry.is_file():
            yield path, BROKEN if entry.is_symlink() and not os.path.exists(entry.path) else SPECIAL
        else:
            yield path, None


def is_other_picture(name: str) -> bool:
    """Return True if a file's name says that it is a picture, a video or an archive of a kind that isn't read."""
    return os.path.splitext(name)[1].lower() in _NAMES


def _may_be_picture(path: Path) -> bool:
    """Judge by its name or its first bytes whether a file may be a picture."""
    suffix = path.suffix.lower()
    if suffix in _NAMES or suffix in _NO_PICTURES:
        return suffix in _NAMES
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return head.startswith(_HEADS) or (head[:4] == b"RIFF" and head[8:] == b"WEBP") or head[4:8] == b"ftyp"


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_ino, status.st_dev
