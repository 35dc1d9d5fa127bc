"""The threshold of the image score is measured by the rule that gives ``high``, over the same frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from edge.errors import UserError
from edge.models.calibrate.thresholds import ScoreResult, capped, check_headroom, choose_high, rejections
from edge.models.robust_outliers import find_outliers


def calibrate_score(
    scores: Sequence[tuple[str, float | None]],
    left_out: Sequence[str] = (),
    *,
    false_rejects: float = 0.001,
    outliers: Literal["refuse", "leave_out", "keep"] = "refuse",
    reach: Callable[[], float] | None = None,
    highest: float | None = None,
) -> ScoreResult | None:
    """The threshold of the score; None if there is no score to measure.

    ``scores``: each frame's name and score. ``left_out``: names of frames that the maps left out already. ``outliers``:
    what to do with frames whose score is unlike the others'; they are refused only where one would set the threshold.
    ``reach``, ``highest``: as for the map in ``calibrate``.

    Raises:
        UserError: an outlier would set the threshold, or the score is cut off at a value that good frames reach.
    """
    used = [(name, score) for name, score in scores if score is not None and name not in left_out]
    found = find_outliers(used)
    if outliers == "leave_out":
        names = {outlier.name for outlier in found}
        used = [(name, score) for name, score in used if name not in names]
    values = [score for _, score in used]
    if not values or not np.isfinite(values).all() or (max(values) == min(values) and max(values) <= 0):
        return None
    check_headroom(values, false_rejects, reach if highest is None else lambda: highest, "score")
    high, _ = capped(*choose_high(values, false_rejects, None), highest, values, "score")
    setting = [outlier for outlier in found if outlier.maximum < high]
    if outliers == "refuse" and setting:
        raise UserError(
            f"{setting[0].name}: its score is unlike the other good frames', and sets score.high",
            received=f"{high:.4g}; its score is {setting[0].z:.0f} times the usual spread",
            expected="good frames alone: a defect among them would pass from then on",
            fix="look at it, then say --leave-out-outliers, or --keep-outliers if it is good",
        )
    gone = tuple(outlier.name for outlier in found) if outliers == "leave_out" else ()
    return ScoreResult(high, len(values), found, gone, rejections(values, high, None))
