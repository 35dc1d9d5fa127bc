"""What one look at every frame of a set finds, and which sets no model can be stressed by or adapted to because of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edge.config.bundle import Bundle
from edge.errors import UserError, first_few
from edge.frames import Frame
from edge.models.sets.frame_set import FrameSet, SetFrame, why_unreadable
from edge.models.sets.used import content_id
from edge.preprocess.pixel_formats import Depth, LevelWindow, to_depth
from edge.storage.pictures import PictureError


@dataclass(slots=True)
class SeenFrames:
    """What is known of the frames that were looked at. ``ids``: content id of every file that could be read.

    ``sizes``: width, height and channels, with the first file of each. ``even``: files that show one level alone.
    ``clipped``: share of samples at white, frame by frame.
    """

    ids: dict[str, str] = field(default_factory=dict)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    sizes: dict[tuple[int, int, int], str] = field(default_factory=dict)
    clipped: list[float] = field(default_factory=list)
    even: list[str] = field(default_factory=list)

    def look(self, frame: SetFrame, source: FrameSet, levels: tuple[Depth, LevelWindow | None]) -> None:
        """Read one frame of ``source`` and note what it is. ``levels``: those that the model gets."""
        try:
            read = source.read(frame)
        except (OSError, PictureError) as error:
            self.unreadable.append((frame.file, why_unreadable(error)))
            return
        self.ids[frame.file] = content_id(read.pixels)
        channels = 1 if read.pixels.ndim == 2 else read.pixels.shape[2]
        self.sizes.setdefault((read.meta.width, read.meta.height, channels), frame.file)
        self.clipped.append(_share_at_white(to_depth(read, *levels)))
        if read.pixels.min() == read.pixels.max():
            self.even.append(frame.file)

    def shown_sizes(self) -> list[str]:
        """The sizes for people, each with its first file."""
        return [f"{w}x{h} {'grey' if c == 1 else 'RGB'} ({file})" for (w, h, c), file in self.sizes.items()]


def check_size(source: FrameSet, bundle: Bundle, seen: SeenFrames) -> None:
    """Refuse frames of another size than the model's.

    Raises:
        UserError: names both, and their sizes.
    """
    kind = bundle.spec.frames
    if kind is None or kind.size is None:
        return
    wrong = [text for text, (w, h, _) in zip(seen.shown_sizes(), seen.sizes, strict=True) if (w, h) != kind.size]
    if wrong:
        raise UserError(
            f"{source.path}: frames of another size than {bundle.folder} was made from",
            received=first_few(wrong),
            expected=f"{kind.size[0]}x{kind.size[1]}, as the model's own",
            fix="record with the line's camera settings, or fit a model on these frames: edge fit",
        )


def check_shows(source: FrameSet, seen: SeenFrames) -> None:
    """Refuse a set with frames of one even level, and one that is the same picture over and over.

    Raises:
        UserError: names the first of them.
    """
    if seen.even or len(set(seen.ids.values())) == 1 < len(seen.ids):
        read = len(seen.ids)
        what = f"{seen.even[0]} shows one level alone" if seen.even else "all frames are the same picture"
        raise UserError(
            f"{source.path}: {what}",
            received=f"{len(seen.even)} of {read} frames are even" if seen.even else f"{read} copies of one",
            expected="frames of different good parts",
            fix="record again: the camera is covered, or repeats its picture",
        )


def _share_at_white(frame: Frame) -> float:
    """Share of the frame's samples at white."""
    return float(np.count_nonzero(frame.pixels >= (1 << frame.bits) - 1)) / frame.pixels.size
