"""Synthetic defects, one row each: what a network is shown in place of defects that nobody has, each with its mask.

``flaws.py`` has shapes of known size and contrast, to measure by. These here are drawn at random, in every size, strength
and place, to learn from. Another kind is a function and a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.disturb.finish import uneven_finish
from edge.disturb.flaws import KINDS, Flaw, paste, transplant, uneven
from edge.disturb.perlin import perlin
from edge.errors import UserError

SurfacePixels: TypeAlias = NDArray[np.uint8]
"""A picture as the graph takes it: uint8 (H, W, C), C = 1 or 3."""
DefectMask: TypeAlias = NDArray[np.bool_]
"""True on defective pixels, (H, W)."""
Changed: TypeAlias = tuple[SurfacePixels, DefectMask]
DefectMaker: TypeAlias = Callable[[np.random.Generator, SurfacePixels, SurfacePixels], "Changed | None"]

LEAST_CHANGE: Final = 4
"""Grey levels by which a pixel must differ to count as defective: less is within a camera's noise."""
_LEAST_PX: Final = 12
"""Pixels below which a defect is too small to be shown to a network."""
_GRAIN_PX: Final = 3
"""Side of the square over which a change must be one to be seen."""
_TRIES: Final = 8


@dataclass(frozen=True, slots=True)
class SyntheticDefect:
    """A row is one kind: its ``name``, what it stands for, and the function that makes one.

    ``make`` takes a generator, the good picture and another good one (a donor, perhaps of another size), and returns a new
    picture with the mask, or None if the draw fits nowhere.
    """

    name: str
    meaning: str
    make: DefectMaker


def draw(
    rng: np.random.Generator, picture: SurfacePixels, donor: SurfacePixels, kinds: Sequence[SyntheticDefect]
) -> tuple[SurfacePixels, DefectMask, str] | None:
    """Return a copy of ``picture`` with one defect of one of ``kinds``, the mask of what changed, and the kind's name.

    ``donor``: another good picture, from which cut-outs are taken. None comes back where nothing could be seen of eight
    draws in a row, as in pictures that are white all over.
    """
    for _ in range(_TRIES):
        kind = kinds[int(rng.integers(len(kinds)))]
        made = kind.make(rng, picture, donor)
        if made is None:
            continue
        changed, mask = made
        step = changed.astype(np.float32) - picture
        seen = mask & (np.abs(step).max(axis=2) >= LEAST_CHANGE)
        # px that differ by grain alone say nothing: a surface in the place of its like is no defect
        steady = np.abs(cv2.blur(step, (_GRAIN_PX, _GRAIN_PX)).reshape(step.shape)).max(axis=2) >= LEAST_CHANGE
        if (seen & steady).sum() >= _LEAST_PX:
            return changed, seen, kind.name
    return None


def chosen(without: Sequence[str] = ()) -> tuple[SyntheticDefect, ...]:
    """Return all kinds but those of these names.

    Raises:
        UserError: there is no kind of a name, or none is left.
    """
    for name in without:
        if name not in SYNTHETIC:
            close = get_close_matches(name, SYNTHETIC, 1)
            raise UserError(
                "there is no such kind of synthetic defect",
                received=name,
                expected=", ".join(SYNTHETIC),
                fix=f"did you mean {close[0]}?" if close else None,
            )
    kept = tuple(row for name, row in SYNTHETIC.items() if name not in without)
    if not kept:
        raise UserError(
            "no kind of synthetic defect is left",
            received=", ".join(without),
            expected=f"some of {', '.join(SYNTHETIC)}",
        )
    return kept


def transplanted(
    rng: np.random.Generator, picture: SurfacePixels, donor: SurfacePixels, mask: DefectMask
) -> Changed | None:
    """Return a copy of ``picture`` with the labelled defect of ``donor`` at a random place.

    What the defect changed is measured against the surface around it in the donor, so that it may be pasted where the
    light is another. None comes back where the mask is empty, or larger than the picture.
    """
    if not mask.any():
        return None
    ys, xs = np.nonzero(mask)
    if np.ptp(xs) >= picture.shape[1] or np.ptp(ys) >= picture.shape[0]:
        return None
    grey = donor.mean(axis=2).astype(np.uint8)
    ground = _ground(grey, mask)
    x, y = _place(rng, picture, (float(np.ptp(xs)), float(np.ptp(ys))))
    flaw, levels = transplant(grey, ground, mask.astype(np.uint8), x, y)
    return _pasted(picture, flaw, levels / max(1.0, float(ground[mask].mean())))


