"""What becomes of a threshold elsewhere (pure): each condition's own threshold on the frames of every condition.

A shift of the light or the camera spoils the threshold before it spoils the ranking, so each cell tells false rejects and
recall at its row's threshold beside the AUROC.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from edge.models.evaluate.ranking import auroc, steps, threshold_at
from edge.models.evaluate.scored import Scored, columns
from edge.models.evaluate.summary import interval, share


def matrix(
    rows: Mapping[str, tuple[Sequence[Scored], Sequence[Scored]]], tag: str, rate: float, *, replicates: int, seed: int
) -> dict[str, Any]:
    """``rows``: for each value of ``tag`` the frames that its threshold is taken from, and all judged frames as its model
    scored them. ``rate``: share of good frames that the threshold may reject where it is taken.

    The average relative drop is that of the AUROC from a row's own condition to the others, (own - other) / own.
    """
    names = sorted(rows)
    cells, thresholds, drops = [], {}, []
    for row in names:
        taken_from, frames = rows[row]
        threshold = threshold_at(np.array([f.score for f in taken_from if f.score is not None and not f.is_bad]), rate)
        thresholds[row] = {"value": threshold, "frames": sum(not f.is_bad for f in taken_from)}
        own = math.nan
        by_column = {}
        for column in names:
            here = [frame for frame in frames if frame.tags.get(tag) == column]
            by_column[column] = _cell(here, threshold, replicates, seed)
            if column == row:
                own = by_column[column]["auroc"]["value"]
        for column in names:
            value = by_column[column]["auroc"]["value"]
            if column != row and own > 0 and not math.isnan(value):
                drops.append((own - value) / own)
            cells.append({"row": row, "column": column, **by_column[column]})
    return {
        "tag": tag,
        "values": names,
        "rate": rate,
        "thresholds": thresholds,
        "cells": cells,
        "average_relative_drop": float(np.mean(drops)) if drops else math.nan,
    }


def _cell(frames: Sequence[Scored], threshold: float, replicates: int, seed: int) -> dict[str, Any]:
    data = columns(frames)
    value = auroc(steps(data.scores, data.bad)) if len(data.scores) else math.nan
    low, high = (math.nan, math.nan) if math.isnan(value) else interval(auroc, data, replicates, seed)

    def rejected(frame: Scored) -> bool:
        return frame.score is None or frame.score >= threshold

    return {
        "auroc": {"value": value, "low": low, "high": high},
        "false_rejects": asdict(share([f for f in frames if not f.is_bad], rejected)),
        "recall": asdict(share([f for f in frames if f.is_bad], rejected)),
    }
