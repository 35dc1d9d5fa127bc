"""What a line produced is gathered from its records: outcomes over time, latency, defects by kind, size and place."""

from __future__ import annotations

import bisect
import math
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.report.log_summary import Summary

SHAPES: Final = ("compact", "long", "irregular")
_LONG, _SOLID = 3.0, 0.7
"""A region is long from this aspect ratio on; of the others one below this solidity is irregular."""
SHAPE_WORDS: Final = (
    f"long: {_LONG:g} times as long as wide or more, as scratches are; irregular: fills less than {_SOLID:.0%} of its "
    "convex hull, as stains and bent scratches do; compact: all others."
)
SIZES_PX: Final = (10, 100, 1_000, 10_000)
"""Areas in px of the frame at which the size classes change."""
STEPS_S: Final = (10, 60, 300, 900, 3_600, 14_400, 86_400)
_MOST_STEPS: Final = 200
OUTCOMES: Final = ("pass", "fail", "invalid", "skipped")


@dataclass(slots=True)
class Production:
    """A production is filled with ``add``. Times are ``created_ns``, of replayed records ``received_ns``: a recording keeps
    its own. ``summary`` counts what ``edge log`` counts.
    """

    summary: Summary
    cameras: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    simulated: int = 0
    kinds: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Regions by shape and number of the size class."""
    worst_of_kind: dict[str, float] = field(default_factory=dict)
    _times: array[int] = field(default_factory=lambda: array("q"))
    _outcomes: array[int] = field(default_factory=lambda: array("b"))
    _counts: array[int] = field(default_factory=lambda: array("q"))
    _total_ms: array[float] = field(default_factory=lambda: array("f"))
    _shares: array[float] = field(default_factory=lambda: array("f"))
    _places: array[float] = field(default_factory=lambda: array("f"))

    def add(self, record: Mapping[str, Any]) -> None:
        """Count a record."""
        made = record["received_ns" if record["simulated"] else "created_ns"]
        self.summary.add({**record, "created_ns": made})
        self.cameras[record["camera"]] += 1
        self.models[record["model"]["name"]] += 1
        self.simulated += bool(record["simulated"])
        skip = record["kind"] == "skip"
        self._times.append(made)
        self._outcomes.append(OUTCOMES.index("skipped" if skip else record["verdict"]))
        self._counts.append(record["count"] if skip else 1)
        if skip:
            self._total_ms.append(math.nan)
            self._shares.append(math.nan)
            return
        self._total_ms.append(record["latency_ms"]["total"])
        highest, high = record.get("map_max"), record.get("threshold")
        known = record["verdict"] == "pass" and highest is not None and high is not None and high > 0
        self._shares.append(float(highest) / float(high) if known else math.nan)  # type: ignore[arg-type]
        for region in record["regions"]:
            self._see(region)

    def _see(self, region: Mapping[str, Any]) -> None:
        shape = shape_of(region)
        self.kinds[shape, bisect.bisect_right(SIZES_PX, region["area_px"])] += 1
        if region["score_max"] is not None:
            self.worst_of_kind[shape] = max(self.worst_of_kind.get(shape, -math.inf), region["score_max"])
        x0, y0, x1, y1 = region["bbox_xyxy"]
        self._places.extend((x0, y0, x1, y1))

    @property
    def records(self) -> int:
        return len(self._times)

    @property
    def boxes(self) -> NDArray[np.float32]:
        """Return the regions' boxes, (n, 4): x0, y0, x1, y1 in px of the frame."""
        return np.frombuffer(self._places, np.float32).reshape(-1, 4) if self._places else np.empty((0, 4), np.float32)

    def over_time(self) -> OverTime:
        """Return counts, latency and the map's share of the threshold in steps of time, 200 at most."""
        times = np.frombuffer(self._times, np.int64)
        first, last = int(times.min()), int(times.max())
        step_s = next((s for s in STEPS_S if (last - first) / 1e9 / s <= _MOST_STEPS), STEPS_S[-1])
        step = step_s * 1_000_000_000
        start = first - first % step
        at = (times - start) // step
        count = int(at.max()) + 1
        outcomes, frames = np.frombuffer(self._outcomes, np.int8), np.frombuffer(self._counts, np.int64)
        verdicts = {
            name: np.bincount(at[outcomes == code], frames[outcomes == code], minlength=count).astype(np.int64)
            for code, name in enumerate(OUTCOMES)
        }
        starts = start + step * np.arange(count, dtype=np.int64)
        return OverTime(
            step_s,
            starts,
            verdicts,
            _quantiles(at, np.frombuffer(self._total_ms, np.float32), count),
            _quantiles(at, np.frombuffer(self._shares, np.float32), count),
        )