def _ground(grey: NDArray[np.uint8], mask: DefectMask) -> NDArray[np.uint8]:
    """The surface without the defect: the mean of what lies around it, the nearer the more."""
    wide = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    known = np.where(wide, 0, 1).astype(np.float32)
    reach = max(3.0, math.sqrt(float(mask.sum())) / 2)
    sums = cv2.GaussianBlur(grey * known, (0, 0), reach)
    weights = cv2.GaussianBlur(known, (0, 0), reach)
    mean = float(grey[~wide].mean()) if (~wide).any() else float(grey.mean())
    filled = np.where(weights > 1e-3, sums / np.maximum(weights, 1e-3), mean)
    return np.where(wide, filled, grey).astype(np.uint8)


def _flaw(name: str, sizes: tuple[float, float]) -> DefectMaker:
    """A maker of one of ``flaws.KINDS``; ``sizes``: smallest in px, largest as a share of the shorter side."""

    def make(rng: np.random.Generator, picture: SurfacePixels, _donor: SurfacePixels) -> Changed | None:
        size = _log_uniform(rng, sizes[0], max(1.5 * sizes[0], sizes[1] * min(picture.shape[:2])))
        x, y = _place(rng, picture)
        return _pasted(picture, KINDS[name](rng, x, y, size), _contrast(rng))

    return make


def _blob(rng: np.random.Generator, picture: SurfacePixels, donor: SurfacePixels) -> Changed | None:
    name = ("spot", "stain", "dent")[rng.integers(3)]
    return _flaw(name, (5, 0.15))(rng, picture, donor)


def _chip(rng: np.random.Generator, picture: SurfacePixels, _donor: SurfacePixels) -> Changed | None:
    """A ragged piece at the picture's edge, as dark or as bright as what is darkest or brightest there."""
    height, width = picture.shape[:2]
    radius = _log_uniform(rng, 5, max(8.0, 0.12 * min(height, width)))
    side, along = rng.integers(4), rng.uniform(0, 1)
    x, y = ((along * width, 0), (along * width, height - 1), (0, along * height), (width - 1, along * height))[side]
    turns = np.sort(rng.uniform(0, 2 * math.pi, 9))
    reaches = radius * rng.uniform(0.5, 1.3, 9)
    corners = np.stack((x + reaches * np.cos(turns), y + reaches * np.sin(turns)), axis=1)
    filled = np.zeros((height, width), np.uint8)
    cv2.fillPoly(filled, [np.rint(corners).astype(np.int32)], 255)
    share = cv2.GaussianBlur(filled, (0, 0), 0.7).astype(np.float32)[:, :, None] / 255
    level = np.quantile(picture.reshape(-1, picture.shape[2]), 0.01 if rng.random() < 0.7 else 0.99, axis=0)
    grain = rng.normal(0, 4, (height, width, 1))
    return _blended(picture, level + grain, share), filled > 0


def _smear(rng: np.random.Generator, picture: SurfacePixels, donor: SurfacePixels) -> Changed | None:
    return _flaw("smear", (8, 0.4))(rng, picture, donor)


def _uneven_light(rng: np.random.Generator, picture: SurfacePixels, _donor: SurfacePixels) -> Changed | None:
    """A wide patch without edges, round or shapeless, in which the surface is brighter or darker."""
    height, width = picture.shape[:2]
    contrast = _log_uniform(rng, 0.06, 0.35)
    if rng.random() < 0.5:
        radius = rng.uniform(0.08, 0.35) * min(height, width)
        return _pasted(picture, uneven(rng, *_place(rng, picture), radius), contrast)
    field = perlin(rng, (width, height), rng.uniform(0.3, 1.0) * min(height, width))
    level = rng.uniform(0.1, 0.25)
    gain = np.clip((field - level) / 0.2, 0, 1)[:, :, None] * (contrast if rng.random() < 0.5 else -contrast)
    return _levels(picture * (1 + gain)), field > level + 0.1


