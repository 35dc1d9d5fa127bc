"""Frames unlike those before are told, and a lasting change becomes usual."""

import numpy as np
import pytest

from edge.outputs.evidence.novelty import Novelty


def frames(seed, count, level=100.0, bits=8):
    rng = np.random.default_rng(seed)
    scale = 2 ** (bits - 8)
    base = np.linspace(-20, 20, 200)[None, :] + np.zeros((150, 1))
    for _ in range(count):
        values = scale * (level + base + rng.normal(0, 1.5) + rng.normal(0, 4, base.shape))
        yield np.clip(values, 0, 2**bits - 1).astype(np.uint8 if bits == 8 else np.uint16)


@pytest.mark.parametrize("bits", [8, 12])
def test_another_light_is_novel_a_few_times_and_then_it_is_known(bits):
    novelty = Novelty(8.0)
    usual = [novelty.is_novel(f, bits) for f in frames(0, 300, bits=bits)]
    assert sum(usual) == 0
    changed = [novelty.is_novel(f, bits) for f in frames(1, 200, level=140, bits=bits)]
    assert changed[0]
    assert 1 <= sum(changed) <= 20
    assert sum(changed[100:]) == 0


def test_a_patch_on_an_otherwise_usual_frame_is_novel():
    novelty = Novelty(8.0)
    for f in frames(0, 200):
        novelty.is_novel(f, 8)
    (stained,) = frames(5, 1)
    stained[20:110, 40:120] = 0
    assert novelty.is_novel(stained, 8)


def test_the_first_frames_are_only_looked_at_and_colour_and_another_size_do_no_harm():
    novelty = Novelty(8.0)
    assert not any(novelty.is_novel(np.full((64, 64), 9 * (k % 20), np.uint8), 8) for k in range(64))
    assert novelty.is_novel(np.zeros((80, 90, 3), np.uint8), 8)
