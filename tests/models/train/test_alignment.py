"""A head's features of good pictures are compared with the factory's, place by place of what both show."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: scripts/test --all installs it")

import torch

from edge.models.train.alignment import features_apart, places_of
from edge.models.train.head import Batch, DefectHead

WIDTH = 6


def apart(ours: Batch, theirs: Batch, way: str) -> float | None:
    torch.manual_seed(0)
    with torch.no_grad():
        far = features_apart(DefectHead(WIDTH, 8), ours, theirs, way)
    return None if far is None else float(far)


def batch(seed: int, count: int = 4, shift: float = 0.0) -> Batch:
    """Good pictures of 5x6 places in 7x8, beside which anything lies."""
    generator = torch.Generator().manual_seed(seed)
    features, valid = torch.randn(count, WIDTH, 7, 8, generator=generator) + shift, torch.zeros(count, 1, 7, 8)
    valid[:, :, :5, :6] = 1
    return Batch(features, torch.zeros_like(valid), valid, valid)


def test_places_are_those_of_the_picture_and_not_too_many() -> None:
    one = batch(0, 30)
    rows = places_of(one.features, one.valid)
    assert rows.shape == (512, WIDTH), "of 900"
    np.testing.assert_array_equal(rows[0].numpy(), one.features[0, :, 0, 0].numpy())
    np.testing.assert_array_equal(rows[-1].numpy(), one.features[-1, :, 4, 5].numpy())
    columns = torch.arange(64.0).expand(4, 1, 64, 64)
    assert len(places_of(columns).unique()) > 48, "of every column, however wide the grid is"


@pytest.mark.parametrize("way", ["coral", "mmd"])
def test_what_lies_beside_a_picture_changes_nothing(way: str) -> None:
    ours, theirs = batch(0), batch(1, shift=1.0)
    far = apart(ours, theirs, way)
    assert far is not None
    assert far > 0
    noisy = Batch(theirs.features + 100 * (1 - theirs.valid), theirs.targets, theirs.valid, theirs.counted)
    assert apart(ours, noisy, way) == far


@pytest.mark.parametrize("way", ["coral", "mmd"])
def test_only_good_pictures_are_compared(way: str) -> None:
    ours, theirs = batch(0), batch(1)
    bad = ours.targets.clone()
    bad[1:, 0, 2, 2] = 1
    first = Batch(ours.features[:1], ours.targets[:1], ours.valid[:1], ours.counted[:1])
    assert apart(Batch(ours.features, bad, ours.valid, ours.counted), theirs, way) == apart(first, theirs, way)
    bad[0, 0, 0, 0] = 1
    assert apart(Batch(ours.features, bad, ours.valid, ours.counted), theirs, way) is None
    faint = ours.counted.clone()
    faint[1:, 0, 2, 2] = 0
    assert apart(Batch(ours.features, ours.targets, ours.valid, faint), theirs, way) == apart(first, theirs, way)
