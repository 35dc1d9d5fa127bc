"""Each frame of both sets is read once: measured, embedded, judged if there is a model, and kept as a small picture."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.drift.fit_template import TEMPLATE_FRAMES, fit_template
from edge.drift.meter import Meter
from edge.errors import UserError
from edge.frames import Frame
from edge.models.evaluate.ranking import Floats
from edge.models.sets.frame_set import FrameSet, SetFrame, why_unreadable
from edge.preprocess.pixel_formats import to_depth
from edge.shift.comparable import PictureKind, check_comparable, common_size, picture_kind
from edge.shift.embed import Embedder, Vector
from edge.shift.shift_judge import ShiftJudge
from edge.storage.pictures import PictureError, encode_jpeg

POINTER_PX: Final = 64
"""Longer side of the pictures that stand under the pointer."""
_QUALITY: Final = 70
_TEMPLATE_SHARE: Final = 1 / 3
"""Share of a small first set that the reference is made of; the others are measured against it."""


@dataclass(slots=True)
class ShiftSide:
    """One of the two sets and what was seen of its frames; all lists have one entry for each frame of ``seen``.

    ``statistics``: (19,) each. ``vectors``: (d,) each, or None. ``scores``, ``verdicts``: None if there is no model.
    """

    name: str
    source: FrameSet
    frames: tuple[SetFrame, ...]
    seen: list[SetFrame] = field(default_factory=list)
    kinds: list[PictureKind] = field(default_factory=list)
    statistics: list[Floats] = field(default_factory=list)
    vectors: list[Vector | None] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)
    scores: list[float | None] = field(default_factory=list)
    verdicts: list[str | None] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    of_another_size: list[str] = field(default_factory=list)
    embedded_by_model: bool = False
    known: int = 0
    """Frames that the model was fitted on."""

    def counted(self, without: Collection[str]) -> tuple[Floats, list[str]]:
        """Statistics (n, 19) and parts of the frames but those of these files; of all where no other frame is left."""
        kept = [at for at, frame in enumerate(self.seen) if frame.file not in without] or list(range(len(self.seen)))
        parts = self.parts
        return np.stack([self.statistics[at] for at in kept]), [parts[at] for at in kept]

    @property
    def parts(self) -> list[str]:
        """The part of each frame; one that nobody knows is a part of its own in this set."""
        return [frame.part or f"{self.name}: {frame.file}" for frame in self.seen]

    def read(self, frame: SetFrame) -> Frame | None:
        """The frame with its pixels; None, and noted, where it can't be read."""
        try:
            return self.source.read(frame)
        except (OSError, PictureError) as error:
            if (frame.file, why_unreadable(error)) not in self.unreadable:
                self.unreadable.append((frame.file, why_unreadable(error)))
            return None


@dataclass(frozen=True, slots=True)
class Ruler:
    """What frames are measured with. ``size``: width and height that they are cut to, None: they have that of the template.

    ``samples``: pixels of frames of the first set, which signatures are learned on.
    """

    meter: Meter
    size: tuple[int, int] | None
    bits: int
    samples: tuple[NDArray[Any], ...]
    taken: frozenset[str] = frozenset()
    """Files of the first set that the reference was made of: they lie nearer to it than other frames, and don't count."""

    def pixels(self, frame: Frame) -> NDArray[Any]:
        """The frame's pixels as they are measured."""
        return frame.pixels if self.size is None else cut(frame.pixels, self.size)

    def measure(self, frame: Frame) -> Floats:
        """The statistics of a frame, (19,)."""
        return self.meter.measure(self.pixels(frame), frame.bits)


