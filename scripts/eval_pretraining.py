#!/usr/bin/env python3
"""What an encoder's beginning is worth: `scripts/eval_pretraining.py MAGNETIC_TILES [--rows A,B] [--splits N] [--json]`.

The tiles and their splits by part are those of `eval_tiles.py`. A whole network that trains for minutes stays at chance,
so its figures tell no beginning from another. Here the encoder of each row learns alone, all of them from the same number
of batches of the good training pictures; then it is frozen, and its features at strides 16 and 32 take the place of the
backbone's. Figures are image AUROC of nearest neighbours of these features (memory), of a small head that learns on them
from synthetic defects (head), and of the memory and half the head (both). Where features say nothing, a picture's highest
value says how large the picture is; the pixel AUROC of the memory (pixels) doesn't ask that. `lite0`, with ImageNet's
weights, and `gabor`, filters without weights, are what to compare with; `random` has random weights, and norms measured on
the pictures.
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
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import onnx
import torch
from eval_tiles import SEEDS, PixelCounts, Split, Tile, asked_of, by_part, frames_of, read_tiles, true_pixels
from head_ground import Tested, ground_of, options_of, ranked, trained

from edge.errors import UserError
from edge.models.backbone.layers import cut_after
from edge.models.fit.feature_net import FeatureNet, open_features
from edge.models.fit.fit_plan import FitRequest
from edge.models.fit.protocol import MethodOptions
from edge.models.sets.frame_set import FrameSet
from edge.models.train.checkpoint import Arrays
from edge.models.train.cutout_views import good_crops
from edge.models.train.distil import Distilling
from edge.models.train.encoder_training import EncoderTask, trained_encoder
from edge.models.train.network import Encoder, arrays_of, planes
from edge.models.train.network_graph import empty_graph, encoder_features
from edge.models.train.network_weights import NetworkWeights
from edge.models.train.options import TrainOptions, preset_options
from edge.models.train.picture_cache import PictureCache, fill_pictures
from edge.models.train.samples import network_pictures
from edge.models.train.self_supervised import SELF_SUPERVISED
from edge.models.train.train import TrainRequest, prepared

GIVEN = ("lite0", "gabor")
ROWS = (*GIVEN, "random", "distilled", *SELF_SUPERVISED)
SPREAD = ("memory", "head", "both", "pixels")
"""Figures that the table gives the range of."""
EPOCHS = 6
"""In which each encoder learns."""
COARSE = 2
"""Of the encoder's four grids the two coarsest are used, at strides 16 and 32, as of lite0."""
MEASURED = 30
"""Batches by which norms of random weights are measured."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with parts.csv")
    parser.add_argument("--rows", default=",".join(ROWS), help="with commas between; default: all")
    parser.add_argument("--splits", type=int, choices=[1, 2, 3], default=3, help="the first of the three")
    parser.add_argument("--first", type=int, choices=[0, 1, 2], default=0, help="the split to begin with")
    parser.add_argument("--steps", type=int, default=50, help=f"batches in each of {EPOCHS} epochs of an encoder")
    parser.add_argument("--width", type=int, default=16, help="of an encoder")
    parser.add_argument("--crop", type=int, default=224, help="side in px of an encoder's cut-outs")
    parser.add_argument("--teacher", default="lite0", metavar="NAME|FILE", help="whose features `distilled` learns")
    parser.add_argument("--epochs", type=int, default=3, help="of the head")
    parser.add_argument("--versions", type=int, default=2, help="synthetic defects for each good picture, of the head")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    names = asked_of(arguments.rows, ROWS, "--rows")
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    try:
        tiles = read_tiles(arguments.data)
        for seed in SEEDS[arguments.first : arguments.first + arguments.splits]:
            split = by_part(tiles, seed)
            for name in names:
                with tempfile.TemporaryDirectory(prefix="edge-eval-pretraining-") as folder:
                    results[name].append(row(arguments, tiles, split, seed, name, folder=Path(folder)))
                shown = " ".join(f"{of} {value:.3f}" for of, value in results[name][-1].items())
                print(f"split {seed}, {name}: {shown}", flush=True)
    except UserError as error:
        sys.exit(str(error))
    report(results)
    if arguments.json:
        print(json.dumps(results))


def row(
    arguments: argparse.Namespace, tiles: Sequence[Tile], split: Split, seed: int, name: str, *, folder: Path
) -> dict[str, float]:
    """Image AUROC of one encoder's features on a split, and the CPU seconds that it learned for."""
    began = time.process_time()
    backbone = name if name in GIVEN else str(encoder_file(arguments, tiles, split, seed, name, folder=folder))
    took = time.process_time() - began
    options = options_of(seed, arguments.epochs, arguments.versions)
    ground = ground_of(arguments.data, tiles, split, options, folder, backbone, lambda _: ())
    memory = ground.tested.kinds, ground.tested.distances
    found = trained(ground, options, folder, lambda _: False)
    of_head = found.pop("cpu_s")
    kinds = [name for name in found if name not in ("fused", "alone", "blurred")]
    return {
        "memory": ranked(*memory),
        "head": found["alone"],
        "both": found["fused"],
        "pixels": pixel_auroc(arguments.data, tiles, ground.tested, open_features(Path(backbone), (), 1, None)),
        **{f"{kind}, memory": ranked(*memory, kind) for kind in kinds},
        **{f"{kind}, both": found[kind] for kind in kinds},
        "encoder_cpu_s": took,
        "head_cpu_s": of_head,
    }


