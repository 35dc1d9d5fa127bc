"""Pictures of one physical part found by content, whatever their names: what its surface looks like, nothing else has.

Where parts lie alike, every picture is registered to one of them and what all have in common is subtracted: left is the
grain of the part, its scratches, its print. Where they don't, what remains is the texture at 64 px. Two pictures are
compared block by block, so that a stain or a stripe that two parts share can't make them one: the median of the blocks'
correlations counts. A pair is accused where it stands out of the distribution of all pairs, never at a fixed correlation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config.register_spec import RegisterSpec
from edge.frames import Frame
from edge.preprocess.pixel_formats import to_depth
from edge.preprocess.register import Registrar

_SIDE: Final = 256
"""Side of the square, in px, that a registered picture is shrunk to."""
_KEPT: Final = 1024
"""Pixels of each of its blocks that are compared, drawn once: a quarter of them."""
_TEXTURE: Final = 64
_BLOCKS: Final = 4
"""Blocks across and down."""
_COMMON: Final = 12
"""Most components of what pictures have in common, such as the lighting, that are taken out of a texture."""
_FOR_EACH_COMMON: Final = 40
"""Pictures that it takes to know one such component."""
LIMITS: Final = {"registered": 9.0, "texture": 6.0}
"""Robust deviations above the median of all pairs. Registered, 18 sets of unlike parts reached 3.2 to 6.6 and 180 repeats
12 to 50; of the tiles 93 of 102 twins reach 6, and 3 of 151 defective pictures without a twin.
"""
_AGREES: Final = 0.6
"""Median correlation with the reference from which on parts count as lying alike."""
TRIED: Final = 24
"""Frames on which that is tried."""
LEAST_PAIRS: Final = 200
"""With fewer there is no distribution that a pair could stand out of."""
_WORTH_A_LOOK: Final = 0.02
"""Correlation below which no pair was ever of one part."""
_ROWS: Final = 512
"""Pictures whose correlations with all others are held at a time."""


@dataclass(frozen=True, slots=True)
class Twin:
    """Two pictures of one part: indices into the two sequences. ``score``: robust deviations above all pairs."""

    left: int
    right: int
    score: float
    correlation: float


@dataclass(frozen=True, slots=True)
class Twins:
    """``pairs``: for each picture of the right side that has a twin on the left the most alike one, the surest first.

    ``way``: ``registered`` or ``texture``; ``limit``: the score from which on a pair counts. ``tested``: False if there
    were too few pictures for a distribution. ``highest``: the highest score of all pairs.
    """

    pairs: tuple[Twin, ...]
    way: str
    limit: float
    tested: bool = True
    highest: float = 0.0


class TwinFinder:
    """Looks at each frame once, and then finds those of one part. Used by one thread."""

    def __init__(self, sample: Sequence[Frame]) -> None:
        """``sample``: up to ``TRIED`` frames spread over all, which show whether parts lie alike; the first is the
        reference.
        """
        self._registrar = _common_pose(sample)
        self._out = None if self._registrar is None else np.empty_like(self._registrar.reference)
        self.way = "texture" if self._registrar is None else "registered"
        rng = np.random.default_rng(0)
        step = (_SIDE // _BLOCKS) ** 2
        self._kept = np.stack([np.sort(rng.choice(step, _KEPT, replace=False)) for _ in range(_BLOCKS**2)])

    def look(self, frame: Frame) -> NDArray[np.float16]:
        """What is kept of a frame: (blocks, pixels), 32 KB of a registered picture, 8 KB of a texture."""
        grey = _grey(frame)
        if self._registrar is None:
            return _cut(_texture(grey)).astype(np.float16)
        shape = self._registrar.reference.shape[:2]
        picture = grey if grey.shape == shape else cv2.resize(grey, shape[::-1], interpolation=cv2.INTER_AREA)
        picture = np.ascontiguousarray(picture)[:, :, None]
        assert self._out is not None
        self._registrar.apply(picture, self._registrar.locate(picture), self._out)
        even: Any = cv2.resize(self._out[:, :, 0], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        cut = _cut(_high_pass(even, 4.0))
        return np.take_along_axis(cut, self._kept, axis=1).astype(np.float16)

    def find(self, left: Sequence[NDArray[np.float16]], right: Sequence[NDArray[np.float16]]) -> Twins:
        """Pictures of ``right`` whose part also stands in ``left``; both as ``look`` gave them."""
        limit = LIMITS[self.way]
        if len(left) * len(right) < LEAST_PAIRS:
            return Twins((), self.way, limit, tested=False)
        values = np.stack([*left, *right]).astype(np.float32)
        values = _without_common(values) if self._registrar is None else _in_deviations(values)
        blocks = _unit(values)
        scores, near, correlations = _outstanding(blocks[:, : len(left)], blocks[:, len(left) :])
        chosen = np.flatnonzero(scores >= limit).tolist()
        pairs = [Twin(int(near[i]), i, float(scores[i]), float(correlations[i])) for i in chosen]
        return Twins(tuple(sorted(pairs, key=lambda pair: -pair.score)), self.way, limit, True, float(scores.max()))

    def groups(self, looks: Sequence[NDArray[np.float16]]) -> list[int]:
        """For each picture of one set the first picture that shows the same part; its own index where none does."""
        first = list(range(len(looks)))
        if len(looks) * (len(looks) - 1) // 2 < LEAST_PAIRS:
            return first
        values = np.stack(looks).astype(np.float32)
        blocks = _unit(_without_common(values) if self._registrar is None else _in_deviations(values))

        def root(index: int) -> int:
            while first[index] != index:
                index = first[index]
            return index

        for left, right in _pairs_above(blocks, LIMITS[self.way]):
            a, b = root(left), root(right)
            first[max(a, b)] = min(a, b)
        return [root(index) for index in range(len(first))]


def _common_pose(sample: Sequence[Frame]) -> Registrar | None:
    """A registrar for all, where the pictures have one shape and their parts lie alike; else None."""
    if len({round(frame.meta.width / frame.meta.height, 2) for frame in sample}) != 1:
        return None
    first = _grey(sample[0])
    if min(first.shape) < 32:
        return None
    registrar = Registrar(np.ascontiguousarray(first)[:, :, None], RegisterSpec())
    agreements = []
    for frame in sample[1:]:
        grey: Any = cv2.resize(_grey(frame), first.shape[::-1], interpolation=cv2.INTER_AREA)
        agreements.append(registrar.locate(np.ascontiguousarray(grey)[:, :, None]).agreement)
    return registrar if agreements and float(np.median(agreements)) >= _AGREES else None


def _grey(frame: Frame) -> Any:
    pixels: Any = to_depth(frame, 8).pixels
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)


def _texture(grey: Any) -> NDArray[np.float32]:
    """The texture of a picture, its local contrast evened."""
    small: Any = cv2.resize(grey, (_TEXTURE, _TEXTURE), interpolation=cv2.INTER_AREA).astype(np.float32)
    fine = _high_pass(small, 4.0)
    contrast = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), 4.0)) + 1.0
    return np.asarray(np.clip(fine / contrast, -3, 3), np.float32)


def _in_deviations(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, blocks, pixels) what tells each picture from the others, in robust deviations of each pixel; in place."""
    values -= np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values), axis=0) + 0.05
    values /= spread
    return np.clip(values, -4, 4, out=values)


