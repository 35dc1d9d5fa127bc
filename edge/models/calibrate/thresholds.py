"""Thresholds come from good frames by statistics alone, on the very map that they are compared with.

That map is smoothed, inside ROI and border, without the zones that have thresholds of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, inf
from math import floor as whole
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from edge.models.calibrate.quantile import QuantileSketch
from edge.models.robust_outliers import Outlier, find_outliers
from edge.regions.find import MapNotFinite, map_max
from edge.regions.plan import RegionPlan
from edge.regions.smooth import smooth_inside

DISPLAY = "the bundle's display threshold"
"""What is said of that candidate."""
_TIED = 1e-6
"""Relative difference of maxima below which they are the same."""
_MARGIN = 0.02
_FLOODED = 0.05
"""A low threshold that this share of all good pixels reaches is the background's value, not its upper end."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """How many of the frames a threshold would have rejected."""

    threshold: float
    rejected: int
    why: str


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """What the threshold of the image score rests on, as in ``CalibrationResult``; ``left_out`` for their score alone."""

    high: float
    frames: int
    outliers: tuple[Outlier, ...]
    left_out: tuple[str, ...]
    table: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """A result has ``high``, ``low`` (None: no hysteresis) and what they rest on. ``frames`` counts those that were used.

    ``maxima``: of every frame, in the order of the frames. ``outliers``: highest first; ``left_out``: their names where
    they were left out. ``table``: candidates for ``high``, highest first, over the frames that were used.
    """

    high: float
    low: float | None
    frames: int
    maxima: tuple[tuple[str, float], ...]
    outliers: tuple[Outlier, ...]
    left_out: tuple[str, ...]
    table: tuple[Candidate, ...]
    note: str
    score: ScoreResult | None = None
    """None if the model gives no score, or none that could be measured."""

    @property
    def score_high(self) -> float | None:
        return None if self.score is None else self.score.high

    @property
    def all_left_out(self) -> tuple[str, ...]:
        """Return the names of the frames that were left out, be it for their map or for their score."""
        return self.left_out if self.score is None else (*self.left_out, *self.score.left_out)


class OutlierError(UserError):
    """An outlier among the good frames would set ``high``, and would then pass. ``result``: what was measured with it."""

    def __init__(self, result: CalibrationResult, without: float) -> None:
        worst = result.outliers[0]
        others = len(result.outliers) - 1
        more = f" and {others} more" if others else ""
        what = f"{worst.name}{more}: unlike the other good frames, and sets the threshold"
        received = (
            f"high {result.high:.4g} with it, {without:.4g} without; its maximum is {worst.z:.0f} times the usual spread"
        )
        super().__init__(
            what,
            received=received,
            expected="good frames alone: a defect among them would pass from then on",
            fix="look at it, then say --leave-out-outliers, or --keep-outliers if it is good",
        )
        self.result = result


Measure: TypeAlias = Callable[[Collection[int]], tuple[list[tuple[str, float]], QuantileSketch]]
"""Each frame's name and maximum, and the pixels of all but those at these places of the order."""


