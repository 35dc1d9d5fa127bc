"""The network in the graph is the network in PyTorch, its places look where they lie, and arrays go out and in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: scripts/test --all installs it")

import torch
from support.trainings import remembered, surface

from edge.errors import UserError
from edge.models import graphs
from edge.models.train.fused_graph import MapScale, MapScales, RawMaps, fused_graph
from edge.models.train.network import DefectNetwork, load_arrays, network_weights_of, padded, planes
from edge.models.train.network_weights import NETWORK, NetworkWeights, check_shape, read_network_weights

SCALES = MapScales(MapScale(0.5, 1.5), MapScale(-2.0, 2.0))
MEAN, DEVIATION = np.array([120.0], np.float32), np.array([25.0], np.float32)


def seeded(channels: int = 1, width: int = 4) -> DefectNetwork:
    """A network whose norms have statistics of their own, as after a training."""
    torch.manual_seed(3)
    network = DefectNetwork(channels, width)
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(2, channels, 64, 64))
    return network.eval()


@pytest.fixture(scope="module")
def network() -> DefectNetwork:
    return seeded()


@pytest.fixture(scope="module")
def weights(network: DefectNetwork) -> NetworkWeights:
    return network_weights_of(network, MEAN, DEVIATION)


@pytest.mark.parametrize("size", [(160, 128), (131, 99), (33, 40)])
def test_the_exported_network_agrees_with_pytorch(
    network: DefectNetwork, weights: NetworkWeights, size: tuple[int, int]
) -> None:
    picture = surface(5, size)[:, :, None]
    with torch.no_grad():
        expected = network(planes(padded(picture)[None], MEAN, DEVIATION))[0, 0].numpy()
    _, logits = RawMaps(remembered(), weights).of(picture)
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_a_colour_network_agrees_with_pytorch_too() -> None:
    mean, deviation = np.array([90, 120, 100], np.float32), np.array([20, 30, 25], np.float32)
    network = seeded(3)
    picture = np.random.default_rng(1).integers(0, 256, (64, 96, 3)).astype(np.uint8)
    graph = fused_graph(remembered(), network_weights_of(network, mean, deviation), SCALES, alone=True)
    with torch.no_grad():
        logits = network(planes(picture[None], mean, deviation))[0, 0].numpy()
    found = graphs.run_graph(graphs.session(graph, "x"), picture[None])
    assert found["map"].shape == (1, 16, 24)
    np.testing.assert_allclose(found["map"][0, 1, 1], (0.75**2 * logits[0, 0] + _rest(logits) + 2) / 4, atol=1e-4)


def _rest(logits: np.ndarray) -> float:
    """What the neighbours add to the px (1, 1) of a map twice as fine."""
    return float(0.1875 * (logits[0, 1] + logits[1, 0]) + 0.0625 * logits[1, 1])


def test_the_fused_map_is_that_of_the_memory_and_half_the_networks(weights: NetworkWeights) -> None:
    memory, picture = remembered(), surface(40, (160, 128))[:, :, None]
    distance, logits = RawMaps(memory, weights).of(picture)
    found = graphs.run_graph(graphs.session(fused_graph(memory, weights, SCALES), "x"), picture[None])
    assert distance.shape == (8, 10)
    assert logits.shape == (16, 20)
    assert found["map"].shape == (1, 16, 20)
    plain = MapScales(MapScale(0, 1), MapScale(0, 1e9))
    memory_map = graphs.run_graph(graphs.session(fused_graph(memory, weights, plain), "x"), picture[None])["map"]
    expected = (memory_map - 0.5) / 1.0 + 0.5 * (logits + 2) / 4
    np.testing.assert_allclose(found["map"], expected, atol=1e-4)
    assert float(found["score"][0]) == float(found["map"].max())
    assert found["embedding"].shape == (1, 16)


def test_the_graph_has_the_contracts_outputs_and_nothing_of_training(weights: NetworkWeights) -> None:
    for alone in (False, True):
        model = fused_graph(remembered(), weights, SCALES, alone=alone)
        onnx.checker.check_model(model)
        outputs = [(o.name, len(graphs.dims(o))) for o in model.graph.output]
        assert outputs == [("map", 3), ("score", 1), ("embedding", 2)]
        assert not {node.op_type for node in model.graph.node} & {"Dropout", "RandomNormal", "RandomUniform"}
        norms = [node for node in model.graph.node if node.op_type == "BatchNormalization"]
        assert {len(node.output) for node in norms} == {1}, "statistics are frozen"
        assert not [a for node in norms for a in node.attribute if a.name == "training_mode" and a.i]


def test_a_place_looks_at_the_square_that_it_covers() -> None:
    network = seeded()
    picture = torch.zeros(1, 1, 128, 128, requires_grad=True)
    network.encoder(picture)[1][0, :, 5, 9].sum().backward()
    seen = picture.grad.abs()[0, 0].numpy()
    rows, columns = np.nonzero(seen.sum(axis=1))[0], np.nonzero(seen.sum(axis=0))[0]
    assert (rows[0] + rows[-1] + 1) / 2 == 8 * 5 + 4
    assert (columns[0] + columns[-1] + 1) / 2 == 8 * 9 + 4


def test_arrays_go_out_and_in_without_a_change(network: DefectNetwork, weights: NetworkWeights, tmp_path: Path) -> None:
    (tmp_path / NETWORK).write_bytes(weights.to_bytes())
    again = read_network_weights(tmp_path / NETWORK)
    other = DefectNetwork(1, 4)
    load_arrays(other, again.arrays)
    assert all(torch.equal(values, network.state_dict()[name]) for name, values in other.state_dict().items())
    np.testing.assert_array_equal(again.mean, MEAN)


def test_a_network_of_another_shape_is_refused(weights: NetworkWeights, tmp_path: Path) -> None:
    path = tmp_path / NETWORK
    path.write_bytes(weights.to_bytes())
    with pytest.raises(UserError) as caught:
        check_shape(path, read_network_weights(path), 3, 16)
    assert str(caught.value) == (
        f"{path}: the network is of another shape\n"
        "  received: pictures of 1 channels, width 4\n"
        "  expected: pictures of 3 channels, width 16\n"
        "  fix: train with the preset of the first training, or without --from"
    )
    path.write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(UserError, match="not the network of a trained bundle"):
        read_network_weights(path)
