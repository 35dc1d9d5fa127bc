"""Logs are named on the command line as files, folders, a replay's folder or a line's config; with each go its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from edge.config.load import load_config
from edge.errors import UserError
from edge.report.log_summary import Filter, LogDamage, find_files, read_log
from edge.report.moments import clock_time, zone_text
from edge.storage.log_files import segments

_RECORDS: Final = "records.jsonl"

PicturesOption: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--pictures", metavar="DIR", help="A folder of evidence, or of a replay. Repeatable; a config names its own."
    ),
]


@dataclass(slots=True)
class NamedLogs:
    """Named logs have the ``files`` in their order, and the ``pictures``: folders that may hold pictures of the records."""

    files: list[Path] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)


def named_logs(paths: Sequence[Path], overrides: Sequence[str], pictures: Sequence[Path] = ()) -> NamedLogs:
    """Find the log files of all ``paths``. ``pictures`` are folders that were named besides.

    Raises:
        UserError: no such path, a folder without logs, a config that can't be used, or a line that writes no log.
    """
    found = NamedLogs(pictures=list(pictures))
    for folder in pictures:
        if not folder.is_dir():
            raise UserError(f"--pictures {folder}: no such folder", expected="a folder of evidence, or of a replay")
    for path in paths:
        if path.suffix in (".yaml", ".yml"):
            _of_config(path, overrides, found)
        elif (path / _RECORDS).is_file():
            found.files.append(path / _RECORDS)
            found.pictures.append(path)
        else:
            found.files += find_files([path])
            if path.name == _RECORDS:
                found.pictures.append(path.parent)
    return found


def _of_config(path: Path, overrides: Sequence[str], found: NamedLogs) -> None:
    loaded = load_config(path, overrides)
    outputs = loaded.config.outputs
    if outputs.jsonl is None:
        raise UserError(f"{path}: outputs.jsonl is off: the line writes no log", fix="name a folder or files instead")
    folder = loaded.resolve(outputs.jsonl.dir)
    files = segments(folder, loaded.config.camera) if folder.is_dir() else []
    if not files:
        raise UserError(f"{folder}: holds no log of camera {loaded.config.camera}", fix="run the line first: edge run")
    found.files += files
    if outputs.evidence is not None:
        found.pictures.append(loaded.resolve(outputs.evidence.dir))


def no_match_text(files: Sequence[Path], wanted: Filter, damage: LogDamage, *, in_utc: bool) -> str:
    """Say that no record matches, and from when to when the logs reach: what is older may have been deleted."""
    text = f"no record matches in {len(files)} file(s)"
    if wanted.since_ns is not None:  # older files were passed over
        damage = LogDamage()
        for _ in read_log(files, Filter(), damage):
            pass
    if damage.reach is None:
        return f"{text}, which hold none"
    first, last = (clock_time(moment, in_utc=in_utc) for moment in damage.reach)
    return f"{text}, which reach from {first} to {last} ({zone_text(damage.reach[1], in_utc=in_utc)})"
