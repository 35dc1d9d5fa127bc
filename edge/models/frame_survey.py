"""A set of frames is looked at before anything is learnt from it: sizes, colour, depth, and frames unlike all others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config.frame_kind import FrameKindSpec, common_kind
from edge.errors import UserError, first_few
from edge.frames import Frame, FrameKind, Skip
from edge.models.robust_outliers import Outlier, find_outliers
from edge.storage.pictures import frame_name

_LEAST = 8
"""Least number of frames; among fewer none is unlike the others."""
_MOST = 4000
"""Most frames that are compared with one another: 80 MB of small pictures."""
_SIDE = 160
"""Longer side of the small pictures, in px."""
_FLOOR = 2.0
"""Grey levels of deviation that are allowed everywhere, as in the pixel model."""
_NEAR, _BEYOND = 3, 3.0
"""Px around a pixel in which the others may have its value; deviations by which an outlier leaves their range at least."""
_NAMED = 3

FrameSize: TypeAlias = tuple[int, int]


@dataclass(slots=True)
class Survey:
    """A survey takes frames one by one and says what they have in common, and what not."""

    frames: int = 0
    sizes: dict[FrameSize, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Names of the frames of each width and height."""
    kinds: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Names of the frames of each colour and depth."""
    highest: dict[int, int] = field(default_factory=dict)
    """Highest value of any pixel, by bits."""
    _names: list[str] = field(default_factory=list)
    _small: list[NDArray[np.uint8]] = field(default_factory=list)

    def add(self, frame: Frame, *, compare: bool = True) -> None:
        """Look at one frame. ``compare``: keep a small picture of it, for ``outliers``."""
        name = frame_name(frame.meta.frame_ref, frame.meta.frame_id)
        height, width = frame.pixels.shape[:2]
        self.frames += 1
        self.sizes[(width, height)].append(name)
        self.kinds[f"{'grey' if frame.pixels.ndim == 2 else 'RGB'}, {frame.bits} bits"].append(name)
        if frame.bits > 8:
            self.highest[frame.bits] = max(self.highest.get(frame.bits, 0), int(frame.pixels.max()))
        if compare and len(self._small) < _MOST:
            self._names.append(name)
            self._small.append(_shrunk(frame))

    def merge(self, other: Survey) -> None:
        """Take in what ``other`` saw, but for its small pictures."""
        self.frames += other.frames
        for size, names in other.sizes.items():
            self.sizes[size] += names
        for kind, names in other.kinds.items():
            self.kinds[kind] += names
        for bits, highest in other.highest.items():
            self.highest[bits] = max(self.highest.get(bits, 0), highest)

    def common(self) -> FrameKindSpec:
        """What all of them have in common."""
        looks = [look.split(", ") for look in self.kinds]
        kinds = [
            FrameKind(size, "grey" if colour == "grey" else "RGB", int(bits.split()[0]))
            for size in self.sizes
            for colour, bits in looks
        ]
        return common_kind(kinds)

    def to_json(self) -> dict[str, Any]:
        """Without its small pictures."""
        return {
            "frames": self.frames,
            "sizes": [[*size, names] for size, names in self.sizes.items()],
            "kinds": dict(self.kinds),
            "highest": [list(pair) for pair in self.highest.items()],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Survey:
        """Read what ``to_json`` wrote."""
        survey = cls(frames=data["frames"], highest=dict(data["highest"]))
        survey.sizes.update({(width, height): names for width, height, names in data["sizes"]})
        survey.kinds.update(data["kinds"])
        return survey

    def seen(self, frames: Iterable[Frame | Skip]) -> Iterator[Frame | Skip]:
        """The same ``frames``, looked at as they pass, without the comparison; of a second pass nothing counts."""
        first = self.frames == 0
        for frame in frames:
            if first and isinstance(frame, Frame):
                self.add(frame, compare=False)
            yield frame

    @property
    def size(self) -> FrameSize:
        """Width and height that the frames are best brought to: their own, or the medians of sides that vary."""
        every = np.array([size for size, names in self.sizes.items() for _ in names])
        common, names = max(self.sizes.items(), key=lambda item: len(item[1]))
        if 2 * len(names) > self.frames:
            return common
        width, height = np.median(every, axis=0)
        return round(float(width)), round(float(height))

    @property
    def cropped(self) -> bool:
        """The frames have sizes of their own, as crops have, rather than those of one camera setting or two."""
        common = max(len(names) for names in self.sizes.values())
        return len(self.sizes) > 1 and 2 * common < self.frames and 4 * len(self.sizes) > self.frames

    def check(self, source: str, *, mend: str = "", sized: bool = False) -> None:
        """Refuse a set of frames of several kinds. ``sized``: somebody said to which size all are brought; ``mend``: how.

        Raises:
            UserError: grey and colour, several depths, or a few frames of another size than the rest.
        """
        if len(self.kinds) > 1:
            raise UserError(
                f"{source}: the good frames are of several kinds",
                received=_split(self.kinds),
                expected="one kind, as the camera gives it",
                fix="leave the others out, or convert them",
            )
        if len(self.sizes) > 1 and not sized and not self.cropped:
            raise UserError(
                f"{source}: the good frames have several sizes",
                received=_split({f"{w}x{h}": names for (w, h), names in self.sizes.items()}),
                expected="one size, as one camera setting gives it; each frame would be squeezed or stretched to it",
                fix=f"leave the others out{mend}",
            )

    def notes(self, *, any_size: bool = False, to: str = "one size") -> list[str]:
        """What a person should know of frames that were taken. ``any_size``: the model takes each at its own size;
        otherwise ``to`` is the size that they are brought to, in words.
        """
        notes = []
        for bits, highest in sorted(self.highest.items()):
            used = max(highest.bit_length(), 8)
            if used <= bits - 2:
                notes.append(f"the highest value is {highest} of {2**bits - 1}: are these {used} bits? --bits {used}")
        if len(self.sizes) > 1 and not any_size:
            widths, heights = zip(*self.sizes, strict=True)
            notes.append(
                f"frames of {len(self.sizes)} sizes, {min(widths)} to {max(widths)} px wide and {min(heights)} to "
                f"{max(heights)} px high: each is squeezed or stretched to {to}"
            )
        return notes

    def outliers(self) -> tuple[Outlier, ...]:
        """Frames that are unlike all others, most unlike first: a defect, another product, a dark picture.

        Each is compared with the others (leave-one-out), on small grey pictures: its largest distance anywhere from their
        mean, in their deviations, must be an outlier, and its values must leave the range that theirs have within 3 px, so
        that parts which move are no outliers. A defect of a few pixels in a large frame doesn't show here.
        """
        if len(self._small) < _LEAST:
            return ()
        side = self.size
        scale = min(1.0, _SIDE / max(side))
        size = max(1, round(side[0] * scale)), max(1, round(side[1] * scale))
        same = np.zeros((len(self._small), size[1], size[0]), np.uint8)
        for target, picture in zip(same, self._small, strict=True):
            np.copyto(target, picture if picture.shape == target.shape else cv2.resize(picture, size))
        distances, beyond = _distances(same)
        found = find_outliers(list(zip(self._names, distances, strict=True)))
        strange = {name for name, by in zip(self._names, beyond, strict=True) if by > _BEYOND}
        return tuple(outlier for outlier in found if outlier.name in strange)


def surveyed(frames: Iterable[Frame | Skip]) -> Survey:
    """A survey of all ``frames``; those that can't be read are passed over."""
    survey = Survey()
    for frame in frames:
        if isinstance(frame, Frame):
            survey.add(frame)
    return survey


