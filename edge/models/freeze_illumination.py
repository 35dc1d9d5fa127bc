"""Illumination statistics are frozen on good frames, each step's on pictures as the steps before it leave them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config.bundle_spec import BundleSpec, InputSpec, ResizeSpec
from edge.config.illumination_spec import FrozenSpec, IlluminationSpec
from edge.errors import UserError
from edge.frames import Frame, Skip
from edge.preprocess import lookup_tables as levels
from edge.preprocess.illumination import balance, channel_values, stretched
from edge.preprocess.prepare import Workspace, prepare


def frozen(
    declared: IlluminationSpec, channels: Literal[1, 3], frames: Iterable[Frame | Skip], mend: str
) -> IlluminationSpec:
    """Return ``declared`` with the statistics that it still lacks for pictures of so many channels; skips are passed over.

    White balance: the mean of the frames' channel means, or the median of their maxima. Stretch: percentiles of the pixels
    of all frames together. ``frames`` are gone through once for each, so they must be iterable anew. ``mend``: how to give
    frames, for the error.

    Raises:
        UserError: there is no frame.
    """
    missing = declared.missing(channels)
    if not missing:
        return declared
    if iter(frames) is frames:
        raise TypeError("frames are read more than once: a list or the like, no generator")
    statistics = declared.frozen or FrozenSpec(frames=1)
    gains, stretch, count = statistics.gains, statistics.levels, 0
    if "white_balance" in missing:
        kind = declared.white_balance
        values = np.array([channel_values(kind, p) for p in _planes(frames, channels, None)]).reshape(-1, channels)
        _check_some(count := len(values), missing, mend)
        gains = balance(kind, (values.mean(axis=0) if kind == "gray_world" else np.median(values, axis=0)).tolist())
    if "contrast_stretch" in missing and declared.contrast_stretch is not None:
        totals, count = np.zeros((channels, 256)), 0
        for planes in _planes(frames, channels, _before_stretch(declared, gains)):
            totals += [levels.histogram(plane) for plane in planes]
            count += 1
        _check_some(count, missing, mend)
        stretch = tuple(stretched(declared.contrast_stretch, histogram) for histogram in totals)
    measured = FrozenSpec(frames=count, gains=gains if channels == 3 else None, levels=stretch)
    return declared.model_copy(update={"frozen": measured})


def _before_stretch(declared: IlluminationSpec, gains: tuple[float, ...] | None) -> IlluminationSpec | None:
    known = None if gains is None else FrozenSpec(frames=1, gains=gains)
    before = declared.model_copy(update={"contrast_stretch": None, "frozen": known})
    named = (before.homomorphic, before.clahe, before.gamma, gains)
    return None if all(step is None for step in named) else before


def _planes(
    frames: Iterable[Frame | Skip], channels: Literal[1, 3], steps: IlluminationSpec | None
) -> Iterator[Sequence[NDArray[np.uint8]]]:
    """Channels of each frame as the bundle takes them, after ``steps``; valid until the next."""
    spec = BundleSpec(name="-", input=InputSpec(channels=channels, size="any"), resize=ResizeSpec(where="none"))
    spec = spec.model_copy(update={"illumination": steps})
    workspace = Workspace()
    for frame in frames:
        if isinstance(frame, Frame):
            yield [np.asarray(p, np.uint8) for p in cv2.split(prepare(frame, spec, workspace).image)]


def _check_some(count: int, missing: Sequence[str], mend: str) -> None:
    if not count:
        raise UserError(
            f"illumination: statistics of {' and '.join(missing)} are frozen on good frames",
            received="no frame",
            fix=f"{mend}, or say statistics: per_frame",
        )
