"""``edge check --golden`` says whether today's good frames are like the calibration's, and how they differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.baselines import small_baseline
from support.records import META

from edge.drift.baseline import Baseline
from edge.frames import Frame
from edge.models.golden_drift import GoldenMeter


@pytest.fixture(scope="module")
def learned() -> tuple[Baseline, list[Any]]:
    baseline, _, pictures = small_baseline(rows=420, frames=200)
    return baseline, pictures


def compared(baseline: Baseline, pictures: Any) -> Any:
    meter = GoldenMeter(baseline, 5.0)
    for pixels in pictures:
        meter(Frame(META, pixels))
    return meter.compared()


def test_frames_like_the_calibration_s_are_said_to_be(learned: tuple[Baseline, list[Any]]) -> None:
    told = compared(learned[0], learned[1][60:80])
    assert told.causes == ()
    assert told.text.startswith("today's 20 good frames look like the calibration's (")
    assert abs(told.z) < 5


def test_darker_frames_are_said_to_be_darker_and_by_how_much(learned: tuple[Baseline, list[Any]]) -> None:
    darker = [np.rint(p * 0.8).astype(np.uint8) for p in learned[1][60:80]]
    told = compared(learned[0], darker)
    (cause,) = told.causes
    assert (cause.cause, cause.group, told.statistic) == ("brightness", "lighting", "log_gain")
    assert -30 < cause.size < -13  # 20 %, within a factor of 1.5
    assert told.text.startswith(f"today's 20 good frames are not like the calibration's: darker by {-cause.size:.0f} %")


def test_two_frames_or_frames_of_another_size_say_nothing(learned: tuple[Baseline, list[Any]]) -> None:
    assert compared(learned[0], learned[1][:2]) is None
    assert compared(learned[0], [np.zeros((20, 20), np.uint8)] * 10) is None