def outliers_text(outliers: Sequence[Outlier], frames: int) -> str:
    """The outliers in one line: names, and how far off."""
    named = first_few([f"{o.name} ({o.z:.0f} times the usual spread)" for o in outliers], _NAMED)
    return f"{len(outliers)} of {frames}: {named}"


def _distances(pictures: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Return how far each picture (n, h, w) is from the others, in their deviations, at its worst pixel: from mean and
    range.
    """
    others = len(pictures) - 1
    total = pictures.sum(axis=0, dtype=np.float64)
    squares = np.zeros(pictures.shape[1:])
    for picture in pictures:
        cv2.accumulateSquare(picture, squares)
    least, second_least, second, largest = np.partition(pictures, [0, 1, others - 1, others], axis=0)[[0, 1, -2, -1]]
    around = np.ones((2 * _NEAR + 1, 2 * _NEAR + 1), np.uint8)
    from_mean, from_range = [], []
    for picture in pictures:
        mean = (total - picture) / others
        variance = np.maximum((squares - np.square(picture, dtype=np.float64)) / others - mean**2, 0)
        spread = np.sqrt(cv2.blur(variance, (3, 3), borderType=cv2.BORDER_REFLECT_101) + _FLOOR**2)
        from_mean.append(float((np.abs(picture - mean) / spread).max()))
        low = cv2.erode(np.where(picture == least, second_least, least), around).astype(np.int16)
        high = cv2.dilate(np.where(picture == largest, second, largest), around).astype(np.int16)
        off = np.maximum(picture - high, low - picture)
        from_range.append(float((off / spread).max()))
    return from_mean, from_range


def _shrunk(frame: Frame) -> NDArray[np.uint8]:
    """Return the frame in grey, 8 bits, at most 160 px on the longer side."""
    height, width = frame.pixels.shape[:2]
    scale = min(1.0, _SIDE / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small: Any = cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame.pixels
    grey: Any = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) if small.ndim == 3 else small
    return np.array(grey >> (frame.bits - 8) if frame.bits > 8 else grey, np.uint8)


def _split(groups: Mapping[str, list[str]]) -> str:
    """Each group with its count, smallest first, and some names of all but the largest."""
    ordered = sorted(groups.items(), key=lambda item: len(item[1]))
    parts = [
        f"{len(names)} of {kind} ({', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''})"
        for kind, names in ordered[:-1][:_NAMED]
    ]
    more = len(ordered) - 1 - len(parts)
    return ", ".join([*parts, *([f"{more} kinds more"] if more else []), f"{len(ordered[-1][1])} of {ordered[-1][0]}"])
