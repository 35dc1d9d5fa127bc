"""``edge log`` summarises a log for people: sums, latency, losses, the worst regions, one part's record."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import orjson
import typer
from rich.console import Console
from rich.table import Table

from edge.cli._console import text_console
from edge.cli._csv import print_csv
from edge.cli._either_way import IS_CONFIG
from edge.cli._log_paths import PicturesOption, named_logs, no_match_text
from edge.cli._options import SetOption
from edge.cli._tables import print_table
from edge.errors import ExitCode, UserError
from edge.report.drift_over_time import newest
from edge.report.log_rows import COLUMNS, REGION_COLUMNS, rows_of
from edge.report.log_summary import Filter, LogDamage, Summary, read_log
from edge.report.moments import clock_time, moment_ns, zone_text
from edge.service.find_line import check_overrides
from edge.wire.schema import VERDICTS

if TYPE_CHECKING:
    from edge.storage.record_pictures import RecordPictures

SPANS = 40
"""Number of drifts shown; --json has them all."""
HOURS = 48
"""Number of hours shown; --json has them all."""


class OfVerdict(str, Enum):
    """These are the verdicts of records that are wanted."""

    PASS = "pass"  # noqa: S105  (a verdict)
    FAIL = "fail"
    INVALID = "invalid"


def log(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="LOGS", help="Log files (also torn or .zst), folders of them, or a line's config (.yaml)."),
        IS_CONFIG,
    ],
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From this moment on: 2026-11-21T18:20, 18:20 of today, or 90m, 12h, 7d ago."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before this moment.")] = None,
    part: Annotated[int | None, typer.Option(metavar="ID", help="The records of this part_id, whole.")] = None,
    verdict: Annotated[list[OfVerdict] | None, typer.Option(help="Only these. Repeatable.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only this reason: late, ring_full, ...")] = None,
    worst: Annotated[int, typer.Option(min=0, help="How many of the worst regions to name.")] = 10,
    records: Annotated[bool, typer.Option("--records", help="The records themselves, one JSON object per line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="A row for each record as CSV, its times in UTC.")] = False,
    regions: Annotated[bool, typer.Option("--regions", help="With --csv: a row for each defect region instead.")] = False,
    pictures: PicturesOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON, its times in UTC.")] = False,
    in_utc: Annotated[bool, typer.Option("--utc", help="Times in UTC instead of this machine's zone.")] = False,
    overrides: SetOption = None,
) -> None:
    """Read, filter and summarise logs. Exit codes: 0; 1 when no record matches."""
    wanted = Filter(
        None if since is None else moment_ns(since, "--since", time.time_ns, in_utc=in_utc),
        None if until is None else moment_ns(until, "--until", time.time_ns, in_utc=in_utc),
        part,
        frozenset(one.value for one in verdict or ()),
        reason,
    )
    check_overrides(overrides or (), [str(path) for path in paths])
    if regions and not as_csv:
        raise UserError("--regions: rows of what?", expected="with --csv", fix="edge log LOGS --csv --regions")
    logs = named_logs(paths, overrides or (), pictures or ())
    files = logs.files
    damage, summary = LogDamage(), Summary(worst)
    nothing = partial(no_match_text, files, wanted, damage, in_utc=in_utc)
    if as_csv:
        _print_rows(read_log(files, wanted, damage), damage, nothing, regions=regions)
    kept = _pictures_in(logs.pictures)
    lines = records or part is not None
    for record in read_log(files, wanted, damage, summary.drift.add):
        summary.add(record)
        if lines:
            _print(record, indent=not (records or as_json))
            _name_picture(record, kept)
    if lines:
        if not summary.records:
            text_console(stderr=True).print(nothing())
        _tell(text_console(stderr=True), damage)
    elif as_json:
        worst_regions = [region | {"picture": _picture(region, kept)} for region in summary.worst_regions()]
        _print(summary.as_json() | {"worst_regions": worst_regions} | damage.as_json(), indent=True)
    elif summary.records:
        _show(summary, damage, len(files), kept, in_utc=in_utc)
    else:
        text_console().print(nothing())
        _tell(text_console(), damage)
    raise typer.Exit(ExitCode.OK if summary.records else ExitCode.NO)


def _print(message: dict[str, Any], *, indent: bool) -> None:
    option = orjson.OPT_APPEND_NEWLINE | (orjson.OPT_INDENT_2 if indent else 0)
    sys.stdout.buffer.write(orjson.dumps(message, option=option, default=str))
    sys.stdout.flush()


def _show(summary: Summary, damage: LogDamage, files: int, kept: RecordPictures | None, *, in_utc: bool) -> None:
    console = text_console()
    assert summary.first_ns is not None, "there is a record"
    assert summary.last_ns is not None
    console.print(
        f"{summary.records} records of {len(summary.runs)} run(s) in {files} file(s), "
        f"{clock_time(summary.first_ns, in_utc=in_utc)} to {clock_time(summary.last_ns, in_utc=in_utc)} "
        f"({zone_text(summary.last_ns, in_utc=in_utc)})",
    )
    _tell(console, damage)
    print_table(_totals(summary))
    print_table(_hours(summary, in_utc=in_utc))
    if summary.spans():
        print_table(_drift(summary, in_utc=in_utc))
    if summary.latency_ms():
        print_table(_latency(summary))
    if summary.worst_regions():
        print_table(_regions(summary, kept, in_utc=in_utc))
        for folder in () if kept is None else kept.folders:
            console.print(f"pictures: {folder}")


def _tell(console: Console, damage: LogDamage) -> None:
    texts = {
        "file(s) that end in half a line, which is left out": damage.torn_files,
        "line(s) that are no record are passed over": damage.unreadable_lines,
        "record(s) stand twice, as after a failed sync; each counts once": damage.repeated,
        "record(s) are missing: the log could not be written then": damage.missing_records,
    }
    for text, count in texts.items():
        if count:
            console.print(f"{count} {text}")


def _totals(summary: Summary) -> Table:
    table = _table("result", "frames")
    for verdict in VERDICTS:
        table.add_row(verdict, str(summary.verdicts[verdict]))
    for label, counts in (("  invalid", summary.invalid), ("skipped", summary.skipped)):
        for reason, count in counts.most_common():
            table.add_row(f"{label}: {_shown(reason)}", str(count))
    return table


def _hours(summary: Summary, *, in_utc: bool) -> Table:
    table = _table("hour", *VERDICTS, "skipped")
    starts = sorted(summary.hours)
    if len(starts) > HOURS:
        table.caption = f"the last {HOURS} of {len(starts)} hours; --json has all"
    for start in starts[-HOURS:]:
        counts = summary.hours[start]
        table.add_row(clock_time(start, in_utc=in_utc)[:16], *(str(counts[name]) for name in (*VERDICTS, "skipped")))
    return table


def _drift(summary: Summary, *, in_utc: bool) -> Table:
    """What was in force when: the spans that were more than a single block, if there are any."""
    table = Table()
    for name in ("drift from", "to", "level", "what"):
        table.add_column(name, overflow="fold")
    spans = newest(summary.spans(), SPANS)
    for span in spans:
        until = "" if span.until_ns is None else clock_time(span.until_ns, in_utc=in_utc)
        table.add_row(clock_time(span.since_ns, in_utc=in_utc), until, span.level, _shown(span.words))
    left = len(summary.spans()) - len(spans)
    if left:
        table.caption = f"{left} more, single blocks among them; --json has all"
    return table


def _latency(summary: Summary) -> Table:
    table = _table("latency, ms", "p50", "p95", "p99", "max")
    for stage, values in summary.latency_ms().items():
        table.add_row(stage, *(f"{value:.1f}" for value in values.values()))
    return table


def _regions(summary: Summary, kept: RecordPictures | None, *, in_utc: bool) -> Table:
    worst = summary.worst_regions()
    drawn = [_picture(region, kept) for region in worst]
    table = _table("score", "time", "seq", "frame", "part", "area px", "box")
    table.title, table.title_justify = "worst regions", "left"
    if any(drawn):
        table.add_column("picture", overflow="fold")
    for region, picture in zip(worst, drawn, strict=True):
        table.add_row(
            f"{region['score_max']:.4g}",
            clock_time(region["created_ns"], in_utc=in_utc),
            *("-" if region[name] is None else str(region[name]) for name in ("seq", "frame_id", "part_id", "area_px")),
            " ".join(f"{edge:g}" for edge in region["bbox_xyxy"]),
            *([] if not any(drawn) else ["-" if picture is None else picture.name]),
        )
    return table


def _picture(record: Mapping[str, Any], kept: RecordPictures | None) -> Path | None:
    return None if kept is None else kept.of(record["instance_id"], record["seq"])


def _pictures_in(folders: list[Path]) -> RecordPictures | None:
    """Look for pictures where there may be any: the libraries for them take half a second to load."""
    if not folders:
        return None
    from edge.storage.record_pictures import RecordPictures

    return RecordPictures(folders)


def _name_picture(record: Mapping[str, Any], kept: RecordPictures | None) -> None:
    """Say where a record's picture is, beside the record: what is on standard output stays the record alone."""
    picture = _picture(record, kept)
    if picture is not None:
        text_console(stderr=True).print(f"picture of seq {record['seq']}: {picture}")


def _print_rows(
    records: Iterable[dict[str, Any]], damage: LogDamage, nothing: Callable[[], str], *, regions: bool
) -> NoReturn:
    count = print_csv(REGION_COLUMNS if regions else COLUMNS, rows_of(records, regions=regions))
    if not count:
        text_console(stderr=True).print(nothing())
    _tell(text_console(stderr=True), damage)
    raise typer.Exit(ExitCode.OK if count else ExitCode.NO)


def _shown(text: str) -> str:
    """Escape everything in a text that a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _table(first: str, *others: str) -> Table:
    table = Table()
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
