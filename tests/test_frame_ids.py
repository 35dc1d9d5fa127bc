"""Losses as arithmetic on the camera's ids."""

from __future__ import annotations

import pytest

from edge.sources.frame_ids import FrameIds


def follow(*raw: int | None) -> tuple[list[tuple[int, int] | None], FrameIds]:
    """(unwrapped id, missing before it) of each raw id, all of them told."""
    ids = FrameIds()
    ids.start()
    seen: list[tuple[int, int] | None] = []
    for value in raw:
        arrival = ids.arrived(value)
        if arrival is not None:
            ids.tell(arrival.frame_id)
        seen.append(None if arrival is None else (arrival.frame_id, arrival.missing))
    return seen, ids


@pytest.mark.parametrize(
    ("raw", "expected", "announced"),
    [
        ([1, 2, 3], [(1, 0), (2, 0), (3, 0)], 3),
        ([0, 1, 5], [(0, 0), (1, 0), (5, 3)], 6),
        ([65401, 65402], [(65401, 0), (65402, 0)], 2),
        ([65534, 65535, 1, 2], [(65534, 0), (65535, 0), (65536, 0), (65537, 0)], 4),
        ([65530, 3], [(65530, 0), (65538, 7)], 9),
        ([65535, 65536, 65537], [(65535, 0), (65536, 0), (65537, 0)], 3),
        ([70000, 70001, 5], [(70000, 0), (70001, 0), (5, 0)], 3),
        ([5, 6, 9, 7, 10], [(5, 0), (6, 0), (9, 2), None, (10, 0)], 6),
        ([5, 6, 6, 7], [(5, 0), (6, 0), None, (7, 0)], 3),
        ([5, 6, 1, 2], [(5, 0), (6, 0), (1, 0), (2, 0)], 4),
        ([0, 0, 0], [(0, 0), (0, 0), (0, 0)], 3),
        ([5, None, 7], [(5, 0), None, (7, 1)], 3),
        ([None, None, None], [(0, 0), (1, 0), (2, 0)], 3),
    ],
    ids=[
        "no loss",
        "a gap",
        "ids begin anywhere",
        "16 bits wrap to 1",
        "a gap across the wrap",
        "wide ids pass 65535",
        "wide ids that fall back begin a new count",
        "a late frame is in its gap already",
        "a repeated id is no new frame",
        "a camera that counts from 1 again",
        "a camera that gives no ids but 0",
        "a buffer without id shows as a gap",
        "a camera without ids is counted",
    ],
)
def test_ids_give_losses_and_the_announced_sum(raw, expected, announced):
    seen, ids = follow(*raw)
    assert seen == expected
    assert ids.announced == announced


def test_sums_over_stream_starts():
    """Each start begins a count of its own; ids before and after it have nothing to do with each other."""
    _, ids = follow(7, 8, 12)
    ids.start()
    assert ids.announced == 6
    assert ids.arrived(3).missing == 0
    assert ids.announced == 6, "what was not handed on yet is not announced"
    ids.tell(3)
    assert ids.announced == 7


def test_only_a_camera_with_ids_is_a_device_source():
    assert follow(1, 2)[1].source == "device"
    assert follow(None, None)[1].source == "counted"
