#!/usr/bin/env python3
"""What each option of a network's training buys: `scripts/eval_train.py MAGNETIC_TILES [--rows A,B] [--splits N] [--json]`.

The tiles and their splits by part are those of `eval_tiles.py`. Every row trains the network of `edge train --preset hour`
alone, without the memory, for the same number of batches; the encoder's own epochs come on top, and are the same for all
rows that have them. A picture's score is the highest logit. Each row is also judged on test pictures out of focus by
1.2 px, and the rows `coral` and `mmd` get other good pictures out of focus as the factory's unlabelled frames.

Budgets are small, so that a table takes an afternoon of one core: what is gained late in a long training doesn't show.
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
from eval_tiles import GOOD, SEEDS, Split, Tile, asked_of, auroc, by_part, frames_of, read_tiles
from numpy.typing import NDArray
from tent_on_tiles import tent_figures

from edge.disturb.corruptions import CORRUPTIONS
from edge.errors import UserError
from edge.models import graphs
from edge.models.fit.feature_net import open_features
from edge.models.fit.fit_plan import FitRequest
from edge.models.fit.protocol import MethodOptions
from edge.models.sets.frame_set import FrameSet
from edge.models.train.distil import Distilling
from edge.models.train.encoder_training import EncoderTask, trained_encoder
from edge.models.train.fused_graph import MapScale, network_alone
from edge.models.train.network_loop import train_network
from edge.models.train.network_weights import NetworkWeights
from edge.models.train.options import TrainOptions, preset_options
from edge.models.train.picture_cache import DrawnPicture, PictureCache, fill_pictures
from edge.models.train.samples import network_pictures
from edge.models.train.self_supervised import SELF_SUPERVISED
from edge.models.train.train import TrainRequest, good_pictures, prepared

ROWS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "fresh": {"start": "fresh"},
    "masked": {"ssl": "masked"},
    "simclr": {"ssl": "simclr"},
    "byol": {"ssl": "byol"},
    "dino": {"ssl": "dino"},
    "randaugment": {"randaugment": 1},
    "mixstyle": {"mixstyle": 0.5},
    "mixup": {"mixup": 0.2},
    "no focal": {"focal": 0.0},
    "no balance": {"balance": False},
    "no dice": {"dice": 0.0},
    "curriculum": {"curriculum": True},
    "coral": {"align": "coral"},
    "mmd": {"align": "mmd"},
}
DEFOCUS_PX = 1.2
DONORS = 12


@dataclass(frozen=True)
class Ground:
    """What all rows of a split share."""

    tiles: Sequence[Tile]
    split: Split
    cache: PictureCache
    factory: PictureCache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with parts.csv")
    parser.add_argument("--rows", default=",".join(ROWS), help="with commas between; default: all")
    parser.add_argument("--splits", type=int, choices=[1, 2, 3], default=3, help="the first of the three")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=100, help="batches in each epoch")
    parser.add_argument("--pretrain-epochs", type=int, default=1)
    parser.add_argument("--tent", action="store_true", help="say of each network what tent does for it out of focus")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    names = asked_of(arguments.rows, ROWS, "--rows")
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    try:
        tiles = read_tiles(arguments.data)
        for seed in SEEDS[: arguments.splits]:
            with tempfile.TemporaryDirectory(prefix="edge-eval-train-") as folder:
                ground = ground_of(arguments.data, tiles, by_part(tiles, seed), Path(folder), seed)
                for name in names:
                    found = row(ground, options_of(arguments, ROWS[name], seed), Path(folder), tent=arguments.tent)
                    results[name].append(found)
                    shown = " ".join(f"{kind} {value:.3f}" for kind, value in found.items())
                    print(f"split {seed}, {name}: {shown}", flush=True)
    except UserError as error:
        sys.exit(str(error))
    report(results)
    if arguments.json:
        print(json.dumps(results))


def options_of(arguments: argparse.Namespace, changes: dict[str, Any], seed: int) -> TrainOptions:
    own = {"epochs": arguments.epochs, "steps": arguments.steps, "pretrain_epochs": arguments.pretrain_epochs}
    return preset_options("hour", seed=seed, threads=1, patience=arguments.epochs, versions=1, **own, **changes)


def ground_of(data: Path, tiles: Sequence[Tile], split: Split, folder: Path, seed: int) -> Ground:
    """The pictures of a split, and as many good ones out of focus."""
    source = FrameSet(data, data, tuple(frames_of(tiles, split)))
    fit = FitRequest("tiles", method="memory", pose="texture", options=MethodOptions(backbone=Path("lite0")))
    options = preset_options("hour", seed=seed, versions=1)
    roles, plan = prepared(source, TrainRequest(fit, options))
    donors = good_pictures(source, roles, plan, DONORS)
    cache = fill_pictures(folder, "k", network_pictures(source, roles, plan, donors, options=options))
    (folder / "factory").mkdir()
    blurred = (
        DrawnPicture("train", "good", GOOD, defocused(cache.picture(one)), np.zeros((one.height, one.width), np.bool_))
        for one in cache.of("train", "good")
    )
    factory = fill_pictures(folder / "factory", "k", blurred)
    return Ground(tiles, split, cache, replace(factory, mean=cache.mean, deviation=cache.deviation))


def defocused(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    made = CORRUPTIONS["defocus"].apply(picture, DEFOCUS_PX, np.random.default_rng(0))
    return np.asarray(made, np.uint8).reshape(picture.shape)


def row(ground: Ground, options: TrainOptions, folder: Path, *, tent: bool = False) -> dict[str, float]:
    """Train one network; AUROC of all test pictures, of each kind, of all out of focus, and CPU seconds."""
    began = time.process_time()
    for name in ("checkpoint.npz", "encoder/checkpoint.npz"):
        (folder / name).unlink(missing_ok=True)
    (folder / "encoder").mkdir(exist_ok=True)
    task = task_of(ground, options)
    encoder = None if task is None else trained_encoder(task, options, folder / "encoder", "k").weights
    trained = train_network(ground.cache, options, folder, "k", turns=True, factory=ground.factory, encoder=encoder)
    took = time.process_time() - began
    more = tented(ground, trained.weights) if tent else {}
    return judged(ground, trained.weights) | more | {"cpu_s": took}


def tented(ground: Ground, weights: NetworkWeights) -> dict[str, float]:
    """Adapt to every second good picture that the training was validated on, out of focus; the threshold is the others'."""
    good = [ground.cache.picture(one) for one in ground.cache.of("validation", "good")]
    pictures = [ground.tiles[k].pixels for k in ground.split.tested]
    are_good = np.array([ground.tiles[k].kind == GOOD for k in ground.split.tested])
    tested = pictures, [defocused(picture) for picture in pictures]
    return tent_figures(weights, good[::2], [defocused(picture) for picture in good[1::2]], tested, are_good)


