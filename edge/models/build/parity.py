"""Parity is checked here: a bundle must give the numbers of the model that it was built from."""

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
"""Largest difference as a share of the map's range; float32 sums in another order stay below 1e-5."""
_ONE_REGION = 4
"""Pixels of a map that is a score alone (``adapt``)."""
_FLAT = 1e-6
"""Share of the map's largest value that the sums' rounding alone makes of a map that is the same everywhere."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check has ``difference``, the largest one, as a share of the map's range ``low`` to ``high`` over its pictures.

    ``ranges`` are lowest and highest value of the map by picture, of those where it has one. ``not_finite`` names the
    pictures whose map has NaN or infinity, in the original too.
    """

    pictures: int
    difference: float
    ranges: Mapping[str, tuple[float, float]]
    not_finite: tuple[str, ...]

    @property
    def low(self) -> float:
        return min(low for low, _ in self.ranges.values())

    @property
    def high(self) -> float:
        return max(high for _, high in self.ranges.values())


def compare(
    built: onnx.ModelProto,
    pictures: Mapping[str, NDArray[Any]],
    expected: Sequence[Mapping[str, NDArray[Any]]],
    tensors: Mapping[str, str],
    path: Path,
) -> Check:
    """Run the bundle's graph on ``pictures`` and compare its outputs with the original's ``tensors``, by output.

    Raises:
        UserError: they differ by more than 1e-4 of the map's range, one is finite where the other isn't, or the map tells
            nothing: it is nowhere finite, the same everywhere, or the same whatever the picture.
    """
    session = graphs.session(built, f"the bundle of {path}")
    given = [graphs.run_graph(session, picture[None]) for picture in pictures.values()]
    ranges = _ranges([run[tensors["map"]] for run in expected], pictures, path)
    low, high = (float(f(values)) for f, values in zip((min, max), zip(*ranges.values(), strict=True), strict=True))
    difference = 0.0
    for got, want in zip(given, expected, strict=True):
        for name, tensor in tensors.items():
            least = 0.0 if name == "embedding" else high - low
            difference = max(difference, _difference(got[name], want[tensor], least, own=name != "map"))
    if not difference <= LARGEST_DIFFERENCE:
        raise UserError(
            f"{path}: the bundle gives other numbers than the model",
            received=f"a difference of {difference:.2g} of the map's range",
            expected=f"at most {LARGEST_DIFFERENCE:g}",
        )
    blind = tuple(name for name, got in zip(pictures, given, strict=True) if not np.isfinite(got["map"]).all())
    return Check(len(pictures), difference, ranges, blind)


def check_repeats(once: Mapping[str, NDArray[Any]], again: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Raise UserError if a model gives other numbers for the same picture: dropout left in training, random noise."""
    for name, values in once.items():
        if values.dtype.kind == "f" and not np.array_equal(values, again[name], equal_nan=True):
            off = np.abs(values - again[name])
            spanned = float(np.nanmax(values) - np.nanmin(values)) or 1.0
            if float(np.nanmax(off)) > LARGEST_DIFFERENCE * spanned:
                raise UserError(
                    f"{path}: the model gives other numbers each time for the same picture",
                    received=f"{name}: a difference of {float(np.nanmax(off)) / spanned:.2g} of its range",
                    expected="the same numbers",
                    fix="export the model in evaluation mode: dropout off, nothing random in it",
                )


def _ranges(maps: Sequence[NDArray[Any]], names: Mapping[str, Any], path: Path) -> dict[str, tuple[float, float]]:
    """Return the ranges by picture. Raises UserError if the maps say nothing."""
    ranges = {
        name: (float(finite.min()), float(finite.max()))
        for name, values in zip(names, maps, strict=True)
        if (finite := values[np.isfinite(values)]).size
    }
    if not ranges:
        raise UserError(
            f"{path}: the model's map is NaN or infinite on every picture",
            received=f"tried on {', '.join(names)}",
            expected="finite numbers",
            fix="export the model again, or look for a division by 0 in it (statistics that were never fitted, say)",
        )
    mend = "look at --scale, --mean and --std, export the model again, or show it what it knows: --frames FOLDER"
    one_region = maps[0].size <= _ONE_REGION and len({low for low, _ in ranges.values()}) > 1
    if not one_region and all(high - low <= _FLAT * max(abs(low), abs(high)) for low, high in ranges.values()):
        raise UserError(
            f"{path}: the model's map is the same everywhere on every picture",
            received=", ".join(f"{low:g} on {name}" for name, (low, _) in ranges.items()),
            expected="a map that tells one place from another",
            fix=mend,
        )
    if len(maps) > 1 and all(m.shape == maps[0].shape and np.array_equal(m, maps[0], equal_nan=True) for m in maps):
        raise UserError(
            f"{path}: the model's map is the same whatever the picture",
            received=f"tried on {', '.join(names)}",
            expected="a map of its picture",
            fix=mend,
        )
    return ranges


def _difference(got: NDArray[Any], want: NDArray[Any], least: float, *, own: bool) -> float:
    """Return the largest difference as a share of ``least``, the map's range.

    ``own``: as a share of the values if those are larger.
    """
    got, want = got.ravel(), want.ravel()[: got.size]  # a frozen batch gives its one picture more than once
    finite = np.isfinite(want)
    if not np.array_equal(finite, np.isfinite(got)):
        return float("inf")
    scale = max(least, float(np.abs(want[finite]).max(initial=0.0)) if own else 0.0) or 1.0
    return float(np.abs(got - want)[finite].max(initial=0.0)) / scale
