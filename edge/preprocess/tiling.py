"""A large picture is cut into overlapping tiles, and their maps are put back as one (pure), as a bundle declares under
``tile``.

Tiles lie ``stride`` apart; the last one of a row or column touches the edge. Where tiles overlap, their maps are blended by
weights that fall off towards a tile's edges. The weights are products of one factor across and one down, so blending is
done across each row of tiles, then down: as a running weighted mean, ``mean += (next - mean) * share``, which gives back
equal values exactly. Where only one tile counts, its map is copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config.bundle_spec import _LEAST, TileSpec

Map: TypeAlias = NDArray[np.float32]
TILE_BUFFERS = 4
"""Number of stitched maps that take turns: one is overwritten by the fourth ``stitch`` after it."""


@dataclass(frozen=True, slots=True)
class _Reach:
    """A tile counts in the map pixels ``start`` to ``stop`` of one axis; its own map begins there at ``offset``.

    ``shares`` are the tile's in the running mean over the first of these pixels, which earlier tiles reach too.
    """

    start: int
    stop: int
    offset: int
    shares: NDArray[np.float32]


class Tiling:
    """A tiling cuts pictures of one size, with buffers. One thread uses it.

    ``picture`` is width and height. ``scale`` is px of the picture for each px of the map, across and down: whole numbers
    that divide tile, stride and border.
    """

    def __init__(self, spec: TileSpec, picture: tuple[int, int], scale: tuple[int, int] = (1, 1)) -> None:
        """Raise ValueError for a scale that doesn't divide them, because some of the map's pixels would belong to no
        tile.
        """
        border = spec.border_px, spec.border_px
        for key, pair in (("size", spec.size), ("stride", spec.stride), ("border_px", border)):
            if any(px % s for px, s in zip(pair, scale, strict=True)):
                raise ValueError(f"{key} {pair[0]} x {pair[1]} must be a multiple of the scale, {scale[0]} x {scale[1]}")
        self.spec = spec
        self.picture = picture
        self.scale = scale
        self._padded = tuple(max(tile, ceil(side / s) * s) for side, tile, s in zip(picture, spec.size, scale, strict=True))
        columns, rows = (
            starts(side, tile, stride) for side, tile, stride in zip(self._padded, spec.size, spec.stride, strict=True)
        )
        self.positions = tuple((x, y) for y in rows for x in columns)
        """Upper left corners, row by row, in px of the picture."""
        self._columns = len(columns)
        width, height = (ceil(side / s) for side, s in zip(picture, scale, strict=True))
        self.tile_map = spec.size[1] // scale[1], spec.size[0] // scale[0]
        """Height and width of a tile's map; others are resized to it."""
        self._across, self._down = (
            _reaches([p // s for p in at], tile // s, spec.border_px // s, side, spec.blend)
            for at, tile, side, s in zip((columns, rows), spec.size, (width, height), scale, strict=True)
        )
        self._tiles: NDArray[Any] = np.empty(0, np.uint8)
        self._filled: NDArray[Any] = np.empty(0, np.uint8)
        self._maps = [np.empty((height, width), np.float32) for _ in range(TILE_BUFFERS)]
        self._turn = 0
        widest, tallest = (max(len(reach.shares) for reach in axis) for axis in (self._across, self._down))
        self._saved = np.empty((tallest, width), np.float32)
        self._spare = np.empty((self.tile_map[0], widest), np.float32)
        self._resized: Map = np.empty(0, np.float32)

    def cut(self, image: NDArray[Any]) -> NDArray[Any]:
        """Cut ``image`` (H, W, C) into tiles (n, h, w, C), contiguous; overwritten by the next call."""
        width, height = self.spec.size
        shape = (len(self.positions), height, width, image.shape[2])
        if self._tiles.shape != shape or self._tiles.dtype != image.dtype:
            self._tiles = np.empty(shape, image.dtype)
            self._filled = np.empty((self._padded[1], self._padded[0], image.shape[2]), image.dtype)
        if self._padded != self.picture:
            below, right = self._padded[1] - image.shape[0], self._padded[0] - image.shape[1]
            cv2.copyMakeBorder(
                image, top=0, bottom=below, left=0, right=right, borderType=cv2.BORDER_REFLECT_101, dst=self._filled
            )
            image = self._filled
        for tile, (x, y) in zip(self._tiles, self.positions, strict=True):
            np.copyto(tile, image[y : y + height, x : x + width])
        return self._tiles

    def stitch(self, maps: Map) -> Map:
        """Stitch the picture's map (h, w) from those of its tiles, float32 (n, th, tw). What is not finite stays so.

        The result is overwritten by the fourth call after this one.
        """
        if maps.shape[1:] != self.tile_map:
            maps = self._to_size(maps)
        out = self._maps[self._turn]
        self._turn = (self._turn + 1) % TILE_BUFFERS
        for index, rows in enumerate(self._down):
            target = out[rows.start : rows.stop]
            new, before = target[: len(rows.shares)], self._saved[: len(rows.shares)]
            np.copyto(before, new)
            self._stitch_row(maps[index * self._columns :], rows, target)
            if self.spec.blend == "max":
                np.maximum(before, new, out=new)
            else:
                _mix(before, new, rows.shares[:, None], new, new)
        return out

    def _stitch_row(self, maps: Map, rows: _Reach, target: Map) -> None:
        """Put a row of tiles ``maps`` side by side into ``target``, its map pixels ``rows``."""
        for columns, tile in zip(self._across, maps, strict=False):
            both = len(columns.shares)
            values = tile[rows.offset : rows.offset + len(target), columns.offset :]
            before, new = target[:, columns.start : columns.start + both], values[:, :both]
            if self.spec.blend == "max":
                np.maximum(before, new, out=before)  # keeps NaN, unlike cv2.max
            elif both:
                _mix(before, new, columns.shares, self._spare[: len(target), :both], before)
            alone = target[:, columns.start + both : columns.stop]
            np.copyto(alone, values[:, both : both + alone.shape[1]])

    def _to_size(self, maps: Map) -> Map:
        shape = (len(maps), *self.tile_map)
        if self._resized.shape != shape:
            self._resized = np.empty(shape, np.float32)
        for source, target in zip(maps, self._resized, strict=True):
            cv2.resize(source, (shape[2], shape[1]), target, interpolation=cv2.INTER_LINEAR)
        return self._resized


def starts(side: int, tile: int, stride: int) -> list[int]:
    """Return where tiles begin along one side of a picture; the last one ends at its edge."""
    last = max(side - tile, 0)
    return [*range(0, last, stride), last]


def _mix(before: Map, new: Map, shares: NDArray[np.float32], scratch: Map, out: Map) -> None:
    """Add one more contribution to the running mean ``before``, into ``out``."""
    np.subtract(new, before, out=scratch)
    np.multiply(scratch, shares, out=scratch)
    np.add(before, scratch, out=out)


def _reaches(at: Sequence[int], tile: int, border: int, side: int, blend: str) -> tuple[_Reach, ...]:
    """Return the reach of each tile that begins ``at`` along an axis of ``side`` map pixels."""
    weights = _window(blend, tile, border)
    total = np.zeros(side)
    covered = 0
    reaches = []
    for index, begin in enumerate(at):
        start = begin + (border if index else 0)
        stop = min(begin + tile - (border if index < len(at) - 1 else 0), side)
        own = weights[start - begin : stop - begin]
        total[start:stop] += own
        both = max(covered - start, 0)
        shares = (own[:both] / total[start : start + both]).astype(np.float32)
        reaches.append(_Reach(start, stop, start - begin, shares))
        covered = stop
    return tuple(reaches)


def _window(blend: str, tile: int, border: int) -> NDArray[np.float64]:
    """Return the weights along one side of a tile; in the border they are as at its inner edge."""
    size = tile - 2 * border
    if blend == "hann":
        inner = np.maximum(np.hanning(size), _LEAST)
    elif blend == "gaussian":  # deviation: half of half a tile
        inner = np.exp(-2 * (np.linspace(-1, 1, size) ** 2)) if size > 1 else np.ones(size)
    else:
        inner = np.ones(size)
    return np.pad(inner, border, mode="edge")
