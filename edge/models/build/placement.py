"""A patch goes from place to place in the picture, and the map shows where it answers: so its place is measured.

Reading the graph misses a crop, a mirroring or an exchange of axes in operators that nobody expected, and boxes then lie
wrong without a word. Both axes are fitted together, and the measure is judged by its own spread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

_WIDE, _NARROW = (0.25, 0.5, 0.75), (0.35, 0.5, 0.65)
"""Shares of the picture's sides at which nine patches lie. The narrow places are for maps of a small crop, and less
exact."""
LEAST_SIDE = 16
"""Least side in px; below, one patch runs into the next."""
_LEAST_SIDE = {_WIDE: LEAST_SIDE, _NARROW: 24}
_LEAST_ANSWERS = 5
_FAINT = 0.4
"""Share of the strongest answer; weaker ones come from a patch that the map shows in part, or not at all."""
_LARGEST_STRETCH = 0.08
"""Largest difference of the measured scale from the declared one; beyond, the graph was not understood. Convolutions
without padding: 6 %; a centre crop from 256 to 224 that went unseen is 12.5 %."""
_LARGEST_SHIFT = 0.125
"""Largest shift as a share of the picture's side, in its middle."""
_SMALL_SHIFT = 0.016
"""Shift that no box minds, as a share of the picture's side, anywhere in it. Features of stride s lie (s - 1) / 2 px up and
left, which is 1.4 % for PatchCore."""
_LARGEST_REST = 0.05
"""Largest root mean square of what is left, as a share of the picture's side. Answers that lie on no line measure
nothing."""
_SURE = 3.0
"""Number of standard errors of the measure that count as sure."""
_EXACT = 0.005
"""Largest standard error, as a share of the picture's side, of a measure that is taken in place of the declared place."""
_PICTURE_AGAIN = 0.9
"""Correlation of a map with its picture at which the map is the picture again."""

MapToImage: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class MapPlacement:
    """The patches show where the map lies.

    ``measured``: map_to_image. ``verdict``: ``agrees`` with the declared place; ``near``: exact and a little elsewhere;
    ``elsewhere``: exact and far off, or turned, as ``words`` describe; ``vague``: too uncertain. ``off_px``: the largest
    distance from the declared place, in px of the picture, ``error_px``: its standard error.
    """

    measured: MapToImage
    verdict: Literal["agrees", "near", "elsewhere", "vague"]
    off_px: float = 0.0
    error_px: float = 0.0
    words: str = ""

    def __str__(self) -> str:
        return self.words or ", ".join(f"{round(v, 2) + 0.0:g}" for v in self.measured)


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers have ``place``, None if the map doesn't answer to the patch clearly, and ``warnings`` about the map."""

    place: MapPlacement | None
    warnings: tuple[str, ...] = ()


def place_of(
    run: Callable[[NDArray[Any]], NDArray[Any]], size: tuple[int, int], channels: int, bits: int, declared: MapToImage
) -> Answers:
    """Measure the place; ``run`` takes one picture (1, H, W, C) of ``size`` (w, h) and gives its map (1, h, w).

    No place where the map doesn't answer to five patches at least, on lines with them.
    """
    answers = Answers(None)
    for shares in (_WIDE, _NARROW):
        if min(size) < _LEAST_SIDE[shares]:
            continue
        pictures = _pictures(size, channels, bits, shares)
        maps = np.stack([run(picture[None])[0] for _, picture in pictures])
        places = np.array([place for place, _ in pictures])
        place = _fitted(_answers(maps), places, size, maps.shape[:0:-1], declared)
        answers = Answers(place, answers.warnings or _warnings(maps, np.stack([picture for _, picture in pictures])))
        if place is not None:
            break
    return answers


def _pictures(
    size: tuple[int, int], channels: int, bits: int, shares: tuple[float, ...]
) -> list[tuple[tuple[float, float], NDArray[Any]]]:
    """Yield grey pictures with a patch of coarse texture that fades out, bright and then dark: its middle and (H, W, C)."""
    width, height = size
    sigma = max(1.0, min(size) / 24)
    reach = int(np.ceil(3 * sigma))
    at = np.arange(-reach, reach) + 0.5
    fade = np.exp(-(at[:, None] ** 2 + at**2) / (2 * sigma**2))
    pictures = []
    for seed, sign in ((2, 1), (3, -1)):
        texture = np.random.default_rng(seed).choice([-0.25, 0.25], fade.shape)
        patch = (
            sign * fade * (0.3 + (texture + texture[::-1, ::-1]) / 2)
        )  # the same from both sides: its answer has no lean
        for down in shares:
            for across in shares:
                x, y = round(across * width), round(down * height)
                canvas = np.zeros((height + 2 * reach, width + 2 * reach))
                canvas[y : y + 2 * reach, x : x + 2 * reach] = patch
                picture = np.clip(0.45 + canvas[reach:-reach, reach:-reach], 0, 1) * (2**bits - 1)
                whole = np.rint(picture).astype(np.uint8 if bits == 8 else np.uint16)
                pictures.append(((float(x), float(y)), np.repeat(whole[:, :, None], channels, axis=2)))
    return pictures


def _answers(maps: NDArray[Any]) -> NDArray[Any]:
    """Return (places, 2): x and y of each answer in px of the map; NaN if there is none, or the map's edge cuts it.

    The median over all places is what the map is without any patch. Places at which the map isn't finite say nothing.
    """
    centres = np.full((len(maps), 2), np.nan)
    finite = np.isfinite(maps).all(axis=(1, 2))
    if finite.sum() < _LEAST_ANSWERS:
        return centres
    off = np.abs(maps - np.median(maps[finite], axis=0))
    peaks = np.where(finite, np.nan_to_num(off).max(axis=(1, 2)), 0)
    for k, (answer, peak) in enumerate(zip(off, peaks, strict=True)):
        if peak > _FAINT * peaks.max():
            weight = np.where(answer >= 0.3 * peak, answer, 0) ** 2
            across, down = weight.sum(axis=0), weight.sum(axis=1)
            centres[k] = [
                np.average(np.arange(len(w)) + 0.5, weights=w) if w[0] == w[-1] == 0 else np.nan for w in (across, down)
            ]
    return centres


