#!/usr/bin/env python3
"""Nearest neighbours on real parts, or a training: `scripts/eval_tiles.py MAGNETIC_TILES [--method memory|train] [--json]`.

MAGNETIC_TILES is a folder in the layout of MVTec AD with a `parts.csv` (file, kind, part, lighting), as made from Huang,
Qiu and Yuan, "Surface defect saliency of magnetic tile", The Visual Computer 36 (2020). Pictures stay at their own size.

Split by part: of the parts with good pictures, 60 % drawn at random give all their good pictures for the fit; every
picture of all other parts is tested; the defects of parts that were fitted are left out. That no part stands on both
sides is checked. The random split draws as many good pictures for the fit from all of them, and tests on the same defects:
what it gains is leak.

`--method train` is `edge train` on the same good pictures, without any label: memory alone, what was learned alone (a
head, or with `--preset hour` a network), and both fused, each by the highest value of its map; pixel figures are of the
fused map.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edge.errors import UserError
from edge.models.evaluate.ranking import auroc as area
from edge.models.evaluate.ranking import average_precision, steps
from edge.models.fit.fit_plan import FitRequest
from edge.models.fit.memory import METHOD
from edge.models.fit.protocol import MethodOptions
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.sets.manifest import LabelLine, now
from edge.models.train.checkpoint import Epoch
from edge.models.train.fused_graph import RawMaps
from edge.models.train.options import preset_options
from edge.models.train.train import Trained, TrainRequest, TrainRun, train

SEEDS = (0, 1, 2)
FIT_SHARE = 0.6
"""Of the parts that have good pictures."""
GOOD = "good"


@dataclass(frozen=True)
class Tile:
    """One picture, grey (H, W, 1)."""

    kind: str
    part: int
    pixels: NDArray[np.uint8]
    file: str = ""


@dataclass(frozen=True)
class Split:
    fitted: list[int]
    tested: list[int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with parts.csv")
    parser.add_argument("--backbone", action="append", metavar="NAME|FILE", help="default: gabor and lite0")
    parser.add_argument("--layers", default="", help="of the backbone, with commas between; default: its own choice")
    parser.add_argument("--vectors", type=int, default=4000, help="of the bank")
    parser.add_argument("--mirror", action="store_true", help="remember good pictures mirrored, too; train always does")
    parser.add_argument("--method", choices=["memory", "train"], default="memory")
    parser.add_argument("--splits", type=int, choices=[1, 2, 3], default=3, help="the first of the three")
    parser.add_argument("--random", action="store_true", help="train: on the random split too, which leaks")
    parser.add_argument("--preset", choices=["minute", "hour"], default="minute", help="train: of edge train")
    parser.add_argument("--epochs", type=int, help="train: most epochs; default: the preset's")
    parser.add_argument("--pretrain-epochs", type=int, help="train: of the network's encoder; default: the preset's")
    parser.add_argument("--steps", type=int, help="train: batches in an epoch of hour; default: the preset's")
    parser.add_argument("--threads", type=int, default=2, help="train: of PyTorch")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    layers = tuple(name for name in arguments.layers.split(",") if name)
    try:
        tiles = read_tiles(arguments.data)
        splits = {seed: by_part(tiles, seed) for seed in SEEDS[: arguments.splits]}
        describe(tiles, splits)
        results: dict[str, object] = {}
        if arguments.method == "train":
            results["train"] = trained_figures(arguments, tiles, splits, layers)
            splits = {}
        for backbone in (arguments.backbone or ["gabor", "lite0"]) if splits else []:
            options = MethodOptions(
                backbone=Path(backbone), layers=layers, vectors=arguments.vectors, mirror=arguments.mirror
            )
            honest = [auroc_by_kind(tiles, split, options) for split in splits.values()]
            leaking = [auroc_by_kind(tiles, at_random(tiles, split, seed), options) for seed, split in splits.items()]
            results[backbone] = report(backbone, honest, leaking)
    except UserError as error:
        sys.exit(str(error))
    if arguments.json:
        print(json.dumps(results))


def asked_of(text: str, known: Iterable[str], option: str) -> list[str]:
    """The names in an option's ``text``, with commas between; ends the script where one is not ``known``."""
    names, there = [name.strip() for name in text.split(",")], list(known)
    for name in names:
        if name not in there:
            sys.exit(f"{option} {name}: expected some of {', '.join(there)}")
    return names


def read_tiles(folder: Path) -> list[Tile]:
    """Every picture that `parts.csv` lists, as grey as it was taken."""
    table = folder / "parts.csv"
    if not table.is_file():
        raise UserError(f"{folder}: no parts.csv", expected="the folder of the magnetic tiles, with parts.csv in it")
    tiles = []
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            pixels = cv2.imread(str(folder / row["file"]), cv2.IMREAD_GRAYSCALE)
            if pixels is None:
                raise UserError(f"{folder / row['file']}: cannot be read")
            tiles.append(Tile(row["kind"], int(row["part"]), np.asarray(pixels, np.uint8)[:, :, None], row["file"]))
    return tiles


