"""Options of ``edge train`` that belong together, and what is refused where one stands without the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from edge.errors import UserError
from edge.models.train.augment import AugmentRow
from edge.shift.coverage import AugmentSpec, coverage, mended, read_measured

_OF_NETWORK: Final = ("start", "ssl", "alone")
"""What the preset that trains a head on kept features doesn't know."""


def check_of_network(preset: str, given: Mapping[str, Any]) -> None:
    """Refuse options that only a network has for the preset that trains a head; None is not given."""
    frames = {"ssl": "pretrain"}
    names = [f"--{frames.get(name, name)}" for name, value in given.items() if value and name in _OF_NETWORK]
    if preset == "minute" and names:
        raise UserError(
            f"{', '.join(names)}: of a network that learns from pixels",
            received="--preset minute, which trains a head on the memory's own features",
            expected="--preset hour or night",
        )


def chosen_way(option: str, way: str | None, needs: str, frames: Path | None, default: str) -> str | None:
    """Return how the frames are used; None without frames. Raises UserError for a way without frames."""
    if frames is None and way is not None:
        raise UserError(f"{option} {way}: without frames to do it with", fix=f"give {needs} FRAMES, too")
    return None if frames is None else way or default


def measured_ranges(path: Path) -> tuple[AugmentRow, ...]:
    """Return ranges that cover what ``edge shift`` measured. Raises UserError where that is nothing."""
    nothing = AugmentSpec()
    ranges = mended(nothing, coverage(nothing, read_measured(path))).augment
    if not ranges:
        raise UserError(
            f"{path}: nothing was measured that training pictures could be given",
            expected="at least one cause above its weakest step",
            fix="train without --augment-from",
        )
    return tuple(AugmentRow(name, row.low, row.high, row.share) for name, row in ranges.items())