def calibrate(
    maps: Callable[[], Iterable[tuple[str, NDArray[np.float32]]]],
    plan: RegionPlan,
    *,
    false_rejects: float = 0.001,
    quantile: float | None = 0.999,
    floor: float | None = None,
    outliers: Literal["refuse", "leave_out", "keep"] = "refuse",
    reach: Callable[[], float] | None = None,
    highest: float | None = None,
    measured: Measure | None = None,
) -> CalibrationResult:
    """Measure the maps that ``maps`` gives, each with its frame's name; a map is used before the next one is asked for.

    ``maps`` is called once more, for the same maps, if there are outliers to be left out.

    ``false_rejects``: share of good frames that may be rejected. ``quantile``: of the pixels, for ``low``; null: no
    hysteresis. ``floor``: ``high`` where all maps are 0 and there is nothing to measure (the bundle's display threshold).
    ``outliers``: what to do with frames that look like no good ones; they are refused only where ``high`` would lie above
    one. ``reach``: asked for where frames share the highest value: what the map reaches on pictures full of contrast.
    ``highest``: the highest value that the map can have at all, where that is known. ``measured``: gives what would be
    measured on the maps, in place of ``maps``.

    Raises:
        OutlierError: an outlier would set ``high``.
        UserError: no frame, a map that is not finite, nothing to measure, more outliers than a set of good frames can have,
            a map that is cut off at a value which good frames reach.
    """
    measured = measured or (lambda left_out: _measured(maps(), plan, left_out))
    maxima, pixels = measured(())
    if not maxima:
        raise _no_frame()
    found = find_outliers(maxima)
    used = [maximum for _, maximum in maxima]
    left_out: tuple[str, ...] = ()
    if outliers == "leave_out" and found:
        indices = _without(found, maxima)
        _, pixels = measured(indices)
        used = [maximum for index, maximum in enumerate(used) if index not in indices]
        left_out = tuple(outlier.name for outlier in found)
    check_headroom(used, false_rejects, reach if highest is None else lambda: highest)
    high, notes = capped(*choose_high(used, false_rejects, floor), highest, used)
    low, low_note = _choose_low(pixels, quantile, high)
    table, note = rejections(used, high, floor), "; ".join(notes + low_note)
    result = CalibrationResult(
        high=high,
        low=low,
        frames=len(used),
        maxima=tuple(maxima),
        outliers=found,
        left_out=left_out,
        table=table,
        note=note,
    )
    if outliers == "refuse" and any(outlier.maximum < high for outlier in found):
        named = {outlier.name for outlier in found}
        rest = [maximum for name, maximum in maxima if name not in named]
        raise OutlierError(result, choose_high(rest, false_rejects, floor)[0])
    return result


def _no_frame() -> UserError:
    return UserError("no frame to calibrate on", expected="good frames: the more, the fewer false rejects can be promised")


def capped(
    high: float, notes: list[str], highest: float | None, used: Sequence[float], what: str = "map"
) -> tuple[float, list[str]]:
    """Bring ``high`` below the highest value that the map, or the score, can have at all.

    Raises:
        UserError: good frames reach that value.
    """
    if highest is None or high <= highest:
        return high, notes
    top = max(used)
    if top >= highest - _TIED * abs(highest):
        raise _cut_off(highest, used, what)
    return (top + highest) / 2, [*notes, f"capped half way to {highest:g}, the highest value that the {what} can have"]


def check_headroom(
    maxima: Sequence[float], false_rejects: float, reach: Callable[[], float] | None, what: str = "map"
) -> None:
    """Raises UserError where more good frames than may be rejected share a value above which the map never comes."""
    ordered = np.sort(np.asarray(maxima, np.float64))
    top = float(ordered[-1])
    tied = int(np.count_nonzero(ordered >= top - _TIED * abs(top)))
    if reach is None or tied <= max(1, whole(len(ordered) * false_rejects)) or reach() > top + _TIED * abs(top):
        return
    raise _cut_off(top, maxima, what)


def _cut_off(top: float, maxima: Sequence[float], what: str) -> UserError:
    tied = sum(maximum >= top - _TIED * abs(top) for maximum in maxima)
    return UserError(
        f"the {what} is cut off at {top:g}, which {tied} of {len(maxima)} good frames reach",
        received="no higher value on noise or shapes either",
        expected=f"a {what} in which a defect stands out: no threshold above that value is ever reached, and one at it "
        "rejects good frames",
        fix=f"build the bundle from a model that gives its {what} in front of what bounds it: a sigmoid or softmax, a "
        "scale from each picture's lowest to its highest value, a comparison",
    )


def _measured(
    maps: Iterable[tuple[str, NDArray[np.float32]]], plan: RegionPlan, left_out: Collection[int] = ()
) -> tuple[list[tuple[str, float]], QuantileSketch]:
    """Each frame's name and maximum, and the pixels of all but those ``left_out``, by their place in the order."""
    maxima: list[tuple[str, float]] = []
    pixels = QuantileSketch()
    for index, (name, values) in enumerate(maps):
        compared = compared_values(name, values, plan)
        maxima.append((name, float(compared.max())))
        if index not in left_out:
            pixels.add(compared)
    return maxima, pixels


