"""Fits for tests of other rooms: the ``pixel`` method, without a self-test."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnx

from edge.config.bundle import Bundle
from edge.config.bundle_spec import BundleSpec
from edge.frames import Frame, Skip
from edge.models.fit.fit import FitRun, fit, fit_to_bundle, spec_of
from edge.models.fit.fit_plan import FitRequest
from edge.models.fit.protocol import MethodOptions

_RUN = FitRun(test=False)


def pixel_model(
    frames: Iterable[Frame | Skip], *, name: str = "x", floor: float = 2.0, **keys: Any
) -> tuple[onnx.ModelProto, BundleSpec]:
    """The graph and its spec."""
    fitted = fit(frames, FitRequest(name, method="pixel", options=MethodOptions(floor=floor), **keys), _RUN)
    return fitted.model.graph, spec_of(fitted, keys.get("source", ""))


def pixel_bundle(frames: Iterable[Frame | Skip], folder: Path, *, floor: float = 2.0, **keys: Any) -> Bundle:
    return fit_to_bundle(frames, folder, method="pixel", options=MethodOptions(floor=floor), run=_RUN, **keys)
