#!/usr/bin/env python3
"""What labels buy: `scripts/eval_labels.py MAGNETIC_TILES [--labels 0,5,20,50] [--rejected 50] [--json]`.

The tiles and their splits by part are those of `eval_tiles.py`. Of the parts on the test side that have defects one half is
taught from and the other is tested on, and so of the parts that have none; a part is never in both. Labelled defects with
their masks are drawn from the first half, every kind in turn, so that five labels are of five kinds where there are five;
known false positives are those of its good pictures that the memory scores highest. For each number of labels a head is
trained with and without copies of them on other good frames. Figures are image AUROC of memory and head, which counts half
up to nine labels and then in full, as in `edge train`, and of the head alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from eval_tiles import GOOD, SEEDS, Split, Tile, by_part, read_tiles
from head_ground import Ground, Mark, More, Taught, distances, ground_of, options_of, trained

from edge.errors import UserError
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.sets.manifest import LabelLine, now
from edge.models.train.feature_cache import CachedPicture
from edge.models.train.fused_graph import ENOUGH_LABELS, LABELLED_WEIGHT, LEARNED_WEIGHT
from edge.models.train.options import TrainOptions

_LABEL, _MOVED, _REJECTED = "label", "moved", "rejected"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with parts.csv")
    parser.add_argument("--labels", default="0,5,20,50", help="numbers of labelled defects, with commas between")
    parser.add_argument("--rejected", type=int, default=50, help="known false positives, for the rows that have some")
    parser.add_argument("--splits", type=int, choices=[1, 2, 3], default=3, help="the first of the three")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--versions", type=int, default=2, help="synthetic defects for each good picture, copies of labels")
    parser.add_argument("--backbone", default="lite0", metavar="NAME|FILE")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if not all(text.strip().isdecimal() for text in arguments.labels.split(",")):
        sys.exit(f"--labels {arguments.labels}: expected whole numbers with commas between: 0,5,20,50")
    counts = [int(text) for text in arguments.labels.split(",")]
    results: dict[str, list[dict[str, float]]] = {}
    try:
        tiles = read_tiles(arguments.data)
        for seed in SEEDS[: arguments.splits]:
            split = by_part(tiles, seed)
            tested, defects, good = halves(tiles, split, seed)
            print(f"split {seed}: {len(defects)} defects and {len(good)} good pictures to label, {len(tested)} tested")
            if len(defects) < max(counts):
                sys.exit(f"--labels {max(counts)}: split {seed} has {len(defects)} defects to label")
            options = options_of(seed, arguments.epochs, arguments.versions)
            with tempfile.TemporaryDirectory(prefix="edge-eval-labels-") as folder:
                more = labels(arguments.data, tiles, defects[: max(counts)], good, arguments.rejected)
                whole = Split(split.fitted, tested)
                ground = ground_of(arguments.data, tiles, whole, options, Path(folder), arguments.backbone, more)
                curve(ground, counts, options, Path(folder), tested, results)
    except UserError as error:
        sys.exit(str(error))
    report(results)
    if arguments.json:
        print(json.dumps(results))


def curve(
    ground: Ground,
    counts: Sequence[int],
    options: TrainOptions,
    folder: Path,
    tested: Sequence[int],
    results: dict[str, list[dict[str, float]]],
) -> None:
    """Train with each number of labels, moved or not, with false positives or not; add the figures to the results."""
    for count in counts:
        for moved in [True, False] if count else [False]:
            for rejected in [False, True] if count == 0 or (moved and count == max(counts)) else [False]:
                name = f"{count} labels" + ", moved too" * moved + ", false positives" * rejected
                uses = taken(count, moved=moved, rejected=rejected)
                weight = LABELLED_WEIGHT if count >= ENOUGH_LABELS else LEARNED_WEIGHT
                found = trained(ground, options, folder, uses, tested=tested, weight=weight)
                results.setdefault(name, []).append(found)
                print(f"  {name}: " + " ".join(f"{of} {value:.3f}" for of, value in found.items()), flush=True)


def taken(count: int, *, moved: bool, rejected: bool) -> Callable[[Mark], bool]:
    """Return which marks a row learns from."""

    def uses(mark: Mark) -> bool:
        name, *rank = mark
        if name in (_LABEL, _MOVED):
            return int(rank[0]) < count and (moved or name == _LABEL)
        return rejected and name == _REJECTED

    return uses


def halves(tiles: Sequence[Tile], split: Split, seed: int) -> tuple[list[int], list[int], list[int]]:
    """What is tested, the defects to be labelled, kinds in turn, and the good pictures of the parts that are taught."""
    rng = np.random.default_rng((seed, 1))
    with_defects = sorted({tiles[k].part for k in split.tested if tiles[k].kind != GOOD})
    others = sorted({tiles[k].part for k in split.tested} - set(with_defects))
    drawn = [part for parts in (with_defects, others) for part in rng.permutation(parts)[: len(parts) // 2]]
    of_labels = {int(part) for part in drawn}
    kinds: dict[str, list[int]] = {}
    for k in rng.permutation(split.tested).tolist():
        if tiles[k].part in of_labels:
            kinds.setdefault(tiles[k].kind, []).append(k)
    good = kinds.pop(GOOD, [])
    longest = max((len(of) for of in kinds.values()), default=0)
    taught = [of[turn] for turn in range(longest) for _, of in sorted(kinds.items()) if turn < len(of)]
    return [k for k in split.tested if tiles[k].part not in of_labels], taught, good


def labels(data: Path, tiles: Sequence[Tile], defects: Sequence[int], good: Sequence[int], rejected: int) -> More:
    """Labelled defects, these on other good frames, and the good pictures that the memory takes for the worst."""

    def more(taught: Taught) -> Iterable[tuple[CachedPicture, Mark]]:
        worst = np.argsort([-grid.max() for grid in distances(taught.memory, [tiles[k].pixels for k in good])])
        chosen = [frame(tiles[good[int(k)]]) for k in worst[:rejected]]
        source = FrameSet(data, data, (*(frame(tiles[k]) for k in defects), *chosen))
        of = replace(taught, source=source)
        nothing = replace(taught.roles, good=(), validated_good=(), validated_defects=(), defects=())
        roles = replace(nothing, defects=source.frames[: len(defects)])
        own, rank = of.drawn(roles, replace(taught.options, transplant=False)), -1
        for one in of.drawn(roles):
            if rank + 1 < len(own) and np.array_equal(one.features, own[rank + 1].features):
                rank += 1
                yield one, (_LABEL, rank)
            else:
                yield one, (_MOVED, rank)
        files = frozenset(one.file for one in chosen)
        for one in of.drawn(replace(nothing, good=tuple(chosen), false_positives=files)):
            if one.group == "false_positive":
                yield one, (_REJECTED,)

    return more


def frame(tile: Tile) -> SetFrame:
    """A labelled picture, with its mask if it is defective."""
    if tile.kind == GOOD:
        label = LabelLine(file=tile.file, label="good", by="the data set", at=now())
        return SetFrame(tile.file, part=str(tile.part), votes=(label,))
    mask = f"ground_truth/{tile.kind}/{Path(tile.file).stem}_mask.png"
    label = LabelLine(file=tile.file, label="defect", defects=(tile.kind,), mask=mask, by="the data set", at=now())
    return SetFrame(tile.file, part=str(tile.part), votes=(label,), side="fit")


def report(results: dict[str, list[dict[str, float]]]) -> None:
    first = next(iter(results.values()))
    print(f"\n{'':40} image AUROC, mean (lowest to highest): fused; head alone; gain of the fused in each split")
    for name, runs in results.items():
        cells = []
        for of in ("fused", "alone"):
            values = [run[of] for run in runs]
            cells.append(f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})")
        gains = " ".join(f"{run['fused'] - own['fused']:+.3f}" for run, own in zip(runs, first, strict=True))
        print(f"{name:40} {'; '.join(cells)}; {gains}")


if __name__ == "__main__":
    main()
