"""The self-test of a fit: defects of known kind, size and contrast, pasted into good frames that the model hasn't seen.

It answers what a person would ask first: what will this model find? The threshold is what calibration on the same frames
would give. A defect counts as seen where the map reaches the threshold within two px of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

import cv2
import numpy as np
import orjson
from numpy.typing import NDArray

from edge.disturb.flaws import KINDS, Footprint, between_pixels, paste
from edge.models.calibrate.thresholds import choose_high
from edge.models.fit.contamination import HeldOutScore, outliers_of
from edge.models.fit.fit_plan import FitPlan
from edge.models.fit.gather_frames import GatheredFrames
from edge.models.fit.protocol import GraphPicture, MapValues, Scorer
from edge.preprocess.register import Registrar

SCHEMA: Final = 1
CONTRASTS: Final = (0.04, 0.06, 0.08, 0.12, 0.2, 0.35)
_SEED: Final = 12
_NEAR_PX: Final = 2
_PICTURES: Final = 12
"""Most good frames that defects are pasted into."""
_AT_ONCE: Final = 64
"""Most defects pasted into one copy of a frame, far enough apart that none changes what is seen of another."""
_ROOM_PX: Final = 24
"""How far a defect's place may lie from the next grid line."""
_BORDER_PX: Final = 12
_TILE_PX, _ZOOM = 48, 2
"""The picture sheet's side of a cut-out, its magnification, and the size of the defects in it."""


@dataclass(frozen=True, slots=True)
class _Ladder:
    """Sizes of the defects in px of the picture that the model sees, how far apart, and how many of each cell."""

    sizes_px: tuple[int, int, int]
    apart_px: int
    draws: int


