"""Good frames of one or several places as one numbered row, of which any part can be read by any worker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256

from edge.errors import UserError
from edge.frames import Frame, Skip
from edge.models.good_frames import GoodFrames
from edge.storage.pictures import frame_name


@dataclass(frozen=True, slots=True)
class FrameSequence:
    """Frames of these places in their order; nothing is read before it is asked for."""

    places: tuple[GoodFrames, ...]
    counts: tuple[int, ...]
    """Entries of each place, unreadable ones and losses of a recording included."""
    labels: tuple[str, ...] = ()
    """What the names of each place's frames begin with; empty if there is one place, whose names differ by themselves."""

    @classmethod
    def of(cls, *places: GoodFrames) -> FrameSequence:
        """Count the entries of each place. UserError as ``read_frames``."""
        labels = tuple(place.folder.as_posix() for place in places) if len(places) > 1 else ()
        return cls(places, tuple(place.entries() for place in places), labels)

    def __iter__(self) -> Iterator[Frame | Skip]:
        return self.read(0, self.count())

    def count(self) -> int:
        """Entries of all places."""
        return sum(self.counts)

    def absolute(self) -> FrameSequence:
        """The same frames by paths that mean the same in every working folder."""
        return replace(self, places=tuple(replace(place, folder=place.folder.absolute()) for place in self.places))

    def seen(self) -> str:
        """What this machine sees of the frames, in one line to compare with another machine's: names and sizes.

        Raises:
            UserError: a place isn't there.
        """
        digest = sha256()
        for place in self.places:
            for name, size in _files(place):
                digest.update(f"{name}\0{size}\0".encode())
        return f"{self.count()} frames, names and sizes {digest.hexdigest()[:16]}"

    def read(self, start: int, stop: int) -> Iterator[Frame | Skip]:
        """Entries ``start`` to ``stop``, exclusive; the others aren't decoded, but in a video.

        Where there are several places, each entry's ``frame_ref`` begins with its place.
        """
        first = 0
        labels = self.labels or (None,) * len(self.places)
        for place, count, label in zip(self.places, self.counts, labels, strict=True):
            begin, end = max(start - first, 0), min(stop - first, count)
            if begin < end:
                entries = place.part(begin, end)
                yield from entries if label is None else (_labelled(entry, label) for entry in entries)
            first += count


def _files(place: GoodFrames) -> list[tuple[str, int]]:
    folder = place.folder
    try:
        if not folder.is_dir():
            return [(folder.name, folder.stat().st_size)]
        paths = [folder / name for name in place.names] if place.names is not None else sorted(folder.rglob("*"))
        return [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in paths if not path.is_dir()]
    except OSError as error:
        raise UserError(f"{error.filename or folder}: cannot be read: {error.strerror}") from None


def _labelled(entry: Frame | Skip, label: str) -> Frame | Skip:
    """The same entry with its place in its ``frame_ref``."""
    if isinstance(entry, Frame):
        return replace(entry, meta=replace(entry.meta, frame_ref=_within(label, entry.meta.frame_ref)))
    return replace(entry, frame_ref=_within(label, entry.frame_ref))


def _within(label: str, ref: str | None) -> str:
    if ref is None or ref == label.rpartition("/")[2]:  # a video or a picture is a place by itself
        return label
    return f"{label}/{ref}"


def name_of(entry: Frame | Skip) -> str:
    """What tells this entry from the others, for people."""
    if isinstance(entry, Frame):
        return frame_name(entry.meta.frame_ref, entry.meta.frame_id)
    return entry.frame_ref or f"frame {entry.frame_id_first}"
