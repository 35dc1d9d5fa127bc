"""How pictures were taken: what differs is named, what doesn't is not."""

import cv2
import numpy as np
import pytest
from support.sets import as_frame

from edge.models.audit.traits import compare_traits, traits_of

NAMES = ("lab", "line")


def taken(seed, count=40, place=0.0, light=6.0, blur=0.0, gain=1.0, size=(96, 128)):
    """Pictures of a disc; ``place``: how far it moves, in px; ``light``: how far the brightness does, in grey levels."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        height, width = size
        picture = np.full(size, 40.0, np.float32)
        centre = (int(width / 2 + rng.normal(0, place + 1e-9)), int(height / 2 + rng.normal(0, place + 1e-9)))
        cv2.circle(picture, centre, height // 4, 150.0, -1)
        if blur:
            picture = cv2.GaussianBlur(picture, (0, 0), blur)
        picture = gain * picture + rng.normal(0, light) + rng.normal(0, 2, size)
        yield traits_of(as_frame(np.clip(picture, 0, 255).astype(np.uint8)))


def codes(left, right):
    return {(f.code, f.values.get("trait")) for f in compare_traits(NAMES, list(left), list(right))}


@pytest.mark.parametrize("seed", range(5))
def test_two_sets_taken_alike_give_no_finding(seed):
    assert codes(taken(seed, place=5), taken(100 + seed, place=5)) == set()


def test_parts_centred_by_hand_are_named():
    findings = compare_traits(NAMES, list(taken(0, place=0.5)), list(taken(1, place=8)))
    assert {f.values["trait"] for f in findings if f.code == "spread_differs"} == {"place_x", "place_y"}
    assert "varies" in findings[0].text
    assert "less in lab" in findings[0].text
    assert "centred by hand?" in findings[0].text
    assert all(f.weight == "warns" for f in findings)


def test_light_that_never_varies_is_named():
    assert ("spread_differs", "brightness") in codes(taken(0, light=0.5), taken(1, light=8))


def test_another_focus_and_another_exposure_are_named():
    assert ("middle_differs", "sharpness") in codes(taken(0), taken(1, blur=2.0))
    assert ("middle_differs", "brightness") in codes(taken(0), taken(1, gain=1.6))


def test_another_size_says_whether_it_was_shrunk_or_cropped():
    left, right = list(taken(0)), list(taken(1, size=(192, 256)))
    texts = [f.text for f in compare_traits(NAMES, left, right) if f.code == "size_differs"]
    assert texts == ["most pictures of lab have 128x96 px, of line 256x192 px: shrunk, or another camera"]
    wide = [f.text for f in compare_traits(NAMES, left, list(taken(1, size=(96, 96)))) if f.code == "size_differs"]
    assert wide == ["most pictures of lab have 128x96 px, of line 96x96 px: cropped, or another camera or lens"]


def test_grey_and_colour_are_told_apart():
    grey = np.zeros((32, 32), np.uint8)
    left = [traits_of(as_frame(grey))] * 3
    right = [traits_of(as_frame(np.repeat(grey[:, :, None], 3, axis=2)))] * 3
    findings = compare_traits(NAMES, left, right)
    assert [f.text for f in findings if f.code == "channels_differ"] == ["pictures of lab are grey, those of line colour"]


def test_three_pictures_are_too_few_and_it_is_said():
    assert codes(taken(0, count=3), taken(1)) == {("few_pictures", None)}


def test_the_noise_of_flat_pictures_is_measured_in_grey_levels():
    rng = np.random.default_rng(0)
    flat = np.clip(np.rint(rng.normal(100, 3.0, (200, 200))), 0, 255).astype(np.uint8)
    assert traits_of(as_frame(flat)).noise == pytest.approx(3.0, rel=0.05)