def by_part(tiles: Sequence[Tile], seed: int) -> Split:
    """No part on both sides, of whatever kind its pictures are."""
    parts = sorted({tile.part for tile in tiles if tile.kind == GOOD})
    drawn = np.random.default_rng(seed).permutation(parts)[: round(FIT_SHARE * len(parts))]
    fitted_parts = {int(part) for part in drawn}
    fitted = [k for k, tile in enumerate(tiles) if tile.part in fitted_parts and tile.kind == GOOD]
    tested = [k for k, tile in enumerate(tiles) if tile.part not in fitted_parts]
    split = Split(fitted, tested)
    both = parts_on_both_sides(tiles, split)
    if both:
        raise UserError(f"the split by part leaks: parts {sorted(both)} stand on both sides")
    return split


def at_random(tiles: Sequence[Tile], split: Split, seed: int) -> Split:
    """As many good pictures on each side as in `split`, drawn without a look at the part; the same defects."""
    good = [k for k, tile in enumerate(tiles) if tile.kind == GOOD]
    order = np.random.default_rng(seed).permutation(good).tolist()
    count = len(split.fitted)
    tested_good = sum(tiles[k].kind == GOOD for k in split.tested)
    return Split(sorted(order[:count]), sorted(order[count : count + tested_good]) + defects(tiles, split))


def defects(tiles: Sequence[Tile], split: Split) -> list[int]:
    return [k for k in split.tested if tiles[k].kind != GOOD]


def parts_on_both_sides(tiles: Sequence[Tile], split: Split) -> set[int]:
    return {tiles[k].part for k in split.fitted} & {tiles[k].part for k in split.tested}


def describe(tiles: Sequence[Tile], splits: dict[int, Split]) -> None:
    print(f"{len(tiles)} pictures of {len({tile.part for tile in tiles})} parts; the map's maximum is a picture's score")
    for seed, split in splits.items():
        random = at_random(tiles, split, seed)
        fitted_parts = {tiles[k].part for k in random.fitted}
        leaked = [k for k in random.tested if tiles[k].kind == GOOD and tiles[k].part in fitted_parts]
        good = sum(tiles[k].kind == GOOD for k in split.tested)
        print(
            f"split {seed}: {len(split.fitted)} good pictures fitted, {good} good and {len(defects(tiles, split))} "
            f"defective tested, parts on both sides: {len(parts_on_both_sides(tiles, split))}; at random {len(leaked)} of "
            f"{good} good pictures tested show a part that was fitted"
        )


def auroc_by_kind(tiles: Sequence[Tile], split: Split, options: MethodOptions) -> dict[str, float]:
    """Image AUROC of all defects, under `all`, and of each kind against the same good pictures."""
    statistics_ = METHOD.empty(tiles[split.fitted[0]].pixels.shape, options)
    for k in split.fitted:
        statistics_.add(tiles[k].pixels)
    session_options = ort.SessionOptions()
    session_options.intra_op_num_threads = 1
    session = ort.InferenceSession(statistics_.model().graph.SerializeToString(), session_options)
    scores = {k: float(session.run(["score"], {"frame": tiles[k].pixels[None]})[0][0]) for k in split.tested}
    good = [scores[k] for k in split.tested if tiles[k].kind == GOOD]
    kinds = sorted({tiles[k].kind for k in defects(tiles, split)})
    found = {"all": auroc([scores[k] for k in defects(tiles, split)], good)}
    return found | {kind: auroc([scores[k] for k in split.tested if tiles[k].kind == kind], good) for kind in kinds}


def trained_figures(
    arguments: argparse.Namespace, tiles: Sequence[Tile], splits: dict[int, Split], layers: tuple[str, ...]
) -> list[dict[str, object]]:
    """A training for each split; its figures are printed as they come."""
    found = []
    for seed, split in splits.items():
        for how, of in (("by part", split), *((("at random", at_random(tiles, split, seed)),) if arguments.random else ())):
            backbone = Path((arguments.backbone or ["lite0"])[0])
            options = MethodOptions(backbone=backbone, layers=layers, vectors=arguments.vectors)
            wall, spent = time.monotonic(), time.process_time()
            trained = train_on(arguments, tiles, of, options, seed)
            took = {"wall_s": time.monotonic() - wall, "cpu_s": time.process_time() - spent}
            rows = figures(arguments.data, tiles, of, trained)
            print(
                f"\nsplit {seed}, {how}: {len(trained.history)} epochs, {took['cpu_s']:.0f} CPU s, {took['wall_s']:.0f} s"
            )
            print(f"{'kind':10} {'memory':8} {'learned':8} {'fused':8}")
            for kind, row in rows["image"].items():
                print(f"{kind:10} {row['memory']:<8.3f} {row['learned']:<8.3f} {row['fused']:<8.3f}")
            print(f"pixels: AUROC {rows['pixel_auroc']:.3f}, AP {rows['pixel_ap']:.3f}", flush=True)
            found.append({"split": seed, "how": how, **took, **rows})
    return found


