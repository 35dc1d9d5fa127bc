"""Figures of one model on one set, each with its interval over parts: ranking, verdicts, kinds, sizes, contrasts,
places.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.models.evaluate.intervals import Interval, bootstrap, part_share_interval
from edge.models.evaluate.pixels import PixelCurves
from edge.models.evaluate.ranking import (
    auroc,
    average_precision,
    best_f1,
    false_rejects_at_recall,
    recall_at_false_rejects,
    steps,
)
from edge.models.evaluate.scored import Columns, MaskDefect, Scored, cell, columns, contrast_class, size_class

RATES = (0.01, 0.05)
"""False-reject rates at which recall is reported."""
RECALLS = (0.95, 1.0)
"""Recalls at which false rejects are reported."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its interval; NaN if it isn't defined. ``count``: frames or defects, ``parts``: different parts."""

    value: float
    low: float
    high: float
    count: int
    parts: int


def ranking(frames: Sequence[Scored], *, replicates: int, seed: int) -> dict[str, Any]:
    """Image metrics over the frames that have a score."""
    data = columns(frames)
    ranked = steps(data.scores, data.bad)
    f1, threshold = best_f1(ranked)

    def figure(metric: Callable[[Any], Any]) -> dict[str, Any]:
        return asdict(_figure(metric, data, replicates, seed))

    return {
        "auroc": figure(auroc),
        "average_precision": figure(average_precision),
        "f1_max": {"value": f1, "threshold": threshold},
        "recall_at_false_rejects": [
            {"rate": rate, **figure(partial(recall_at_false_rejects, rate=rate))} for rate in RATES
        ],
        "false_rejects_at_recall": [
            {"recall": recall, **figure(partial(false_rejects_at_recall, recall=recall))} for recall in RECALLS
        ],
    }


def pixel_figures(curves: PixelCurves, frames: Sequence[Scored], *, replicates: int, seed: int) -> dict[str, Any]:
    """Pixel metrics with their intervals."""
    metrics = curves.metrics()
    defective = {frame.part: False for frame in frames}
    for frame in frames:
        defective[frame.part] |= frame.is_bad
    intervals = curves.intervals(defective, replicates=replicates, seed=seed)
    values = {
        name: {"value": getattr(metrics, name), "low": intervals[name][0], "high": intervals[name][1]} for name in intervals
    }
    return {
        **values,
        "regions": metrics.regions,
        "defective_pixels": metrics.defective_pixels,
        "pixels": metrics.pixels,
        "tie_bound": metrics.tie_bound,
    }


def verdicts(frames: Sequence[Scored]) -> dict[str, Any]:
    """What the line's own verdicts did: false rejects, recall, invalid frames."""
    good = [frame for frame in frames if not frame.is_bad]
    bad = [frame for frame in frames if frame.is_bad]
    return {
        "false_rejects": asdict(share(good, lambda frame: frame.verdict != "pass")),
        "recall": asdict(share(bad, lambda frame: frame.verdict != "pass")),
        "invalid": Counter(frame.reason or "invalid" for frame in frames if frame.verdict == "invalid"),
    }


def share(frames: Sequence[Scored], test: Callable[[Scored], bool]) -> Figure:
    """The share of frames that pass a test, with the exact interval for as many trials as there are parts."""
    hits = np.array([test(frame) for frame in frames], bool)
    return _share(hits, [frame.part for frame in frames])


def by_kind(frames: Sequence[Scored], *, replicates: int, seed: int) -> list[dict[str, Any]]:
    """For each kind: recall of frames by the verdict, and AUROC against all good frames."""
    good = [frame for frame in frames if not frame.is_bad]
    rows = []
    for kind in sorted({name for frame in frames if frame.is_bad for name in frame.kind.split("+")}):
        own = [frame for frame in frames if frame.is_bad and kind in frame.kind.split("+")]
        data = columns([*own, *good])
        rows.append(
            {
                "kind": kind,
                "recall": asdict(share(own, lambda frame: frame.verdict != "pass")),
                "auroc": asdict(_figure(auroc, data, replicates, seed)),
            }
        )
    return rows


