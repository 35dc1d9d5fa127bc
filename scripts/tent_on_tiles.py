"""What the answer `tent` of `edge adapt` does for a trained network out of focus; `eval_train.py --tent` asks it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge.models import graphs
from edge.models.train.fused_graph import MapScale, network_alone
from edge.models.train.network_weights import NETWORK, NetworkWeights
from edge.shift.answers.tent import propose

ADAPTED = 20
"""Good pictures out of focus that the network is adapted to; they are not tested."""
QUIET = 0.98
"""Share of the good pictures in focus whose score lies below the threshold, which stays as it is."""


def tent_figures(
    weights: NetworkWeights,
    validated: Sequence[NDArray[np.uint8]],
    blurred: Sequence[NDArray[np.uint8]],
    tested: tuple[Sequence[NDArray[np.uint8]], Sequence[NDArray[np.uint8]]],
    good: NDArray[np.bool_],
) -> dict[str, float]:
    """False rejects and recall at the threshold of ``validated``: in focus, out of focus, and out of focus after `tent`.

    ``blurred``: good pictures to adapt to. ``tested``: the same pictures in and out of focus; ``good`` says which are.
    """
    frozen = network_alone(weights, MapScale(0, 1))
    threshold = float(np.quantile(scores(frozen, validated), QUIET))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / NETWORK).write_bytes(weights.to_bytes())
        spec = SimpleNamespace(files={NETWORK}, provenance={"method": "train"})
        asked: Any = SimpleNamespace(
            method="train",
            graph=frozen,
            copy=lambda: onnx.ModelProto.FromString(frozen.SerializeToString()),
            pictures=list(blurred[:ADAPTED]),
            bundle=SimpleNamespace(folder=Path(folder), spec=spec),
        )
        adapted = propose(asked).model
    assert adapted is not None
    found: dict[str, float] = {}
    for name, model, pictures in (
        ("in focus", frozen, tested[0]),
        ("out of focus", frozen, tested[1]),
        ("after tent", adapted, tested[1]),
    ):
        above = scores(model, pictures) > threshold
        found |= {f"{name}: false rejects": float(above[good].mean()), f"{name}: recall": float(above[~good].mean())}
    return found


def scores(model: onnx.ModelProto, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """The highest logit of each picture."""
    session = graphs.session(model, "the network")
    return np.array([float(session.run(["score"], {"frame": picture[None]})[0][0]) for picture in pictures])
