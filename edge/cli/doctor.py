"""``edge doctor`` says whether this machine is fit, and how much it can inspect."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.text import Text

from edge.cli._console import text_console
from edge.cli._either_way import IS_CONFIG
from edge.cli._options import SetOption
from edge.config.load import load_config
from edge.errors import ExitCode, UserError
from edge.service.doctor import Finding

SEVERITY_COLOURS = {"ok": "green", "warn": "bold yellow", "fail": "bold red"}


def doctor(
    config: Annotated[
        Path | None, typer.Argument(help="The line's YAML file. Without it: the machine alone."), IS_CONFIG
    ] = None,
    seconds: Annotated[float, typer.Option(min=0, help="Seconds spent on measuring the capacity; 0: not measured.")] = 6.0,
    size: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Size of the frames, where the config does not say.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per finding.")] = False,
    overrides: SetOption = None,
) -> None:
    """Look at everything that a line depends on, measure what this machine can do with a config, and say how to mend it.

    Run it as the user that the service runs as: sudo -u edge edge doctor /etc/edge/cam1.yaml.
    Exit codes: 0, or 1 where something fails.
    """
    failed = False
    for finding in findings(config, tuple(overrides or ()), seconds, _size(size)):
        failed |= finding.level == "fail"
        if as_json:
            print(orjson.dumps(asdict(finding)).decode(), flush=True)
        else:
            _show(finding)
    if failed:
        raise typer.Exit(ExitCode.NO)


def findings(path: Path | None, overrides: tuple[str, ...], seconds: float, size: tuple[int, int] | None) -> list[Finding]:
    """Collect all findings: first the machine's, then the config's."""
    from edge.service.doctor.config import line_findings
    from edge.service.doctor.machine import machine_findings

    if path is None:
        return machine_findings(gige=False)
    try:
        loaded = load_config(path, overrides)
    except UserError as error:
        return [*machine_findings(gige=False), Finding("fail", "config", str(error), f"edge check {path}")]
    results = [
        *machine_findings(gige=loaded.config.source.may_be_gige),
        Finding("ok", "config", str(path)),
        *line_findings(loaded),
    ]
    if seconds > 0:
        from edge.service.doctor.capacity import capacity_findings

        results += capacity_findings(loaded, seconds, size)
    return results


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match or min(map(int, match.groups())) < 16:
        raise UserError("--size", received=text, expected="width x height in px, for example 2048x1536, 16 or more each")
    return int(match[1]), int(match[2])


def _show(finding: Finding) -> None:
    text = Text(f"{finding.level:5}", SEVERITY_COLOURS[finding.level])
    text.append(f"{finding.what:11}", "bold")
    text.append(finding.text, "not bold")
    if finding.fix and finding.level != "ok":
        text.append(f"\n     fix: {finding.fix}", "dim")
    text_console().print(text)
