"""``edge audit``: whether sets can be compared at all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.table import Table
from rich.text import Text

from edge.cli._bars import progress_bar
from edge.cli._console import labelled, text_console
from edge.cli._sets import ByOption, PartGapOption, described_set, end_if_lacking
from edge.cli._tables import print_table
from edge.errors import UserError
from edge.models.audit.audit import NamedSet, distinctly_named, sides_of
from edge.models.audit.audit import audit as audit_sets
from edge.models.audit.finding import AuditFinding, is_forbidden
from edge.models.audit.label_drift import audit_labels
from edge.models.sets.frame_set import FrameSet

SHOWN = 8
"""Frames of a finding that the table names."""


def audit(
    sets: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]SET...", help="Sets, folders or recordings; one with sides is compared side by side."
        ),
    ],
    by: ByOption = None,
    part_gap: PartGapOption = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="Also hold labels and masks to what the pictures show; one set will do.")
    ] = False,
    frames: Annotated[bool, typer.Option("--frames", help="Name every frame of each finding.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE.json", help="Also write the JSON here.")] = None,
) -> None:
    """Look for what makes figures lie: shared parts, cleaned pictures, kinds that one set lacks. Exit 1: don't compare."""
    named, whole = _named(sets, by, part_gap, alone=labels)
    with progress_bar("reading", transient=True) as step:
        total = sum(len(one.frames) for one in named)
        findings = audit_sets(named, lambda done: step(done, total))
    if labels:
        with progress_bar("holding labels to pictures", transient=True) as step:
            for name, opened in whole:
                findings += audit_labels(name, opened, lambda done: step(done, None))
    message = {
        "schema": 1,
        "kind": "audit",
        "sets": [{"name": one.name, "path": str(one.source.path), "frames": len(one.read)} for one in named],
        "forbidden": is_forbidden(findings),
        "findings": [finding.message() for finding in findings],
    }
    data = orjson.dumps(message, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if out is not None:
        try:
            out.write_bytes(data)
        except OSError as error:
            raise UserError(f"{out}: cannot be written: {error.strerror}") from None
    if as_json:
        typer.echo(data, nl=False)
    else:
        _show(named, findings, len(findings) if frames else SHOWN, every=frames)
    end_if_lacking(*(opened for _, opened in whole))
    raise typer.Exit(1 if is_forbidden(findings) else 0)


def _named(
    texts: list[str], by: str | None, part_gap: str | None, *, alone: bool
) -> tuple[list[NamedSet], list[tuple[str, FrameSet]]]:
    """Every side of every set under its name, and the sets themselves."""
    named: list[NamedSet] = []
    whole: list[tuple[str, FrameSet]] = []
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            name, path = "", text
        opened = described_set(Path(path), by, part_gap)
        whole.append((name or Path(path).name, opened))
        named += sides_of(name or (Path(path).name if len(texts) > 1 or not opened.sides else ""), opened)
    if len(named) < 2 and not alone:
        only = named[0]
        raise UserError(
            f"{only.source.path}: one set without sides, so there is nothing to compare it with",
            expected="two sets or more, or one with a split or with the folders train and test",
            fix="name a second set, or split this one: edge split",
        )
    return distinctly_named(named), whole


def _show(named: list[NamedSet], findings: list[AuditFinding], shown: int, *, every: bool) -> None:
    table = Table()
    for column in ("set", "frames", "kinds"):
        table.add_column(column, justify="right" if column == "frames" else "left")
    for one in named:
        kinds: dict[str, int] = {}
        for frame in one.read:
            kinds[frame.kind] = kinds.get(frame.kind, 0) + 1
        table.add_row(one.name, str(len(one.read)), ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    print_table(table)
    console = text_console()
    colours = {"forbids": "red", "warns": "yellow", "notes": "dim"}
    for finding in findings:
        console.print(labelled(finding.weight, colours[finding.weight], finding.text))
        most = len(finding.frames) if every else shown
        for row in finding.frames[:most]:
            rest = ", ".join(f"{key} {value}" for key, value in row.items() if key != "file" and value is not None)
            console.print(f"    {row['file']}  {rest}")
        if len(finding.frames) > most:
            console.print(f"    and {len(finding.frames) - most} more: --frames names them all")
    if is_forbidden(findings):
        forbidden = ("these sets must not be compared as they stand", "red")
        console.print(Text.assemble(forbidden, "; edge split makes sides that share no part"))
    else:
        console.print("nothing forbids a comparison" if findings else "nothing was found")
