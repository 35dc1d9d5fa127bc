#!/usr/bin/env python3
"""What `tent` of `edge adapt` does for a trained head: `scripts/eval_tent.py MAGNETIC_TILES [--changes A,B] [--adapt A,B]`.

The tiles and their splits by part are those of `eval_tiles.py`; `edge train --preset minute` makes a bundle of the good
pictures of the fitted parts. Of the other parts that have good pictures some give 20 or more of them to adapt by, changed
(out of focus by 1.2 px, with noise of 2 %, darker by 10 %), and 8 give those by which the threshold is frozen, unchanged:
98 % of them stay below it. All pictures of the parts that are left are tested, changed: false rejects and recall of the
memory, of the head alone and of both, as they are, with the head's statistics measured anew, and after the entropy step.

`--adapt`: the whole of `edge adapt` with these answers, or all, on these pictures to adapt by and the threshold's, changed
alike, from the frozen threshold; each answer is judged by what is tested, at the threshold that it was given.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
from eval_tiles import GOOD, SEEDS, Split, Tile, asked_of, auroc, by_part, frames_of, read_tiles
from numpy.typing import NDArray
from shift_answers import answers_table, run
from shift_answers import frames_of as frames_in
from shift_answers import maxima_of as frame_maxima

from edge.config.bundle import Bundle, load_bundle
from edge.disturb.corruptions import CORRUPTIONS
from edge.errors import UserError
from edge.models.fit.fit_plan import FitRequest
from edge.models.fit.protocol import MethodOptions
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.sets.manifest import LabelLine, now
from edge.models.train.fused_graph import RawMaps
from edge.models.train.options import preset_options
from edge.models.train.train import TrainRequest, TrainRun, train
from edge.models.train.trained_halves import TrainedHalves, trained_halves
from edge.models.train.write_trained import write_trained
from edge.shift.adaptation import write_proposal
from edge.shift.answers import tent
from edge.shift.answers.protocol import AnswerRow, Situation
from edge.shift.answers.table import answers_of
from edge.storage.pictures import write_png

ADAPTED = 20
"""Least good pictures to adapt by; the parts that are drawn for it give all that they have."""
THRESHOLD_PARTS = 8
QUIET = 0.98
"""Share of the good pictures, unchanged, that stay below the frozen threshold."""
CHANGES: dict[str, float] = {"defocus": 1.2, "noise": 2.0, "brightness": -10.0}
NO_TORCH = patch.object(tent, "find_spec", lambda _: None)
Maxima: TypeAlias = "dict[str, NDArray[np.float64]]"
Change: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Shares:
    """Indices of tiles: to adapt by, for the threshold, and to test; no part is in two of them."""

    adapted: list[int]
    threshold: list[int]
    tested: list[int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with parts.csv")
    parser.add_argument("--changes", default="defocus", help=f"with commas between: {', '.join(CHANGES)}")
    parser.add_argument("--splits", type=int, choices=[1, 2, 3], default=3, help="the first of the three")
    parser.add_argument("--bundles", type=Path, help="where trained bundles are kept, and taken from the next time")
    parser.add_argument("--adapt", metavar="A,B|all", help="run the whole of edge adapt with these answers, too")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    names = asked_of(arguments.changes, CHANGES, "--changes")
    results: dict[str, Any] = {name: {} for name in names}
    try:
        tiles = read_tiles(arguments.data)
        for seed in SEEDS[: arguments.splits]:
            with tempfile.TemporaryDirectory(prefix="edge-eval-tent-") as place:
                split_figures(arguments, tiles, seed, Path(place), results)
    except UserError as error:
        sys.exit(str(error))
    for name, of in results.items():
        report(name, of)
    if arguments.json:
        print(json.dumps(results))


def split_figures(
    arguments: argparse.Namespace, tiles: Sequence[Tile], seed: int, place: Path, results: dict[str, Any]
) -> None:
    """Train, or take a kept bundle, and add the split's figures to the results of each change."""
    split = by_part(tiles, seed)
    bundle = bundle_of(arguments.data, tiles, split, seed, arguments.bundles or place)
    shares = shares_of(tiles, split, seed)
    for name, of in results.items():
        for row, figures in tent_figures(bundle, tiles, shares, changed_by(name)).items():
            of.setdefault(row, []).append(figures)
            shown = ", ".join(
                f"{half} {value['false_rejects']:.3f}/{value['recall']:.3f}" for half, value in figures.items()
            )
            print(f"split {seed}, {name}, {row}: {shown}", flush=True)
        if arguments.adapt:
            answers = answers_of(() if arguments.adapt == "all" else arguments.adapt.split(","))
            found = adapted(bundle, tiles, shares, changed_by(name), answers, place / name)
            answers_table(f"split {seed}, {name}: edge adapt", [found])
            print(f"  {found.get('why', '')}", flush=True)


def bundle_of(data: Path, tiles: Sequence[Tile], split: Split, seed: int, place: Path) -> Bundle:
    """The bundle of `edge train --preset minute` on the good pictures of the split."""
    target = place / f"split{seed}"
    if target.exists():
        return load_bundle(target)
    source = FrameSet(data, data, tuple(frames_of(tiles, split)))
    fit = FitRequest("tiles", method="memory", pose="texture", options=MethodOptions(backbone=Path("lite0")))
    options = preset_options("minute", seed=seed, threads=1)
    with tempfile.TemporaryDirectory(prefix="edge-eval-tent-") as folder:
        made = train(source, TrainRequest(fit, options), Path(folder), TrainRun())
    return write_trained(target, made, options, "magnetic tiles")