def _without_common(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, blocks, pixels) without the mean and the first components of what many pictures have in common; in place."""
    values -= values.mean(axis=0)
    flat = values.reshape(len(values), -1)
    common = min(_COMMON, len(flat) // _FOR_EACH_COMMON)
    if common:
        _, _, directions = np.linalg.svd(flat[:: max(1, len(flat) // 400)], full_matrices=False)
        flat -= (flat @ directions[:common].T) @ directions[:common]
    return flat.reshape(values.shape)


def _high_pass(values: Any, sigma: float) -> Any:
    return values - cv2.GaussianBlur(values, (0, 0), sigma)


def _cut(square: NDArray[np.float32]) -> NDArray[np.float32]:
    """(blocks, pixels) of a square picture."""
    step = len(square) // _BLOCKS
    return square.reshape(_BLOCKS, step, _BLOCKS, step).transpose(0, 2, 1, 3).reshape(_BLOCKS**2, step * step)


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(blocks, n, pixels) from (n, blocks, pixels): each block of each picture, its mean taken off, of length 1."""
    blocks = np.ascontiguousarray(values.transpose(1, 0, 2))
    blocks -= blocks.mean(axis=2, keepdims=True)
    blocks /= np.linalg.norm(blocks, axis=2, keepdims=True) + 1e-6
    return blocks


def _outstanding(
    left: NDArray[np.float32], right: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float32]]:
    """For each picture on the right: score of the most alike one on the left, its index, their correlation."""
    near, best, sample = [], [], []
    for rows in _chunks(right.shape[1]):
        alike = np.median([mine[rows] @ theirs.T for theirs, mine in zip(left, right, strict=True)], axis=0)
        near.append(alike.argmax(axis=1))
        best.append(alike.max(axis=1))
        sample.append(alike.ravel()[:: max(1, alike.size // 200_000)])
    pairs, highest = np.concatenate(sample), np.concatenate(best)
    middle = float(np.median(pairs))
    spread = 1.4826 * float(np.median(np.abs(pairs - middle))) + 1e-9
    return (highest.astype(np.float64) - middle) / spread, np.concatenate(near), highest


def _pairs_above(blocks: NDArray[np.float32], limit: float) -> Iterator[tuple[int, int]]:
    """Pairs of pictures of one set, each once, that stand out of all its pairs."""
    count = blocks.shape[1]
    found: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]] = []
    sample = []
    for rows in _chunks(count):
        alike = np.median([block[rows] @ block.T for block in blocks], axis=0)
        later = np.arange(count)[None, :] > np.arange(rows.start, rows.stop)[:, None]
        values = alike[later]
        sample.append(values[:: max(1, values.size // 200_000)])
        row, column = np.nonzero(later & (alike > _WORTH_A_LOOK))
        found.append((row + rows.start, column, alike[row, column]))
    pairs = np.concatenate(sample)
    middle = float(np.median(pairs))
    spread = 1.4826 * float(np.median(np.abs(pairs - middle))) + 1e-9
    for left, right, values in found:
        for at in np.flatnonzero((values - middle) / spread >= limit).tolist():
            yield int(left[at]), int(right[at])


def _chunks(count: int) -> Iterator[slice]:
    for start in range(0, count, _ROWS):
        yield slice(start, min(start + _ROWS, count))
