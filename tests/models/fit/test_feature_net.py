"""Features of several layers lie on one grid, whatever the picture's size; a backbone that can't is refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from support.backbones import conv_net

from edge.errors import UserError
from edge.models.fit.feature_net import hint, open_features


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / "net.onnx"
    onnx.save(model, path)
    return path


def of_one_size(width: int, height: int) -> onnx.ModelProto:
    """Something is added to each place of its last layer."""
    model = conv_net(size=(width, height))
    places = np.ones((1, 16, -(-height // 8), -(-width // 8)), np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(places, "places"))
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(onnx.helper.make_node("Add", ["before", "places"], ["features"]))
    return model


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


def test_layers_of_two_strides_come_on_the_finer_ones_grid(tmp_path: Path) -> None:
    net = open_features(saved(tmp_path, conv_net()), ("relu2", "features"), 3, None)
    assert (net.stride, net.width) == (4, 12 + 16)
    both = net.features(noise(32, 48))
    assert both.shape == (8, 12, 28)
    np.testing.assert_array_equal(both[0::2, 0::2, 12:], both[1::2, 1::2, 12:])
    fine = open_features(tmp_path / "net.onnx", ("relu2",), 3, None).features(noise(32, 48))
    np.testing.assert_array_equal(both[:, :, :12], fine)


def test_a_picture_of_any_size_is_first_made_whole_by_its_last_row_and_column(tmp_path: Path) -> None:
    net = open_features(saved(tmp_path, conv_net()), ("relu2", "features"), 3, None)
    picture = noise(29, 41)
    whole = np.pad(picture, ((0, 3), (0, 7), (0, 0)), mode="edge")
    np.testing.assert_array_equal(net.features(picture), net.features(whole))


def test_where_nobody_names_a_backbone_it_is_lite0_if_installed_and_filters_if_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert open_features(None, (), 1, None).backbone.what == "lite0"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    net = open_features(None, (), 1, None)
    assert (net.backbone.what, net.stride, net.width) == ("gabor", 16, 50)
    assert hint(net, "whiten") == "1"
    assert net.features(noise(40, 70, 1)).shape == (3, 5, 50)


def test_lite0s_own_choice_is_strides_16_and_32() -> None:
    net = open_features(Path("lite0"), (), 1, None)
    assert [layer.name for layer in net.layers] == ["stride16", "stride32"]
    assert net.features(noise(50, 70, 1)).shape == (4, 6, 432)


def test_a_layer_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        open_features(saved(tmp_path, conv_net()), ("layer3",), 3, None)
    text = str(caught.value)
    assert text.startswith(
        f"--layers: {tmp_path / 'net.onnx'} has no layer layer3\n  expected: stride 2: relu1 (8 wide); stride 4: "
    )


def test_a_network_of_one_size_takes_pictures_of_that_size_alone(tmp_path: Path) -> None:
    path = saved(tmp_path, of_one_size(64, 48))
    assert open_features(path, ("features",), 3, (64, 48)).features(noise(48, 64)).shape == (6, 8, 16)
    with pytest.raises(UserError) as caught:
        open_features(path, ("features",), 3, (320, 240))
    assert str(caught.value) == (
        f"{path}: the network takes pictures of one size only\n"
        "  received: pictures of 320x240\n"
        "  expected: 64x48\n"
        "  fix: export it with dynamic height and width, or bring frames to its size: --size 64,48"
    )


def test_layers_whose_strides_divide_each_other_unevenly_are_refused(tmp_path: Path) -> None:
    model = conv_net(widths=(8, 12))
    third = onnx.helper.make_node("MaxPool", ["relu1"], ["third"], kernel_shape=[3, 3], strides=[3, 3])
    model.graph.node.append(third)
    model.graph.output.append(onnx.helper.make_tensor_value_info("third", onnx.TensorProto.FLOAT, None))
    with pytest.raises(UserError, match=r"strides of .* don't divide each other"):
        open_features(saved(tmp_path, model), ("features", "third"), 3, (96, 96))


def test_layers_of_one_fixed_size_that_lie_on_no_common_grid_are_refused(tmp_path: Path) -> None:
    """60 px are 15 places of stride 4 and 8 of stride 8; only a network of any size can be given 64 px."""
    with pytest.raises(UserError) as caught:
        open_features(saved(tmp_path, of_one_size(60, 60)), ("relu2", "features"), 3, (60, 60))
    assert str(caught.value) == (
        f"--layers: the layers of {tmp_path / 'net.onnx'} don't lie on one grid\n"
        "  received: features has 8x8 places, not 7.5x7.5\n"
        "  fix: name one layer"
    )
