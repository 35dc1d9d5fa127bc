"""Maps are smoothed here, inside the pixels that take part."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config.regions import SmoothConfig
from edge.regions.plan import RegionPlan


def smooth_inside(values: NDArray[np.float32], plan: RegionPlan) -> NDArray[np.float32]:
    """(n,) the smoothed values that ``high`` and ``low`` are compared with, row by row; valid until the next call.

    Those inside ROI and border, without the zones that have thresholds of their own.
    """
    smoothed: NDArray[np.float32] = smooth_window(values, plan)[plan.inner]
    return smoothed.ravel() if plan.ruled is None else smoothed[plan.ruled]


def peak_inside(values: NDArray[np.float32], plan: RegionPlan) -> tuple[int, int]:
    """Column and row of the highest of ``smooth_inside``'s values, the first of equals; there must be one."""
    at = int(np.argmax(smooth_inside(values, plan)))
    rows, columns = plan.box
    if plan.ruled is not None:
        at = int(np.flatnonzero(plan.ruled)[at])
    y, x = divmod(at, columns.stop - columns.start)
    return x + columns.start, y + rows.start


def nearest_to_high(values: NDArray[np.float32], plan: RegionPlan) -> tuple[float, float]:
    """Smoothed value and the ``high`` in force there, at the pixel inside where the one is highest above the other.

    The value is below that ``high`` exactly where no pixel of the map reaches its threshold.
    """
    smoothed = smooth_window(values, plan)
    above = np.where(plan.inside_window, smoothed - plan.high, -np.inf)
    at = np.unravel_index(np.argmax(above), above.shape)
    return float(smoothed[at]), float(np.broadcast_to(plan.high, above.shape)[at])


def smooth(
    values: NDArray[np.float32], config: SmoothConfig, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """(h, w) smoothed as ``config`` says, into ``out`` where it is given; at its edges as OpenCV has it."""
    if config.kind == "median":
        return np.asarray(cv2.medianBlur(values, config.size, dst=out), np.float32)
    size = config.size, config.size
    if config.kind == "gaussian":
        return np.asarray(cv2.GaussianBlur(values, size, config.sigma or 0.0, dst=out), np.float32)
    return np.asarray(cv2.blur(values, size, dst=out), np.float32)


def smooth_window(values: NDArray[np.float32], plan: RegionPlan) -> NDArray[np.float32]:
    """C-contiguous, of ``plan.window``, right inside ``plan.box``: the window holds all that smoothing reaches."""
    window, config, out = values[plan.window], plan.config.smooth, plan.smooth_window
    if config is None:
        if window.flags.c_contiguous:
            return window
        np.copyto(out, window)
        return out
    return smooth(window, config, out)