def pixel_auroc(data: Path, tiles: Sequence[Tile], tested: Tested, net: FeatureNet) -> float:
    """The AUROC of the memory's distances at every pixel of all test pictures; each grid is laid where its places look."""
    values = np.concatenate([grid.ravel() for grid in tested.distances])
    counts = PixelCounts(float(values.min()), float(values.max()))
    moved = [at - net.stride / 2 for at in net.first]
    for tile, grid in zip(tested.tiles, tested.distances, strict=True):
        height, width = tiles[tile].pixels.shape[:2]
        back = np.array([[1 / net.stride, 0, (0.5 - moved[0]) / net.stride - 0.5], [0, 1 / net.stride, 0]])
        back[1, 2] = (0.5 - moved[1]) / net.stride - 0.5
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        laid = cv2.warpAffine(grid, back, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
        counts.add(np.asarray(laid, np.float32), true_pixels(data, tiles[tile]))
    return counts.figures()["pixel_auroc"]


def encoder_file(
    arguments: argparse.Namespace, tiles: Sequence[Tile], split: Split, seed: int, name: str, *, folder: Path
) -> Path:
    """Let the encoder of a row learn, and write it as a backbone that `edge fit --backbone` would take."""
    own = {"steps": arguments.steps, "pretrain_epochs": EPOCHS, "width": arguments.width, "crop": arguments.crop}
    options = preset_options("hour", seed=seed, threads=1, start="backbone", **own)
    cache = pictures_of(arguments.data, tiles, split, options, folder)
    if name == "random":
        encoder = random_encoder(cache, options)
    else:
        (folder / "encoder").mkdir()
        encoder = trained_encoder(
            task_of(name, cache, options, arguments.teacher), options, folder / "encoder", "k"
        ).weights
    path = folder / f"{name}.onnx"
    onnx.save(backbone_of(encoder, cache), path)
    return path


def pictures_of(data: Path, tiles: Sequence[Tile], split: Split, options: TrainOptions, folder: Path) -> PictureCache:
    """The good training pictures of a split; those that the head is validated on are none of them."""
    source = FrameSet(data, data, tuple(frames_of(tiles, split)))
    fit = FitRequest("tiles", method="memory", pose="texture", options=MethodOptions(backbone=Path("gabor")))
    roles, plan = prepared(source, TrainRequest(fit, options))
    made = network_pictures(source, replace(roles, validated_good=()), plan, (), options=options)
    (folder / "pictures").mkdir()
    return fill_pictures(folder / "pictures", "k", made)


def task_of(name: str, cache: PictureCache, options: TrainOptions, teacher: str) -> EncoderTask:
    if name == "distilled":
        return Distilling(cache, open_features(Path(teacher), (), 1, None), options, turns=True)
    return SELF_SUPERVISED[name](cache, options, turns=True)  # type: ignore[index]  # one of the rows


def random_encoder(cache: PictureCache, options: TrainOptions) -> Arrays:
    """An encoder that nobody trained; its norms know the pictures."""
    torch.manual_seed(options.seed + 1)
    encoder, rng = Encoder(len(cache.mean), options.width).train(), np.random.default_rng(options.seed)
    crops = good_crops(cache, options, turns=True)
    with torch.no_grad():
        for _ in range(min(MEASURED, EPOCHS * options.steps)):
            encoder(planes(crops.good(rng, options.batch).pictures, cache.mean, cache.deviation))
    return arrays_of(encoder)


def backbone_of(encoder: Arrays, cache: PictureCache) -> onnx.ModelProto:
    """The encoder as a backbone: `frame` uint8 (n, H, W, C) in, its two coarsest grids of features out."""
    weights = NetworkWeights({f"encoder.{name}": values for name, values in encoder.items()}, cache.mean, cache.deviation)
    graph = empty_graph(weights.channels)
    layers = [
        graph.add("Identity", [features], f"features{k}", own=False)
        for k, features in enumerate(encoder_features(graph, weights)[-COARSE:])
    ]
    return cut_after(graph._model, layers)  # a graph without a map, which the product never makes


def report(results: dict[str, list[dict[str, Any]]]) -> None:
    splits = len(next(iter(results.values())))
    columns = list(next(iter(results.values()))[0])
    print(f"\nmean of {splits} splits, and of the first four figures lowest to highest")
    for name, runs in results.items():
        shown = []
        for column in columns:
            values = [run[column] for run in runs]
            if column.endswith("cpu_s"):
                shown.append(f"{column} {statistics.mean(values):.0f}")
            else:
                spread = f" ({min(values):.3f} to {max(values):.3f})" if column in SPREAD else ""
                shown.append(f"{column} {statistics.mean(values):.3f}{spread}")
        print(f"{name:10} {'; '.join(shown)}")


if __name__ == "__main__":
    main()
