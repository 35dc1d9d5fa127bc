"""What a difference between two engines is a share of: the maker's range where it is known, else what the maps span."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper
from support.graphs import identity_model, node, write_identity_bundle

from edge.config.bundle import Bundle
from edge.config.bundle_spec import DisplaySpec
from edge.engines.acceptance import check_tolerance
from edge.engines.onnx import OnnxEngine
from edge.engines.protocol import Prediction
from edge.errors import UserError


def faint(folder: Path, display: DisplaySpec) -> Bundle:
    """Its map lies between 0.04 and 0.13, as STFPM's does."""
    model = identity_model(1, (16, 16), score=False)
    model.graph.node[-1].output[0] = "bright"
    model.graph.node.extend([node("Mul", ["bright", "share"], ["small"]), node("Add", ["small", "least"], ["map"])])
    for name, value in (("share", 0.09), ("least", 0.04)):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    bundle = write_identity_bundle(folder, 1, (16, 16), model=model)
    return Bundle(bundle.folder, bundle.spec.model_copy(update={"display": display}), bundle.sha256)


class Off(OnnxEngine):
    """Gives maps that are 0.0018 too high."""

    def infer(self, image: Any) -> Prediction:
        found = super().infer(image)
        return Prediction(found.map + np.float32(0.0018), None, None)


def off(bundle: Bundle) -> Off:
    engine = Off(bundle)
    engine.name, engine.precision = "openvino", "bf16"
    return engine


@pytest.mark.parametrize(
    ("display", "share"),
    [
        (DisplaySpec(), 0.02),
        (DisplaySpec(range=(0.5, 6.3)), 0.02),
        (DisplaySpec(threshold=0.1, range=(0.0, 0.2)), 0.009),
    ],
)
def test_a_range_for_pictures_alone_excuses_nothing(tmp_path: Path, display: DisplaySpec, share: float) -> None:
    """0.0018 of a map that spans 0.09 are 2 % of it; of a default range of 1 they would be 0.2 %."""
    assert check_tolerance(off(faint(tmp_path / "b", display)), None) == pytest.approx(share, rel=1e-3)


def test_the_span_is_of_the_frames_that_are_compared(tmp_path: Path) -> None:
    """Good parts span less than noise does, so the same difference weighs more on them."""
    frames = [np.full((16, 16, 1), 100, np.uint8) for _ in range(9)]
    frames[8][:, :8] = 151  # the ninth is compared, and 51 of 255 levels are 0.018
    bundle = faint(tmp_path / "b", DisplaySpec())
    with pytest.raises(UserError) as caught:
        check_tolerance(off(bundle), lambda: iter(frames))
    assert str(caught.value) == (
        "model.precision: bf16 on openvino departs too far from the model's own numbers\n"
        "  received: 0.1 of the map's range at the 99.9th percentile, on sample frame 0\n"
        f"  expected: at most 0.05, the tolerance in {bundle.folder / 'bundle.yaml'}\n  fix: set model.precision: fp32"
    )
    flat = [np.full((16, 16, 1), 100, np.uint8)]
    assert check_tolerance(off(bundle), lambda: iter(flat)) == pytest.approx(0.0018, rel=1e-2), "as if it spanned 1"
