"""The fused graph is what both of its halves say, on one scale, in plain operators."""

from __future__ import annotations

import numpy as np
import onnx
from support.trainings import remembered, seeded_head, surface

from edge.models import graphs
from edge.models.train.fused_graph import MapScale, MapScales, RawMaps, fused_graph, scales_of

MEMORY = remembered()
HEAD = seeded_head(MEMORY.width)
SCALES = MapScales(MapScale(0.5, 1.5), MapScale(-2.0, 2.0))


def run(picture: np.ndarray) -> dict[str, np.ndarray]:
    return graphs.run_graph(graphs.session(fused_graph(MEMORY, HEAD, SCALES), "x"), picture[None])


def test_a_place_has_the_memorys_value_and_half_the_heads_on_one_scale() -> None:
    picture = surface(40, (160, 128))[:, :, None]
    distance, logits = RawMaps(MEMORY, HEAD).of(picture)
    assert distance.shape == logits.shape == (8, 10)
    fused = (distance - 0.5) / 1.0 + 0.5 * (logits + 2.0) / 4.0
    found = run(picture)
    assert found["map"].shape == (1, 16, 20)
    assert float(found["score"][0]) == float(found["map"].max())
    # the map is twice as fine by interpolation: its mean is the grid's but for the rim
    np.testing.assert_allclose(found["map"][0, 1:-1, 1:-1].mean(), fused.mean(), atol=0.05 * np.ptp(fused))
    assert found["map"].max() <= fused.max() + 1e-5


def test_the_head_of_the_graph_is_the_head_in_numbers() -> None:
    picture = surface(41)[:, :, None]
    _, logits = RawMaps(MEMORY, HEAD).of(picture)
    x = (MEMORY.vectors(picture) - HEAD.mean) / HEAD.deviation
    mixed = np.maximum(x @ HEAD.arrays["mix.weight"][:, :, 0, 0].T + HEAD.arrays["mix.bias"], 0)
    wide = np.pad(mixed, ((1, 1), (1, 1), (0, 0)))
    h, w = mixed.shape[:2]
    seen = sum(wide[i : i + h, j : j + w] @ HEAD.arrays["see.weight"][:, :, i, j].T for i in range(3) for j in range(3))
    hidden = np.maximum(seen + HEAD.arrays["see.bias"], 0)
    np.testing.assert_allclose(logits, hidden @ HEAD.arrays["say.weight"][0, :, 0, 0] + HEAD.arrays["say.bias"], atol=1e-4)
    np.testing.assert_allclose(run(picture)["embedding"][0], hidden.mean(axis=(0, 1)), atol=1e-4)


def test_the_graph_has_the_contracts_outputs_and_nothing_of_training() -> None:
    model = fused_graph(MEMORY, HEAD, SCALES)
    onnx.checker.check_model(model)
    assert [(o.name, len(graphs.dims(o))) for o in model.graph.output] == [("map", 3), ("score", 1), ("embedding", 2)]
    assert not {node.op_type for node in model.graph.node} & {"Dropout", "BatchNormalization", "RandomNormal"}
    assert {node.domain for node in model.graph.node} == {""}


def test_on_its_scale_the_middle_good_picture_reaches_one() -> None:
    maps = [(np.array([[0.0, k]], np.float32), np.array([[-k, 1.0]], np.float32)) for k in (1.0, 2.0, 3.0)]
    scales = scales_of(maps, 0.5)
    assert scales.memory == MapScale(1.0, 2.0)
    assert scales.head == MapScale(-0.5, 1.0)
