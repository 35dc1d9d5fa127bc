"""Several commands share these options."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

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
    Literal[10, 12, 14, 16] | None,
    typer.Option(help="Bits that count in frames of 16. Default: as the files say, else all."),
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


def completing(words: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Return what a shell completes by: the words that begin with what stands there. They are listed when asked for."""
    return lambda incomplete: [word for word in words() if word.startswith(incomplete)]


def declared_bits(bits: int | None, source: SourceConfig) -> int | None:
    """Return ``--bits`` or, without it, what the line's own source declares about its files."""
    return source.bits if bits is None and isinstance(source, RecordedConfig) else bits