_FINE: Final = _Ladder((4, 8, 12), 40, 24)
_COARSE: Final = _Ladder((12, 24, 48), 110, 10)
"""For maps of which a px covers 8 px of the picture and more: of smaller defects such a model sees nothing."""
_COARSE_FROM: Final = 8.0
_CHANGED: Final = 2
_RIM: Final = 4
"""Map pixels along the edges that a shift by ``np.roll`` made up."""
_CHANGES: Final[dict[str, Callable[[GraphPicture], GraphPicture]]] = {
    "flip_left_right": lambda p: p[:, ::-1],
    "flip_up_down": lambda p: p[::-1],
    "turn_180": lambda p: p[::-1, ::-1],
    "shift_1_px_across": lambda p: np.roll(p, 1, axis=1),
    "shift_1_px_down": lambda p: np.roll(p, 1, axis=0),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """How many of the pasted defects of one kind, size and contrast were seen."""

    kind: str
    size_px: int
    contrast: float
    pasted: int
    seen: int

    @property
    def recall(self) -> float:
        return self.seen / self.pasted


@dataclass(frozen=True, slots=True)
class HarmlessChange:
    """What a flip or a small shift of a good frame does to its map: allowed where the threshold isn't reached."""

    name: str
    allowed: bool
    highest: float
    """The highest value of the changed frames' maps, over the threshold."""


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What the model can find, and what it stands."""

    threshold: float
    frames: int
    cells: tuple[Cell, ...]
    changes: tuple[HarmlessChange, ...]
    sheet: NDArray[np.uint8] = field(repr=False)

    def to_json(self) -> bytes:
        """``self_test.json``."""
        found: dict[str, Any] = {
            "schema": SCHEMA,
            "threshold": self.threshold,
            "frames": self.frames,
            "note": "defects pasted into good frames, each scored by a model that hasn't seen the frame; "
            "sizes in px of the picture that the model sees, contrast as a share of the picture's bright level, its upper "
            "quartile",
            "sentences": self.sentences(),
            "cells": [
                {
                    "kind": cell.kind,
                    "size_px": cell.size_px,
                    "contrast": cell.contrast,
                    "pasted": cell.pasted,
                    "seen": cell.seen,
                    "recall": round(cell.recall, 4),
                }
                for cell in self.cells
            ],
            "changes": [
                {
                    "change": change.name,
                    "allowed": change.allowed,
                    "highest_over_threshold": round(change.highest, 4) if np.isfinite(change.highest) else None,
                }
                for change in self.changes
            ],
        }
        return orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    def sentences(self) -> list[str]:
        """One line for each kind, for people: from which size and contrast on it is found, and below which it isn't."""
        return [_sentence(kind, [cell for cell in self.cells if cell.kind == kind]) for kind in KINDS]


def self_test(plan: FitPlan, gathered: GatheredFrames, found: Sequence[HeldOutScore]) -> SelfTest | None:
    """Test the last model of what was gathered; None if no frame's picture was kept.

    ``found``: the good frames' scores, for the threshold; if there are none, those of the kept pictures.
    """
    pictures = [picture for picture in gathered.kept.pictures() if min(picture.shape[:2]) > 3 * _BORDER_PX]
    if not pictures:
        return None
    scorers = [gathered.statistics.scorer(picture) for picture in pictures[:_PICTURES]]
    listed = {outlier.index for outlier in outliers_of(found)}
    maxima = [score.maximum for score in found if score.index not in listed]
    if not maxima:
        maxima = [float(scorer(picture).max()) for scorer, picture in zip(scorers, pictures, strict=False)]
    threshold, _ = choose_high(maxima, 0.001, 1.0)
    registrar = None
    if plan.reference is not None and plan.spec.register_ is not None:
        registrar = Registrar(plan.reference, plan.spec.register_)
    return examined(list(zip(pictures, scorers, strict=False)), threshold, registrar)


def examined(
    pairs: Sequence[tuple[GraphPicture, Scorer]], threshold: float, registrar: Registrar | None
) -> SelfTest | None:
    """The test at ``threshold`` of pictures as the graph takes them, each with what scores its changed copies.

    None if every picture reaches the threshold by itself. ``registrar``: where the bundle registers.
    """
    good = [(picture, scorer) for picture, scorer in pairs if scorer(picture).max() < threshold]
    if not good:
        return None
    scale = plan_scale(*good[0])
    return SelfTest(
        threshold=threshold,
        frames=len(good),
        cells=pasted_cells(good, scale, threshold, moved=registrar is not None),
        changes=_changes(registrar, good, threshold),
        sheet=_sheet(good, scale, threshold),
    )


def bright_level(picture: GraphPicture) -> NDArray[np.float64]:
    """The upper quartile of each channel: the level of the part, where the part is what is bright in the picture."""
    return np.asarray(np.quantile(picture[::4, ::4].reshape(-1, picture.shape[2]), 0.75, axis=0), np.float64)


def plan_scale(picture: GraphPicture, scorer: Scorer) -> tuple[float, float]:
    """Px of the picture for each px of the map, across and down."""
    values = scorer(picture)
    return picture.shape[1] / values.shape[1], picture.shape[0] / values.shape[0]


def _ladder(scale: tuple[float, float]) -> _Ladder:
    return _COARSE if max(scale) >= _COARSE_FROM else _FINE


def pasted_cells(
    good: Sequence[tuple[GraphPicture, Scorer]],
    scale: tuple[float, float],
    threshold: float,
    contrasts: Sequence[float] | None = None,
    draws: int | None = None,
    *,
    moved: bool,
) -> tuple[Cell, ...]:
    """Every cell ``draws`` times (None: as suits the map's scale); defects of all share pictures, which saves most maps.

    ``moved``: frames are registered, so a defect is interpolated on its way in, and its map on the way out. Without that
    79 % of dents of 4 px at 6 % contrast were promised, of which none was found.
    Each defect is drawn by a generator of its own that doesn't know the contrast: the same shapes for every contrast.
    """
    ladder = _ladder(scale)
    draws = ladder.draws if draws is None else draws
    contrasts = contrasts or CONTRASTS
    names = [(kind, size, contrast) for kind in KINDS for size in ladder.sizes_px for contrast in contrasts]
    rng = np.random.default_rng(_SEED)
    rows = [names[i] for _ in range(draws) for i in rng.permutation(len(names))]
    pasted, seen = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    done = turn = 0
    while done < len(rows):
        picture, scorer = good[turn % len(good)]
        turn += 1
        changed, masks, level = picture.copy(), [], bright_level(picture)
        for x, y in _places(rng, picture.shape[1], picture.shape[0], ladder.apart_px):
            if done == len(rows):
                break
            kind, size, contrast = rows[done]
            own = np.random.default_rng((_SEED, list(KINDS).index(kind), size, pasted[rows[done]]))
            flaw, seen_share = KINDS[kind](own, x, y, size), 1.0
            if moved:
                flaw, seen_share = between_pixels(flaw, *own.uniform(0, 1, 2))
            mask = paste(changed, flaw, contrast * seen_share, level)
            if mask is not None:
                pasted[rows[done]] += 1
                masks.append((rows[done], mask))
            done += 1
        values = scorer(changed)
        over = (_moved_back(values, rng) if moved else values) >= threshold
        for name, mask in masks:
            seen[name] += _is_seen(over, mask, scale)
    return tuple(Cell(*name, pasted[name], seen[name]) for name in names if pasted[name])


def _moved_back(values: MapValues, rng: np.random.Generator) -> MapValues:
    """The map between its own pixels, as moving it back shows it."""
    right, down = rng.uniform(0, 1, 2)
    matrix = np.array([[1, 0, -right], [0, 1, -down]])
    size = values.shape[1], values.shape[0]
    return np.asarray(cv2.warpAffine(values, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _places(rng: np.random.Generator, width: int, height: int, apart_px: int = _FINE.apart_px) -> list[tuple[float, float]]:
    """Random places in a grid whose phase is random too: ``apart_px`` apart at least, or one place in small pictures."""
    step = apart_px + _ROOM_PX
    columns = max(1, (width - 2 * _BORDER_PX) // step)
    rows = max(1, (height - 2 * _BORDER_PX) // step)
    across, down = (width - 2 * _BORDER_PX) / columns, (height - 2 * _BORDER_PX) / rows
    cells = rng.permutation(columns * rows)[:_AT_ONCE]
    places = []
    for cell in cells:
        inside_x, inside_y = max(across - apart_px, across / 2), max(down - apart_px, down / 2)
        x = _BORDER_PX + (cell % columns) * across + rng.uniform(0, inside_x)
        y = _BORDER_PX + (cell // columns) * down + rng.uniform(0, inside_y)
        places.append((float(x), float(y)))
    return places


def _is_seen(over: NDArray[np.bool_], footprint: Footprint, scale: tuple[float, float]) -> bool:
    """Whether the map reaches the threshold at the defect or within two px of it."""
    left, top, right, bottom = footprint.box
    x0, x1 = (left - _NEAR_PX) / scale[0], (right + _NEAR_PX) / scale[0]
    y0, y1 = (top - _NEAR_PX) / scale[1], (bottom + _NEAR_PX) / scale[1]
    return bool(over[max(0, int(y0)) : ceil(y1), max(0, int(x0)) : ceil(x1)].any())


def _changes(
    registrar: Registrar | None, good: Sequence[tuple[GraphPicture, Scorer]], threshold: float
) -> tuple[HarmlessChange, ...]:
    """Each change is followed by a registration, as it would be at run time."""
    found = []
    for name, change in _CHANGES.items():
        highest = 0.0
        for picture, scorer in good[:_CHANGED]:
            changed = np.ascontiguousarray(change(picture))
            if registrar is not None:
                placement = registrar.locate(changed)
                if placement.problem is not None:
                    highest = np.inf
                    break
                changed = registrar.apply(changed, placement, np.empty_like(changed))
            values = scorer(changed)[_RIM:-_RIM, _RIM:-_RIM]
            highest = max(highest, float(values.max(initial=0.0)))
        found.append(HarmlessChange(name, highest < threshold, highest / threshold))
    return tuple(found)


def _sentence(kind: str, cells: Sequence[Cell]) -> str:
    """Say for example ``spots of >= 4 px at >= 12 % contrast: 98 %; under 6 %: not found``."""
    plural = {"crack": "cracks", "smear": "smears", "scratch": "scratches"}.get(kind, f"{kind}s")
    by_contrast = {c: [cell for cell in cells if cell.contrast == c] for c in sorted({cell.contrast for cell in cells})}
    for size in sorted({cell.size_px for cell in cells}):
        for contrast in by_contrast:
            larger = [cell for cell in cells if cell.size_px >= size and cell.contrast >= contrast]
            if all(cell.recall >= 0.9 for cell in larger):
                recall = sum(cell.seen for cell in larger) / sum(cell.pasted for cell in larger)
                missed = [c for c, of in by_contrast.items() if c < contrast and all(cell.recall < 0.2 for cell in of)]
                under = f"; at {max(missed):.0%} and less: not found" if missed else ""
                return f"{plural} of >= {size} px at >= {contrast:.0%} contrast: {recall:.0%}{under}"
    best = max(cells, key=lambda cell: cell.recall)
    return f"{plural}: not found reliably; at most {best.recall:.0%}, of {best.size_px} px at {best.contrast:.0%} contrast"


def _sheet(good: Sequence[tuple[GraphPicture, Scorer]], scale: tuple[float, float], threshold: float) -> NDArray[np.uint8]:
    """One row for each kind, one column for each contrast: defects in good frames, framed green if seen, else red."""
    names = [(kind, contrast) for kind in KINDS for contrast in CONTRASTS]
    rng = np.random.default_rng(_SEED)
    half = min(_TILE_PX, *good[0][0].shape[:2]) // 2
    tiles: list[NDArray[np.uint8]] = []
    turn, ladder = 0, _ladder(scale)
    while len(tiles) < len(names):
        picture, scorer = good[turn % len(good)]
        turn += 1
        changed, places = picture.copy(), _places(rng, picture.shape[1], picture.shape[0], ladder.apart_px)
        level = bright_level(picture)
        todo = names[len(tiles) : len(tiles) + len(places)]
        masks = [
            paste(
                changed,
                KINDS[kind](np.random.default_rng((_SEED, list(KINDS).index(kind))), x, y, ladder.sizes_px[1]),
                contrast,
                level,
            )
            for (kind, contrast), (x, y) in zip(todo, places, strict=False)
        ]
        over = scorer(changed) >= threshold
        for mask, (x, y) in zip(masks, places, strict=False):
            tiles.append(_tile(changed, x, y, half, seen=mask is not None and _is_seen(over, mask, scale)))
    columns = len(CONTRASTS)
    return np.vstack([np.hstack(tiles[row : row + columns]) for row in range(0, len(tiles), columns)])


def _tile(picture: GraphPicture, x: float, y: float, half: int, *, seen: bool) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    left, top = max(0, min(int(x) - half, width - 2 * half)), max(0, min(int(y) - half, height - 2 * half))
    cut = picture[top : top + 2 * half, left : left + 2 * half]
    rgb = np.repeat(cut, 3, axis=2) if cut.shape[2] == 1 else cut
    large = np.ascontiguousarray(rgb.repeat(_ZOOM, axis=0).repeat(_ZOOM, axis=1))
    large[:3] = large[-3:] = large[:, :3] = large[:, -3:] = (0, 170, 60) if seen else (210, 30, 30)
    return large
