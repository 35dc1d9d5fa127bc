#!/usr/bin/env python3
"""Whether a head knows when it errs: `scripts/eval_uncertainty.py MAGNETIC_TILES [--splits N] [--epochs N] [--json]`.

The tiles and their splits by part are those of `eval_tiles.py`, the features those of `edge train --preset minute`. Two
kinds of uncertainty are judged by how well they rank pictures with a wrong verdict above those with a right one (AUROC):
a second output of the head, the log variance of its logit, by which logits are sampled in training (Kendall and Gal, "What
uncertainties do we need", NeurIPS 2017), and how far three heads of different seeds lie apart (Lakshminarayanan et al.,
"Deep ensembles", NeurIPS 2017). Beside them stands what needs no model: how near the score lies to the threshold. Verdicts
are of memory and half the head, at the threshold that 98 % of the validated good pictures stay below. `passes`: the same
of passed pictures alone, whose wrong ones are missed defects.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import torch
from eval_tiles import GOOD, SEEDS, auroc, by_part, read_tiles
from head_ground import Grids, Ground, fused_maps, ground_of, options_of, ranked
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.errors import UserError
from edge.models.train.feature_cache import FeatureCache
from edge.models.train.fused_graph import scales_of
from edge.models.train.head import Batch, DefectHead, stacked
from edge.models.train.kept_batches import KeptFeatures
from edge.models.train.losses import dice, focal
from edge.models.train.measured import EDGE_SHARE
from edge.models.train.optimiser import cosine, follow_weights
from edge.models.train.options import TrainOptions

QUIET = 0.98
"""Share of the validated good pictures whose score lies below the threshold."""
HEADS = 3
SAMPLES = 8
"""Logits drawn for each place in training."""
MOST_LOG_VARIANCE = 6.0
WANTED = 0.70
"""AUROC from which an uncertainty would be worth showing."""
Row: TypeAlias = "dict[str, float | None]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with parts.csv")
    parser.add_argument("--splits", type=int, choices=[1, 2, 3], default=3, help="the first of the three")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--versions", type=int, default=2, help="synthetic defects for each good picture")
    parser.add_argument("--backbone", default="lite0", metavar="NAME|FILE")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    results: list[dict[str, Row]] = []
    try:
        tiles = read_tiles(arguments.data)
        for seed in SEEDS[: arguments.splits]:
            began, options = time.process_time(), options_of(seed, arguments.epochs, arguments.versions)
            with tempfile.TemporaryDirectory(prefix="edge-eval-uncertainty-") as name:
                split = by_part(tiles, seed)
                ground = ground_of(arguments.data, tiles, split, options, Path(name), arguments.backbone, lambda _: ())
                found = {"log variance": of_log_variance(ground, options), "three heads": of_heads(ground, options)}
            report(seed, found, time.process_time() - began)
            results.append(found)
    except UserError as error:
        sys.exit(str(error))
    if arguments.json:
        print(json.dumps(results))


def of_log_variance(ground: Ground, options: TrainOptions) -> Row:
    """Judge the deviation that a head gives to each of its logits."""
    head = learned(ground.cache, options, outputs=2)
    validated, tested = (said(head, ground.cache, of) for of in (ground.validated[1], ground.tested.features))
    quiet, maps = fused(ground, [of[0] for of in validated], [of[0] for of in tested])
    sigmas = [np.asarray(deviations(torch.from_numpy(of[1]))) for of in tested]
    ways = {
        "sigma at the highest place": at_highest(sigmas, maps),
        "highest sigma": np.array([of.max() for of in sigmas], np.float64),
        "mean sigma": np.array([of.mean() for of in sigmas], np.float64),
    }
    return judged(ground, quiet, maps, ways)


def of_heads(ground: Ground, options: TrainOptions) -> Row:
    """Judge how far heads of different seeds lie apart, their verdict being that of the mean map."""
    pairs = []
    for turn in range(HEADS):
        head = learned(ground.cache, replace(options, seed=options.seed + 100 * (turn + 1)))
        both = ([of[0] for of in said(head, ground.cache, all_)] for all_ in (ground.validated[1], ground.tested.features))
        pairs.append(fused(ground, *both))
    quiet, maps = ([np.mean(of, axis=0) for of in zip(*each, strict=True)] for each in zip(*pairs, strict=True))
    spread = [np.std(of, axis=0) for of in zip(*(tested for _, tested in pairs), strict=True)]
    ways = {
        "spread at the highest place": at_highest(spread, maps),
        "highest spread": np.array([of.max() for of in spread], np.float64),
        "spread of the heads' scores": np.std([[of.max() for of in tested] for _, tested in pairs], axis=0),
    }
    return judged(ground, quiet, maps, ways)


def learned(cache: FeatureCache, options: TrainOptions, outputs: int = 1) -> DefectHead:
    """Train a head, and return the mean of its weights over many steps; ``outputs`` 2: the second is a log variance."""
    torch.manual_seed(options.seed)
    head = DefectHead(cache.width, options.hidden)
    head.say = nn.Conv2d(options.hidden, outputs, 1)
    average, optimiser = deepcopy(head).eval(), torch.optim.Adam(head.parameters(), lr=options.rate)
    kept = KeptFeatures(cache, options)
    for step, batch in enumerate(batch for epoch in range(options.epochs) for batch in kept.batches(epoch)):
        cosine(optimiser, options.rate, step / (kept.steps * options.epochs))
        optimiser.zero_grad()
        measured(head(batch.features, batch.valid), batch, options, kept.positive).backward()
        optimiser.step()
        follow_weights(average, head, step)
    return average


def measured(outputs: Tensor, batch: Batch, options: TrainOptions, positive: float) -> Tensor:
    """The loss of a head; with a log variance, that of the mean share over logits drawn with it."""
    logits = outputs[:, :1]
    if outputs.shape[1] > 1:
        drawn = logits + deviations(outputs[:, 1:]) * torch.randn(SAMPLES, *logits.shape)
        logits = torch.logit(torch.sigmoid(drawn).mean(dim=0), eps=1e-5)
    loss = focal(logits, batch.targets, batch.counted, options.focal, positive)
    return loss + options.dice * dice(logits, batch.targets, batch.counted)


def deviations(log_variance: Tensor) -> Tensor:
    return torch.exp(log_variance.clamp(-MOST_LOG_VARIANCE, MOST_LOG_VARIANCE) / 2)


def said(head: DefectHead, cache: FeatureCache, features: Grids) -> Grids:
    """What a head says of each place, (outputs, h, w)."""
    with torch.no_grad():
        batches = (stacked([(of - cache.mean) / cache.deviation], [np.zeros(of.shape[:2], np.float32)]) for of in features)
        return [np.asarray(head(batch.features, batch.valid)[0].numpy()) for batch in batches]


def fused(ground: Ground, validated: Grids, tested: Grids) -> tuple[Grids, Grids]:
    """The maps of memory and half the head, of the validated good pictures and of the tested ones."""
    far = ground.validated[0]
    scales = scales_of(list(zip(far, validated, strict=True)), EDGE_SHARE)
    return fused_maps(scales, far, validated), fused_maps(scales, ground.tested.distances, tested)


def at_highest(values: Grids, maps: Grids) -> NDArray[np.float64]:
    return np.array([of.ravel()[where.argmax()] for of, where in zip(values, maps, strict=True)], np.float64)


def judged(ground: Ground, quiet: Grids, maps: Grids, ways: dict[str, NDArray[np.float64]]) -> Row:
    """How often verdicts are wrong, and how each way ranks them; ``quiet``: maps of the validated good pictures."""
    threshold = float(np.quantile([of.max() for of in quiet], QUIET))
    scores, kinds = np.array([of.max() for of in maps], np.float64), ground.tested.kinds
    failed, defective = scores > threshold, kinds != GOOD
    wrong, all_ = failed != defective, np.ones_like(failed)
    recall, false = float(failed[defective].mean()), float(failed[~defective].mean())
    row: Row = {"image_auroc": ranked(kinds, maps), "wrong": float(wrong.mean()), "false_rejects": false, "recall": recall}
    for name, uncertainty in (ways | {"nearness to the threshold": -np.abs(scores - threshold)}).items():
        row |= {f"{name}{of}": ranking(uncertainty, wrong, where) for of, where in (("", all_), (", passes", ~failed))}
    return row


def ranking(uncertainty: NDArray[np.float64], wrong: NDArray[np.bool_], of: NDArray[np.bool_]) -> float | None:
    """The AUROC of wrong verdicts by uncertainty, ``of`` some pictures; None where none or all of them are wrong."""
    these, those = uncertainty[wrong & of], uncertainty[~wrong & of]
    return auroc(list(these), list(those)) if len(these) and len(those) else None


def report(seed: int, found: dict[str, Row], cpu_s: float) -> None:
    print(f"\nsplit {seed}, {cpu_s:.0f} CPU s: AUROC of wrong verdicts by uncertainty, wanted >= {WANTED:.2f}")
    for model, row in found.items():
        print(f"{model}:")
        for name, value in row.items():
            print(f"  {name:38}{'-' if value is None else f'{value:.3f}':>6}", flush=True)


if __name__ == "__main__":
    main()
