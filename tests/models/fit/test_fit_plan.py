"""Frames of several sizes are brought to the one that most have, or to the median of their sides."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.sets import picture, save

from edge.models.fit.fit import FitRun, fit
from edge.models.fit.fit_plan import FitRequest, plan_fit
from edge.models.frame_sequence import FrameSequence
from edge.models.good_frames import good_frames


def frames(folder: Path, *shapes: tuple[int, int]) -> FrameSequence:
    for index, shape in enumerate(shapes):
        save(folder / f"{index:03d}.png", picture(index, shape))
    return FrameSequence.of(good_frames(folder))


def test_crops_are_brought_to_the_median_of_their_sides_wherever_they_stand(tmp_path: Path) -> None:
    """The first 16 are small ones: they alone would say 20 to 35."""
    crops = frames(tmp_path, *((20 + index, 30 + index) for index in range(41)))
    plan = plan_fit(crops, FitRequest("x", method="pixel"))
    assert plan.spec.input.size == (50, 40)
    assert plan.frame_size == (50, 40)
    fitted = fit(crops, FitRequest("x", method="pixel"), FitRun(test=False))
    assert fitted.plan.shape == (40, 50, 1)


@pytest.mark.parametrize("first", [True, False])
def test_a_size_that_most_have_is_taken_though_another_comes_first(tmp_path: Path, first: bool) -> None:
    rest = [(24, 32)] * 30
    others = frames(tmp_path, *([(30, 40), *rest] if first else [*rest, (30, 40)]))
    assert plan_fit(others, FitRequest("x", method="pixel")).spec.input.size == (32, 24)


def test_frames_that_come_once_go_by_the_first_of_them(tmp_path: Path) -> None:
    crops = list(frames(tmp_path, *((20 + index, 30 + index) for index in range(17))))
    plan = plan_fit(crops, FitRequest("x", method="pixel"))  # type: ignore[arg-type]
    assert plan.spec.input.size == (38, 28)  # the middle of 30 to 45 rounds to even
