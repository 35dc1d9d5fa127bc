"""Frames that stand out among good ones are found here, by median and median deviation: a few of them move neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np

OUTLIER_Z = 5.0
"""A frame whose maximum lies further above the others', in robust standard deviations, is an outlier. Among many frames
more: maxima have the tail of an extreme value distribution, so the highest of n good ones lies about log(n) / 1.14 up."""
_GUMBEL = 1.137
"""Robust standard deviation of a Gumbel distribution of scale 1."""
_RARE = 2.5
"""The highest of a set of good frames lies so much further up, in units of that scale, once in 12 sets."""


@dataclass(frozen=True, slots=True)
class Outlier:
    """A frame whose maximum is suspiciously high, as that of a defect among the good ones is.

    ``index``: the frame's number among all that were looked through; frames of two folders may share a name.
    """

    name: str
    maximum: float
    z: float
    index: int = 0


def find_outliers(maxima: Sequence[tuple[str, float]]) -> tuple[Outlier, ...]:
    """Frames whose robust z is above 5 (above 8.3 among 1000), highest first.

    z = (maximum - median) / (1.4826 * median absolute deviation); where that deviation is 0, 1.2533 * the mean one
    (Iglewicz and Hoaglin 1993).
    """
    values = np.array([maximum for _, maximum in maxima])
    if not len(values):
        return ()
    limit = max(OUTLIER_Z, (log(len(values)) + _RARE) / _GUMBEL)
    centre = np.median(values)
    deviations = np.abs(values - centre)
    scale = 1.4826 * np.median(deviations) or 1.2533 * deviations.mean()
    if not scale:
        return ()
    z = (values - centre) / scale
    outliers = [
        Outlier(name, maximum, float(score), index)
        for index, ((name, maximum), score) in enumerate(zip(maxima, z, strict=True))
        if score > limit
    ]
    return tuple(sorted(outliers, key=lambda outlier: -outlier.maximum))
