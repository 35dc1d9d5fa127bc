"""The answer ``tent``: a trained network's norm statistics are measured anew on the factory's frames, offline.

Tent (Wang et al., "Tent: fully test-time adaptation by entropy minimization", ICLR 2021) re-estimates the statistics of the
normalisation layers and then lowers the entropy of the network's predictions by gradient steps on their scale and shift. A
one-class score has no classes whose probabilities could have an entropy: lowering it would mean calling everything good.
So ``tent`` is for trained networks alone. The first half is done here: each BatchNormalization's mean and variance become a
weighted mean of the lab's and the factory's (Schneider et al., "Improving robustness against common corruptions by
covariate shift adaptation", NeurIPS 2020, N = 16). The second half is done where the bundle has a network or a head of
``edge train`` and torch is installed.

A head of ``edge train`` begins with a norm, too: each feature less its mean, over its deviation. Both are measured anew,
and hold the scale and shift of the entropy step.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from edge.errors import UserError
from edge.models.fit.methods import METHODS
from edge.models.train.fused_graph import fused_graph
from edge.models.train.head_weights import HEAD
from edge.models.train.network_graph import graph_name
from edge.models.train.network_weights import NETWORK, NetworkWeights, read_network_weights
from edge.models.train.shifted_head import measured_anew
from edge.models.train.trained_halves import trained_halves
from edge.shift.answers.normalise import normalised
from edge.shift.answers.protocol import NotOffered, Proposal, Situation
from edge.shift.answers.taps import set_weight, tapped, weight

PRIOR_FRAMES: Final = 16
"""The lab's statistics count as much as so many frames of the factory."""
_STEP: Final = "entropy of a place {before:.3f} to {after:.3f} nats in {steps} steps"
_NO_STEP: Final = "the entropy step needs a network of edge train with its checkpoint, and torch"
TRAINED: Final = "train"
"""Method of a bundle of ``edge train``."""
_NO_TORCH: Final = "the entropy step needs torch"


def propose(situation: Situation) -> Proposal:
    """The graph with the norm statistics of lab and factory."""
    if situation.method in {row.name for row in METHODS}:
        raise NotOffered(
            f"a one-class score ({situation.method}) has no classes whose entropy could fall: lowering it means calling "
            "everything good"
        )
    if HEAD in situation.bundle.spec.files:
        return _of_head(situation)
    norms = norm_layers(situation.graph)
    if not norms and situation.method == TRAINED:
        raise NotOffered(
            "the bundle keeps its head no more: another answer moved its graph; adapt the one that it was made of"
        )
    if not norms:
        raise NotOffered("the network has no normalisation layers left to measure: exporters fold them into the weights")
    model = situation.copy()
    files: dict[str, bytes] = {}
    moved = [_measured_anew(model, node, situation, _share(situation)) for node in norms]
    step = _NO_STEP
    if NETWORK in situation.bundle.spec.files and find_spec("torch") is not None:
        network, step = _surer(model, situation)
        files[NETWORK] = network.to_bytes()
    sentence = f"statistics of {len(norms)} norm layers moved by {float(np.median(moved)):.2f} deviations; {step}"
    return Proposal(sentence, model, situation.bundle.spec, files)


def _of_head(situation: Situation) -> Proposal:
    """The bundle with a head whose features are standardised by lab and factory; the graph keeps its nodes.

    Both maps stay on the scale of the lab: the highest values of 8 frames are no scale. Measured anew on 8 of two parts,
    0.66 of the good magnetic tiles out of focus lay above the threshold of the lab, 0.35 without.
    """
    bundle = situation.bundle
    try:
        halves = trained_halves(bundle, situation.backbone)
    except UserError as error:
        raise NotOffered(str(error)) from None
    grids = [halves.memory.vectors(picture) for picture in situation.pictures]
    head, moved = measured_anew(halves.head, grids, _share(situation))
    step = _NO_TORCH
    if find_spec("torch") is not None:
        from edge.models.train.entropy import STEPS, surer_head

        head, before, after = surer_head(head, grids)
        step = _STEP.format(before=before, after=after, steps=STEPS)
    graph = fused_graph(halves.memory, head, halves.scales)
    sentence = f"statistics of the head's {head.width} features moved by {float(np.median(moved)):.2f} deviations; {step}"
    return Proposal(sentence, graph, bundle.spec, {HEAD: head.to_bytes()}, keeps_statistics=True)


def _share(situation: Situation) -> float:
    """How much the factory's statistics count beside the lab's."""
    return len(situation.pictures) / (len(situation.pictures) + PRIOR_FRAMES)


def _surer(model: onnx.ModelProto, situation: Situation) -> tuple[NetworkWeights, str]:
    """Give the network of ``model``, whose statistics are new, the affine terms of the least entropy, and say so."""
    from edge.models.train.entropy import STEPS, surer_network

    kept = read_network_weights(situation.bundle.folder / NETWORK)
    arrays: dict[str, NDArray[Any]] = dict(kept.arrays)
    for name in arrays:
        if name.endswith(("_norm.running_mean", "_norm.running_var")):
            arrays[name] = weight(model, graph_name(name)).astype(np.float32)
    made, before, after = surer_network(
        NetworkWeights(arrays, kept.mean, kept.deviation), normalised(situation.graph, situation.pictures)
    )
    for name, values in made.arrays.items():
        if name.endswith(("_norm.weight", "_norm.bias")):
            set_weight(model, graph_name(name), values)
    return made, _STEP.format(before=before, after=after, steps=STEPS)


def norm_layers(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The BatchNormalization nodes whose statistics are weights, in the graph's order."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [n for n in model.graph.node if n.op_type == "BatchNormalization" and {*n.input[3:5]} <= weights]


def _measured_anew(model: onnx.ModelProto, node: onnx.NodeProto, situation: Situation, share: float) -> float:
    """Give one layer its new statistics; those before it have theirs already. Returns by how many deviations it moved."""
    total: Any = 0.0
    squares: Any = 0.0
    for (values,) in tapped(model, [node.input[0]], situation.pictures):
        rows: NDArray[np.float64] = np.moveaxis(values, 1, -1).reshape(-1, values.shape[1]).astype(np.float64)
        total = total + rows.mean(axis=0)
        squares = squares + np.square(rows).mean(axis=0)
    mean = total / len(situation.pictures)
    variance = np.maximum(squares / len(situation.pictures) - mean**2, 0)
    old_mean, old_variance = weight(model, node.input[3]), weight(model, node.input[4])
    new = (1 - share) * old_mean + share * mean
    set_weight(model, node.input[3], new)
    set_weight(model, node.input[4], (1 - share) * old_variance + share * variance)
    return float(np.median(np.abs(new - old_mean) / np.sqrt(old_variance + 1e-12)))
