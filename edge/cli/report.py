"""``edge report`` makes one page of a line's records, for whoever wasn't there: it goes into an e-mail."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from edge.cli._console import text_console
from edge.cli._either_way import IS_CONFIG
from edge.cli._json import JsonOption, print_json
from edge.cli._log_paths import PicturesOption, named_logs, no_match_text
from edge.cli._options import SetOption
from edge.errors import ExitCode, UserError
from edge.report.log_summary import Filter, LogDamage, Summary, read_log
from edge.report.moments import moment_ns
from edge.report.production import Production
from edge.report.production_page import production_page
from edge.service.find_line import check_overrides
from edge.storage.disk import write_whole
from edge.storage.record_pictures import RecordPictures


def report(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECORDS", help="Log files, folders of them, a replay's folder, or a line's config (.yaml)."
        ),
        IS_CONFIG,
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The page, a .html file.")] = Path("report.html"),
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From this moment on: 2026-11-21T18:20, 18:20 of today, or 90m, 12h, 7d ago."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before this moment.")] = None,
    pictures: PicturesOption = None,
    worst: Annotated[int, typer.Option(min=0, max=100, help="How many of the worst regions to show.")] = 12,
    in_utc: Annotated[bool, typer.Option("--utc", help="Times in UTC instead of this machine's zone.")] = False,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make one self-contained page: verdicts per hour, defects by kind, size and place, latency, losses, drift, the worst
    regions with pictures. Needs the extra report. Exit codes: 0; 1 when there is no record.
    """
    if out.suffix != ".html":
        raise UserError(f"--out {out}", received=out.suffix or "no ending", expected="a name that ends in .html")
    wanted = Filter(
        None if since is None else moment_ns(since, "--since", time.time_ns, in_utc=in_utc),
        None if until is None else moment_ns(until, "--until", time.time_ns, in_utc=in_utc),
    )
    check_overrides(overrides or (), [str(path) for path in paths])
    logs = named_logs(paths, overrides or (), pictures or ())
    damage, production = LogDamage(), Production(Summary(worst))
    for record in read_log(logs.files, wanted, damage, production.summary.drift.add):
        production.add(record)
    if not production.records:
        text = no_match_text(logs.files, wanted, damage, in_utc=in_utc)
        text_console(stderr=True).print(text)
        raise typer.Exit(ExitCode.NO)
    data = production_page(production, damage, RecordPictures(logs.pictures), in_utc=in_utc, files=len(logs.files))
    try:
        write_whole(out, data)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written: {error.strerror}") from None
    if as_json:
        print_json({"file": out, "records": production.records, "bytes": len(data)})
        return
    text = f"wrote {out}: {production.records:,} records, {len(data) / 1e6:.1f} MB, to be opened in any browser"
    text_console().print(text)
