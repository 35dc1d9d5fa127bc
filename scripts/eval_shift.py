#!/usr/bin/env python3
"""What each answer to a shift wins back: `scripts/eval_shift.py [--json] [--smoke] [--seeds N] [--only CAUSE]`.

Parts of the `pinned` preset. A model is fitted on 60 good frames, its threshold measured on 60 others by the rule of `edge
calibrate`. Then the line changes: every frame from now on carries one cause of one strength. Of the changed line 28 good
frames are known, 8 to adapt by and 20 for the threshold, as `edge adapt` takes them. False rejects and recall are counted
on changed frames that take part in nothing else: good ones and such with a defect. `frozen` is the model as it was.

    --tiles FOLDER   instead: magnetic tiles by part (a folder with parts.csv): lighting 2 and 4 against 6, and defocus
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import structlog
from shift_answers import answers_table, frames_of, maxima_of, run

from edge.disturb.corruptions import CORRUPTIONS
from edge.errors import UserError
from edge.frames import Frame
from edge.models.calibrate.thresholds import choose_high
from edge.models.fit.fit import FitRun, fit, write_fit
from edge.models.fit.fit_plan import FitRequest
from edge.models.sets.open import open_set
from edge.shift.answers.protocol import AnswerRow
from edge.shift.answers.table import ANSWERS
from edge.sources.synthetic.parts import part_scene
from edge.storage.frames_on_disk import read_frames
from edge.storage.pictures import write_png

SIZE = (256, 320)
Change = Callable[[Any], Any]


@dataclass(frozen=True)
class Cause:
    """One change of the line. `defective`: how many of the 8 frames to adapt by show a defect."""

    name: str
    corruption: str | None
    strength: float = 0.0
    defective: int = 0

    def change(self, seed: int) -> Change:
        if self.corruption is None:
            return lambda picture: picture
        row = CORRUPTIONS[self.corruption]
        if self.corruption == "brightness":  # whose direction would be drawn
            return lambda picture: row.apply(picture, self.strength, np.random.default_rng(seed))
        return row.steady(self.strength, seed)


CAUSES = (
    Cause("no shift", None),
    Cause("no shift, 2 of 8 defective", None, defective=2),
    Cause("defocus 1.2 px", "defocus", 1.2),
    Cause("rotation 1 deg", "rotation", 1.0),
    Cause("scale 1 %", "scale", 1.0),
    Cause("gradient 25 %", "gradient", 25),
    Cause("noise x2", "noise", 100 * 3 * 3**0.5 / 255),  # 3 grey levels are there already
    Cause("shift 12 px", "shift", 12),
    Cause("defocus 1.2 px, 2 of 8 defective", "defocus", 1.2, defective=2),
    Cause("brighter by 70 %, clipped", "brightness", 70),
)


@dataclass(frozen=True)
class Sizes:
    fit: int = 60
    tested: int = 40
    taken_alone: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--smoke", action="store_true", help="one cause, one seed, few frames: does it run?")
    parser.add_argument("--seeds", type=int, default=3, help="independent lines")
    parser.add_argument("--only", action="append", metavar="CAUSE", help="causes whose name begins so")
    parser.add_argument("--without", action="append", default=[], metavar="ANSWER", help="answers that aren't tried")
    parser.add_argument(
        "--taken", action="store_true", help="count the model as it was and the answer taken alone: half the time"
    )
    parser.add_argument("--tiles", type=Path, metavar="FOLDER", help="magnetic tiles with parts.csv")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    answers = [row for row in ANSWERS if row.name not in arguments.without]
    try:
        if arguments.tiles is not None:
            from eval_shift_tiles import evaluate_tiles

            results = evaluate_tiles(arguments.tiles, range(1 if arguments.smoke else arguments.seeds), answers)
        else:
            causes = [c for c in CAUSES if not arguments.only or any(c.name.startswith(name) for name in arguments.only)]
            if arguments.smoke:
                results = evaluate(causes[2:3] if not arguments.only else causes[:1], [0], Sizes(fit=30, tested=8), answers)
            else:
                sizes = Sizes(taken_alone=arguments.taken)
                results = evaluate(causes, range(arguments.seeds), sizes, answers)
    except UserError as error:
        sys.exit(str(error))
    if arguments.json:
        print(json.dumps(results))


def evaluate(
    causes: Sequence[Cause], seeds: Sequence[int], sizes: Sizes, answers: Sequence[AnswerRow] = ANSWERS
) -> dict[str, Any]:
    """Every cause on every line; prints the table of a cause as soon as it is known."""
    lines = []
    for seed in seeds:
        place = tempfile.TemporaryDirectory(prefix="edge-eval-shift-")
        lines.append((place, Lab(Path(place.name), seed, sizes)))
    results: dict[str, Any] = {}
    for cause in causes:
        runs = [lab.judged(cause, answers) for _, lab in lines]
        results[cause.name] = answers_table(cause.name, runs)
    for place, _ in lines:
        place.cleanup()
    return results


class Lab:
    """One line: its model, frozen threshold, and frames from now on."""

    def __init__(self, root: Path, seed: int, sizes: Sizes) -> None:
        self.root, self.seed, self.sizes = root, seed, sizes
        self.scene = part_scene("pinned", seed, *SIZE)
        self.save("fit", 0, sizes.fit, lambda picture: picture)
        self.save("calibrate", 1000, sizes.fit, lambda picture: picture)
        frames = list(read_frames(root / "fit"))
        self.bundle = write_fit(root / "v1", fit(frames, FitRequest("v1"), FitRun()), "lab")
        maxima = maxima_of(self.bundle, [frame for frame in read_frames(root / "calibrate") if isinstance(frame, Frame)])
        self.threshold = choose_high([value for value in maxima if value is not None], 0.001, None)[0]

    def save(self, folder: str, start: int, count: int, change: Change, *, defective: bool = False) -> list[str]:
        """Frames of the changed line as PNG files; their names."""
        pixels, made, index = np.empty(SIZE, np.uint8), list[str](), start
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        while len(made) < count:
            defects = self.scene.render(index, 1.0 if defective else 0.0, pixels)
            index += 1
            if defective and not defects:
                continue
            name = f"{'bad' if defective else 'good'}{len(made):03d}.png"
            write_png(self.root / folder / name, change(pixels.copy()))
            made.append(name)
        return made

    def judged(self, cause: Cause, answers: Sequence[AnswerRow]) -> dict[str, Any]:
        """One run of `edge adapt`, and the truth about each answer."""
        folder = "cause" + "".join(c if c.isalnum() else "_" for c in cause.name)
        change = cause.change(100 + self.seed)
        good = self.save(f"{folder}/factory", 10_000, 28 - cause.defective, change)
        bad = self.save(f"{folder}/factory", 20_000, cause.defective, change, defective=True)
        self.save(f"{folder}/good", 30_000, self.sizes.tested, change)
        self.save(f"{folder}/bad", 40_000, self.sizes.tested, change, defective=True)
        source = open_set(self.root / folder / "factory")
        adapt_files = {*bad, *good[: 8 - len(bad)]}
        sided = [replace(f, side="adapt" if f.file in adapt_files else "calibrate") for f in source.frames]
        tested = [list(frames_of(self.root / folder / kind)) for kind in ("good", "bad")]
        place, alone = self.root / folder, self.sizes.taken_alone
        return run(self.bundle, self.threshold, source.with_frames(sided), tested, answers, place, taken_alone=alone)


if __name__ == "__main__":
    main()
