"""Several commands share these options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from edge.cli._either_way import IS_CONFIG
from edge.config.sources import RecordedConfig, SourceConfig
from edge.errors import UserError

ConfigOption: TypeAlias = Annotated[
    Path, typer.Option("-c", "--config", help="The line's YAML file.", show_default=False), IS_CONFIG
]
SetOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the config: regions.min_area_px=16. Repeatable."),
]
BitsOption: TypeAlias = Annotated[
    int | None,
    typer.Option(metavar="10|12|14|16", help="Bits that count in frames of 16. Default: as the files say, else all."),
]

ClusterOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT|auto", help="Ray cluster that does the work; its nodes see the frames by the same paths."
    ),
]


def finished_shards(out: Path | None, *, resume: bool) -> Path | None:
    """Return the folder beside ``--out`` where ``--resume`` keeps finished shards; None if nothing is kept.

    Raises:
        UserError: there is no ``--out``.
    """
    if not resume:
        return None
    if out is None:
        raise UserError("--resume: keeps finished shards beside the file of --out", fix="give --out FILE")
    return out.with_name(f"{out.name}.parts")


def checked_bits(bits: int | None) -> int | None:
    """Return what ``--bits`` says. Raises UserError for a depth that no camera has."""
    if bits not in (None, 10, 12, 14, 16):
        raise UserError("--bits", received=bits, expected="10, 12, 14 or 16")
    return bits


def declared_bits(bits: int | None, source: SourceConfig) -> int | None:
    """Return ``--bits`` or, without it, what the line's own source declares about its files."""
    asked = checked_bits(bits)
    return source.bits if asked is None and isinstance(source, RecordedConfig) else asked
