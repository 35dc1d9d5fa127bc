"""A trained bundle's halves are taken up again, so that its head can be changed and its graph made anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from edge.config.bundle import Bundle
from edge.errors import UserError
from edge.models.fit.continued import plan_of, statistics_of
from edge.models.fit.memory import MemoryStatistics
from edge.models.train.fused_graph import MapScale, MapScales
from edge.models.train.go_on import as_fitted
from edge.models.train.head_weights import HEAD, HeadWeights, read_head_weights

SCALES = "scales"
"""Key of a trained bundle's provenance: how both maps are brought to one scale."""


@dataclass(frozen=True, slots=True)
class TrainedHalves:
    """What ``fused_graph`` makes a bundle with a head of."""

    memory: MemoryStatistics
    head: HeadWeights
    scales: MapScales


def trained_halves(bundle: Bundle, backbone: Path | None = None) -> TrainedHalves:
    """Take up memory, head and scales of a bundle of ``edge train``. ``backbone``: where it lies now, if that is a file.

    Raises:
        UserError: it keeps no memory or no head, they are damaged, or its backbone isn't here.
    """
    if HEAD not in bundle.spec.files:
        raise UserError(f"{bundle.folder}: keeps no trained head", expected=f"a bundle of edge train, with {HEAD}")
    fitted = as_fitted(bundle)
    memory = cast("MemoryStatistics", statistics_of(fitted, plan_of(fitted, bundle.spec.name, backbone)).statistics)
    return TrainedHalves(memory, read_head_weights(bundle.folder / HEAD, memory.width), _scales(bundle))


def _scales(bundle: Bundle) -> MapScales:
    kept: Any = bundle.spec.provenance.get(SCALES)
    try:
        memory, head = (MapScale(float(kept[name]["middle"]), float(kept[name]["edge"])) for name in ("memory", "head"))
        return MapScales(memory, head, float(kept["weight"]))
    except (TypeError, KeyError, ValueError):
        raise UserError(
            f"{bundle.folder}: doesn't say how its two maps are scaled",
            received=f"provenance {SCALES}: {kept}",
            expected="middle and edge of memory and head, and the head's weight",
            fix="train it anew: edge train",
        ) from None