def _uneven_finish(rng: np.random.Generator, picture: SurfacePixels, _donor: SurfacePixels) -> Changed | None:
    return uneven_finish(rng, picture)


def _cut_paste(rng: np.random.Generator, picture: SurfacePixels, donor: SurfacePixels) -> Changed | None:
    """A rectangle of another place or picture, its light changed (Li et al., "CutPaste", CVPR 2021); or a thin scar."""
    height, width = picture.shape[:2]
    if rng.random() < 0.5:
        area, ratio = _log_uniform(rng, 0.002, 0.05) * height * width, _log_uniform(rng, 0.3, 3.3)
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        turn = 0.0
    else:
        w, h = round(rng.uniform(3, 12)), round(_log_uniform(rng, 10, max(15.0, 0.25 * min(height, width))))
        turn = rng.uniform(-45, 45)
    cut = _cut(rng, donor, (max(3, w), max(3, h)))
    if cut is None:
        return None
    x, y = _place(rng, picture)
    corners = cv2.boxPoints(((x, y), (float(cut.shape[1]), float(cut.shape[0])), turn))
    matrix = cv2.getAffineTransform(
        np.array([[0, cut.shape[0]], [0, 0], [cut.shape[1], 0]], np.float32), corners[:3].astype(np.float32)
    )
    moved = cv2.warpAffine(cut, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.warpAffine(np.ones(cut.shape[:2], np.float32), matrix, (width, height))
    light = rng.uniform(0.7, 1.3)
    return _blended(picture, moved.reshape(picture.shape) * light, share[:, :, None]), share > 0.5


def _perlin_blend(rng: np.random.Generator, picture: SurfacePixels, donor: SurfacePixels) -> Changed | None:
    """A shapeless region that shows another good picture, changed, through (Zavrtanik et al., "DRAEM", ICCV 2021)."""
    height, width = picture.shape[:2]
    field = perlin(rng, (width, height), _log_uniform(rng, 12, max(24.0, 0.4 * min(height, width))))
    window = cv2.GaussianBlur(_spot_mask(rng, picture), (0, 0), 3)
    mask = (field * window > rng.uniform(0.15, 0.3)) & (window > 0.2)
    other = cv2.resize(donor, (width, height), interpolation=cv2.INTER_AREA).reshape(picture.shape)
    other = other[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])].astype(np.float32)
    other = np.roll(other, (int(rng.integers(height)), int(rng.integers(width))), (0, 1))
    other = other * rng.uniform(0.5, 1.6) + rng.uniform(-25, 25)
    share = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8)[:, :, None] * rng.uniform(0.3, 1.0)
    return _blended(picture, other, share), mask


