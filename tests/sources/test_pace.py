"""How long a camera may say nothing: three times its own interval, wherever that is known from."""

from __future__ import annotations

import pytest

from edge.sources.pace import Pace, expected_interval_s


def heard(*moments: float, expected_s: float = 0.0) -> Pace:
    pace = Pace()
    pace.start(expected_s)
    for moment in moments:
        pace.heard(moment)
    return pace


@pytest.mark.parametrize(
    ("pace", "limit_s"),
    [
        (heard(), 1.0),
        (heard(expected_s=2.5), 7.5),
        (heard(expected_s=0.01), 1.0),
        (heard(10.0, 12.0), 1.0),
        (heard(10.0, 12.0, 14.5), 6.0),
        (heard(10.0, 12.0, 14.5, expected_s=3.0), 9.0),
        (heard(*range(0, 20, 4), 16.1, 16.2, 16.3), 0.3),
    ],
    ids=["nothing known", "rate", "fast", "one interval", "two intervals", "rate above them", "faster since"],
)
def test_the_limit_is_three_times_the_usual_interval_and_at_least_the_least(pace, limit_s):
    assert pace.limit_s(0.1 if limit_s == 0.3 else 1.0) == pytest.approx(limit_s)


def test_one_stall_makes_no_habit():
    pace = heard(0.0, 0.1, 60.0, 60.1, 60.2)
    assert pace.limit_s(1.0) == 1.0
    assert heard(0.0, 60.0, 60.1).limit_s(1.0) == 1.0


def test_what_an_earlier_stream_did_says_nothing():
    pace = heard(0.0, 5.0, 10.0)
    assert pace.limit_s(1.0) == 15.0
    pace.start(0.0)
    pace.heard(11.0)
    assert pace.limit_s(1.0) == 1.0


@pytest.mark.parametrize(
    ("features", "interval_s"),
    [
        ({}, 0.0),
        ({"AcquisitionFrameRate": 0.5}, 2.0),
        ({"AcquisitionFrameRate": 0.5, "AcquisitionFrameRateEnable": True}, 2.0),
        ({"AcquisitionFrameRate": 0.5, "AcquisitionFrameRateEnable": False}, 0.0),
        ({"AcquisitionFrameRate": 0.5, "AcquisitionFrameRateEnable": False, "ExposureTime": 4_000_000.0}, 4.0),
        ({"AcquisitionFrameRate": 10, "ExposureTime": 800.0}, 0.1),
        ({"AcquisitionFrameRate": 0.0}, 0.0),
    ],
)
def test_the_camera_s_own_features_tell_the_interval(features, interval_s):
    assert expected_interval_s(features.get) == pytest.approx(interval_s)
