"""Maps are smoothed here, inside the pixels that take part."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config.regions import SmoothConfig
from edge.regions.plan import RegionPlan


def smooth_inside(values: NDArray[np.float32], plan: RegionPlan) -> NDArray[np.float32]:
    """Return (n,): the smoothed values that ``high`` and ``low`` are compared with, row by row; valid until the next call.

    They are the values inside ROI and border, without the zones that have thresholds of their own.
    """
    smoothed: NDArray[np.float32] = smooth_window(values, plan)[plan.inner]
    return smoothed.ravel() if plan.ruled is None else smoothed[plan.ruled]


def peak_inside(values: NDArray[np.float32], plan: RegionPlan) -> tuple[int, int]:
    """Return column and row of the highest of ``smooth_inside``'s values, the first of equals; there must be at least
    one.
    """
    at = int(np.argmax(smooth_inside(values, plan)))
    rows, columns = plan.box
    if plan.ruled is not None:
        at = int(np.flatnonzero(plan.ruled)[at])
    y, x = divmod(at, columns.stop - columns.start)
    return x + columns.start, y + rows.start


def nearest_to_high(values: NDArray[np.float32], plan: RegionPlan) -> tuple[float, float]:
    """Return the smoothed value and the ``high`` in force at the pixel inside where the value is highest above that
    ``high``.

    The value is below that ``high`` exactly where no pixel of the map reaches its threshold.
    """
    smoothed = smooth_window(values, plan)
    above = np.where(plan.inside_window, smoothed - plan.high, -np.inf)
    at = np.unravel_index(np.argmax(above), above.shape)
    return float(smoothed[at]), float(np.broadcast_to(plan.high, above.shape)[at])


def smooth(
    values: NDArray[np.float32], config: SmoothConfig, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Smooth (h, w) as ``config`` says, into ``out`` if it is given; the map's edges are treated as OpenCV does."""
    if config.kind == "median":
        return np.asarray(cv2.medianBlur(values, config.size, dst=out), np.float32)
    size = config.size, config.size
    if config.kind == "gaussian":
        return np.asarray(cv2.GaussianBlur(values, size, config.sigma or 0.0, dst=out), np.float32)
    return np.asarray(cv2.blur(values, size, dst=out), np.float32)


def smooth_window(values: NDArray[np.float32], plan: RegionPlan) -> NDArray[np.float32]:
    """Return the smoothed ``plan.window``, C-contiguous and right inside ``plan.box``: the window holds all that smoothing
    reaches.
    """
    window, config, out = values[plan.window], plan.config.smooth, plan.smooth_window
    if config is None:
        if window.flags.c_contiguous:
            return window
        np.copyto(out, window)
        return out
    return smooth(window, config, out)
