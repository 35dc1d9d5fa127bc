"""Tent's step makes a network surer by its norms' affine terms alone, and the graph gets what the network has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: scripts/test --all installs it")

import torch
from support.sets import as_frame
from support.trainings import network_request, surface, surfaces

from edge.models import graphs
from edge.models.train.entropy import surer_network
from edge.models.train.network import DefectNetwork, network_weights_of
from edge.models.train.network_weights import NETWORK, read_network_weights
from edge.models.train.train import TrainRun, train
from edge.models.train.write_trained import write_trained
from edge.shift.answers import normalise, tent
from edge.shift.answers.protocol import Situation

PICTURES = [surface(900 + k)[:, :, None] // 2 for k in range(4)]


def test_only_affine_terms_change_and_the_entropy_falls() -> None:
    torch.manual_seed(0)
    before = network_weights_of(DefectNetwork(1, 4), np.array([120.0], np.float32), np.array([25.0], np.float32))
    after, high, low = surer_network(before, PICTURES)
    assert low < high <= np.log(2)
    changed = {name for name, values in after.arrays.items() if not np.array_equal(values, before.arrays[name])}
    assert changed
    assert all(name.endswith(("_norm.weight", "_norm.bias")) for name in changed)
    again, *_ = surer_network(before, PICTURES)
    assert again.to_bytes() == after.to_bytes()


def test_edge_adapt_proposes_the_step_for_a_network_and_keeps_graph_and_weights_alike(tmp_path: Path) -> None:
    asked = network_request(alone=True)
    made = train(surfaces(tmp_path / "set"), asked, tmp_path / "t", TrainRun(test=False))
    bundle = write_trained(tmp_path / "x", made, asked.options, "the set")
    frames = [as_frame(picture[:, :, 0]) for picture in PICTURES]
    proposal = tent.propose(Situation(bundle, frames, PICTURES, None, "", None))
    assert proposal.summary.startswith("statistics of 8 norm layers moved by ")
    assert "nats in 20 steps" in proposal.summary
    (tmp_path / NETWORK).write_bytes(proposal.files[NETWORK])
    weights = read_network_weights(tmp_path / NETWORK)
    old = read_network_weights(bundle.folder / NETWORK)
    assert not np.array_equal(
        weights.arrays["encoder.steps.0.down_norm.running_mean"], old.arrays["encoder.steps.0.down_norm.running_mean"]
    )
    expected, _, _ = surer_network(weights, PICTURES, steps=0)
    assert proposal.model is not None
    found = graphs.run_graph(graphs.session(proposal.model, "x"), PICTURES[0][None])["map"]
    same = train_graph(expected, made)
    np.testing.assert_allclose(found, graphs.run_graph(graphs.session(same, "y"), PICTURES[0][None])["map"], atol=1e-4)

    # behind a normalisation both halves see what the network gets
    bright = [np.clip(2 * picture.astype(np.int32) - 40, 0, 255).astype(np.uint8) for picture in PICTURES]
    before, lifted = Situation(bundle, frames, PICTURES, None, "", None), graphs.load_model(bundle.model_path)
    normalise.put_in_front(lifted, np.full(1, 2, np.float32), np.full(1, -40, np.float32), 8)
    before.__dict__["graph"] = lifted
    behind = tent.propose(before)
    plain = tent.propose(Situation(bundle, frames, bright, None, "", None))
    assert behind.files[NETWORK] == plain.files[NETWORK]


def train_graph(weights: object, made: object) -> object:
    """The graph of these weights on the scale of the training."""
    from edge.models.train.fused_graph import network_alone

    return network_alone(weights, made.scales.head)  # type: ignore[arg-type,attr-defined]