def by_defect(frames: Sequence[Scored]) -> dict[str, list[dict[str, Any]]]:
    """Recall of single defects by their size, contrast and place; empty if nobody drew masks."""
    pairs = [(frame.part, defect) for frame in frames for defect in frame.defects]
    return {
        "size": _classes(pairs, lambda d: size_class(d.area_px), lambda d: d.area_px),
        "contrast": _classes(pairs, lambda d: contrast_class(d.contrast), lambda d: abs(d.contrast)),
        "place": _classes(pairs, lambda d: cell(d.place), lambda d: 3 * int(3 * d.place[1]) + int(3 * d.place[0])),
    }


def by_tag(frames: Sequence[Scored], tag: str, *, replicates: int, seed: int) -> list[dict[str, Any]]:
    """For each value of a tag: AUROC, false rejects and recall of its frames."""
    rows = []
    for value in sorted({frame.tags.get(tag, "none") for frame in frames}):
        own = [frame for frame in frames if frame.tags.get(tag, "none") == value]
        data = columns(own)
        judged = verdicts(own)
        rows.append(
            {
                "value": value,
                "auroc": asdict(_figure(auroc, data, replicates, seed)),
                "false_rejects": judged["false_rejects"],
                "recall": judged["recall"],
            }
        )
    return rows


def false_positives(frames: Sequence[Scored]) -> dict[str, Any]:
    """Regions on good frames, and regions beside the defects of defective ones, grouped by place and by look."""
    good = [(frame, region) for frame in frames if not frame.is_bad for region in frame.regions]
    beside = [(frame, region) for frame in frames if frame.is_bad for region in frame.regions if region.right is False]
    groups = Counter((region.where, region.look) for _, region in good)
    examples: dict[tuple[str, str], str] = {}
    for frame, region in sorted(good, key=lambda pair: -pair[1].score_max):
        examples.setdefault((region.where, region.look), frame.file)
    rows = [
        {"where": where, "look": look, "regions": count, "worst": examples[where, look]}
        for (where, look), count in groups.most_common()
    ]
    return {
        "regions_on_good_frames": len(good),
        "regions_beside_defects": len(beside),
        "by_where": dict(Counter(region.where for _, region in good).most_common()),
        "groups": rows,
    }


def _classes(
    pairs: Iterable[tuple[str, MaskDefect]], name: Callable[[MaskDefect], str], key: Callable[[MaskDefect], float]
) -> list[dict[str, Any]]:
    groups: dict[str, list[tuple[str, MaskDefect]]] = {}
    for part, defect in sorted(pairs, key=lambda pair: key(pair[1])):
        groups.setdefault(name(defect), []).append((part, defect))
    rows = []
    for label, members in groups.items():
        hits = np.array([defect.found for _, defect in members], bool)
        rows.append({"class": label, "recall": asdict(_share(hits, [part for part, _ in members]))})
    return rows


def _share(hits: NDArray[np.bool_], parts: Sequence[str]) -> Figure:
    if not len(hits):
        return Figure(math.nan, 0.0, 1.0, 0, 0)
    numbers = np.unique(np.array(parts, object), return_inverse=True)[1]
    low, high = part_share_interval(hits, numbers)
    return Figure(float(hits.mean()), low, high, len(hits), len(set(parts)))


def _figure(metric: Callable[[Any], Any], data: Columns, replicates: int, seed: int) -> Figure:
    value = float(metric(steps(data.scores, data.bad)))
    low, high = interval(metric, data, replicates, seed) if not math.isnan(value) else (math.nan, math.nan)
    return Figure(value, low, high, len(data.scores), len(np.unique(data.parts)))


def interval(metric: Callable[[Any], Any], data: Columns, replicates: int, seed: int) -> Interval:
    """Bootstrap interval of an image metric."""
    return bootstrap(
        lambda weights: metric(steps(data.scores, data.bad, weights)),
        data.parts,
        data.bad,
        replicates=replicates,
        seed=seed,
    )


def plain(value: Any) -> Any:
    """The same with NaN as null and mappings as plain ones, for JSON."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return None if math.isnan(value) else float(value)
    if isinstance(value, np.integer):
        return int(value)
    return value
