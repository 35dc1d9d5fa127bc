#!/usr/bin/env python3
"""What each option of `edge train --preset minute` buys: `scripts/eval_head.py MAGNETIC_TILES [--rows A,B] [--json]`.

The tiles and their splits by part are those of `eval_tiles.py`. Features are computed once for each split: of good training
pictures, of their copies with synthetic defects, and of these under each group of augmentations. A row leaves out a kind of
synthetic defects, changes the loss or adds a group, and trains a head anew on the same number of pictures. Figures are
image AUROC of memory and half the head, of the head alone, and of the head alone on test pictures out of focus.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import torch
from eval_tiles import GOOD, SEEDS, Split, Tile, auroc, by_part, frames_of, read_tiles
from eval_train import defocused
from numpy.typing import NDArray

from edge.disturb.corruptions import CORRUPTIONS
from edge.disturb.synthetic import SYNTHETIC
from edge.errors import UserError
from edge.models.fit.fit_plan import FitRequest
from edge.models.fit.memory import METHOD, MemoryStatistics
from edge.models.fit.protocol import GraphPicture, MethodOptions
from edge.models.sets.frame_set import FrameSet
from edge.models.train.augment import AugmentRow
from edge.models.train.feature_cache import FeatureCache, fill_cache
from edge.models.train.frame_roles import Roles
from edge.models.train.fused_graph import LEARNED_WEIGHT, RawMaps, scales_of
from edge.models.train.head import DefectHead, load, weights_of
from edge.models.train.head_weights import HeadWeights
from edge.models.train.loop import train_head
from edge.models.train.measured import EDGE_SHARE, placed_pictures
from edge.models.train.options import TrainOptions, preset_options
from edge.models.train.samples import samples
from edge.models.train.train import TrainRequest, good_pictures, prepared

DONORS = 12
AUGMENTED = ("lighting", "blur", "camera", "pose")
"""Groups of corruptions that training pictures get."""
PLAIN = "plain"


@dataclass(frozen=True)
class Row:
    """``options``: of the training. ``without``: a kind of synthetic defects. ``added``: a group of augmentations."""

    options: tuple[tuple[str, Any], ...] = ()
    without: str = ""
    added: str = ""


ROWS = {
    "as it is": Row(),
    **{f"without {kind}": Row(without=kind) for kind in SYNTHETIC},
    "no focal": Row(options=(("focal", 0.0),)),
    "no balance": Row(options=(("balance", False),)),
    "no dice": Row(options=(("dice", 0.0),)),
    **{f"with {group}": Row(added=group) for group in AUGMENTED},
}


@dataclass(frozen=True)
class Tested:
    """Test pictures: kind, the memory's grid of distances and features; ``blurred``: features out of focus."""

    kinds: NDArray[np.str_]
    distances: list[NDArray[np.float32]]
    features: list[NDArray[np.float32]]
    blurred: list[NDArray[np.float32]]


@dataclass(frozen=True)
class Ground:
    """What all rows of a split share. ``groups``: of each sample of the cache, ``PLAIN`` or the group that changed it.

    ``validated``: distances and features of the good pictures of other parts, by which both maps are scaled.
    """

    cache: FeatureCache
    groups: tuple[str, ...]
    validated: tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]
    tested: Tested


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with parts.csv")
    parser.add_argument("--rows", default=",".join(ROWS), help="with commas between; default: all")
    parser.add_argument("--splits", type=int, choices=[1, 2, 3], default=3, help="the first of the three")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--versions", type=int, default=3, help="synthetic defects for each good picture")
    parser.add_argument("--backbone", default="lite0", metavar="NAME|FILE")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    names = [name.strip() for name in arguments.rows.split(",")]
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        sys.exit(f"--rows {unknown[0]}: expected some of {', '.join(ROWS)}")
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    try:
        tiles = read_tiles(arguments.data)
        for seed in SEEDS[: arguments.splits]:
            options = preset_options(
                "minute",
                seed=seed,
                threads=1,
                epochs=arguments.epochs,
                patience=arguments.epochs,
                versions=arguments.versions,
            )
            with tempfile.TemporaryDirectory(prefix="edge-eval-head-") as folder:
                groups = {ROWS[name].added for name in names} - {""}
                ground = ground_of(arguments, tiles, by_part(tiles, seed), options, Path(folder), sorted(groups))
                for name in names:
                    results[name].append(row(ground, ROWS[name], options, Path(folder)))
                    shown = " ".join(f"{of} {value:.3f}" for of, value in results[name][-1].items())
                    print(f"split {seed}, {name}: {shown}", flush=True)
    except UserError as error:
        sys.exit(str(error))
    report(results)
    if arguments.json:
        print(json.dumps(results))


