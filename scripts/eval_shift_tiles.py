"""Magnetic tiles under another light, and out of focus: what each answer wins back on real parts (`eval_shift.py --tiles`).

Split by part, each seed anew: good pictures of lighting 2 and 4 of 3 parts in 10 are fitted on, those of another tenth
give the threshold. The factory is lighting 6 of parts that were never seen, or lighting 2 and 4 out of focus by 1.2 px: 8
good pictures to adapt by, 20 for the threshold, the rest are judged, with the defects of parts that weren't fitted.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from shift_answers import answers_table, frames_of, maxima_of, run

from edge.disturb.corruptions import CORRUPTIONS
from edge.errors import UserError
from edge.models.calibrate.thresholds import choose_high
from edge.models.fit.fit import FitRun, fit, write_fit
from edge.models.fit.fit_plan import FitRequest
from edge.models.fit.protocol import MethodOptions
from edge.models.sets.open import open_set
from edge.shift.answers.protocol import AnswerRow
from edge.storage.pictures import read_picture, write_png

GOOD = "good"
LAB, FACTORY = ("2", "4"), ("6",)
MOST_BAD = 60
MOST_GOOD = 50
VECTORS = 2000


@dataclass(frozen=True)
class TilePicture:
    file: str
    kind: str
    part: str
    lighting: str


def evaluate_tiles(folder: Path, seeds: Sequence[int], answers: Sequence[AnswerRow]) -> dict[str, Any]:
    """Lighting and defocus over all seeds; prints each table."""
    table = folder / "parts.csv"
    if not table.is_file():
        raise UserError(f"{folder}: no parts.csv", expected="the folder of the magnetic tiles, with parts.csv in it")
    with table.open(encoding="utf-8", newline="") as file:
        tiles = [TilePicture(r["file"], r["kind"], r["part"], r["lighting"]) for r in csv.DictReader(file)]
    results = {}
    for name, lightings, sigma in (("lighting 6", FACTORY, 0.0), ("defocus 1.2 px", LAB, 1.2)):
        results[name] = answers_table(
            f"tiles, {name}", [_run(folder, tiles, seed, (lightings, sigma), answers) for seed in seeds]
        )
    return results


def _run(
    folder: Path,
    tiles: Sequence[TilePicture],
    seed: int,
    change: tuple[Sequence[str], float],
    answers: Sequence[AnswerRow],
) -> dict[str, Any]:
    """One line: fitted, changed, adapted, judged. ``change``: lightings and defocus from now on."""
    lightings, sigma = change
    parts = sorted({tile.part for tile in tiles if tile.kind == GOOD})
    order = [parts[i] for i in np.random.default_rng(seed).permutation(len(parts))]
    first, second = len(order) * 3 // 10, len(order) * 4 // 10
    lab_parts, threshold_parts, others = set(order[:first]), set(order[first:second]), order[second:]
    with tempfile.TemporaryDirectory(prefix="edge-eval-tiles-") as place:
        root = Path(place)
        _save(folder, root / "fit", [t for t in tiles if _good(t, lab_parts, LAB)])
        _save(folder, root / "calibrate", [t for t in tiles if _good(t, threshold_parts, LAB)])
        options = MethodOptions(vectors=VECTORS)
        request = FitRequest("tiles", method="memory", pose="texture", options=options)
        bundle = write_fit(root / "v1", fit(frames_of(root / "fit"), request, FitRun()), "lab")
        maxima = [value for value in maxima_of(bundle, frames_of(root / "calibrate")) if value is not None]
        threshold = choose_high(maxima, 0.05, None)[0]
        one_each = {t.part: t for t in tiles if _good(t, set(others), lightings)}  # a part under one light, once
        known = [one_each[part] for part in others if part in one_each]
        bad = [t for t in tiles if t.kind != GOOD and t.part not in lab_parts][::2][:MOST_BAD]
        _save(folder, root / "factory", known[:28], sigma)
        _save(folder, root / "good", known[28:][:MOST_GOOD], sigma)
        _save(folder, root / "bad", bad, sigma)
        source = open_set(root / "factory")
        adapt = {f"{number:03d}.png" for number in range(8)}
        sided = [replace(f, side="adapt" if f.file in adapt else "calibrate") for f in source.frames]
        tested = [frames_of(root / kind) for kind in ("good", "bad")]
        return run(bundle, threshold, source.with_frames(sided), tested, answers, root)


def _good(tile: TilePicture, parts: set[str], lightings: Sequence[str]) -> bool:
    return tile.kind == GOOD and tile.part in parts and tile.lighting in lightings


def _save(folder: Path, target: Path, tiles: Sequence[TilePicture], sigma: float = 0.0) -> None:
    target.mkdir()
    rng = np.random.default_rng(0)
    for number, tile in enumerate(tiles):
        pixels: Any = read_picture(folder / tile.file)
        pixels = pixels if pixels.ndim == 2 else pixels[:, :, 0]
        pixels = CORRUPTIONS["defocus"].apply(np.ascontiguousarray(pixels), sigma, rng)
        write_png(target / f"{number:03d}.png", pixels)