def choose_high(maxima: Sequence[float], false_rejects: float, floor: float | None) -> tuple[float, list[str]]:
    """Return the threshold for the wanted share of false rejects, and what to know about it.

    Split conformal prediction: a new good frame exceeds the k-th smallest of n maxima, k = ceil((n + 1) * (1 - share)),
    with at most that share of probability, whatever the distribution (Vovk et al. 2005). A frame fails *at* ``high``, so
    ``high`` is the next float32 above. Fewer frames than 1 / share - 1 have no such k: then 2 % above the highest.

    Raises:
        UserError: all maxima are equal and not above 0, and there is no floor above them.
    """
    ordered = np.sort(np.asarray(maxima, np.float32))
    least, largest, count = float(ordered[0]), float(ordered[-1]), len(ordered)
    same = f"every frame has the same maximum, {largest:g}, as without any camera noise"
    if least == largest <= 0:
        return _nothing_measured(largest, floor), [f"{same}: high is the bundle's display threshold"]
    notes = [same] if count > 1 and least == largest else []
    k = ceil((count + 1) * (1 - false_rejects) - 1e-9)
    if k <= count:
        return float(np.nextafter(ordered[k - 1], np.float32(inf))), notes
    needed = ceil(1 / false_rejects - 1 - 1e-9)
    note = f"{count} frame{'s' * (count > 1)} can't support a false reject rate of {false_rejects:g}, {needed} could: "
    if largest > 0:
        return largest * (1 + _MARGIN), [*notes, note + "high is their maximum times 1.02"]
    return largest + _MARGIN * (largest - least), [note + "high is their maximum plus 2 % of the maxima's spread"]


def _nothing_measured(value: float, floor: float | None) -> float:
    if floor is not None and floor > value:
        return floor
    raise UserError(
        "nothing to measure: the good frames' maps are all the same",
        received=f"maximum {value:g} in every frame",
        expected="frames with the camera's noise",
        fix="record more frames, or set regions.threshold: {high: ..., low: ...} by hand",
    )


def _choose_low(pixels: QuantileSketch, quantile: float | None, high: float) -> tuple[float | None, list[str]]:
    if quantile is None:
        return None, []
    low = pixels.quantile(quantile)
    if pixels.share_from(low) > max(_FLOODED, 2 * (1 - quantile)):
        return None, [f"low is off: the pixels' quantile {quantile:g} is the background's own value, {low:g}"]
    if low > high:
        return high, [f"low is high: the pixels' quantile {quantile:g}, {low:g}, lies above it"]
    return low, []


def rejections(maxima: Sequence[float], high: float, floor: float | None) -> tuple[Candidate, ...]:
    """Return candidates for ``high`` and how many of the frames each would have rejected, highest first."""
    ordered = np.sort(np.asarray(maxima, np.float32))
    count = len(ordered)
    steps = {0, 1, 2, 5, 10, count // 100, count // 20, count // 10}
    beyond = {k: float(np.nextafter(ordered[count - 1 - k], np.float32(inf))) for k in sorted(steps) if k < count}
    chosen = [(high, "high"), *([] if floor is None else [(floor, DISPLAY)])]
    chosen += [(threshold, f"rejects {k / count:.1%}") for k, threshold in beyond.items()]
    candidates: dict[float, Candidate] = {}
    for threshold, why in chosen:
        over = count - int(np.searchsorted(ordered, np.float32(threshold), side="left"))
        candidates.setdefault(threshold, Candidate(threshold, over, why))
    return tuple(sorted(candidates.values(), key=lambda candidate: -candidate.threshold))


def compared_values(name: str, values: NDArray[np.float32], plan: RegionPlan) -> NDArray[np.float32]:
    """The values of a map that thresholds are compared with: smoothed, inside ROI and border, without the zones."""
    try:
        map_max(values, plan)
    except MapNotFinite:
        raise UserError(f"{name}: the model's map has NaN or infinite values", fix="repair or replace the model") from None
    compared = smooth_inside(values, plan)
    if not len(compared):
        raise UserError(
            "regions.zones: nothing is left to calibrate",
            received="zones with thresholds of their own on every pixel inside ROI and border",
            fix="set regions.threshold by hand, or make the zones smaller",
        )
    return compared


def _without(outliers: Sequence[Outlier], maxima: Sequence[tuple[str, float]]) -> set[int]:
    if len(outliers) > len(maxima) // 4:
        raise UserError(
            "too many frames are outliers to be left out",
            received=f"{len(outliers)} of {len(maxima)} frames",
            expected=f"at most {len(maxima) // 4}, as in a set of good frames",
            fix="look at them, and remove the bad ones from the set",
        )
    least = outliers[-1].maximum
    return {index for index, (_, maximum) in enumerate(maxima) if maximum >= least}
