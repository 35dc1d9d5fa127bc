"""What a replay came to: its counts, what its labels say class by class, and what changed since an earlier run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from edge.cli._console import text_console
from edge.cli._tables import print_table
from edge.errors import first_few
from edge.line.line import Line
from edge.models.sets.frame_labels import FrameLabels
from edge.report.classes import ClassRow, by_class, pairs_of
from edge.report.compare import Comparison, Outcomes
from edge.storage.log_files import read_records

NAMED: Final = 8
"""Number of frames named for each kind of change."""
_PICTURES: Final = ("overlays", "masks", "explain", "changed")


@dataclass(frozen=True)
class Replayed:
    """A finished replay. ``out``: its folder. ``before``: the earlier run read from ``against``, if there is one."""

    line: Line
    out: Path
    labels: FrameLabels | None
    before: Outcomes | None
    against: Path | None

    @cached_property
    def classes(self) -> list[ClassRow]:
        """Rows of the classes; empty without labels."""
        if self.labels is None:
            return []
        pairs = pairs_of(read_records(self.out / "records.jsonl"), self.before)
        return by_class(pairs, self.labels.kinds, compared=self.before is not None)

    @cached_property
    def comparison(self) -> Comparison | None:
        return None if self.before is None else self.before.compare(read_records(self.out / "records.jsonl"))

    def as_json(self) -> dict[str, Any]:
        """Return all of it for programs."""
        tally, found = self.line.tally, self.comparison
        result: dict[str, Any] = {
            "frames": tally.accounted,
            "verdicts": dict(tally.verdicts),
            "invalid": dict(tally.invalid_reasons),
            "skipped": dict(tally.skipped_frames),
            "records": self.out / "records.jsonl",
            "folders": {name: self.out / name for name in _PICTURES if (self.out / name).is_dir()},
            "labels": None,
            "against": None,
        }
        if self.labels is not None:
            result["labels"] = {
                "by": self.labels.by,
                "without": self.labels.without,
                "classes": [row.as_json() for row in self.classes],
            }
        if found is not None:
            result["against"] = {
                "log": self.against,
                "frames": sum(found.transitions.values()),
                "changed": len(found.changes),
                "transitions": [
                    {"before": was, "now": now, "frames": count} for (was, now), count in sorted(found.transitions.items())
                ],
                "changes": [
                    {"frame": change.name, "class": self._kind(change.name), "before": change.before, "now": change.after}
                    for change in found.changes
                ],
                "only_before": found.only_before,
                "only_now": found.only_now,
            }
        return result

    def show(self) -> None:
        """Print it for people."""
        self._show_counts()
        if self.classes:
            self._show_classes()
        if self.comparison is not None:
            self._show_changes(self.comparison)
        self._show_lost()

    def _kind(self, name: str) -> str | None:
        return None if self.labels is None else self.labels.kinds.get(name)

    def _show_counts(self) -> None:
        tally = self.line.tally
        table = Table(title=f"{tally.accounted} frames", title_justify="left")
        for column in ("result", "frames"):
            table.add_column(column, justify="right" if column == "frames" else "left")
        for verdict, count in tally.verdicts.items():
            table.add_row(verdict, str(count))
        for reason, count in {**tally.invalid_reasons}.items():
            table.add_row(f"  invalid: {reason}", str(count))
        for reason, count in tally.skipped_frames.items():
            table.add_row(f"skipped: {reason}", str(count))
        console = text_console()
        print_table(table)
        lost = self.line.output_statuses()["jsonl"].lost
        short = f" ({lost} could not be written)" if lost else ""
        console.print(f"records: {self.out / 'records.jsonl'}{short}")
        for name in _PICTURES:
            folder = self.out / name
            if folder.is_dir():
                console.print(f"{name}: {folder} ({_pictures_in(folder)} pictures{self._left_out(name)})")
        if (self.out / "masks.jsonl").exists():
            console.print(f"masks: {self.out / 'masks.jsonl'}")

    def _left_out(self, name: str) -> str:
        drawn = self.line.output_statuses().get("pictures")
        count = 0 if drawn is None else drawn.counters.get(f"{name}_left_out", 0)
        return f", {count} more not drawn: --limit" if count else ""

    def _show_classes(self) -> None:
        assert self.labels is not None
        print_table(classes_table(self.classes, f"labels of {self.labels.by}", compared=self.before is not None))
        without = self.labels.without
        if without:
            text_console().print(f"{without} frame{'s' * (without != 1)} without a label")

    def _show_lost(self) -> None:
        """Name the defects that this run lost: the one thing that must not be read past."""
        lost = [name for row in self.classes for name in row.lost]
        if lost:
            caught = "defective frame that was caught is" if len(lost) == 1 else "defective frames that were caught are"
            text = f"{len(lost)} {caught} not any more: {first_few(lost, NAMED)}"
            text_console().print(text, style="bold red")

    def _show_changes(self, comparison: Comparison) -> None:
        assert self.before is not None
        assert self.against is not None
        compared = sum(comparison.transitions.values())
        table = Table()
        columns = ("verdict", "frames", *(("labels",) if self.labels else ()), "which")
        for column in columns:
            table.add_column(column, justify="right" if column == "frames" else "left", overflow="fold")
        ordered = sorted(comparison.transitions.items(), key=lambda item: (item[0][0] == item[0][1], -item[1]))
        for (was, now), count in ordered:
            changed = [change for change in comparison.changes if (change.before, change.after) == (was, now)]
            names = [self._with_picture(change.name, change.seq) for change in changed[:NAMED]]
            more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
            kinds = Counter(self._kind(change.name) or "no label" for change in changed)
            labels = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
            loses = was == "fail" and was != now and any(kind not in ("good", "no label") for kind in kinds)
            cells = [f"{was} -> {now}" if was != now else f"{was}, as before", str(count)]
            cells += [labels] if self.labels else []
            table.add_row(*cells, ", ".join(names) + more, style="bold red" if loses else "")
        for text, count in self._one_sided(comparison):
            table.add_row(text, str(count))
        headline = f"against {self.against}: {len(comparison.changes)} of {compared} frames changed"
        console = text_console()
        console.print(headline)
        print_table(table)
        if self.before.runs > 1:
            text = f"{self.against} holds {self.before.runs} runs: for each frame the last one counts"
            console.print(text)

    def _one_sided(self, comparison: Comparison) -> Iterator[tuple[str, int]]:
        assert self.against is not None
        if comparison.only_before:
            yield f"only in {self.against.name}", comparison.only_before
        if comparison.only_now:
            yield "only in this replay", comparison.only_now

    def _with_picture(self, name: str, seq: int) -> str:
        """Return the frame's name, and its picture's if there is one."""
        file = next((self.out / "changed").glob(f"{seq:08d}*"), None)
        return name if file is None else f"{name} ({file.name})"


def classes_table(rows: Sequence[ClassRow], title: str, *, compared: bool) -> Table:
    """Make a row for each class; one that loses defects is red. ``compared``: the rows know what was before."""
    table = Table(title=f"{title}, before -> now" if compared else title, title_justify="left")
    table.add_column("class", overflow="fold")
    for column in ("frames", "caught", "missed", "false rejects", "no verdict", *(("lost",) if compared else ())):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row), style="bold red" if row.lost else "")
    return table


def _cells(row: ClassRow) -> list[str]:
    now, before = row.now, row.before or row.now
    failed, passed = _change(before.failed, now.failed), _change(before.passed, now.passed)
    verdicts = ("", "", failed) if row.good else (failed, passed, "")
    cells = [row.name, str(row.frames), *verdicts, _change(before.undecided, now.undecided)]
    return cells if row.before is None else [*cells, str(len(row.lost)) if row.lost else ""]


def _pictures_in(folder: Path) -> int:
    return sum(path.suffix in (".png", ".jpg") for path in folder.iterdir())


def _change(before: int, now: int) -> str:
    return str(now) if before == now else f"{before} -> {now}"
