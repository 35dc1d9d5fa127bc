"""Where a layer's first value looks, followed through every window, is where it answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from support.backbones import conv_net

from edge.models.backbone.open import open_backbone
from edge.models.backbone.place import first_centre


def measured(model: onnx.ModelProto, layer: str, stride: int, side: int) -> float:
    """Middle of the answers to single bright rows, in px, of the value in the middle, brought back to the first."""
    session = ort.InferenceSession(model.SerializeToString())
    frame = np.full((1, side, side, 1), 128, np.uint8)
    quiet = session.run([layer], {"frame": frame})[0]
    at = quiet.shape[2] // 2
    weights = []
    for row in range(side):
        bright = frame.copy()
        bright[:, row] = 140
        weights.append(np.abs(session.run([layer], {"frame": bright})[0] - quiet)[0, :, at, at].sum())
    rows = np.flatnonzero(np.array(weights) > 1e-6 * max(weights))
    return (rows[0] + rows[-1] + 1) / 2 - at * stride


@pytest.mark.parametrize(("layer", "stride", "expected"), [("relu1", 2, 0.5), ("relu2", 4, 0.5), ("features", 8, 0.5)])
def test_padding_on_both_sides_looks_at_the_first_pixel(tmp_path: Path, layer: str, stride: int, expected: float) -> None:
    onnx.save(conv_net(channels=1), tmp_path / "net.onnx")
    model = open_backbone(tmp_path / "net.onnx").model
    model.graph.output.append(onnx.helper.make_tensor_value_info(layer, onnx.TensorProto.FLOAT, None))
    if layer == "features":
        del model.graph.output[-1]
    assert first_centre(model, layer, stride) == (expected, expected)
    assert measured(model, layer, stride, 64) == expected


@pytest.mark.parametrize(("layer", "stride", "expected"), [("stride4", 4, 3.5), ("stride8", 8, 7.5)])
def test_lite0_pads_as_little_as_it_can(layer: str, stride: int, expected: float) -> None:
    model = open_backbone(Path("lite0"), 1).model
    assert first_centre(model, layer, stride) == (expected, expected)
    assert measured(model, layer, stride, 96) == expected


def test_lite0s_deeper_layers() -> None:
    model = open_backbone(Path("lite0"), 1).model
    assert first_centre(model, "stride16", 16) == (15.5, 15.5)
    assert first_centre(model, "stride32", 32) == (31.5, 31.5)


def test_what_is_not_understood_is_taken_for_even() -> None:
    model = open_backbone(Path("gabor"), 1).model
    assert first_centre(model, "cells", 16) == (8.0, 8.0)