def shares_of(tiles: Sequence[Tile], split: Split, seed: int) -> Shares:
    """Hand out the parts that weren't fitted."""
    good = [k for k in split.tested if tiles[k].kind == GOOD]
    order = [int(part) for part in np.random.default_rng((seed, 7)).permutation(sorted({tiles[k].part for k in good}))]
    taken: list[int] = []
    while sum(tiles[k].part in taken for k in good) < ADAPTED:
        taken.append(order.pop(0))
    frozen = order[:THRESHOLD_PARTS]
    adapted_, threshold = ([k for k in good if tiles[k].part in parts] for parts in (taken, frozen))
    return Shares(adapted_, threshold, [k for k in split.tested if tiles[k].part not in (*taken, *frozen)])


def changed_by(name: str) -> Change:
    """What a line does to each picture, the same noise never twice."""
    rng = np.random.default_rng(0)
    return lambda picture: np.asarray(CORRUPTIONS[name].apply(picture, CHANGES[name], rng), np.uint8).reshape(picture.shape)


def tent_figures(
    bundle: Bundle, tiles: Sequence[Tile], shares: Shares, change: Change
) -> dict[str, dict[str, dict[str, float]]]:
    """False rejects, recall and AUROC of memory, head and both: unchanged, changed, and after each half of `tent`."""
    halves = trained_halves(bundle)
    pictures = [change(tiles[k].pixels) for k in shares.adapted]
    asked = Situation(bundle, [], pictures, None, "", None)
    with NO_TORCH:
        statistics_alone = tent.propose(asked)
    stepped = tent.propose(asked)
    quiet = maxima_of(halves, [tiles[k].pixels for k in shares.threshold])
    thresholds = {name: float(np.quantile(values, QUIET)) for name, values in quiet.items()}
    tested = [tiles[k].pixels for k in shares.tested]
    changed = [change(picture) for picture in tested]
    good = np.array([tiles[k].kind == GOOD for k in shares.tested])
    counts = f"{len(pictures)} to adapt by, {len(shares.threshold)} for the threshold"
    print(f"{counts}, {good.sum()} good and {(~good).sum()} defective tested; {stepped.summary}", flush=True)
    rows = {"unchanged": maxima_of(halves, tested), "changed": maxima_of(halves, changed)}
    with tempfile.TemporaryDirectory(prefix="edge-eval-tent-") as place:
        for name, proposal in (("statistics", statistics_alone), ("statistics and entropy", stepped)):
            made = write_proposal(Path(place) / name.split()[-1], proposal, bundle)
            rows[name] = maxima_of(trained_halves(made), changed)
    return {row: {half: counted(of[half], good, thresholds[half]) for half in thresholds} for row, of in rows.items()}


def maxima_of(halves: TrainedHalves, pictures: Sequence[NDArray[np.uint8]]) -> Maxima:
    """Each picture's highest place on the scale of its half, and of both."""
    raw, scales = RawMaps(halves.memory, halves.head), halves.scales
    found: dict[str, list[float]] = {"memory": [], "head": [], "both": []}
    for picture in pictures:
        maps = zip(raw.of(picture), (scales.memory, scales.head), strict=True)
        memory, head = ((values - scale.middle) * scale.factor for values, scale in maps)
        for name, values in (("memory", memory), ("head", head), ("both", memory + scales.weight * head)):
            found[name].append(float(values.max()))
    return {name: np.array(values) for name, values in found.items()}


def counted(maxima: NDArray[np.float64], good: NDArray[np.bool_], threshold: float) -> dict[str, float]:
    above = maxima > threshold
    area = auroc(list(maxima[~good]), list(maxima[good]))
    return {"false_rejects": float(above[good].mean()), "recall": float(above[~good].mean()), "auroc": area}


def adapted(
    bundle: Bundle, tiles: Sequence[Tile], shares: Shares, change: Change, answers: Sequence[AnswerRow], place: Path
) -> dict[str, Any]:
    """Run `edge adapt` on changed good pictures of the parts for it; what each answer does to the tested ones."""
    frames = []
    for side, chosen in (("adapt", shares.adapted), ("calibrate", shares.threshold)):
        for k in chosen:
            label = LabelLine(file=f"{k}.png", label="good", by="the data set", at=now())
            frames.append(SetFrame(label.file, part=str(tiles[k].part), side=side, votes=(label,)))
            save(place / "set", label.file, change(tiles[k].pixels))
    for k in shares.tested:
        save(place / ("good" if tiles[k].kind == GOOD else "bad"), f"{k:05d}.png", change(tiles[k].pixels))
    for k in shares.threshold:
        save(place / "quiet", f"{k:05d}.png", tiles[k].pixels)
    threshold = float(np.quantile([value for value in frame_maxima(bundle, frames_in(place / "quiet")) if value], QUIET))
    source = FrameSet(place / "set", place / "set", tuple(frames))
    tested = [frames_in(place / kind) for kind in ("good", "bad")]
    return run(bundle, threshold, source, tested, answers, place)


def save(folder: Path, name: str, pixels: NDArray[Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_png(folder / name, np.ascontiguousarray(pixels[:, :, 0]))


def report(change: str, rows: dict[str, list[dict[str, dict[str, float]]]]) -> None:
    """Print means over the splits, and each split's."""
    print(f"\n{change}: false rejects / recall / AUROC, means; behind: false rejects and recall of each split")
    for row, runs in rows.items():
        for half in runs[0]:
            means = " / ".join(f"{np.mean([run[half][key] for run in runs]):.3f}" for key in runs[0][half])
            each = " ".join(f"{run[half]['false_rejects']:.3f}/{run[half]['recall']:.3f}" for run in runs)
            print(f"  {row:24} {half:7} {means}   {each}")


if __name__ == "__main__":
    main()
