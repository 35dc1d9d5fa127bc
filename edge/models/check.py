"""Whether a bundle gives the numbers of the model that it was built from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge.errors import UserError
from edge.models import graphs

LARGEST_DIFFERENCE = 1e-4
"""Of the map's range; float32 sums in another order stay below 1e-5."""


@dataclass(frozen=True, slots=True)
class Check:
    """``difference``: the largest one, as a share of the map's range ``low`` to ``high`` over the pictures of the check.

    ``not_finite``: names of the pictures whose map has NaN or infinity, in the original too.
    """

    pictures: int
    difference: float
    low: float
    high: float
    not_finite: tuple[str, ...]


def compare(
    built: onnx.ModelProto,
    pictures: Mapping[str, NDArray[Any]],
    expected: Sequence[Mapping[str, NDArray[Any]]],
    tensors: Sequence[str],
    path: Path,
) -> Check:
    """Run the bundle's graph on ``pictures`` and compare ``map`` (and ``score``) with the original's ``tensors``.

    Raises:
        UserError: they differ by more than 1e-4 of the map's range, one is finite where the other isn't, or the map is
            nowhere finite on any picture.
    """
    session = graphs.session(built, f"the bundle of {path}")
    given = [graphs.run(session, picture[None]) for picture in pictures.values()]
    values = np.concatenate([run[tensors[0]].ravel() for run in expected])
    values = values[np.isfinite(values)]
    if not values.size:
        raise UserError(
            f"{path}: the model's map is NaN or infinite on every picture",
            received=f"tried on {', '.join(pictures)}",
            expected="finite numbers",
            fix="export the model again, or look for a division by 0 in it (statistics that were never fitted, say)",
        )
    low, high = float(values.min()), float(values.max())
    difference = 0.0
    for got, want in zip(given, expected, strict=True):
        for name, tensor in zip(("map", "score"), tensors, strict=False):
            difference = max(difference, _difference(got[name], want[tensor], high - low))
    if not difference <= LARGEST_DIFFERENCE:
        raise UserError(
            f"{path}: the bundle gives other numbers than the model",
            received=f"a difference of {difference:.2g} of the map's range",
            expected=f"at most {LARGEST_DIFFERENCE:g}",
        )
    blind = tuple(name for name, got in zip(pictures, given, strict=True) if not np.isfinite(got["map"]).all())
    return Check(len(pictures), difference, low, high, blind)


def _difference(got: NDArray[Any], want: NDArray[Any], map_range: float) -> float:
    """Largest one as a share of the map's range, or of the values where those are larger (a score has its own)."""
    got, want = got.ravel(), want.ravel()[: got.size]  # a frozen batch gives its one picture more than once
    finite = np.isfinite(want)
    if not np.array_equal(finite, np.isfinite(got)):
        return float("inf")
    scale = max(map_range, float(np.abs(want[finite]).max(initial=0.0)) if want.size == 1 else 0.0) or 1.0
    return float(np.abs(got - want)[finite].max(initial=0.0)) / scale