def _fitted(
    centres: NDArray[Any], places: NDArray[Any], size: tuple[int, int], map_size: tuple[int, ...], declared: MapToImage
) -> MapPlacement | None:
    """The plane through (answer, place) for both axes, and what it says of the declared place."""
    seen = np.isfinite(centres).all(axis=1)
    centres, places = centres[seen], places[seen]
    if len(centres) < _LEAST_ANSWERS or any(np.unique(np.round(places[:, k])).size < 2 for k in (0, 1)):
        return None
    inputs = np.column_stack([centres, np.ones(len(centres))])
    if np.linalg.matrix_rank(inputs, tol=1e-6 * max(map_size)) < 3:
        return None
    (matrix, *_), scale = np.linalg.lstsq(inputs, places, rcond=None), max(declared[:2])
    rest = inputs @ matrix - places
    if float(np.sqrt(np.mean(rest**2))) > max(_LARGEST_REST * max(size), scale):
        return None
    lines = [_line(centres[:, k], places[:, k], map_size[k]) for k in (0, 1)]
    measured = (lines[0][0], lines[1][0], lines[0][1], lines[1][1])
    turned = _turned(matrix, size)
    if turned:
        return MapPlacement(measured, "elsewhere", words=turned)
    off, error, far, small = 0.0, 0.0, False, True
    for k, (slope, start, spread) in enumerate(lines):
        wanted, shift = declared[k], declared[k + 2]
        ends = [abs(slope * px + start - wanted * px - shift) for px in (0, map_size[k])]
        middle = slope * map_size[k] / 2 + start - wanted * map_size[k] / 2 - shift
        small = small and max(ends) <= max(_SMALL_SHIFT * size[k], 0.75 * wanted)
        far = far or abs(slope / wanted - 1) > _LARGEST_STRETCH or abs(middle) > max(_LARGEST_SHIFT * size[k], wanted)
        if max(ends) >= off:
            off, error = max(ends), spread
    exact = off >= _SURE * error and error <= max(_EXACT * max(size), 0.1 * max(declared[:2]))
    verdict: Any = "agrees" if small else "vague" if not exact else "elsewhere" if far else "near"
    return MapPlacement(measured, verdict, off, error)


def _turned(matrix: NDArray[Any], size: tuple[int, int]) -> str:
    """Say where an axis of the map runs against its own in the picture, or along the other one."""
    (a, d), (b, e), _ = matrix  # x = a * across + b * down, y = d * across + e * down
    share = min(size) / max(size)
    if abs(b) * share > abs(a) and abs(d) * share > abs(e) * share**2:
        return "rows and columns are exchanged" if b > 0 and d > 0 else "turned by a quarter"
    if a < 0 and e < 0:
        return "turned by 180 degrees"
    return "mirrored left to right" if a < 0 else "mirrored top to bottom" if e < 0 else ""


def _line(centres: NDArray[Any], places: NDArray[Any], side: int) -> tuple[float, float, float]:
    """Slope and start of one axis, and the standard error of where the map's edges lie, in px of the picture."""
    slope, start = np.polyfit(centres, places, 1)
    rest = np.sqrt(np.sum((centres * slope + start - places) ** 2) / max(len(centres) - 2, 1))
    middle, spread = centres.mean(), np.sum((centres - centres.mean()) ** 2)
    lever = max(np.sqrt(1 / len(centres) + (px - middle) ** 2 / spread) for px in (0, side))
    return float(slope), float(start), float(rest * lever)


def _warnings(maps: NDArray[Any], pictures: NDArray[Any]) -> tuple[str, ...]:
    """Say what the answers to bright and to dark patches mean for a map that is none of distances."""
    finite = np.isfinite(maps).all(axis=(1, 2))
    if finite.sum() < _LEAST_ANSWERS:
        return ()
    grey = pictures.astype(np.float32).mean(axis=3)
    off = maps - np.median(maps[finite], axis=0)
    flat = np.nan_to_num(off).reshape(len(off), -1)
    signs = np.sign(np.take_along_axis(flat, np.abs(flat).argmax(axis=1)[:, None], axis=1)[:, 0])
    half = len(signs) // 2
    bright, dark = signs[:half].mean(), signs[half:].mean()
    if bright <= -_MOSTLY and dark <= -_MOSTLY:
        return ("the map falls where the picture is odd: does a high value mean good? Regions are where it is high",)
    if bright * dark < 0 and min(abs(bright), abs(dark)) >= _MOSTLY and _follows(off, grey - np.median(grey, axis=0)):
        return ("the output is the picture again, as of an autoencoder: its distance from the picture would be a map",)
    return ()


_MOSTLY = 0.75
"""Mean of signs at which seven of eight are alike."""


def _follows(off: Any, grey: Any) -> bool:
    """Return True if what the patches change in the map is what they change in the picture."""
    if off.shape != grey.shape or not np.isfinite(off).all():
        return False
    off, grey = ([cv2.GaussianBlur(a, (0, 0), max(a.shape) / 32) for a in maps] for maps in (off, grey))  # as it may be
    same = [abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) for a, b in zip(off, grey, strict=True) if np.ptp(a) and np.ptp(b)]
    return bool(same) and float(np.mean(same)) > _PICTURE_AGAIN
