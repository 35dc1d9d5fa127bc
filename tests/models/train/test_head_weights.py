"""A head is read back as it was written, and one of another shape is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.trainings import seeded_head

from edge.errors import UserError
from edge.models.train.head_weights import HEAD, read_head_weights


def test_a_head_comes_back_as_it_was(tmp_path: Path) -> None:
    head = seeded_head(7)
    (tmp_path / HEAD).write_bytes(head.to_bytes())
    found = read_head_weights(tmp_path / HEAD, 7, 5)
    assert all(np.array_equal(found.arrays[name], values) for name, values in head.arrays.items())
    assert np.array_equal(found.mean, head.mean)


def test_folded_the_first_convolution_takes_features_as_they_come() -> None:
    head, features = seeded_head(7), np.random.default_rng(0).normal(3, 2, (4, 7)).astype(np.float32)
    matrix, bias = head.folded()
    standardised = (features - head.mean) / head.deviation
    expected = standardised @ head.arrays["mix.weight"][:, :, 0, 0].T + head.arrays["mix.bias"]
    np.testing.assert_allclose(features @ matrix + bias, expected, atol=1e-5)


def test_on_another_scale_it_says_the_same_of_the_same_features() -> None:
    """What ``tent`` did to mean and deviation isn't lost where a training goes on from it."""
    head, rng = seeded_head(7), np.random.default_rng(2)
    moved = head.on_scale(rng.normal(0, 2, 7).astype(np.float32), rng.uniform(0.2, 3, 7).astype(np.float32))
    for own, other in zip(head.folded(), moved.folded(), strict=True):
        np.testing.assert_allclose(other, own, rtol=1e-5, atol=1e-5)
    assert not np.allclose(moved.arrays["mix.weight"], head.arrays["mix.weight"])


def test_a_head_of_another_shape_is_refused(tmp_path: Path) -> None:
    (tmp_path / HEAD).write_bytes(seeded_head(7).to_bytes())
    with pytest.raises(UserError) as caught:
        read_head_weights(tmp_path / HEAD, 50, 64)
    assert str(caught.value) == (
        f"{tmp_path / HEAD}: the head is of another shape\n"
        "  received: 7 features and 5 channels\n"
        "  expected: 50 features and 64 channels\n"
        "  fix: give the --backbone and --layers of the first training; a training can begin without --from"
    )


@pytest.mark.parametrize("content", [b"PK", b"xx", b""])
def test_another_file_is_no_head(content: bytes, tmp_path: Path) -> None:
    (tmp_path / HEAD).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_head_weights(tmp_path / HEAD, 7, 5)
    assert str(caught.value) == (
        f"{tmp_path / HEAD}: not the head of a trained bundle\n"
        "  received: no archive of arrays (.npz), or a damaged one\n"
        "  fix: copy the bundle again; a training can begin without --from"
    )


def test_a_head_is_read_with_as_many_channels_as_it_has(tmp_path: Path) -> None:
    (tmp_path / HEAD).write_bytes(seeded_head(7).to_bytes())
    assert read_head_weights(tmp_path / HEAD, 7).hidden == 5
