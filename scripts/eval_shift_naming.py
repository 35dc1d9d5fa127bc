#!/usr/bin/env python3
"""Whether `edge shift` names what the line names: `scripts/eval_shift_naming.py [--json] [--seeds N] [--smoke]`.

The line is that of `scripts/eval_drift.py`. Ten causes by another implementation than the library's, in the second, third
and fifth of the table's strengths: live, the medians of 50 measured frames against the line's baseline; offline, 30 frames
against 40 others, measured, tested and named by the parts of `edge shift`. Halves: `edge shift` itself, 20 draws, with
lite0's embeddings where they are installed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from eval_drift import CAUSES, Line
from support.other_corruptions import TWO_WAY, disturbed

from edge.disturb.corruptions import CORRUPTIONS
from edge.drift.fit_template import fit_template
from edge.drift.floors import FLOORS
from edge.drift.meter import Meter
from edge.drift.signatures import Library
from edge.models.sets.open import open_set
from edge.shift.diagnose import diagnose, learned, names_and_units, usual
from edge.shift.look import Ruler
from edge.shift.shift import compare_sets, report_of
from edge.shift.told_apart import effects
from edge.sources.synthetic.parts import part_scene
from edge.storage.pictures import write_png

STRENGTHS = (1, 2, 4)
REFERENCE, LAB, CHANGED, LIVE = 20, 40, 30, 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="the figures alone, as JSON")
    parser.add_argument("--seeds", type=int, default=1, help="lines")
    parser.add_argument("--smoke", action="store_true", help="a short form that only shows that it runs")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rows = [row for seed in range(3, 3 + arguments.seeds) for row in named_both_ways(seed, smoke=arguments.smoke)]
    draws = 2 if arguments.smoke else 20
    same = sum(halves(draw) for draw in range(draws))
    figures = {
        "changes": len(rows),
        "same_cause": round(float(np.mean([row["live"] == row["offline"] for row in rows])), 3),
        "same_group": round(float(np.mean([row["live_group"] == row["offline_group"] for row in rows])), 3),
        "live_right": round(float(np.mean([row["live"] == row["cause"] for row in rows])), 3),
        "offline_right": round(float(np.mean([row["offline"] == row["cause"] for row in rows])), 3),
        "halves_not_different": f"{same} of {draws}",
    }
    print(json.dumps(figures) if arguments.json else "\n".join(f"{name}: {value}" for name, value in figures.items()))


def named_both_ways(seed: int, *, smoke: bool) -> list[dict[str, Any]]:
    """What the line and `edge shift` say of each change."""
    line = Line(seed, smoke=smoke)
    live = Library(line.baseline.signatures, line.reference.jitter)
    lab = line.good[100 : 100 + LAB]
    ruler = Ruler(Meter(fit_template(line.good[:REFERENCE], 8)), None, 8, tuple(line.good[:REFERENCE]))
    before = np.array([ruler.meter.measure(frame) for frame in lab])
    jitter = 1.2533 * float(np.sqrt(1 / LAB + 1 / CHANGED))
    offline = learned(ruler, usual(before)[1], jitter)
    rows = []
    for number, cause in enumerate(CAUSES[:2] if smoke else CAUSES):
        for step in STRENGTHS[:1] if smoke else STRENGTHS:
            size = CORRUPTIONS[cause].strengths.steps[step]
            size = -size if cause in TWO_WAY and (number + step) % 2 else size
            frames = [disturbed(cause, line.good[150 + n], size, 100 * seed + step, n) for n in range(LIVE)]
            middle = np.median([line.meter.measure(frame) for frame in frames], axis=0)
            said = live.name(line.reference.frame_z(middle))[0]
            after = np.array([ruler.meter.measure(frame) for frame in frames[:CHANGED]])
            parts = [f"a{n}" for n in range(LAB)], [f"b{n}" for n in range(CHANGED)]
            changed = effects(names_and_units(), FLOORS, before, after, parts)
            _, causes = diagnose(before, after, changed, None, lambda _: offline)
            first_cause = causes[0] if causes else None
            rows.append({
                "cause": cause, "size": size, "live": said.cause, "live_group": said.group,
                "offline": first_cause and first_cause.cause, "offline_group": first_cause and first_cause.group,
            })  # fmt: skip
            print(rows[-1], file=sys.stderr)
    return rows


def halves(draw: int, count: int = 60, side: int = 128) -> bool:
    """Whether `edge shift` calls two halves of one set not different."""
    scene, pixels = part_scene("pinned", draw, side, side), np.empty((side, side), np.uint8)
    with tempfile.TemporaryDirectory(prefix="edge-eval-halves-") as place:
        for number in range(count):
            scene.render(number, 0.0, pixels)
            write_png(Path(place) / f"{number:03d}.png", pixels)
        whole = open_set(Path(place))
        order = np.random.default_rng(draw).permutation(count)
        own = [whole.with_frames([whole.frames[i] for i in sorted(part)]) for part in np.split(order, 2)]
        done = compare_sets(("first", "second"), (own[0], own[1]), seed=draw)
    return bool(report_of(done)["verdict"] == "not different")


if __name__ == "__main__":
    main()
