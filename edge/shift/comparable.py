"""Whether two sets can be compared at all: sizes and colours that they have, and frames that show nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np

from edge.errors import UserError
from edge.frames import Frame
from edge.preprocess.pixel_formats import to_depth

_MOST_ALIKE: Final = 0.5
"""Share of a set's frames that have its commonest size; where fewer do, every picture has a size of its own."""
_EVEN: Final = 1.0
"""Grey levels of 8 bits that a picture's blocks must vary by to show anything."""


@dataclass(frozen=True, slots=True)
class PictureKind:
    """What a frame is: width and height in px, 1 channel or 3, and whether it shows anything but one even level."""

    size: tuple[int, int]
    channels: int
    is_even: bool
    level: float
    content: int
    """A number that is the same for the same pixels."""


def picture_kind(frame: Frame) -> PictureKind:
    """Look at one frame."""
    pixels: Any = to_depth(frame, 8).pixels
    small: Any = cv2.resize(pixels, (64, 64), interpolation=cv2.INTER_AREA).reshape(64, 64, -1).astype(np.float32)
    height, width = pixels.shape[:2]
    spread = float(small.std(axis=(0, 1)).max())
    content = hash(np.ascontiguousarray(frame.pixels).tobytes())
    return PictureKind((width, height), small.shape[2], spread < _EVEN, float(small.mean()), content)


def common_size(kinds: Sequence[PictureKind]) -> tuple[int, int] | None:
    """The size that at least half of the frames have; None if pictures differ, as cut-out parts do."""
    size, count = Counter(kind.size for kind in kinds).most_common(1)[0]
    return size if count > _MOST_ALIKE * len(kinds) else None


def check_comparable(names: tuple[str, str], kinds: tuple[Sequence[PictureKind], Sequence[PictureKind]]) -> None:
    """Refuse sets between which nothing can be compared.

    Raises:
        UserError: the sets differ in size or in colour, or one of them shows nothing, or one picture over and over.
    """
    for name, own in zip(names, kinds, strict=True):
        _check_shows(name, own)
    sizes = [common_size(own) for own in kinds]
    if None not in sizes and sizes[0] != sizes[1]:
        _refuse("size", names, [f"{size[0]}x{size[1]} px" for size in sizes if size is not None])
    colours = [Counter(kind.channels for kind in own).most_common(1)[0][0] for own in kinds]
    if colours[0] != colours[1]:
        _refuse("colour", names, ["grey" if channels == 1 else "RGB" for channels in colours])


def _refuse(what: str, names: tuple[str, str], values: Sequence[str]) -> None:
    raise UserError(
        f"{names[0]} and {names[1]} are of different {what}, so a shift between them can't be measured",
        received=f"{names[0]}: {values[0]}; {names[1]}: {values[1]}",
        expected="frames of one camera setting, as the line takes them",
        fix="record both with the same settings; edge audit says whether one was shrunk or cropped",
    )


def _check_shows(name: str, kinds: Sequence[PictureKind]) -> None:
    if all(kind.is_even for kind in kinds):
        raise UserError(
            f"{name}: no frame shows anything but one even level",
            received=f"{len(kinds)} frames, level {np.median([kind.level for kind in kinds]):.0f} of 255",
            expected="pictures of parts",
            fix="look at the lamp, the lens cap and the exposure, and record again",
        )
    if len(kinds) > 1 and len({kind.content for kind in kinds}) == 1:
        raise UserError(
            f"{name}: all frames are the same picture",
            received=f"{len(kinds)} copies of one",
            expected="frames of a running line: what is usual is learned from how they differ",
            fix="record again: the camera repeats its picture, or one file was copied",
        )
