"""A bundle says where its map lies, as the graph or a person says, held against what was measured.

Exact and elsewhere is taken where it is near, and refused where the graph was not understood; vague is a warning.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.config.bundle_spec import BundleSpec
from edge.engines.graph_io import check_first, check_input, check_outputs
from edge.errors import UserError
from edge.models import graphs
from edge.models.build.foreign import spatial_axes
from edge.models.build.placement import LEAST_SIDE, MapPlacement, MapToImage, place_of
from edge.models.build.probe import ProbeRun
from edge.models.build.tiles import tile_map_to_image

_UNEVEN = 0.15
"""The scales across and down may differ by this share: convolutions without padding cost both sides the same."""

_MOSTLY: Final = 0.875
"""Share of the patches, bright and dark ones, with which the score is lower than without."""
_TIED: Final = 1e-4
"""Relative difference of scores below which they are the same."""


@dataclass(frozen=True, slots=True)
class SettledPlace:
    """A settled place is ``spec`` with the map's size and place; ``map_size`` is width and height; ``place`` is measured,
    or None.
    """

    spec: BundleSpec
    map_size: tuple[int, int]
    place: MapPlacement | None
    warnings: tuple[str, ...]


def settle_place(
    graph: onnx.ModelProto,
    look: ProbeRun,
    shape: Sequence[int],
    batch: int,
    spec: BundleSpec,
    *,
    by_hand: MapToImage | None,
    picture: NDArray[Any],
    folder: Path,
    path: Path,
) -> SettledPlace:
    """Settle the place of the map of the bundle's ``graph``.

    ``shape``: of the model's map, for ``batch`` pictures. ``by_hand``: where a person says that it lies. ``picture``:
    one that the graph takes, (H, W, C). ``folder`` and ``path``: of the bundle and of the model, for errors.

    Raises:
        UserError: the graph breaks the contract that engines hold it to, or its map lies elsewhere than it tells.
    """
    rows, columns = (shape[axis] for axis in spatial_axes(shape, batch))
    declared = by_hand or look.map_to_image(tuple(shape), batch)
    spec = spec.model_copy(
        update={
            "map_to_image": tile_map_to_image(declared, spec.tile, path) if spec.tile else declared,
            "map_size": None if look.follows else (columns, rows),
        }
    )
    session = graphs.session(graph, f"the bundle of {path}")
    _check_contract(session, Bundle(folder, spec, ""), picture[None])
    scored = _Scored(session)
    answers = place_of(scored.map_of, look.size, spec.input.channels, spec.input.bits, declared)
    place, warnings = answers.place, [*answers.warnings, *scored.warnings()]
    if by_hand is not None:
        return SettledPlace(spec, (columns, rows), place, (*warnings, *_doubt_of_hand(declared, place)))
    _check_shape(look, (columns, rows), place, path)
    if place is None and min(look.size) >= LEAST_SIDE:
        warnings.append(
            "the map does not answer clearly to a patch, so where it lies could not be measured: boxes may lie wrong"
        )
    elif place is not None and place.verdict == "elsewhere":
        raise _misplaced(declared, place, path)
    elif place is not None and place.verdict == "near" and spec.tile is None and not look.follows:
        taken = tuple(round(value, 3) for value in place.measured)
        spec = spec.model_copy(update={"map_to_image": taken})
        warnings.append(
            f"the map lies up to {place.off_px:.2g} px of {look.size[0]}x{look.size[1]} from where the graph tells, "
            f"{_four(declared)}: the measured place is taken, {place}"
        )
    elif place is not None and place.verdict in ("near", "vague"):
        warnings.append(
            f"the map seems to lie {place.off_px:.2g} px (give or take {place.error_px:.2g}) of "
            f"{look.size[0]}x{look.size[1]} from where the graph tells, at {place}: boxes may lie wrong"
        )
    return SettledPlace(spec, (columns, rows), place, tuple(warnings))


class _Scored:
    """Runs the graph on the pictures with a patch, and keeps what the image score says of each."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._scores: list[float] = []
        self._plain: NDArray[Any] | None = None

    def map_of(self, picture: NDArray[Any]) -> NDArray[Any]:
        outputs = graphs.run_graph(self._session, picture)
        if "score" in outputs:
            self._scores.append(float(np.ravel(outputs["score"])[0]))
            self._plain = np.full_like(picture, np.median(picture))
        return np.asarray(outputs["map"])

    def warnings(self) -> tuple[str, ...]:
        """Say if the score is lower with a patch than without: a rule of the score would pass what is odd."""
        if self._plain is None:
            return ()
        without = float(np.ravel(graphs.run_graph(self._session, self._plain)["score"])[0])
        falls = np.asarray(self._scores) < without - _TIED * abs(without)
        if falls.mean() < _MOSTLY:
            return ()
        return (
            "the score falls where the picture is odd: does a high value mean good? A rule of it fails where it is high",
        )


def _doubt_of_hand(declared: MapToImage, place: MapPlacement | None) -> list[str]:
    """Warn if the measure doesn't agree with the place that a person gave."""
    if place is None or place.verdict == "agrees":
        return []
    return [f"--map-to-image says {_four(declared)}, and measured it is about {place}: boxes may lie wrong"]


def check_scales(map_to_image: MapToImage) -> None:
    """Raise UserError if ``--map-to-image`` can be no place."""
    if not (all(map(math.isfinite, map_to_image)) and min(map_to_image[:2]) > 0):
        raise UserError("--map-to-image", received=_four(map_to_image), expected="SX,SY,OX,OY, finite, with scales above 0")


def _check_shape(look: ProbeRun, map_size: tuple[int, int], place: MapPlacement | None, path: Path) -> None:
    """Raise UserError if the map has another shape than the network's picture, and no measure says that it is right."""
    if place is not None and place.verdict in ("agrees", "near", "elsewhere"):
        return
    width, height = look.geometry.size
    across, down = width / map_size[0], height / map_size[1]
    pixel = 1 / min(map_size)
    if abs(across / down - 1) > max(_UNEVEN, 2 * pixel):
        raise UserError(
            f"{path}: the map has another shape than the picture",
            received=f"{map_size[0]}x{map_size[1]} of a picture of {width}x{height}, and no answer to patches in its place",
            expected=f"about {width}:{height}, as a map of the picture has",
            fix="name another output (--map NAME), or say where the map lies: --map-to-image SX,SY,OX,OY; rows of boxes "
            "or of tokens are no map",
        )


def _misplaced(declared: MapToImage, place: MapPlacement, path: Path) -> UserError:
    seen = str(place) if place.words else f"sx, sy, ox, oy of about {place}"
    return UserError(
        f"{path}: the map does not lie where the graph says",
        received=f"{seen}, measured with a patch at nine places",
        expected=f"about {_four(declared)}",
        fix="the model crops, mirrors or skips pixels in a way that is not understood: export it without, or say where its "
        "map lies: --map-to-image SX,SY,OX,OY",
    )


def _four(values: MapToImage) -> str:
    return ", ".join(f"{v:.3g}" for v in values)


def _check_contract(session: ort.InferenceSession, bundle: Bundle, picture: NDArray[Any]) -> None:
    """Check before writing what every engine holds a bundle to."""
    check_input(session.get_inputs(), bundle)
    check_outputs(session.get_outputs(), bundle)
    check_first(bundle, picture.shape, graphs.run_graph(session, picture))