def ruler_of(sides: tuple[ShiftSide, ShiftSide]) -> Ruler:
    """A ruler from some frames of both sets: the reference is the first set's.

    Raises:
        UserError: a set without a frame that can be read, or sets between which nothing can be compared.
    """
    frames = tuple(_sampled(side, share) for side, share in zip(sides, (_TEMPLATE_SHARE, 1.0), strict=True))
    kinds = tuple([picture_kind(frame) for frame in own] for own in frames)
    check_comparable((sides[0].name, sides[1].name), (kinds[0], kinds[1]))
    sizes = [common_size(own) for own in kinds]
    cut_to = None
    if None in sizes:
        widths, heights = np.array([kind.size for own in kinds for kind in own]).T
        cut_to = int(np.quantile(widths, 0.25)), int(np.quantile(heights, 0.25))
    first = [frame for frame in frames[0] if cut_to or (frame.meta.width, frame.meta.height) == sizes[0]]
    pixels = tuple(frame.pixels if cut_to is None else cut(frame.pixels, cut_to) for frame in first)
    bits = first[0].bits
    taken = frozenset(frame.meta.frame_ref or "" for frame in first)
    return Ruler(Meter(fit_template(pixels, bits)), cut_to, bits, pixels, taken)


def look(
    side: ShiftSide,
    ruler: Ruler,
    embedder: Embedder | None,
    judge: ShiftJudge | None,
    *,
    pictures: bool,
    seen: Callable[[], None] = lambda: None,
) -> None:
    """Go through the set's frames once and fill ``side``. ``pictures``: keep small ones."""
    size = ruler.meter.template.size
    for frame in side.frames:
        loaded = side.read(frame)
        seen()
        if loaded is None:
            continue
        if ruler.size is None and (loaded.meta.width, loaded.meta.height) != size:
            side.of_another_size.append(frame.file)
            continue
        side.seen.append(frame)
        side.kinds.append(picture_kind(loaded))
        side.statistics.append(ruler.measure(loaded))
        judgement = None if judge is None else judge.judge(loaded)
        side.scores.append(None if judgement is None else judgement.score)
        side.verdicts.append(None if judgement is None else judgement.verdict)
        side.known += judgement is not None and judgement.known
        own = None if judgement is None else judgement.embedding
        side.embedded_by_model |= own is not None
        side.vectors.append(own if own is not None or embedder is None else embedder.of(loaded))
        side.pictures.append(_small(loaded) if pictures else b"")


def cut(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """The middle of a picture at its own scale, (H, W) or (H, W, 3), mirrored at its rim where it is smaller."""
    height, width = pixels.shape[:2]
    across, down = max(size[0] - width, 0), max(size[1] - height, 0)
    if across or down:
        left, top = across // 2, down // 2
        pixels = np.asarray(
            cv2.copyMakeBorder(pixels, top, down - top, left, across - left, cv2.BORDER_REFLECT_101), pixels.dtype
        )
        height, width = pixels.shape[:2]
    x, y = (width - size[0]) // 2, (height - size[1]) // 2
    return np.ascontiguousarray(pixels[y : y + size[1], x : x + size[0]])


def _sampled(side: ShiftSide, share: float) -> list[Frame]:
    """Up to 24 frames spread over the set, and no more than its share."""
    frames = list(_spread(side, max(2, min(TEMPLATE_FRAMES, int(share * len(side.frames))))))
    if not frames:
        file, why = side.unreadable[0]
        raise UserError(
            f"{side.name}: no frame can be read",
            received=f"{len(side.frames)} frames; {file}: {why}",
            expected="PNG, JPEG, TIFF or BMP pictures, a recording, or a set",
        )
    return frames


def _spread(side: ShiftSide, count: int) -> Iterator[Frame]:
    places: Sequence[int] = np.unique(np.linspace(0, len(side.frames) - 1, count).astype(int)).tolist()
    for place in places:
        loaded = side.read(side.frames[place])
        if loaded is not None:
            yield loaded


def _small(frame: Frame) -> bytes:
    pixels: Any = to_depth(frame, 8).pixels
    height, width = pixels.shape[:2]
    share = min(1.0, POINTER_PX / max(height, width))
    size = (max(1, round(width * share)), max(1, round(height * share)))
    small: Any = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return encode_jpeg(np.ascontiguousarray(small), _QUALITY)