def _poisson(rng: np.random.Generator, picture: SurfacePixels, donor: SurfacePixels) -> Changed | None:
    """A patch of another good picture without a seam (Schlüter et al., "Natural synthetic anomalies", ECCV 2022).

    Perez et al., "Poisson image editing", 2003, as OpenCV has it.
    """
    height, width = picture.shape[:2]
    sides = [round(_log_uniform(rng, 10, max(15.0, 0.3 * side))) for side in (width, height)]
    cut = _cut(rng, donor, (sides[0], sides[1]))
    if cut is None or cut.shape[0] + 4 > height or cut.shape[1] + 4 > width:
        return None
    h, w = cut.shape[:2]
    x, y = int(rng.integers(2, width - w - 1)), int(rng.integers(2, height - h - 1))
    seen = np.zeros((h, w), np.uint8)
    _ellipse(seen, (w // 2, h // 2), (max(1, w // 2 - 2), max(1, h // 2 - 2)), rng.uniform(0, 180), 255)
    colours = [np.repeat(p, 3, axis=2) if p.shape[2] == 1 else p for p in (cut, picture)]
    middle = (x + w // 2, y + h // 2)
    way = cv2.MIXED_CLONE if rng.random() < 0.5 else cv2.NORMAL_CLONE
    done = cv2.seamlessClone(np.ascontiguousarray(colours[0]), np.ascontiguousarray(colours[1]), seen, middle, way)
    mask = np.zeros((height, width), np.bool_)
    mask[y : y + h, x : x + w] = seen > 0
    changed = np.where(mask[:, :, None], done[:, :, : picture.shape[2]], picture)
    return np.ascontiguousarray(changed, np.uint8), mask


def _cut(rng: np.random.Generator, donor: SurfacePixels, size: tuple[int, int]) -> SurfacePixels | None:
    w, h = size
    if w >= donor.shape[1] or h >= donor.shape[0]:
        return None
    x, y = int(rng.integers(donor.shape[1] - w)), int(rng.integers(donor.shape[0] - h))
    return donor[y : y + h, x : x + w]


def _spot_mask(rng: np.random.Generator, picture: SurfacePixels) -> NDArray[np.float32]:
    """1 in an ellipse anywhere, of 10 to 60 % of the sides."""
    height, width = picture.shape[:2]
    window = np.zeros((height, width), np.float32)
    axes = tuple(max(4, round(rng.uniform(0.05, 0.3) * side)) for side in (width, height))
    at = tuple(round(rng.uniform(0, side)) for side in (width, height))
    _ellipse(window, at, axes, rng.uniform(0, 180), 1)
    return window


def _ellipse(target: Any, at: Sequence[int], axes: Sequence[int], turn: float, value: int) -> None:
    """Fill an ellipse, in place."""
    cv2.ellipse(target, tuple(at), tuple(axes), turn, startAngle=0, endAngle=360, color=value, thickness=-1)


def _place(rng: np.random.Generator, picture: SurfacePixels, size: tuple[float, float] = (8.0, 8.0)) -> tuple[float, float]:
    """A random place at which something of this width and height lies inside the picture."""
    spans = [max(0.0, side - extent) for side, extent in zip((picture.shape[1], picture.shape[0]), size, strict=True)]
    x, y = (float(extent / 2 + rng.uniform(0, span)) for extent, span in zip(size, spans, strict=True))
    return x, y


def _pasted(picture: SurfacePixels, flaw: Flaw, contrast: float) -> Changed | None:
    changed = picture.copy()
    footprint = paste(changed, flaw, contrast)
    return None if footprint is None else (changed, footprint.whole(picture.shape[1], picture.shape[0]))


def _blended(picture: SurfacePixels, other: Any, share: Any) -> SurfacePixels:
    return _levels(picture + (other - picture) * share)


def _levels(values: Any) -> SurfacePixels:
    return np.asarray(np.rint(np.clip(values, 0, 255)), np.uint8)


def _contrast(rng: np.random.Generator) -> float:
    return _log_uniform(rng, 0.06, 0.6)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A draw that is as likely between 1 and 2 as between 2 and 4."""
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


_ROWS: Final = (
    SyntheticDefect("cut_paste", "a piece of another place, or a thin scar of it", _cut_paste),
    SyntheticDefect("perlin", "a shapeless region in which another texture shows through", _perlin_blend),
    SyntheticDefect("poisson", "a piece of another picture without a seam", _poisson),
    SyntheticDefect("scratch", "a thin, slightly bent line", _flaw("scratch", (8, 0.3))),
    SyntheticDefect("crack", "a dark line that changes its direction", _flaw("crack", (8, 0.3))),
    SyntheticDefect("blob", "a pore, a stain or a dent", _blob),
    SyntheticDefect("chip", "material missing at the picture's edge", _chip),
    SyntheticDefect("smear", "a soft streak", _smear),
    SyntheticDefect("uneven_light", "a wide patch without edges, brighter or darker", _uneven_light),
    SyntheticDefect("uneven_finish", "a zone behind a line, in which light and grain are others", _uneven_finish),
)
SYNTHETIC: Final[dict[str, SyntheticDefect]] = {row.name: row for row in _ROWS}
"""Every kind by its name."""
