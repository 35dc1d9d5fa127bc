"""A sheet of synthetic defects, looked at before anyone waits for a training: are they like those of this part?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.disturb.synthetic import SyntheticDefect, draw
from edge.models.fit.protocol import GraphPicture
from edge.report.lettering import write

_COLUMNS: Final = 5
_TILE_PX: Final = 176
_MARGIN: Final = 1.6
"""A cut-out shows so many times the defect's own size."""
_LEAST_PX: Final = 64
_RED: Final = (230, 40, 30)
_LINE_PX: Final = 18
_TEXT_PX: Final = 10


def synthetic_sheet(pictures: Sequence[GraphPicture], kinds: Sequence[SyntheticDefect], seed: int) -> NDArray[np.uint8]:
    """Return RGB (H, W, 3): a row for each kind, in it five draws, each without and with the outline of its mask.

    ``pictures``: good ones, at least one; they are used in turn.
    """
    rows = []
    for number, kind in enumerate(kinds):
        tiles = []
        for column in range(_COLUMNS):
            rng = np.random.default_rng((seed, 6, number, column))
            picture, donor = (pictures[int(rng.integers(len(pictures)))] for _ in range(2))
            made = draw(rng, picture, donor, (kind,))
            tiles.append(_pair(*made[:2]) if made is not None else np.full((_TILE_PX, 2 * _TILE_PX, 3), 255, np.uint8))
        title = np.full((_LINE_PX, 2 * _COLUMNS * _TILE_PX, 3), 255, np.uint8)
        text = f"{kind.name}: {kind.meaning}"
        write(title, text, 4, _LINE_PX - 5, _TEXT_PX, (0, 0, 0))
        rows.append(np.vstack([title, np.hstack(tiles)]))
    return np.vstack(rows)


def _pair(changed: GraphPicture, mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A square around the defect, and the same with its outline."""
    ys, xs = np.nonzero(mask)
    side = int(max(_LEAST_PX, _MARGIN * max(np.ptp(xs), np.ptp(ys)) + 8))
    x, y = (
        int(np.clip((v.min() + v.max()) // 2 - side // 2, 0, max(0, limit - side)))
        for v, limit in ((xs, mask.shape[1]), (ys, mask.shape[0]))
    )
    cut = changed[y : y + side, x : x + side]
    colours: Any = np.ascontiguousarray(np.repeat(cut, 3, axis=2) if cut.shape[2] == 1 else cut)
    shown = _fitted(colours)
    scale = shown.shape[0] / max(colours.shape[:2])
    where = cv2.resize(
        mask[y : y + side, x : x + side].astype(np.uint8), None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST
    )
    outlined = shown.copy()
    outlines, _ = cv2.findContours(where, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(outlined, outlines, -1, _RED, 1)
    return np.hstack([shown, outlined])


def _fitted(colours: Any) -> NDArray[np.uint8]:
    """A cut-out is as large as a tile allows, in its upper left corner, with white around it."""
    scale = _TILE_PX / max(colours.shape[:2])
    sized = cv2.resize(colours, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST if scale > 1 else cv2.INTER_AREA)
    tile = np.full((_TILE_PX, _TILE_PX, 3), 255, np.uint8)
    tile[: sized.shape[0], : sized.shape[1]] = sized[:_TILE_PX, :_TILE_PX]
    return tile
