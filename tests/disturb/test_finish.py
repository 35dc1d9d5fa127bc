"""A zone of another finish reaches across the part, changes light or grain, and leaves the rest as it was."""

from __future__ import annotations

import numpy as np
import pytest

from edge.disturb.finish import uneven_finish

SURFACE = np.random.default_rng(0).normal(120, 6, (120, 90, 1)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(20))
def test_nothing_changes_far_from_the_zone(seed: int) -> None:
    changed, mask = uneven_finish(np.random.default_rng(seed), SURFACE)
    far = ~np.pad(mask, 8, mode="edge")[8:-8, 8:-8]
    reach = 6  # half of the softest rim, and a px
    for axis in (0, 1):
        for step in range(-reach, reach + 1):
            far &= ~np.roll(mask, step, axis)
    assert changed.shape == SURFACE.shape
    assert changed.dtype == np.uint8
    far[:reach], far[-reach:], far[:, :reach], far[:, -reach:] = False, False, False, False
    assert np.abs(changed.astype(int) - SURFACE)[far].max(initial=0) <= 1


def test_zones_are_of_every_size_and_lie_at_every_side() -> None:
    masks = [uneven_finish(np.random.default_rng(seed), SURFACE)[1] for seed in range(200)]
    shares = np.array([mask.mean() for mask in masks])
    assert shares.min() < 0.08
    assert shares.max() > 0.35
    sides = [(mask[0].all(), mask[-1].all(), mask[:, 0].all(), mask[:, -1].all()) for mask in masks]
    assert all(np.array(sides).sum(axis=0) > 10)


def test_light_or_grain_changes_inside() -> None:
    for seed in range(50):
        changed, mask = uneven_finish(np.random.default_rng(seed), SURFACE)
        if mask.sum() < 200:
            continue
        light = changed[mask].mean() / SURFACE[mask].mean()
        grain = changed[mask].std() / SURFACE[mask].std()
        assert abs(light - 1) > 0.03 or abs(grain - 1) > 0.1


def test_the_same_generator_gives_the_same_zone() -> None:
    a, b = (uneven_finish(np.random.default_rng(3), SURFACE) for _ in range(2))
    assert np.array_equal(a[0], b[0])
    assert np.array_equal(a[1], b[1])
