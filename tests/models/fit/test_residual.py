"""The residual method's graph, its sums and its leave-one-out say the same, and parts add up to the whole."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
import pytest

from edge.errors import UserError
from edge.models.fit.protocol import MethodOptions
from edge.models.fit.residual import METHOD, ResidualStatistics


def pictures(count: int, shape: tuple[int, int, int], seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    pattern = rng.uniform(60, 190, shape)
    return [np.clip(pattern + rng.normal(0, 3, shape), 0, 255).astype(np.uint8) for _ in range(count)]


def gathered(frames: list[Any], **options: Any) -> ResidualStatistics:
    statistics = METHOD.empty(frames[0].shape, MethodOptions(**options))
    for frame in frames:
        statistics.add(frame)
    return statistics


def run(model: Any, picture: Any) -> Any:
    session = ort.InferenceSession(model.graph.SerializeToString(), providers=["CPUExecutionProvider"])
    values, score = session.run(["map", "score"], {"frame": picture[None]})
    assert score[0] == values.max()
    return values[0]


@pytest.mark.parametrize("shape", [(64, 96, 1), (67, 90, 3)])
@pytest.mark.parametrize("flat_field", [False, True])
def test_graph_and_scorer_give_the_same_map(shape: tuple[int, int, int], flat_field: bool) -> None:
    frames = pictures(8, shape)
    statistics = gathered(frames, flat_field=flat_field)
    model = statistics.model(frames)
    assert model.map_size == (shape[1], shape[0])
    changed = frames[0].copy()
    changed[20:28, 30:38] = 220
    values = run(model, changed)
    np.testing.assert_allclose(values, statistics.scorer()(changed), rtol=1e-3, atol=1e-3)  # the gate is steep
    y, x = np.unravel_index(values.argmax(), values.shape)
    assert 20 <= y < 28
    assert 30 <= x < 38


@pytest.mark.parametrize("contrast", [255, 90, 30])
@pytest.mark.parametrize("side", [4, 8, 13, 30, 50])
def test_a_region_ends_where_the_defect_does_whatever_its_contrast(side: int, contrast: int) -> None:
    model = fitted_on_white(noise=2.0)
    for at in range(90, 94):  # at every place against the grid of the coarsest scale
        picture = white(2.0, 99)
        picture[at : at + side, at : at + side] = np.clip(picture[at : at + side, at : at + side] - contrast, 0, 255)
        x0, y0, x1, y1, _ = largest(run(model, picture.astype(np.uint8)) >= 1.5)
        for begins, ends in ((x0, x1), (y0, y1)):
            assert at - 2 <= begins <= at + 1
            assert at + side - 1 <= ends <= at + side + 2


@pytest.mark.parametrize("contrast", [255, 90, 30])
def test_a_single_dark_pixel_is_a_region_of_a_few_px(contrast: int) -> None:
    model = fitted_on_white(noise=0.0)
    for at in range(90, 94):
        picture = white(0.0, 99)
        picture[at, at] -= contrast
        *_, area = largest(run(model, picture.astype(np.uint8)) >= 0.9)
        assert 1 <= area <= 9, "at the coarsest scale it is 8 px wide, 44 px"


def test_a_speck_does_not_hide_the_weak_stain_that_it_lies_on() -> None:
    model = fitted_on_white(noise=2.0)
    picture = white(2.0, 99)
    picture[90:110, 90:110] -= 25
    stain = largest(run(model, picture.astype(np.uint8)) >= 1.5)[4]
    picture[100, 100] = 0
    specked = run(model, picture.astype(np.uint8)) >= 1.5
    assert np.count_nonzero(specked) > 0.6 * stain


def white(noise: float, seed: int) -> Any:
    return (
        np.clip(230 + np.random.default_rng(seed).normal(0, noise, (192, 192, 1)), 0, 255)
        if noise
        else np.full((192, 192, 1), 255.0)
    )


@lru_cache
def fitted_on_white(*, noise: float) -> Any:
    frames = [white(noise, seed).astype(np.uint8) for seed in range(20)]
    return gathered(frames).model(frames)


def largest(over: Any) -> tuple[int, ...]:
    """x0, y0, x1, y1 and area of the largest region."""
    _, _, found, _ = cv2.connectedComponentsWithStats(over.astype(np.uint8), connectivity=8)
    x, y, w, h, area = max(found[1:].tolist(), key=lambda row: row[4], default=[0, 0, 0, 0, 0])
    return x, y, x + w, y + h, area


def test_leaving_a_picture_out_is_never_having_seen_it() -> None:
    frames = pictures(9, (48, 64, 1))
    every, others = gathered(frames), gathered(frames[1:])
    every.model(frames)
    others.model(frames)
    others._q, others._usual = every._q, every._usual
    left_out, never_seen = every.scorer(frames[0])(frames[0]), others.scorer()(frames[0])
    np.testing.assert_allclose(left_out, never_seen, rtol=5e-3, atol=5e-3)
    assert left_out.max() > 1.05 * every.scorer()(frames[0]).max(), "seen pictures look better than they are"


def test_parts_merge_to_the_whole_bit_for_bit() -> None:
    frames = pictures(10, (48, 64, 1))
    whole, part = gathered(frames), gathered(frames[:3])
    part.merge(gathered(frames[3:]))
    assert part.frames == 10
    assert part.model(frames[:4]).graph.SerializeToString() == whole.model(frames[:4]).graph.SerializeToString()


def test_what_was_kept_in_a_file_goes_on_as_if_never_stopped() -> None:
    frames = pictures(6, (48, 64, 1))
    restored = METHOD.restore(gathered(frames[:4]).arrays(), (48, 64, 1), MethodOptions())
    for frame in frames[4:]:
        restored.add(frame)
    assert restored.model(frames).graph.SerializeToString() == gathered(frames).model(frames).graph.SerializeToString()


def test_the_flat_field_takes_slow_changes_of_the_light_away() -> None:
    frames = pictures(12, (96, 128, 1))
    plain, flat = gathered(frames), gathered(frames, flat_field=True)
    plain.model(frames)
    flat.model(frames)
    fading = np.clip(frames[0] * np.linspace(0.9, 1.1, 128)[None, :, None], 0, 255).astype(np.uint8)
    assert plain.scorer(frames[0])(fading).max() > 2.0
    assert flat.scorer(frames[0])(fading).max() < plain.scorer(frames[0])(fading).max() / 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"floor": 0.0}, "--floor\n  received: 0.0\n  expected: a number of grey levels above 0"),
        (
            {"flat_field": True},
            "--flat-field: the picture is too small to have slow changes\n  received: 60x40\n"
            "  expected: at least 64 px on both sides",
        ),
    ],
)
def test_options_that_cannot_be_are_refused(options: Any, text: str) -> None:
    with pytest.raises(UserError) as caught:
        METHOD.empty((40, 60, 1), MethodOptions(**options))
    assert str(caught.value) == text
