"""Where a model's map lies in its picture, measured: a patch goes from place to place, and the map shows where it answers.

Reading the graph misses a crop or a mirroring in operators that nobody expected, and boxes then lie wrong without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WIDE, _NARROW = (0.25, 0.5, 0.75), (0.35, 0.5, 0.65)
"""Of the picture's sides; nine patches. The narrow places are for maps of a small crop, and less exact."""
_LEAST_SIDE = {_WIDE: 16, _NARROW: 24}
"""Px; below, one patch runs into the next."""
_FAINT = 0.4
"""Of the strongest answer: weaker ones come from a patch that the map shows in part, or not at all."""
_LARGEST_STRETCH = 0.08
"""The measured scale against the told one. PatchCore and STFPM: below 0.5 %; convolutions without padding: 6 %; a centre
crop from 256 to 224 that went unseen is 12.5 %."""
_LARGEST_SHIFT = 0.125
"""Of the picture's side. Models shift: features of stride s lie (s - 1) / 2 px up and left (PatchCore: 1.4 %)."""
_LARGEST_REST = 0.05
"""Of the picture's side, root mean square. A map whose answers lie on no line measures nothing."""

MapToImage = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Placement:
    """``measured``: map_to_image as the answers tell it. ``wrong``: too far from the one that was told."""

    measured: MapToImage
    wrong: bool

    def __str__(self) -> str:
        return ", ".join(f"{round(v, 2):g}" for v in self.measured)


def place_of(
    run: Callable[[NDArray[Any]], NDArray[Any]], size: tuple[int, int], channels: int, bits: int, declared: MapToImage
) -> Placement | None:
    """``run`` takes one picture (1, H, W, C) of ``size`` (w, h) and gives its map (1, h, w).

    None where the map doesn't answer to the patch in three places at least, across and down, on a line with them.
    """
    for places in (_WIDE, _NARROW):
        placement = _found(run, size, channels, bits, declared, places) if min(size) >= _LEAST_SIDE[places] else None
        if placement is not None:
            return placement
    return None


def _found(
    run: Callable[[NDArray[Any]], NDArray[Any]],
    size: tuple[int, int],
    channels: int,
    bits: int,
    declared: MapToImage,
    shares: tuple[float, ...],
) -> Placement | None:
    places, maps = [], []
    for place, picture in _pictures(size, channels, bits, shares):
        places.append(place)
        maps.append(run(picture[None])[0])
    answers = _answers(np.stack(maps))
    across, down = (
        _line(answers[:, axis], np.array(places)[:, axis], size[axis], declared[axis], declared[axis + 2])
        for axis in (0, 1)
    )
    if across is None or down is None:
        return None
    (sx, ox, wrong_across), (sy, oy, wrong_down) = across, down
    return Placement((sx, sy, ox, oy), wrong_across or wrong_down)


def _pictures(
    size: tuple[int, int], channels: int, bits: int, shares: tuple[float, ...]
) -> list[tuple[tuple[float, float], NDArray[Any]]]:
    """Grey, with a bright patch of coarse texture that fades out; the middle of the patch and the picture (H, W, C)."""
    width, height = size
    sigma = max(1.0, min(size) / 24)
    reach = int(np.ceil(3 * sigma))
    at = np.arange(-reach, reach) + 0.5
    fade = np.exp(-(at[:, None] ** 2 + at**2) / (2 * sigma**2))
    texture = np.random.default_rng(2).choice([-0.25, 0.25], fade.shape)
    patch = fade * (0.3 + (texture + texture[::-1, ::-1]) / 2)  # the same from both sides: its answer has no lean
    pictures = []
    for down in shares:
        for across in shares:
            x, y = round(across * width), round(down * height)
            canvas = np.zeros((height + 2 * reach, width + 2 * reach))
            canvas[y : y + 2 * reach, x : x + 2 * reach] = patch
            picture = (0.45 + canvas[reach:-reach, reach:-reach]) * (2**bits - 1)
            whole = np.rint(picture).astype(np.uint8 if bits == 8 else np.uint16)
            pictures.append(((float(x), float(y)), np.repeat(whole[:, :, None], channels, axis=2)))
    return pictures


def _answers(maps: NDArray[Any]) -> NDArray[Any]:
    """(places, 2): x and y of each answer in px of the map; NaN where there is none, or where the map's edge cuts it.

    The median over all places is what the map is without any patch.
    """
    off = np.abs(np.nan_to_num(maps - np.median(maps, axis=0), nan=0.0, posinf=0.0, neginf=0.0))
    peaks = off.max(axis=(1, 2))
    answers = np.full((len(maps), 2), np.nan)
    for k, (answer, peak) in enumerate(zip(off, peaks, strict=True)):
        if peak > _FAINT * peaks.max():
            weight = np.where(answer >= 0.3 * peak, answer, 0) ** 2
            across, down = weight.sum(axis=0), weight.sum(axis=1)
            answers[k] = [
                np.average(np.arange(len(w)) + 0.5, weights=w) if w[0] == w[-1] == 0 else np.nan for w in (across, down)
            ]
    return answers


def _line(
    answers: NDArray[Any], places: NDArray[Any], side: int, scale: float, offset: float
) -> tuple[float, float, bool] | None:
    """Scale and offset of the line through (found, place), and whether they are far from the told ones."""
    seen = np.isfinite(answers)
    answers, places = answers[seen], places[seen]
    if len(answers) < 3 or np.unique(places).size < 2 or np.ptp(answers) == 0:
        return None
    slope, start = np.polyfit(answers, places, 1)
    rest = np.sqrt(np.mean((answers * slope + start - places) ** 2))
    if rest > max(_LARGEST_REST * side, scale):
        return None
    shift = float(np.mean(answers * scale + offset - places))
    wrong = abs(slope / scale - 1) > _LARGEST_STRETCH or abs(shift) > max(_LARGEST_SHIFT * side, scale)
    return float(slope), float(start), wrong