def train_on(
    arguments: argparse.Namespace, tiles: Sequence[Tile], split: Split, method: MethodOptions, seed: int
) -> Trained:
    """`edge train` on the good pictures of the split; parts are those of the table, or each picture where it is random."""
    source = FrameSet(arguments.data, arguments.data, tuple(frames_of(tiles, split)))
    fit = FitRequest("tiles", method="memory", pose="texture", options=method, source=str(arguments.data))
    names = ("epochs", "steps", "pretrain_epochs", "threads")
    options = preset_options(arguments.preset, seed=seed, **{name: getattr(arguments, name) for name in names})
    request = TrainRequest(fit, options)
    run = TrainRun(epoch=_printed, pretrained=_printed, test=False)
    with tempfile.TemporaryDirectory(prefix="edge-eval-tiles-") as folder:
        return train(source, request, Path(folder), run)


def frames_of(tiles: Sequence[Tile], split: Split) -> list[SetFrame]:
    """The good pictures of the split's fit, with their parts."""
    leaks = bool(parts_on_both_sides(tiles, split))
    frames = []
    for k in split.fitted:
        label = LabelLine(file=tiles[k].file, label="good", by="the data set", at=now())
        frames.append(SetFrame(tiles[k].file, part=tiles[k].file if leaks else str(tiles[k].part), votes=(label,)))
    return frames


def _printed(epoch: Epoch) -> None:
    print(epoch, flush=True)


def figures(data: Path, tiles: Sequence[Tile], split: Split, trained: Trained) -> dict[str, Any]:
    """Image AUROC of memory, of what was learned and of both by kind, pixel AUROC and average precision of both."""
    raw = RawMaps(trained.memory, trained.weights)
    session = ort.InferenceSession(trained.graph.SerializeToString())
    scores: dict[str, list[float]] = {"memory": [], "learned": [], "fused": []}
    pixels = PixelCounts(-4.0, 12.0)
    for k in split.tested:
        distance, logits = raw.of(tiles[k].pixels)
        fused = session.run(["map"], {"frame": tiles[k].pixels[None]})[0][0]
        for name, values in (("memory", distance), ("learned", logits), ("fused", fused)):
            scores[name].append(float(values.max()))
        pixels.add(fused, true_pixels(data, tiles[k]))
    kinds = np.array([tiles[k].kind for k in split.tested])
    image = {
        kind: {
            name: auroc(
                [s for s, bad in zip(of, kinds != GOOD if kind == "all" else kinds == kind, strict=True) if bad],
                [s for s, of_kind in zip(of, kinds, strict=True) if of_kind == GOOD],
            )
            for name, of in scores.items()
        }
        for kind in ("all", *sorted({str(kind) for kind in kinds if kind != GOOD}))
    }
    return {"image": image, **pixels.figures()}


def true_pixels(data: Path, tile: Tile) -> NDArray[np.bool_]:
    """The mask of a defective picture; of a good one, nothing."""
    if tile.kind == GOOD:
        return np.zeros(tile.pixels.shape[:2], np.bool_)
    path = data / "ground_truth" / tile.kind / f"{Path(tile.file).stem}_mask.png"
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise UserError(f"{path}: cannot be read")
    return np.asarray(mask > 0)


class PixelCounts:
    """Histograms of the map's values on good and on defective pixels of all pictures."""

    BINS = 4096

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high
        self._counts = np.zeros((2, self.BINS))

    def add(self, values: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
        wide = cv2.resize(values, (mask.shape[1], mask.shape[0]), interpolation=cv2.INTER_LINEAR)
        bins = np.clip((wide - self._low) / (self._high - self._low) * self.BINS, 0, self.BINS - 1).astype(np.intp)
        for row, where in enumerate((~mask, mask)):
            self._counts[row] += np.bincount(bins[where], minlength=self.BINS)

    def figures(self) -> dict[str, float]:
        ranked = steps(np.tile(np.arange(self.BINS), 2), np.repeat([False, True], self.BINS), self._counts.ravel())
        return {"pixel_auroc": float(area(ranked)), "pixel_ap": float(average_precision(ranked))}


def auroc(defective: Sequence[float], good: Sequence[float]) -> float:
    """The share of pairs in which the defective picture has the higher score; a tie counts half."""
    order = np.sort(np.asarray(good))
    below = np.searchsorted(order, defective, "left") + np.searchsorted(order, defective, "right")
    return float(below.mean() / (2 * len(order)))


def report(backbone: str, honest: list[dict[str, float]], leaking: list[dict[str, float]]) -> dict[str, object]:
    """Print mean and range over the splits, and return them."""
    print(f"\n{backbone}: image AUROC, mean (lowest to highest) of {len(honest)} splits")
    print(f"{'kind':10} {'split by part':24} {'at random: leaks':24} leak")
    rows = {}
    for kind in honest[0]:
        own, other = ([run[kind] for run in runs] for runs in (honest, leaking))
        gain = statistics.mean(other) - statistics.mean(own)
        print(f"{kind:10} {shown(own):24} {shown(other):24} {gain:+.3f}")
        rows[kind] = {"by_part": own, "at_random": other, "leak": gain}
    return rows


def shown(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    main()