def ground_of(
    arguments: argparse.Namespace,
    tiles: Sequence[Tile],
    split: Split,
    options: TrainOptions,
    folder: Path,
    groups: Sequence[str],
) -> Ground:
    """Every feature that the rows of a split need."""
    source = FrameSet(arguments.data, arguments.data, tuple(frames_of(tiles, split)))
    fit = FitRequest("tiles", method="memory", pose="texture", options=MethodOptions(backbone=Path(arguments.backbone)))
    roles, plan = prepared(source, TrainRequest(fit, options))
    good, others = ([one.picture for one in placed_pictures(source, of, plan)] for of in (roles.good, roles.validated_good))
    memory = METHOD.empty(good[0].shape, fit.options)
    assert isinstance(memory, MemoryStatistics)
    for picture in good:
        memory.add(picture)
    validated = distances(memory, others), [memory.vectors(picture) for picture in others]
    donors = good_pictures(source, roles, plan, DONORS)
    made, labels = [], []
    for one in samples(source, roles, plan, memory, donors, options=options):
        made.append(one)
        labels.append(PLAIN)
    for group in groups:
        changed = samples(source, half_of(roles), plan, memory, donors, options=augmented(options, group))
        added = [one for number, one in enumerate(changed) if number % 3 and one.role == "train"]
        made, labels = made + added, labels + [group] * len(added)
    cache = fill_cache(folder, "k", memory.width, iter(made))
    for picture in others:
        memory.add(picture)
    pictures = [tiles[k].pixels for k in split.tested]
    tested = Tested(
        np.array([tiles[k].kind for k in split.tested]),
        distances(memory, pictures),
        [memory.vectors(picture) for picture in pictures],
        [memory.vectors(defocused(picture)) for picture in pictures],
    )
    return Ground(cache, tuple(labels), validated, tested)


def half_of(roles: Roles) -> Roles:
    """Every second good training picture, and nothing else."""
    return replace(roles, good=roles.good[::2], validated_good=())


def augmented(options: TrainOptions, group: str) -> TrainOptions:
    """Each corruption of the group in half of the pictures, up to the third of its five strengths, as RandAugment draws."""
    rows = [row for row in CORRUPTIONS.values() if row.group == group]
    return replace(
        options,
        versions=1,
        augment=tuple(AugmentRow(row.name, row.strengths.steps[0], row.strengths.steps[2], 1 / len(rows)) for row in rows),
    )


def distances(memory: MemoryStatistics, pictures: Sequence[GraphPicture]) -> list[NDArray[np.float32]]:
    """The grid of the memory's distances for each picture."""
    mean, deviation = np.zeros(memory.width, np.float32), np.ones(memory.width, np.float32)
    maps = RawMaps(memory, weights_of(DefectHead(memory.width, 1), mean, deviation))
    return [maps.of(picture)[0] for picture in pictures]


def row(ground: Ground, changes: Row, options: TrainOptions, folder: Path) -> dict[str, float]:
    """Train one head; AUROC fused, of the head alone, and of it out of focus; by kind, fused; CPU seconds."""
    began = time.process_time()
    (folder / "checkpoint.npz").unlink(missing_ok=True)
    kept = [
        sample
        for sample, group in zip(ground.cache.samples, ground.groups, strict=True)
        if group in (PLAIN, changes.added) and not (changes.without and sample.kind == changes.without)
    ]
    cache = replace(ground.cache, samples=tuple(kept))
    learned = train_head(cache, replace(options, **dict(changes.options)), folder, "k")
    took = time.process_time() - began
    return judged(ground, learned.weights) | {"epochs": len(learned.history), "cpu_s": took}


def judged(ground: Ground, weights: HeadWeights) -> dict[str, float]:
    tested, (distances_, features) = ground.tested, ground.validated
    scales = scales_of(list(zip(distances_, logits(weights, features), strict=True)), EDGE_SHARE)
    alone, blurred = logits(weights, tested.features), logits(weights, tested.blurred)
    memory, head = scales.memory, scales.head
    fused = [
        ((d - memory.middle) * memory.factor + LEARNED_WEIGHT * (a - head.middle) * head.factor).max()
        for d, a in zip(tested.distances, alone, strict=True)
    ]
    kinds = sorted({str(kind) for kind in tested.kinds if kind != GOOD})
    return {
        "fused": ranked(tested.kinds, fused),
        "alone": ranked(tested.kinds, [values.max() for values in alone]),
        "blurred": ranked(tested.kinds, [values.max() for values in blurred]),
    } | {kind: ranked(tested.kinds, fused, kind) for kind in kinds}


def ranked(kinds: NDArray[np.str_], scores: Sequence[float], kind: str = "") -> float:
    values = np.asarray(scores)
    return auroc(list(values[kinds == kind if kind else kinds != GOOD]), list(values[kinds == GOOD]))


def logits(weights: HeadWeights, features: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """What the head says of each place."""
    head = DefectHead(len(weights.mean), weights.hidden)
    load(head, weights.arrays)
    head.eval()
    said = []
    with torch.no_grad():
        for one in features:
            values = ((one - weights.mean) / weights.deviation).astype(np.float32)
            planes = torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]
            said.append(head(planes, torch.ones(1, 1, *planes.shape[2:]))[0, 0].numpy())
    return said


def report(results: dict[str, list[dict[str, float]]]) -> None:
    columns = [name for name in next(iter(results.values()))[0] if name != "epochs"]
    splits = len(next(iter(results.values())))
    print(f"\nmean over {splits} splits; behind: by how much the first column is above the first row's")
    print(f"{'row':22}" + "".join(f"{name:>10}" for name in columns))
    first = [run["fused"] for run in next(iter(results.values()))]
    for name, runs in results.items():
        cells = [
            f"{statistics.mean(run[column] for run in runs):10.{0 if column == 'cpu_s' else 3}f}" for column in columns
        ]
        apart = " ".join(f"{run['fused'] - own:+.3f}" for run, own in zip(runs, first, strict=True))
        print(f"{name:22}{''.join(cells)}   {apart}")


if __name__ == "__main__":
    main()
