"""Any network of one picture becomes a backbone: its pixels as it wants them, its size left open where nothing minds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from support.backbones import conv_net

from edge.errors import UserError
from edge.models import graphs
from edge.models.backbone.layers import cut_after
from edge.models.backbone.open import IMAGENET_MEAN, IMAGENET_STD, PixelScaling, open_backbone, with_any_size


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / "net.onnx"
    onnx.save(model, path)
    return path


def features(model: onnx.ModelProto, frame: np.ndarray) -> np.ndarray:
    name = model.graph.input[0].name
    return ort.InferenceSession(model.SerializeToString()).run(["features"], {name: frame[None]})[0]


@pytest.mark.parametrize(
    ("pixels", "scale", "mean", "std"),
    [
        (None, 1 / 255, IMAGENET_MEAN, IMAGENET_STD),
        (PixelScaling(scale=1.0, mean=(0.0,)), 1.0, (0.0,), (1.0,)),
        (PixelScaling(mean=(0.5,), std=(0.25,)), 1 / 255, (0.5,), (0.25,)),
    ],
)
def test_pixels_go_in_as_said_and_else_as_imagenets(
    tmp_path: Path, pixels: PixelScaling | None, scale: float, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    original = conv_net()
    backbone = open_backbone(saved(tmp_path, original), 3, pixels)
    frame = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    by_hand = ((frame * np.float32(scale) - np.float32(mean)) / np.float32(std)).transpose(2, 0, 1).astype(np.float32)
    np.testing.assert_allclose(features(backbone.model, frame), features(original, by_hand), rtol=1e-4, atol=1e-4)


def test_grey_pictures_go_three_times_into_a_network_of_colour(tmp_path: Path) -> None:
    path = saved(tmp_path, conv_net())
    grey = np.random.default_rng(0).integers(0, 256, (40, 56, 1), np.uint8)
    np.testing.assert_array_equal(
        features(open_backbone(path, 1).model, grey), features(open_backbone(path, 3).model, np.repeat(grey, 3, axis=2))
    )


def test_colour_does_not_go_into_a_network_of_grey(tmp_path: Path) -> None:
    path = saved(tmp_path, conv_net(channels=1))
    with pytest.raises(UserError) as caught:
        open_backbone(path, 3)
    assert str(caught.value) == (
        f"{path}: the network takes grey pictures, and these are of colour\n  fix: make the backbone without --grey"
    )


def test_a_name_that_is_neither_known_nor_a_file(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        open_backbone(Path("lite9"))
    assert str(caught.value) == "--backbone: there is no file lite9\n  expected: an ONNX file, or one of: lite0, gabor"


def test_a_frozen_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the network takes 4 pictures at a time"):
        open_backbone(saved(tmp_path, conv_net(batch=4)))


def test_what_lite0_takes_is_known() -> None:
    with pytest.raises(UserError, match="lite0: what it takes is known"):
        open_backbone(Path("lite0"), 1, PixelScaling(scale=1.0))


def test_provenance_tells_the_file_and_what_happens_to_the_pixels(tmp_path: Path) -> None:
    path = saved(tmp_path, conv_net())
    found = open_backbone(path).provenance
    assert found["file"] == "net.onnx"
    assert len(found["file_sha256"]) == 64
    assert found["pixels"] == "rgb values 0 to 1, less ImageNet's mean, over its deviation"
    assert "path" not in found


def test_a_size_that_only_the_exporter_fixed_is_opened(tmp_path: Path) -> None:
    """The classifier minds the size; once it is cut off nothing does."""
    backbone = open_backbone(saved(tmp_path, conv_net(size=(64, 48), batch=1, head=True)))
    assert backbone.size == (64, 48)
    anew = with_any_size(cut_after(backbone.model, ["features"]))
    assert graphs.dims(anew.graph.input[0]) == [None, None, None, 3]
    frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    np.testing.assert_array_equal(features(anew, frame), features(cut_after(backbone.model, ["features"]), frame))
    assert features(anew, np.zeros((80, 24, 3), np.uint8)).shape == (1, 16, 10, 3)


def test_a_size_that_a_node_minds_stays() -> None:
    model = conv_net(channels=1, size=(64, 48))
    fed = onnx.ModelProto()
    fed.CopyFrom(model)
    fed.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((1, 16, 6, 8), np.float32), "place"))
    fed.graph.node[-1].output[0] = "before"
    fed.graph.node.append(onnx.helper.make_node("Add", ["before", "place"], ["features"]))
    assert with_any_size(fed) is fed