def task_of(ground: Ground, options: TrainOptions) -> EncoderTask | None:
    if options.ssl is not None:
        return SELF_SUPERVISED[options.ssl](ground.cache, options, turns=True)
    if options.start == "fresh":
        return None
    return Distilling(ground.cache, open_features(Path("lite0"), (), 1, None), options, turns=True)


def judged(ground: Ground, weights: NetworkWeights) -> dict[str, float]:
    session = graphs.session(network_alone(weights, MapScale(0, 1)), "the network")
    scores: list[list[float]] = []
    for change in (lambda picture: picture, defocused):
        pictures = (change(ground.tiles[k].pixels) for k in ground.split.tested)
        scores.append([float(session.run(["score"], {"frame": picture[None]})[0][0]) for picture in pictures])
    kinds = [ground.tiles[k].kind for k in ground.split.tested]

    def of(values: list[float], kind: str) -> float:
        good = [value for value, own in zip(values, kinds, strict=True) if own == GOOD]
        bad = [value for value, own in zip(values, kinds, strict=True) if own != GOOD and kind in ("all", own)]
        return auroc(bad, good)

    names = ["all", *sorted({kind for kind in kinds if kind != GOOD})]
    return {kind: of(scores[0], kind) for kind in names} | {"defocused": of(scores[1], "all")}


def report(results: dict[str, list[dict[str, float]]]) -> None:
    columns = list(next(iter(results.values()))[0])
    print(f"\nmean over {len(next(iter(results.values())))} splits; behind the first column lowest and highest")
    print(f"{'row':14}" + "".join(f"{name:>11}" for name in columns))
    for name, runs in results.items():
        cells = []
        for column in columns:
            values = [run[column] for run in runs]
            digits = 0 if column == "cpu_s" else 3
            cells.append(f"{statistics.mean(values):11.{digits}f}")
        spread = [run[columns[0]] for run in runs]
        print(f"{name:14}{''.join(cells)}   {min(spread):.3f} to {max(spread):.3f}")


if __name__ == "__main__":
    main()
