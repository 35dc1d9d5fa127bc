#!/usr/bin/env python3
"""What labelled defects buy: `scripts/eval_labels.py MAGNETIC_TILES [--labels 0,5,20,50] [--no-transplant] [--json]`.

The tiles and their splits by part are those of `eval_tiles.py`. Of the parts with defects on the test side one half is
taught from and the other is tested on, the same for every number of labels; a part is never in both. Labelled defects with
their masks are drawn from the first half, every kind in turn, so that five labels are of five kinds where there are five.
Figures are image AUROC of `edge train`'s fused map, and of what was learned alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
from eval_tiles import GOOD, SEEDS, Split, Tile, by_part, figures, frames_of, read_tiles

from edge.errors import UserError
from edge.models.fit.fit_plan import FitRequest
from edge.models.fit.protocol import MethodOptions
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.sets.manifest import LabelLine, now
from edge.models.train.options import TrainOptions, preset_options
from edge.models.train.train import Trained, TrainRequest, TrainRun, train

VALIDATED = 5
"""Every fifth part of the good ones is validated on."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with parts.csv")
    parser.add_argument("--labels", default="0,5,20,50", help="numbers of labelled defects, with commas between")
    parser.add_argument("--no-transplant", action="store_true", help="don't paste them onto other good frames")
    parser.add_argument("--splits", type=int, choices=[1, 2, 3], default=3, help="the first of the three")
    parser.add_argument("--preset", choices=["minute", "hour"], default="minute")
    parser.add_argument("--epochs", type=int, help="most epochs; default: the preset's")
    parser.add_argument("--backbone", default="lite0", metavar="NAME|FILE")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    counts = [int(text) for text in arguments.labels.split(",")]
    results: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    try:
        tiles = read_tiles(arguments.data)
        for seed in SEEDS[: arguments.splits]:
            split, taught = halves(tiles, by_part(tiles, seed), seed)
            print(f"split {seed}: {len(taught)} defects to label, {len(split.tested)} pictures of other parts tested")
            for count in counts:
                options = preset_options(
                    arguments.preset,
                    seed=seed,
                    threads=1,
                    epochs=arguments.epochs,
                    transplant=not arguments.no_transplant,
                )
                trained = train_with(arguments, tiles, split, taught[:count], options)
                image = figures(arguments.data, tiles, split, trained)["image"]
                results[count].append({"fused": image["all"]["fused"], "learned": image["all"]["learned"]})
                shown = " ".join(f"{kind} {row['fused']:.3f}" for kind, row in image.items())
                print(f"  {count} labels: learned alone {image['all']['learned']:.3f}; fused {shown}", flush=True)
    except UserError as error:
        sys.exit(str(error))
    report(results)
    if arguments.json:
        print(json.dumps(results))


def halves(tiles: Sequence[Tile], split: Split, seed: int) -> tuple[Split, list[int]]:
    """The split with half of the parts that have defects left to test on, and the other half's defects, kinds in turn."""
    rng = np.random.default_rng((seed, 1))
    parts = sorted({tiles[k].part for k in split.tested if tiles[k].kind != GOOD})
    drawn = rng.permutation(parts)[: len(parts) // 2]
    of_labels = {int(part) for part in drawn}
    kinds: dict[str, list[int]] = {}
    for k in rng.permutation(split.tested).tolist():
        if tiles[k].part in of_labels and tiles[k].kind != GOOD:
            kinds.setdefault(tiles[k].kind, []).append(k)
    longest = max((len(of) for of in kinds.values()), default=0)
    taught = [of[turn] for turn in range(longest) for _, of in sorted(kinds.items()) if turn < len(of)]
    return Split(split.fitted, [k for k in split.tested if tiles[k].part not in of_labels]), taught


def train_with(
    arguments: argparse.Namespace, tiles: Sequence[Tile], split: Split, labelled: Sequence[int], options: TrainOptions
) -> Trained:
    """`edge train` on the good pictures of the split and these labelled defects, all of which are learned from."""
    parts = sorted({tiles[k].part for k in split.fitted})
    validated = {str(part) for part in parts[::VALIDATED]}
    frames = [
        SetFrame(frame.file, part=frame.part, votes=frame.votes, side="validation" if frame.part in validated else "fit")
        for frame in frames_of(tiles, split)
    ]
    for k in labelled:
        tile = tiles[k]
        mask = f"ground_truth/{tile.kind}/{Path(tile.file).stem}_mask.png"
        label = LabelLine(file=tile.file, label="defect", defects=(tile.kind,), mask=mask, by="the data set", at=now())
        frames.append(SetFrame(tile.file, part=str(tile.part), votes=(label,), side="fit"))
    source = FrameSet(arguments.data, arguments.data, tuple(frames))
    method = MethodOptions(backbone=Path(arguments.backbone))
    fit = FitRequest("tiles", method="memory", pose="texture", options=method, source=str(arguments.data))
    with tempfile.TemporaryDirectory(prefix="edge-eval-labels-") as folder:
        return train(source, TrainRequest(fit, options), Path(folder), TrainRun(test=False))


def report(results: dict[int, list[dict[str, float]]]) -> None:
    print(f"\n{'labels':>6}  image AUROC, mean (lowest to highest): fused; learned alone")
    for count, runs in results.items():
        cells = []
        for name in ("fused", "learned"):
            values = [run[name] for run in runs]
            cells.append(f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})")
        print(f"{count:>6}  {'; '.join(cells)}")


if __name__ == "__main__":
    main()
