#!/usr/bin/env python3
"""What each option of `edge train --preset minute` buys: `scripts/eval_head.py MAGNETIC_TILES [--rows A,B] [--json]`.

The tiles and their splits by part are those of `eval_tiles.py`. Features are computed once for each split: of good training
pictures, of their copies with synthetic defects, and of a quarter of these under each group of augmentations. A row leaves
out synthetic defects (`--rows each`: every kind for itself), changes an option or adds a group, and trains a head anew over
as many epochs; `coral` and `mmd` get every fourth good training picture out of focus by 1.2 px as the factory's frames.
Figures are image AUROC of memory and half the head, of the head alone, and of it on test pictures out of focus. With
`--seeds 2` each row is trained that often on the same features, and what is shown is the mean.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
from eval_tiles import SEEDS, asked_of, by_part, read_tiles
from head_ground import Ground, Mark, More, Taught, ground_of, options_of, trained

from edge.disturb import synthetic
from edge.disturb.corruptions import CORRUPTIONS
from edge.disturb.synthetic import SYNTHETIC
from edge.errors import UserError
from edge.models.train.augment import AugmentRow
from edge.models.train.feature_cache import CachedPicture
from edge.models.train.frame_roles import Roles
from edge.models.train.options import TrainOptions

AUGMENTED = ("lighting", "blur", "camera", "pose")
"""Groups of corruptions that training pictures get."""
RANDOM = {"randaugment 1": 1, "randaugment 2": 2}
"""Corruptions of lighting, blur and camera that training pictures get at random."""
FAMILIES = {
    "pieces": ("cut_paste", "perlin", "poisson"),
    "poisson": ("poisson",),
    "lines": ("scratch", "crack"),
    "spots": ("blob", "chip", "smear"),
    "uneven_light": ("uneven_light",),
    "uneven_finish": ("uneven_finish",),
}
GRAIN = "poisson by grain alone"
"""Pieces without a seam that may differ by nothing but their grain, in the place of those that are drawn until they do."""


@dataclass(frozen=True)
class Row:
    """``options``: of the training. ``without``: kinds of synthetic defects. ``added``: a group of augmentations."""

    options: tuple[tuple[str, Any], ...] = ()
    without: tuple[str, ...] = ()
    added: str = ""


ROWS = {
    "as it is": Row(),
    **{f"without {name}": Row(without=kinds) for name, kinds in FAMILIES.items()},
    GRAIN: Row(without=("poisson",), added=GRAIN),
    "no focal": Row(options=(("focal", 0.0),)),
    "no balance": Row(options=(("balance", False),)),
    "no dice": Row(options=(("dice", 0.0),)),
    **{f"with {group}": Row(added=group) for group in AUGMENTED},
    **{name: Row(added=name) for name in RANDOM},
    "mixstyle": Row(options=(("mixstyle", 0.5),)),
    "mixup": Row(options=(("mixup", 0.2),)),
    "curriculum": Row(options=(("curriculum", True),)),
    "coral": Row(options=(("align", "coral"),)),
    "coral weight 10": Row(options=(("align", "coral"), ("align_weight", 10.0))),
    "mmd": Row(options=(("align", "mmd"),)),
}
EACH = {"as it is": Row(), **{f"without {kind}": Row(without=(kind,)) for kind in SYNTHETIC}}
KNOWN = EACH | ROWS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with parts.csv")
    parser.add_argument("--rows", default=",".join(ROWS), help="with commas between, or each; default: all in families")
    parser.add_argument("--splits", type=int, choices=[1, 2, 3], default=3, help="the first of the three")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--versions", type=int, default=2, help="synthetic defects for each good picture")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each row on the same features")
    parser.add_argument("--backbone", default="lite0", metavar="NAME|FILE")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    given = ",".join(EACH) if arguments.rows == "each" else arguments.rows
    names = asked_of(given, KNOWN, "--rows")
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    try:
        tiles = read_tiles(arguments.data)
        for seed in SEEDS[: arguments.splits]:
            options = options_of(seed, arguments.epochs, arguments.versions)
            with tempfile.TemporaryDirectory(prefix="edge-eval-head-") as name:
                folder, more = Path(name), groups({KNOWN[name].added for name in names} - {""})
                split = by_part(tiles, seed)
                aligned = any(dict(KNOWN[name].options).get("align") for name in names)
                ground = ground_of(arguments.data, tiles, split, options, folder, arguments.backbone, more, factory=aligned)
                rows(ground, names, options, folder, results, seeds=arguments.seeds)
    except UserError as error:
        sys.exit(str(error))
    report(results)
    if arguments.json:
        print(json.dumps(results))


def rows(
    ground: Ground,
    names: Iterable[str],
    options: TrainOptions,
    folder: Path,
    results: dict[str, list[dict[str, float]]],
    *,
    seeds: int,
) -> None:
    """Train each row on a split, and add the means of its figures to the results."""
    for name in names:
        runs = [one(ground, name, options, folder, turn) for turn in range(seeds)]
        results[name].append({of: statistics.mean(run[of] for run in runs) for of in runs[0]})


def one(ground: Ground, name: str, options: TrainOptions, folder: Path, turn: int) -> dict[str, float]:
    """Train a row once; ``turn`` changes the seed of the training alone, 0: that of the split."""
    row = KNOWN[name]
    changed = replace(options, seed=options.seed + 100 * turn, **dict(row.options))
    marks: set[Mark] = {("added", row.added)}
    run = trained(ground, changed, folder, marks.__contains__, without=row.without)
    shown = " ".join(f"{of} {value:.3f}" for of, value in run.items())
    print(f"split {options.seed}, seed {changed.seed}, {name}: {shown}", flush=True)
    return run


def groups(names: Iterable[str]) -> More:
    """Every fourth good training picture, plain and under each of these groups, and a copy with a synthetic defect."""

    def more(taught: Taught) -> Iterable[tuple[CachedPicture, Mark]]:
        for group in sorted(names):
            if group == GRAIN:
                others = tuple(kind for kind in SYNTHETIC if kind != "poisson")
                with patch.object(synthetic, "_GRAIN_PX", 1):
                    drawn = taught.drawn(fewer(taught.roles), replace(taught.options, without=others))
                yield from ((one, ("added", group)) for one in drawn if one.group == "synthetic")
                continue
            changed = taught.drawn(fewer(taught.roles), augmented(taught.options, group))
            yield from ((one, ("added", group)) for one in changed)

    return more


def fewer(roles: Roles) -> Roles:
    """Every fourth good training picture, and nothing else."""
    return replace(roles, good=roles.good[::4], validated_good=())


def augmented(options: TrainOptions, group: str) -> TrainOptions:
    """The corruptions of the group, one in the mean for each picture, up to the third of five strengths as RandAugment,
    which has one or two of any group but pose for each.
    """
    if group in RANDOM:
        return replace(options, versions=1, randaugment=RANDOM[group])
    rows = [row for row in CORRUPTIONS.values() if row.group == group]
    changes = (AugmentRow(row.name, row.strengths.steps[0], row.strengths.steps[2], 1 / len(rows)) for row in rows)
    return replace(options, versions=1, augment=tuple(changes))


def report(results: dict[str, list[dict[str, float]]]) -> None:
    columns = list(next(iter(results.values()))[0])
    splits = len(next(iter(results.values())))
    print(f"\nmean over {splits} splits; behind: by how much the first column is above the first row's")
    print(f"{'row':22}" + "".join(f"{name:>10}" for name in columns))
    first = [run["fused"] for run in next(iter(results.values()))]
    for name, runs in results.items():
        means = {column: statistics.mean(run[column] for run in runs) for column in columns}
        cells = [f"{value:10.{0 if column == 'cpu_s' else 3}f}" for column, value in means.items()]
        apart = " ".join(f"{run['fused'] - own:+.3f}" for run, own in zip(runs, first, strict=True))
        print(f"{name:22}{''.join(cells)}   {apart}")


if __name__ == "__main__":
    main()
