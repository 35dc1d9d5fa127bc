"""What golden frames came to: each class in a line, the frames judged most wrongly, and pictures of those."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from edge.cli._console import text_console
from edge.cli._replayed import classes_table
from edge.cli._tables import columns_of_output, print_table
from edge.config.load import Loaded
from edge.errors import UserError
from edge.frames import Frame, Inspection
from edge.models.golden import Golden, Judgement
from edge.regions.criteria import Criteria
from edge.report.inspected_part import InspectedPart
from edge.report.overlay import draw_overlay
from edge.report.picture_names import PictureOf
from edge.storage.disk import write_whole
from edge.storage.pictures import encode_jpeg

WORST: Final = 20
"""Number of frames that the table names; --json names all."""


class GoldenPictures:
    """Draws frames that were judged wrongly into ``folder``, under the names that they have in the golden folder."""

    def __init__(self, folder: Path, loaded: Loaded, criteria: Criteria) -> None:
        self.folder = folder
        self.count = 0
        self._part = InspectedPart.of(criteria)
        self._of = PictureOf(loaded.config.camera)

    def __call__(self, judgement: Judgement, frame: Frame, inspection: Inspection) -> None:
        """Draw one. Raises UserError if it can't be written."""
        named = [] if judgement.name == frame.meta.frame_ref else [judgement.name]
        note = ", ".join([*named, f"must {judgement.expected}"])
        picture = encode_jpeg(draw_overlay(frame, inspection, self._part, self._of, note=note))
        path = self.folder / f"{os.path.splitext(judgement.name)[0].replace('/', '-')}.jpg"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, picture)
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}", fix="choose another --out") from None
        self.count += 1


def golden_as_json(result: Golden) -> dict[str, Any]:
    """Return the result for programs."""
    return {
        "good": result.good,
        "bad": result.bad,
        "classes": [row.as_json() for row in result.classes],
        "wrong": [
            {
                "frame": judgement.name,
                "class": judgement.kind,
                "expected": judgement.expected,
                "verdict": judgement.found,
                "reason": judgement.reason,
                "map_max": judgement.map_max,
                "compared": judgement.compared,
                "why": judgement.why,
            }
            for judgement in result.wrong
        ],
        "left_out": result.left_out,
        "kept": result.kept,
    }


def show_golden(result: Golden, pictures: GoldenPictures | None) -> None:
    """Print each class in a row, then the worst of the frames that were judged wrongly."""
    console = text_console()
    print_table(classes_table(result.classes, "golden frames", compared=False))
    for verdict, count in (("pass", result.good), ("fail", result.bad)):
        right = count - sum(j.expected == verdict for j in result.wrong)
        console.print(f"{'good' if verdict == 'pass' else 'bad'} frames: {right} of {count} {verdict}")
    if result.wrong:
        _show_worst(console, result)
    if pictures is not None:
        console.print(f"overlays: {pictures.folder} ({pictures.count} pictures)")
    if result.kept is not None:
        console.print(f"kept in {os.path.normpath(result.kept)}")


def _show_worst(console: Console, result: Golden) -> None:
    worst = result.worst(WORST)
    table = Table(title="judged wrongly, the worst first", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("verdict", no_wrap=True)
    for column in ("value", "high"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("why")
    longest = max(len(judgement.name) for judgement in worst)
    room = longest <= columns_of_output() - 40
    table.add_column("frame", no_wrap=room, overflow="fold", min_width=longest if room else None)
    for judgement in worst:
        value, high = ("", "") if judgement.compared is None else (f"{number:.4g}" for number in judgement.compared)
        table.add_row(judgement.found, value, high, judgement.reason or judgement.why, judgement.name)
    print_table(table)
    more = len(result.wrong) - len(worst)
    if more:
        console.print(f"and {more} more: --json names all of them")