@dataclass(frozen=True, slots=True)
class OverTime:
    """Steps of ``step_s`` begin at ``starts``, (n,) UTC ns. ``frames`` counts each outcome, (n,). ``total_ms`` and
    ``share`` are (n, 2), median and 95th percentile of the latency and of ``map_max / threshold`` of
    passes; NaN if none was.
    """

    step_s: int
    starts: NDArray[np.int64]
    frames: Mapping[str, NDArray[np.int64]]
    total_ms: NDArray[np.float64]
    share: NDArray[np.float64]


def shape_of(region: Mapping[str, Any]) -> str:
    """Name a region's shape by its aspect ratio and solidity."""
    aspect, solidity = region.get("aspect_ratio"), region.get("solidity")
    if aspect is not None and aspect >= _LONG:
        return "long"
    return "irregular" if solidity is not None and solidity < _SOLID else "compact"


def size_words(number: int) -> str:
    """Write a size class as ``100 to 1,000 px``."""
    if number == 0:
        return f"below {SIZES_PX[0]:,} px"
    if number == len(SIZES_PX):
        return f"{SIZES_PX[-1]:,} px and more"
    return f"{SIZES_PX[number - 1]:,} to {SIZES_PX[number]:,} px"


def places(boxes: NDArray[np.float32], frame: tuple[float, float], across: int) -> NDArray[np.int64]:
    """Count the boxes over each cell of a grid that has ``across`` cells over the frame's width, (rows, across).

    ``frame`` is its width and height; cells are about square. A box counts once in each cell that it touches.
    """
    width, height = frame
    rows = max(1, round(across * height / width))
    steps = np.zeros((rows + 1, across + 1), np.int64)
    if len(boxes):
        x0, x1 = (np.clip((boxes[:, k] * across / width), 0, across) for k in (0, 2))
        y0, y1 = (np.clip((boxes[:, k] * rows / height), 0, rows) for k in (1, 3))
        left, top = np.minimum(np.floor(x0).astype(int), across - 1), np.minimum(np.floor(y0).astype(int), rows - 1)
        right, bottom = np.maximum(np.ceil(x1).astype(int), left + 1), np.maximum(np.ceil(y1).astype(int), top + 1)
        for y, x, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
            np.add.at(steps, (y, x), sign)
    return np.asarray(steps.cumsum(axis=0).cumsum(axis=1)[:rows, :across], np.int64)


def _quantiles(at: NDArray[np.int64], values: NDArray[np.float32], count: int) -> NDArray[np.float64]:
    """Return median and 95th percentile of the finite values of each step, (count, 2)."""
    found = np.full((count, 2), np.nan)
    known = np.isfinite(values)
    steps, kept = at[known], values[known]
    order = np.lexsort((kept, steps))
    steps, kept = steps[order], kept[order]
    bounds = np.searchsorted(steps, np.arange(count + 1))
    for step in np.flatnonzero(np.diff(bounds)):
        part = kept[bounds[step] : bounds[step + 1]]
        found[step] = part[len(part) // 2], part[min(int(0.95 * len(part)), len(part) - 1)]
    return found
