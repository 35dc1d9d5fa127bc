"""Losses as arithmetic on the camera's ids."""

from __future__ import annotations

import numpy as np
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.frames import Skip
from edge.sources.genicam.frame_ids import FrameIds


class Torn:
    """The id of a buffer with bytes missing."""

    def __init__(self, raw: int | None) -> None:
        self.raw = raw


def follow(*raw: int | Torn | None) -> tuple[list[tuple[int, int] | None], FrameIds]:
    """(unwrapped id, missing before it) of each raw id, all of them told."""
    ids = FrameIds()
    ids.start()
    seen: list[tuple[int, int] | None] = []
    for value in raw:
        arrival = ids.arrived(value.raw, complete=False) if isinstance(value, Torn) else ids.arrived(value)
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
        ([70000, 70001, 5, 6], [(70000, 0), (70001, 0), None, (6, 1)], 4),
        ([60000, 1, 2, 3], [(60000, 0), None, (2, 1), (3, 0)], 4),
        ([65500, 1, 2], [(65500, 0), (65536, 35), (65537, 0)], 38),
        ([65535, 0, 1], [(65535, 0), (65536, 0), (65537, 0)], 3),
        ([65534, 2, 65535, 3], [(65534, 0), (65537, 2), None, (65538, 0)], 5),
        ([5, 6, 9, 7, 10], [(5, 0), (6, 0), (9, 2), None, (10, 0)], 6),
        ([5, 6, 6, 7], [(5, 0), (6, 0), None, (7, 0)], 3),
        ([5, 6, 1, 2], [(5, 0), (6, 0), None, (2, 1)], 4),
        ([5, 6, 1, 7], [(5, 0), (6, 0), None, (7, 0)], 3),
        ([1, 2, 3, 1, 4], [(1, 0), (2, 0), (3, 0), None, (4, 0)], 4),
        ([0, 0, 0], [(0, 0), (1, 0), (2, 0)], 3),
        ([7, 7, 7, 7], [(7, 0), (8, 0), (9, 0), (10, 0)], 4),
        ([7, 7, 8, 10], [(7, 0), (8, 0), (8, 0), (10, 1)], 5),
        ([6, 7, *[7] * 9], [(6, 0), (7, 0), *[None] * 7, (15, 7), (16, 0)], 11),
        ([6, 7, *[None] * 8, 9], [(6, 0), (7, 0), *[None] * 7, (15, 7), (9, 0)], 11),
        ([6, 7, Torn(0), *[7] * 8], [(6, 0), (7, 0), *[None] * 8, (16, 8)], 11),
        ([5, None, 7], [(5, 0), None, (7, 1)], 3),
        ([Torn(None), 2, 3, 9], [(0, 0), (2, 0), (3, 0), (9, 5)], 9),
        ([Torn(0), 2, 3], [(0, 0), (2, 0), (3, 0)], 3),
        ([Torn(1), 2], [(1, 0), (2, 0)], 2),
        ([29, 30, Torn(0), 32], [(29, 0), (30, 0), None, (32, 1)], 4),
        ([29, 30, Torn(1), Torn(2), 33], [(29, 0), (30, 0), None, None, (33, 2)], 5),
        ([29, 30, Torn(4000), 32], [(29, 0), (30, 0), None, (32, 1)], 4),
        ([29, Torn(32), 33], [(29, 0), (32, 2), (33, 0)], 5),
        ([None, Torn(5), None], [(0, 0), (1, 0), (2, 0)], 3),
        ([None, None, None], [(0, 0), (1, 0), (2, 0)], 3),
        ([5, 6, 40000, 7, 8], [(5, 0), (6, 0), None, (7, 0), (8, 0)], 4),
        ([5, 6, 40000, 8, 9], [(5, 0), (6, 0), None, (8, 1), (9, 0)], 5),
        ([5, 4_000_000_000, 7, 9_000_000_000, 9, 10], [(5, 0), None, (7, 1), None, (9, 1), (10, 0)], 6),
        ([5, 2**64 - 1, 7, 2**32 - 1, Torn(2**64 - 1), 10], [(5, 0), None, (7, 1), None, None, (10, 2)], 6),
        ([5, 1005], [(5, 0), (1005, 999)], 1001),
        ([5, 1006, 1007], [(5, 0), None, (1007, 1001)], 1003),
        ([5, 20000, 20003, 20004], [(5, 0), None, (20003, 19997), (20004, 0)], 20000),
        ([5, 20000, 40000, 20001, 20002], [(5, 0), None, None, None, (20002, 19996)], 19998),
        ([60000, 10000, 10001], [(60000, 0), None, (75536, 15535)], 15537),
        ([1000, 5, 300, 6, 7, 8], [(1000, 0), None, None, (6, 1), (7, 0), (8, 0)], 5),
        ([1000, 5, 300, 301], [(1000, 0), None, None, (301, 1)], 3),
    ],
    ids=[
        "no loss",
        "a gap",
        "ids begin anywhere",
        "16 bits wrap to 1",
        "a gap across the wrap",
        "wide ids pass 65535",
        "wide ids that fall back begin a new count",
        "ids below 65535 that fall back to 1 begin a new count",
        "ids that wrap to 1 with a small loss",
        "ids that wrap to 0",
        "a late frame from before the wrap",
        "a late frame is in its gap already",
        "a repeated id is no new frame",
        "a camera that counts from 1 again is believed at the second frame",
        "a stray 1 restarts nothing",
        "a late 1 restarts nothing",
        "a camera that gives no ids but 0",
        "a camera that gives no ids but 7",
        "a frame given twice at the start does not turn ids off",
        "ids that stop moving",
        "ids that stop coming, and come back",
        "a torn buffer among ids that stop moving",
        "a buffer without id shows as a gap",
        "a torn first buffer without id does not turn ids off",
        "a torn first buffer whose id reads 0 is none",
        "a torn first buffer with an id",
        "a torn buffer whose id reads 0 shows as a gap",
        "torn buffers restart nothing, however they count",
        "a torn buffer's id from far ahead shows as a gap",
        "a torn buffer behind a gap",
        "a torn buffer's id does not turn ids on",
        "a camera without ids is counted",
        "a stray id far ahead is no wrap",
        "a stray id in the place of another is one frame of the gap",
        "stray ids again and again lose nothing but themselves",
        "GenTL's invalid id is none, in 32 bits too",
        "a gap that is believed at once",
        "a longer gap is believed at the second frame",
        "a long gap with a loss behind it",
        "a long gap with a stray id in it",
        "a long gap across the wrap",
        "a new count with a stray id in it",
        "a new count behind a stray id",
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


@pytest.mark.parametrize(
    ("raw", "source"),
    [
        ([1, 2], "device"),
        ([None, None], "counted"),
        ([7, 7], "counted"),
        ([0, 0], "counted"),
        ([6, *[7] * 9], "counted"),
        ([Torn(None)], "counted"),
        ([Torn(None), 2], "device"),
        ([None, 2], "device"),
        ([None, Torn(2)], "counted"),
    ],
)
def test_only_a_camera_whose_ids_move_is_a_device_source(raw, source):
    assert follow(*raw)[1].source == source


@settings(max_examples=300, deadline=None)
@given(
    first=st.sampled_from([0, 1, 2, 17, 65000, 65470, 65530, 65535, 70000]),
    wide=st.booleans(),
    fates=st.lists(st.sampled_from(["whole", "whole", "lost", "torn", "torn, no id", "torn, 0"]), max_size=150),
)
def test_every_frame_of_a_camera_is_placed_or_inside_a_gap(first, wide, fates):
    """Frames and gaps laid end to end count up without a hole, to the camera's own last frame, over any wrap."""
    wide = wide or first in (0, 70000)
    ids, told, sent = FrameIds(), [], first
    for number, fate in enumerate(["whole", *fates, "whole"]):
        sent = first + number
        raw = sent if wide else (sent - 1) % 65535 + 1
        if fate == "lost":
            continue
        seen = {"torn, no id": None, "torn, 0": 0}.get(fate, raw)
        arrival = ids.arrived(seen, complete=fate == "whole")
        if arrival is not None:
            told += range(arrival.frame_id - arrival.missing, arrival.frame_id + 1)
            ids.tell(arrival.frame_id)
            assert arrival.frame_id == sent
    assert told == list(range(first, sent + 1))
    assert ids.announced == sent - first + 1
    assert ids.source == "device"


def test_a_torn_first_buffer_without_id_leaves_the_camera_s_ids_in_force():
    """Through the accounts, which know what is torn: the five frames lost later are in a gap."""
    pytest.importorskip("genicam")
    from edge.sources.genicam.accounts import Accounts
    from edge.sources.genicam.buffer import RawFrame

    accounts, told = Accounts(None, structlog.get_logger()), []
    data = np.zeros(1, np.uint8)
    for raw in (None, 2, 3, 9):
        torn = raw is None
        frame = RawFrame(None, raw, 0, 0, None if torn else data, 1, 1, "Mono8", reason="incomplete" if torn else None)
        accounts.put(frame)
        while accounts.waiting:
            item = accounts.take()
            told.append((item.reason, item.count) if isinstance(item, Skip) else item.meta.frame_id)
    assert told == [("incomplete", 1), 2, 3, ("frame_id_gap", 5), 9]
    assert accounts.announced == 9
