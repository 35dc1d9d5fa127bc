"""The course of a line's statistics: every whole block of measured frames, in columns as a chart wants them (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from edge.drift.statistics import STATISTICS

MOST_POINTS: Final = 1500
"""Points of a course; a longer one is thinned, and says how."""
MEANT: Final = {
    "log_gain": "contrast of the light against the reference",
    "offset": "brightness added to every pixel",
    "shift_x": "where the part lies, across",
    "shift_y": "where the part lies, down",
    "rotation": "how the part is turned",
    "scale": "how large the part looks",
    "clipped": "pixels at black or white",
    "edges_x": "sharpness of edges across",
    "edges_y": "sharpness of edges down",
    "edges_diagonal": "sharpness of one diagonal against the other",
    "noise": "fine noise where the part is flat",
    "tilt_x": "light that rises across",
    "tilt_y": "light that rises down",
    "low_residual": "large soft differences",
    "mid_on_part": "differences of a few px on the part",
    "mid_off_part": "differences of a few px around the part",
    "bright": "the brightest differences",
    "dark": "the darkest differences",
    "disagreement": "how little the picture is like the reference",
}
"""What each statistic measures, for people; docs/drift.md has more."""
_Block = Mapping[str, Any]
"""``begun_ns``, ``ended_ns``, and ``statistics``: median, low and high of each, as ``state`` has it."""


def course(blocks: Iterable[_Block], most: int = MOST_POINTS) -> dict[str, Any]:
    """Return moments and columns of these blocks, oldest first, each block once, though log and memory both have it.

    ``every``: one block of so many is in the columns; the newest always is. Whatever isn't whole is left out: a log may
    hold anything.
    """
    whole = {block["ended_ns"]: block for block in blocks if _is_whole(block)}
    moments = sorted(whole)
    every = max(1, -(-len(moments) // most))
    moments = moments[::-1][::every][::-1]
    columns = []
    for statistic in STATISTICS:
        rows = [whole[moment]["statistics"].get(statistic.name) for moment in moments]
        if any(row is not None for row in rows):
            values, lows, highs = ([None if row is None else row[at] for row in rows] for at in range(3))
            columns.append(
                {
                    "name": statistic.name,
                    "unit": statistic.unit,
                    "meant": MEANT[statistic.name],
                    "median": values,
                    "low": lows,
                    "high": highs,
                }
            )
    return {"ended_ns": moments, "every": every, "statistics": columns}


def _is_whole(block: _Block) -> bool:
    try:
        rows = block["statistics"].values()
        return isinstance(block["ended_ns"], int) and all(
            len(row) == 3 and all(isinstance(value, (int, float)) for value in row) for row in rows
        )
    except (KeyError, TypeError, AttributeError):
        return False
