"""A sketch of any number of values: exact near the largest, within its error elsewhere, in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.models.calibrate.quantile import QuantileSketch


def sketched(values: np.ndarray, kept: int = 1 << 22, parts: int = 7) -> QuantileSketch:
    sketch = QuantileSketch(kept)
    for part in np.array_split(values, parts):
        sketch.add(part)
    return sketch


def exact(values: np.ndarray, q: float) -> float:
    return float(np.quantile(values.astype(np.float64), q))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1e-30, 1e-3, 1, 50, 1e20]), st.floats(0, 1), st.integers(1, 2000))
def test_a_sketch_that_let_nothing_go_is_exact(seed: int, scale: float, q: float, count: int) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.normal(rng.uniform(-2, 2), 1, count) * scale).astype(np.float32)
    sketch = sketched(values)
    assert sketch.quantile(q) == pytest.approx(exact(values, q), rel=1e-12, abs=1e-12 * scale)
    assert sketch.count == count


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1), st.sampled_from(["normal", "offset", "levels", "lognormal"]))
def test_a_quantile_with_few_values_above_it_is_exact_and_others_are_near(seed: int, q: float, kind: str) -> None:
    rng = np.random.default_rng(seed)
    values = {
        "normal": lambda: rng.normal(0, 1, 3000),
        "offset": lambda: rng.normal(100, 1, 3000),
        "levels": lambda: rng.integers(0, 5, 3000) / 4,
        "lognormal": lambda: rng.lognormal(0, 5, 3000),
    }[kind]().astype(np.float32)
    sketch = sketched(values, kept=200, parts=13)
    near = 0.0 if (1 - q) * 2999 < 198 else float(np.abs(values).max()) if kind == "normal" else exact(values, q)
    # the values on both sides of a rank may lie far apart
    low, high = (float(np.quantile(values, q, method=m)) for m in ("lower", "higher"))
    assert low - near / 8192 - 1e-12 * high <= sketch.quantile(q) <= high + near / 8192 + 1e-12 * high
    if not near:
        assert sketch.quantile(q) == pytest.approx(exact(values, q), rel=1e-12)
        at = np.float32(np.quantile(values, q, method="lower"))
        assert sketch.share_from(float(at)) == float((values >= at).mean())
    assert values.min() <= sketch.quantile(q) <= values.max()


def test_a_value_that_most_pixels_have_is_counted_whole_though_few_of_them_are_kept() -> None:
    values = np.concatenate([np.full(5000, 7.3), np.arange(50) + 10, np.zeros(100)]).astype(np.float32)
    sketch = sketched(np.random.default_rng(0).permutation(values), kept=100, parts=40)
    assert sketch.quantile(0.99) == exact(values, 0.99) or sketch.quantile(0.985) == exact(values, 0.985)
    assert sketch.share_from(np.float32(7.3)) == 5050 / 5150
    assert sketch.share_from(9.0) == 50 / 5150
    assert sketch.share_from(1.0) == 5050 / 5150


def test_a_sketch_stays_small() -> None:
    sketch = QuantileSketch(1000)
    sketch.add(np.array([np.finfo(np.float32).max, -np.finfo(np.float32).max, 0.0, -0.0], np.float32))
    assert sketch._counts.nbytes <= 32 * 2**20
    other = QuantileSketch(1000)
    rng = np.random.default_rng(0)
    for _ in range(50):
        other.add(rng.uniform(0.001, 1, 10**4).astype(np.float32))
        assert other._held < 2000 + 10**4
    assert other._counts.nbytes < 0.7 * 2**20
    assert (other._held, other.count) == (sum(len(part) for part in other._top), 5 * 10**5)
    assert other._held < 3000


def test_an_empty_sketch_has_no_quantile() -> None:
    with pytest.raises(ValueError, match=r"^no values were counted$"):
        QuantileSketch().quantile(0.5)
