"""A bundle tells people about its model: which values to show, where it came from, what to mind."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

import edge
from edge.config.bundle import sha256_of
from edge.config.bundle_spec import BundleSpec, DisplaySpec
from edge.models import graphs
from edge.models.build.foreign import ModelInput, ModelOutput, Tail, score_candidates
from edge.models.build.parity import Check
from edge.models.build.placement import MapPlacement
from edge.models.build.probe import ProbeRun
from edge.models.build.wrap import InputTransform


def display_of(amap: ModelOutput, check: Check, frames: Sequence[str]) -> DisplaySpec:
    """The exporter's own threshold and range; else what is measured.

    ``frames``: names of the given pictures. Good ones fill the lower half of the range, as they do in an exporter's.
    Without any it is what the generated pictures span, which may be far more than parts do.
    """
    if amap.tail is not None:
        half = amap.tail.range / 2
        return DisplaySpec(threshold=amap.tail.threshold, range=(amap.tail.threshold - half, amap.tail.threshold + half))
    ranges = [check.ranges[name] for name in frames if name in check.ranges]
    if ranges:
        low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
        if low < high:
            return DisplaySpec(range=(low, high + (high - low)))
    return DisplaySpec(range=(check.low, check.high)) if check.low < check.high else DisplaySpec()


def own_resize_of(look: ProbeRun, spec: BundleSpec) -> dict[str, Any] | None:
    """Return the exporter's resize inside the graph, which stays there; None if there is none."""
    geometry = look.geometry
    if geometry.resized is None:
        return None
    return {
        "size": list(geometry.resized),
        "mode": geometry.mode,
        "coordinates": geometry.coordinates,
        "antialias": geometry.antialias,
        "at_work": spec.resize.where == "graph" or look.size != geometry.resized,
    }


def warnings_of(look: ProbeRun, batch: int, amap: ModelOutput, score: ModelOutput | None) -> list[str]:
    """List what a person should mind about a model that can be built."""
    warnings = []
    if look.guessed:
        warnings.append(
            f"the model brings every picture to one size that does not show: it gets {look.size[0]}x{look.size[1]}, "
            "its map's; if it was made for another, say --size WIDTH,HEIGHT"
        )
    others = score_candidates({n: a for n, a in look.outputs.items() if n != amap.name}, batch)
    if score is None and len(others) > 1:
        warnings.append(f"none of {', '.join(others)} is taken for the score; say which: --score NAME")
    return warnings


def provenance_of(
    *,
    model: onnx.ModelProto,
    path: Path,
    taken: ModelInput,
    recipe: InputTransform,
    outputs: Mapping[str, ModelOutput],
    check: Check,
    rewritten: Sequence[str],
    own_resize: Mapping[str, Any] | None,
    place: MapPlacement | None,
) -> dict[str, Any]:
    """Describe where the model comes from; ``outputs`` are the model's, by the bundle's names for them."""
    return {
        "built_with": f"edge {edge.__version__}",
        "built_at": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "source": path.name,
        "source_sha256": sha256_of(path),
        "exporter": f"{model.producer_name} {model.producer_version}".strip() or "unknown",
        "opset": graphs.opset(model),
        "input": f"{taken.name} {taken.dtype} {taken.layout}, {taken.channels} channels {recipe.order}",
        **({"own_resize": dict(own_resize)} if own_resize else {}),
        "outputs": {label: output.name for label, output in outputs.items()},
        "undone": {
            label: {"formula": Tail.FORMULA, "threshold": o.tail.threshold, "range": o.tail.range}
            for label, o in outputs.items()
            if o.tail is not None
        },
        "rewritten": list(rewritten),
        "check": {"pictures": check.pictures, "difference_of_range": check.difference},
        "map_to_image_measured": [round(v, 3) for v in place.measured] if place else None,
    }
