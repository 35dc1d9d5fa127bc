"""The cells' graph, sums and leave-one-out say the same; a changed texture at an unchanged brightness is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from edge.errors import UserError
from edge.models.fit.cells import METHOD, CellStatistics
from edge.models.fit.protocol import MethodOptions


def pictures(count: int, shape: tuple[int, int, int], seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    pattern = rng.uniform(80, 170, (shape[0] // 8 + 1, shape[1] // 8 + 1, shape[2])).repeat(8, 0).repeat(8, 1)
    pattern = pattern[: shape[0], : shape[1]]
    return [np.clip(pattern + rng.normal(0, 4, shape), 0, 255).astype(np.uint8) for _ in range(count)]


def gathered(frames: list[Any]) -> CellStatistics:
    statistics = METHOD.empty(frames[0].shape, MethodOptions())
    for frame in frames:
        statistics.add(frame)
    return statistics


@pytest.mark.parametrize("shape", [(48, 64, 1), (50, 61, 3)])
def test_graph_and_scorer_give_the_same_map(shape: tuple[int, int, int]) -> None:
    frames = pictures(16, shape)
    statistics = gathered(frames)
    model = statistics.model()
    changed = frames[0].copy()
    changed[20:30:2, 30:40] = 90
    session = ort.InferenceSession(model.graph.SerializeToString(), providers=["CPUExecutionProvider"])
    values, score = session.run(["map", "score"], {"frame": changed[None]})
    assert model.map_size == values[0].shape[::-1]
    np.testing.assert_allclose(values[0], statistics.scorer()(changed), rtol=2e-3, atol=2e-3)
    assert score[0] == values.max()
    y, x = np.unravel_index(values[0].argmax(), values[0].shape)
    sx, sy, ox, oy = model.map_to_image
    assert 26 <= (x + 0.5) * sx + ox < 44
    assert 16 <= (y + 0.5) * sy + oy < 34


def test_leaving_a_picture_out_is_never_having_seen_it() -> None:
    frames = pictures(14, (48, 64, 1))
    left_out = gathered(frames).scorer(frames[0])(frames[0])
    np.testing.assert_allclose(left_out, gathered(frames[1:]).scorer()(frames[0]), rtol=1e-3)
    assert left_out.max() > gathered(frames).scorer()(frames[0]).max()


def test_parts_merge_to_the_whole() -> None:
    frames = pictures(10, (48, 64, 1))
    part = gathered(frames[:4])
    part.merge(METHOD.restore(gathered(frames[4:]).arrays(), (48, 64, 1), MethodOptions()))
    np.testing.assert_allclose(part.scorer()(frames[0]), gathered(frames).scorer()(frames[0]), rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "options", "text"),
    [
        (
            (12, 60, 1),
            {},
            "--method cells: the picture is too small for cells\n  received: 60x12\n"
            "  expected: at least 16 px on both sides",
        ),
        (
            (64, 64, 1),
            {"backbone": Path("lite0")},
            "--backbone: cells has features of its own\n  received: lite0\n  fix: leave it out, or say --method memory",
        ),
        ((64, 64, 1), {"floor": -1.0}, "--floor\n  received: -1.0\n  expected: a number of grey levels above 0"),
    ],
)
def test_options_that_cannot_be_are_refused(shape: Any, options: Any, text: str) -> None:
    with pytest.raises(UserError) as caught:
        METHOD.empty(shape, MethodOptions(**options))
    assert str(caught.value) == text
