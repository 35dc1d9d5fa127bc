"""Part ids of frames that never came: told where the camera's own readings leave no doubt, and else not."""

from __future__ import annotations

import pytest

from edge.sources.genicam.part_ids import PartIds


def after(readings: list[tuple[int, int]]) -> PartIds:
    """Frame id and part id of the frames that came."""
    parts = PartIds()
    for frame_id, part_id in readings:
        assert parts.of(frame_id, part_id) == part_id
    return parts


STEADY = [(n, 100 + n) for n in range(1, 5)]


def test_a_gap_between_two_readings_is_named_where_they_agree():
    parts = after(STEADY[:1])
    assert parts.of_lost(2, 4, 5, 105) == (102, 104)
    assert parts.of_lost(2, 4, 5, 106) == (None, None), "a trigger without a frame, perhaps"


def test_a_frame_without_a_reading_is_named_after_three_steps_of_one():
    assert after(STEADY[:3]).of(5, None) is None
    assert after(STEADY).of(5, None) == 105
    assert after(STEADY).of(9, None) == 109


def test_a_gap_before_a_frame_without_a_reading_is_named_too():
    parts = after(STEADY)
    assert parts.of_lost(5, 6, 7, None) == (105, 106)
    assert parts.of(7, None) == 107
    assert parts.of_lost(8, 8, 9, 109) == (108, 108), "from the last reading to this one"


@pytest.mark.parametrize(
    "readings",
    [[(n, 100 + 3 * n) for n in range(9)], [*STEADY, (5, 107)], [(n, 100) for n in range(9)]],
    ids=["an encoder", "a part more than frames", "a counter that stands"],
)
def test_nothing_is_guessed_where_parts_and_frames_are_not_in_step(readings):
    parts, last = after(readings), readings[-1][0]
    assert parts.of_lost(last + 1, last + 2, last + 3, None) == (None, None)
    assert parts.of(last + 1, None) is None


def test_a_stream_that_begins_knows_nothing():
    parts = after(STEADY)
    parts.start()
    assert parts.of(1, None) is None
    assert parts.of_lost(1, 2, 3, 103) == (None, None)
