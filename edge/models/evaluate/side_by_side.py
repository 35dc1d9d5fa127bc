"""Two models on the same frames (pure): the difference of each figure with its paired interval, and who caught what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from edge.models.evaluate.intervals import bootstrap
from edge.models.evaluate.ranking import auroc, average_precision, recall_at_false_rejects, steps
from edge.models.evaluate.scored import Scored
from edge.models.evaluate.summary import RATES


def side_by_side(
    first: Sequence[Scored], second: Sequence[Scored], names: tuple[str, str], *, replicates: int, seed: int
) -> dict[str, Any]:
    """Second minus first, on the frames that both have a score for; the same parts are drawn for both."""
    other = {frame.file: frame for frame in second}
    pairs = [(a, b) for a in first if (b := other.get(a.file)) is not None and a.score is not None and b.score is not None]
    bad = np.array([a.is_bad for a, _ in pairs], bool)
    scores = [np.array([pair[i].score for pair in pairs], np.float64) for i in (0, 1)]
    numbers = {part: n for n, part in enumerate(sorted({a.part for a, _ in pairs}))}
    parts = np.array([numbers[a.part] for a, _ in pairs], np.intp)
    metrics: dict[str, Callable[[Any], Any]] = {"auroc": auroc, "average_precision": average_precision}
    for rate in RATES:
        metrics[f"recall_at_{rate:g}_false_rejects"] = partial(recall_at_false_rejects, rate=rate)
    rows = []
    for name, metric in metrics.items():

        def difference(weights: Any, metric: Callable[[Any], Any] = metric) -> Any:
            return metric(steps(scores[1], bad, weights)) - metric(steps(scores[0], bad, weights))

        low, high = bootstrap(difference, parts, bad, replicates=replicates, seed=seed)
        values = [metric(steps(own, bad)) for own in scores]
        rows.append(
            {
                "metric": name,
                "first": values[0],
                "second": values[1],
                "difference": values[1] - values[0],
                "low": low,
                "high": high,
                "told_apart": bool(low > 0 or high < 0),
            }
        )
    return {"names": list(names), "frames": len(pairs), "metrics": rows, "verdicts": _verdicts(pairs)}


def _verdicts(pairs: Sequence[tuple[Scored, Scored]]) -> dict[str, Any]:
    """Frames by who judged them rightly; those that only one did are named."""
    only_first = [a.file for a, b in pairs if not a.is_wrong and b.is_wrong]
    only_second = [a.file for a, b in pairs if a.is_wrong and not b.is_wrong]
    return {
        "both_right": sum(not a.is_wrong and not b.is_wrong for a, b in pairs),
        "both_wrong": sum(a.is_wrong and b.is_wrong for a, b in pairs),
        "only_first_right": only_first,
        "only_second_right": only_second,
    }
