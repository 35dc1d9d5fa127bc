"""A set of good frames is of one kind, and none is unlike all others; what is strange is told before anything is learnt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.errors import UserError
from edge.frames import Frame, FrameMeta, Skip
from edge.models.frame_survey import Survey, outliers_text, surveyed


def frame(pixels: Any, name: str, bits: int = 8) -> Frame:
    height, width = pixels.shape[:2]
    return Frame(FrameMeta(0, "counted", width, height, "Mono8", 0, 0, frame_ref=name), pixels, bits)


def noisy(index: int, size: tuple[int, int] = (64, 48), channels: int = 0, seed: int = 0) -> Frame:
    rng = np.random.default_rng([seed, index])
    shape = (size[1], size[0], *([channels] if channels else []))
    return frame((100 + rng.normal(0, 3, shape)).astype(np.uint8), f"{index}.png")


def refusal(survey: Survey, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        survey.check("good", **options)
    return str(caught.value)


def test_colour_behind_grey_is_refused() -> None:
    survey = surveyed([*(noisy(k) for k in range(6)), noisy(6, channels=3), noisy(7, channels=3)])
    assert refusal(survey) == (
        "good: the good frames are of several kinds\n"
        "  received: 2 of RGB, 8 bits (6.png, 7.png), 6 of grey, 8 bits\n"
        "  expected: one kind, as the camera gives it\n"
        "  fix: leave the others out, or convert them"
    )
    deep = frame(np.full((48, 64), 900, np.uint16), "8.png", 16)
    assert "1 of grey, 16 bits (8.png), 6 of grey, 8 bits" in refusal(surveyed([*(noisy(k) for k in range(6)), deep]))


@pytest.mark.parametrize(
    "others",
    [[(48, 64)] * 5, [(32, 24)], [(32, 24), (128, 96), (48, 64)], [(64, 49)], [(48, 64)] * 20],
    ids=["portrait", "thumbnail", "three", "one_row_more", "half"],
)
def test_a_few_frames_of_another_size_are_refused_unless_a_size_is_named(others: list[tuple[int, int]]) -> None:
    survey = surveyed([*(noisy(100 + k, size) for k, size in enumerate(others)), *(noisy(k) for k in range(20))])
    text = refusal(survey, mend=", or: --size WIDTH,HEIGHT")
    assert text.startswith(
        "good: the good frames have several sizes\n  received: 1 of " if len(others) < 5 else "good: the"
    )
    assert text.endswith("\n  fix: leave the others out, or: --size WIDTH,HEIGHT")
    survey.check("good", sized=True)
    assert len(survey.notes()) == 1
    assert survey.notes(any_size=True) == [], "each is taken as it is"


def test_crops_of_their_own_sizes_are_brought_to_the_median() -> None:
    """As in the magnetic tile set: 631 sizes among 674 pictures. The first one decides nothing."""
    sizes = [(16, 12), *((100 + k, 200 + 2 * k) for k in range(20))]
    survey = surveyed(noisy(k, size) for k, size in enumerate(sizes))
    survey.check("good")
    assert (survey.cropped, survey.size) == (True, (109, 218))
    assert survey.notes() == [
        "frames of 21 sizes, 16 to 119 px wide and 12 to 238 px high: each is squeezed or stretched to one size"
    ]


@pytest.mark.parametrize(
    ("bits", "highest", "word"), [(16, 2560, 12), (16, 1000, 10), (16, 60_000, 0), (12, 4000, 0), (12, 255, 8)]
)
def test_values_that_never_fill_their_range_are_told(bits: int, highest: int, word: int) -> None:
    deep = [frame(np.full((4, 4), highest - k, np.uint16), f"{k}.png", bits) for k in range(3)]
    expected = f"the highest value is {highest} of {2**bits - 1}: are these {word} bits? --bits {word}"
    assert surveyed(deep).notes() == ([expected] if word else [])


@pytest.mark.parametrize("channels", [0, 3])
@pytest.mark.parametrize("kind", ["spot", "dark", "mask", "shifted"])
def test_a_frame_unlike_the_others_is_found(kind: str, channels: int) -> None:
    frames = [noisy(k, channels=channels) for k in range(30)]
    odd = np.array(frames[11].pixels)
    if kind == "spot":
        odd[20:26, 30:36] = 30
    elif kind == "dark":
        odd //= 3
    elif kind == "mask":
        odd[:] = 0
        odd[10:20, 10:20] = 255
    else:
        for index, each in enumerate(frames):
            pixels = np.array(each.pixels)
            pixels[:, :20] = 30
            frames[index] = frame(pixels, f"{index}.png")
        odd[:, 4:24] = 30
    frames[11] = frame(odd, "11.png")
    found = surveyed(frames).outliers()
    assert [o.name for o in found] == ["11.png"]
    assert outliers_text(found, 30) == f"1 of 30: 11.png ({found[0].z:.0f} times the usual spread)"


def test_good_frames_hold_none() -> None:
    """Noise, light that drifts, parts that lie otherwise each time."""
    assert surveyed(noisy(k) for k in range(200)).outliers() == ()
    drifting = [frame((n.pixels + np.uint8(k)).astype(np.uint8), f"{k}") for k, n in ((k, noisy(k)) for k in range(40))]
    assert surveyed(drifting).outliers() == ()
    rng = np.random.default_rng(5)
    moving = [
        frame(np.roll(np.pad(np.full((20, 20), 200, np.uint8), 20), rng.integers(-9, 10, 2), (0, 1)), f"{k}")
        for k in range(40)
    ]
    assert surveyed(moving).outliers() == ()
    assert surveyed([noisy(0), noisy(1), frame(np.zeros((48, 64), np.uint8), "2")]).outliers() == (), "too few to tell"


def test_frames_that_cannot_be_read_are_passed_over() -> None:
    survey = surveyed([noisy(0), Skip("unreadable", 1, 1, 1, 0, "counted", frame_ref="1.png"), noisy(2)])
    assert survey.frames == 2
