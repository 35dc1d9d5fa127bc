"""Parts that were photographed twice are found by content; parts that look alike are not accused."""

import cv2
import numpy as np
import pytest
from support.sets import as_frame

from edge.models.audit.same_part import TRIED, TwinFinder
from edge.sources.synthetic.parts import part_scene


def parts(preset, seed, count, side=192):
    scene, out = part_scene(preset, seed, side, side), []
    for index in range(count):
        pixels = np.empty((side, side), np.uint8)
        scene.render(index, 0.0, pixels)
        out.append(pixels)
    return out


def photographed_again(pixels, rng):
    """The same part, up to 2 px elsewhere, under other gain, with new noise."""
    dx, dy = rng.uniform(-2, 2, 2)
    moved = cv2.warpAffine(
        pixels.astype(np.float32), np.array([[1, 0, dx], [0, 1, dy]]), pixels.shape[::-1], borderMode=cv2.BORDER_REPLICATE
    )
    noisy = moved * rng.uniform(0.9, 1.1) + rng.normal(0, 2.5, moved.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def compared(left, right):
    frames = [as_frame(p) for p in left], [as_frame(p) for p in right]
    together = frames[0] + frames[1]
    finder = TwinFinder([together[i] for i in np.linspace(0, len(together) - 1, TRIED).astype(int)])
    return finder.find(*([finder.look(f) for f in side] for side in frames))


@pytest.mark.parametrize(("preset", "seed"), [("medium", 0), ("hard", 3)])
def test_parts_photographed_twice_are_found_and_no_other_is_accused(preset, seed):
    pictures, rng = parts(preset, seed, 80), np.random.default_rng(seed)
    repeats = [photographed_again(pictures[i], rng) for i in range(0, 40, 8)]
    twins = compared(pictures[:40], pictures[40:] + repeats)
    assert twins.way == "registered"
    assert sorted((pair.left, pair.right) for pair in twins.pairs) == [(8 * i, 40 + i) for i in range(5)]
    assert compared(pictures[:40], pictures[40:]).pairs == ()


def textures(count, seed):
    """Pictures of parts that don't lie alike, each of its own size."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        height, width = rng.integers(120, 260, 2).tolist()
        small = rng.normal(128, 40, (24, 24)).astype(np.float32)
        yield np.clip(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def test_parts_of_any_size_and_place_are_told_by_their_texture():
    pictures = list(textures(60, 1))
    dimmer = [np.clip(0.6 * p[2:, 1:] + 20, 0, 255).astype(np.uint8) for p in pictures[:6]]
    twins = compared(pictures[:30], pictures[30:] + dimmer)
    assert twins.way == "texture"
    assert sorted((pair.left, pair.right) for pair in twins.pairs) == [(i, 30 + i) for i in range(6)]


def test_a_handful_of_pictures_is_not_tested():
    pictures = parts("easy", 0, 6)
    twins = compared(pictures[:3], pictures[3:])
    assert not twins.tested
    assert twins.pairs == ()


def test_colour_and_grey_are_compared_by_what_they_show():
    pictures = parts("medium", 2, 40)
    colour = [np.repeat(p[:, :, None], 3, axis=2) for p in pictures[:4]]
    twins = compared(pictures[:30], pictures[30:] + colour)
    assert sorted((pair.left, pair.right) for pair in twins.pairs) == [(i, 10 + i) for i in range(4)]
