"""The answer ``normalise``: a gain and an offset for each channel, in the graph, bring mean and spread to the lab's.

The bounds are there because a normalisation that follows everything hides a lamp that fails, and what was clipped is lost.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge.models import graphs
from edge.shift.answers.protocol import NotOffered, Pictures, Proposal, Situation
from edge.shift.answers.taps import set_weight, tapped

GAIN: Final = (0.7, 1.4)
"""Least and most that the contrast may be stretched."""
OFFSET: Final = 0.2
"""Most that the level may move, as a share of white."""
_SAME = (0.01, 0.002)
"""Gain and offset below which nothing would change."""


def propose(situation: Situation) -> Proposal:
    """The graph behind ``(frame * gain + offset)``, rounded and cut as a camera would."""
    lab, factory = situation.known_lab(), situation.pictures
    bits = situation.bundle.spec.input.bits
    white = float((1 << bits) - 1)
    gain, offset = gain_and_offset(lab, factory)
    if (np.abs(gain - 1) < _SAME[0]).all() and (np.abs(offset) < _SAME[1] * white).all():
        raise NotOffered("mean and spread are the lab's already, as the model sees the frames")
    if (gain < GAIN[0]).any() or (gain > GAIN[1]).any() or (np.abs(offset) > OFFSET * white).any():
        raise NotOffered(
            f"gain {_listed(gain)}, offset {_listed(100 * offset / white)} % of white: more than may be normalised away "
            f"(gain {GAIN[0]:g} to {GAIN[1]:g}, offset {OFFSET:.0%}); mend the light"
        )
    model = situation.copy()
    put_in_front(model, gain, offset, bits)
    return Proposal(
        f"gain {_listed(gain)}, offset {_listed(100 * offset / white)} % of white", model, situation.bundle.spec
    )


def gain_and_offset(lab: Pictures, factory: Pictures) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For each channel: what brings the factory's mean and deviation to the lab's."""
    (lab_mean, lab_deviation), (mean, deviation) = _moments(lab), _moments(factory)
    gain = lab_deviation / np.maximum(deviation, 1e-3)
    return gain.astype(np.float32), (lab_mean - gain * mean).astype(np.float32)


def put_in_front(model: onnx.ModelProto, gain: NDArray[np.float32], offset: NDArray[np.float32], bits: int) -> None:
    """Insert the normalisation behind the graph's input ``frame``, in place; an earlier one is replaced."""
    graph = model.graph
    if any(tensor.name == "edge/normalise/gain" for tensor in graph.initializer):
        set_weight(model, "edge/normalise/gain", gain)
        set_weight(model, "edge/normalise/offset", offset)
        return
    prefix = "edge/normalise"
    kind = graphs.inputs(model)[0].type.tensor_type.elem_type
    graphs.rename(graph, {"frame": f"{prefix}/frame"})
    next(value for value in graph.input if value.name == f"{prefix}/frame").name = "frame"
    constants = {"gain": gain, "offset": offset, "black": np.float32(0), "white": np.float32((1 << bits) - 1)}
    graph.initializer.extend(numpy_helper.from_array(np.asarray(v), f"{prefix}/{n}") for n, v in constants.items())
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Cast", ["frame"], "floats", {"to": TensorProto.FLOAT}),
        ("Mul", ["/floats", "/gain"], "stretched", {}),
        ("Add", ["/stretched", "/offset"], "moved", {}),
        ("Clip", ["/moved", "/black", "/white"], "cut", {}),
        ("Round", ["/cut"], "rounded", {}),
        ("Cast", ["/rounded"], "frame", {"to": kind}),
    ]
    nodes = [
        helper.make_node(op, [prefix + i if i.startswith("/") else i for i in inputs], [f"{prefix}/{out}"], **attributes)
        for op, inputs, out, attributes in steps
    ]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])


def normalised(model: onnx.ModelProto, pictures: Pictures) -> Pictures:
    """Return the pictures as what comes behind the graph's normalisation sees them; the same ones where it has none."""
    if not any(tensor.name == "edge/normalise/gain" for tensor in model.graph.initializer):
        return pictures
    return [values[0].astype(pictures[0].dtype) for (values,) in tapped(model, ["edge/normalise/rounded"], pictures)]


def _moments(pictures: Pictures) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean over the pictures of each channel's mean and of its deviation inside a picture."""
    means = [p.reshape(-1, p.shape[2]).mean(axis=0) for p in pictures]
    deviations = [p.reshape(-1, p.shape[2]).std(axis=0) for p in pictures]
    return np.mean(means, axis=0), np.mean(deviations, axis=0)


def _listed(values: NDArray[Any]) -> str:
    return "/".join(f"{value:.3g}" for value in values)
