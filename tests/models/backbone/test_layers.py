"""Layers are what the network really gives, and whoever names one that isn't there sees those that are."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from support.backbones import conv_net
from support.graphs import identity_model

from edge.errors import UserError
from edge.models.backbone.layers import Layer, chosen_layers, cut_after, default_layers, find_layers
from edge.models.backbone.open import open_backbone

RELU1, RELU2, FEATURES = Layer("relu1", 2, 8), Layer("relu2", 4, 12), Layer("features", 8, 16)


@pytest.fixture
def net(tmp_path: Path) -> onnx.ModelProto:
    onnx.save(conv_net(), tmp_path / "net.onnx")
    return open_backbone(tmp_path / "net.onnx").model


def test_the_ends_of_layers_are_found_with_stride_and_width(net: onnx.ModelProto) -> None:
    """Of a convolution and its activation it is the activation; the picture itself is no layer."""
    assert find_layers(net, "net") == (RELU1, RELU2, FEATURES)


def test_layers_come_in_the_networks_order_however_they_are_named(net: onnx.ModelProto) -> None:
    assert chosen_layers(find_layers(net, "net"), ["features", "relu1"], "net") == (RELU1, FEATURES)


def test_a_layer_that_is_not_there_lists_those_that_are(net: onnx.ModelProto) -> None:
    with pytest.raises(UserError) as caught:
        chosen_layers(find_layers(net, "net"), ["relu", "features", "conv9"], "net.onnx")
    assert str(caught.value) == (
        "--layers: net.onnx has no layer relu and no conv9\n"
        "  expected: stride 2: relu1 (8 wide); stride 4: relu2 (12 wide); stride 8: features (16 wide)\n"
        "  fix: did you mean relu2?"
    )


def test_where_no_name_is_close_it_says_how_to_list_them(net: onnx.ModelProto) -> None:
    with pytest.raises(UserError, match=r"fix: list them all with: edge backbone net\.onnx"):
        chosen_layers(find_layers(net, "net"), ["backbone.7"], "net.onnx")


def test_a_long_list_shows_the_last_of_each_stride() -> None:
    layers = [Layer(f"block{k}", 16, 32) for k in range(9)]
    with pytest.raises(UserError, match=r"stride 16: 3 more, block3 \(32 wide\), .*block8 \(32 wide\)\n"):
        chosen_layers(layers, ["x"], "net")


def test_by_default_the_last_of_the_two_deepest_strides_up_to_32(net: onnx.ModelProto) -> None:
    layers = (*find_layers(net, "net"), Layer("deep", 64, 8))
    assert default_layers(net, layers) == (RELU2, FEATURES)
    assert default_layers(net, layers[-1:]) == layers[-1:]


def test_the_files_own_word_on_the_best_layers_counts(net: onnx.ModelProto) -> None:
    onnx.helper.set_model_props(net, {"layers": "relu1,gone"})
    assert default_layers(net, find_layers(net, "net")) == (RELU1,)


def test_nothing_behind_the_layers_is_kept(net: onnx.ModelProto) -> None:
    cut = cut_after(net, ["relu1"])
    assert [o.name for o in cut.graph.output] == ["relu1"]
    assert "w2" not in {t.name for t in cut.graph.initializer}
    assert find_layers(cut, "net") == (RELU1,)


def test_a_network_without_features_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        find_layers(identity_model(), "m.onnx")
    assert str(caught.value).startswith(
        "m.onnx: the network has no layer of features\n  expected: float32 tensors (n, channels"
    )
