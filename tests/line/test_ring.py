"""The ring: order, losses in their place, and no pixels lost anywhere else."""

from __future__ import annotations

import mmap
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.frames import FrameMeta, Skip
from edge.line.ring import Checkpoint, Ring, Slot


def meta(frame_id: int, part_id: int | None = None) -> FrameMeta:
    return FrameMeta(frame_id, "device", 4, 2, "Mono8", 1000 + frame_id, 2000 + frame_id, part_id=part_id)


def gap(first: int, last: int) -> Skip:
    return Skip("frame_id_gap", last - first + 1, first, last, 0)


def put(ring: Ring, frame_id: int) -> Slot | None:
    slot = ring.acquire(8, meta(frame_id), lambda: True)
    if slot is not None:
        slot.view[:] = frame_id % 256
        ring.commit(slot)
    return slot


def drain(ring: Ring) -> list[tuple[str, int | None, int | None, int]]:
    """(reason or 'frame', first id, last id, count) of everything that waits, taken and released."""
    out: list[tuple[str, int | None, int | None, int]] = []
    while (item := ring.take(0.0)) is not None:
        assert not isinstance(item, Checkpoint)
        if isinstance(item, Skip):
            out.append((item.reason, item.frame_id_first, item.frame_id_last, item.count))
        else:
            assert item.meta is not None
            assert (item.view == item.meta.frame_id % 256).all()
            out.append(("frame", item.meta.frame_id, item.meta.frame_id, 1))
            ring.release(item)
    return out


def test_frames_come_out_in_order_with_their_pixels() -> None:
    ring = Ring(4, drops=True)
    for k in range(3):
        put(ring, k)
    assert drain(ring) == [("frame", 0, 0, 1), ("frame", 1, 1, 1), ("frame", 2, 2, 1)]
    assert (ring.committed, ring.dropped, ring.copied_bytes, ring.fill) == (3, 0, 24, 0)


def test_a_full_live_ring_drops_its_oldest_waiting_frames_as_one_skip_in_their_place() -> None:
    ring = Ring(4, drops=True)
    for k in range(7):
        put(ring, k)
    assert drain(ring) == [
        ("ring_full", 0, 2, 3),
        ("frame", 3, 3, 1),
        ("frame", 4, 4, 1),
        ("frame", 5, 5, 1),
        ("frame", 6, 6, 1),
    ]


def test_a_frame_in_work_is_never_dropped() -> None:
    ring = Ring(4, drops=True)
    put(ring, 0)
    in_work = ring.take(0.0)
    assert isinstance(in_work, Slot)
    for k in range(1, 6):
        put(ring, k)
    assert (in_work.view == 0).all()
    assert drain(ring) == [("ring_full", 1, 2, 2), ("frame", 3, 3, 1), ("frame", 4, 4, 1), ("frame", 5, 5, 1)]


def test_when_every_slot_is_in_work_the_new_frame_is_the_loss() -> None:
    ring = Ring(4, drops=True)
    taken = []
    for k in range(4):
        put(ring, k)
        taken.append(ring.take(0.0))
    assert put(ring, 4) is None
    assert drain(ring) == [("ring_full", 4, 4, 1)]


def test_skips_of_different_reasons_stay_apart_and_in_order() -> None:
    ring = Ring(4, drops=True)
    put(ring, 0)
    ring.skip(gap(1, 2))
    ring.skip(gap(3, 3))
    ring.skip(Skip("incomplete", 1, 4, 4, 0))
    put(ring, 5)
    assert drain(ring) == [("frame", 0, 0, 1), ("frame_id_gap", 1, 3, 3), ("incomplete", 4, 4, 1), ("frame", 5, 5, 1)]


SKIP = Skip("ring_full", 3, 8, 10, 5, "device", 108, 110)


@pytest.mark.parametrize(
    ("later", "merged"),
    [
        (Skip("ring_full", 1, 11, 11, 9, "device", 111, 111), Skip("ring_full", 4, 8, 11, 5, "device", 108, 111)),
        (Skip("ring_full", 1, 1, 1, 9, "device", 111, 111), None),
        (Skip("ring_full", 1, 12, 12, 9, "device", 111, 111), None),
        (Skip("ring_full", 1, None, None, 9, "device", 111, 111), None),
        (Skip("ring_full", 1, 11, 11, 9, "device"), None),
        (Skip("ring_full", 1, 11, 11, 9, "device", 0, 0), None),
        (Skip("ring_full", 1, 11, 11, 9, "counted", 111, 111), None),
        (Skip("incomplete", 1, 11, 11, 9, "device", 111, 111), None),
    ],
    ids=[
        "side by side",
        "the camera came back and counts anew",
        "a frame between them",
        "no id",
        "no part id",
        "a part counter that wrapped",
        "ids of another kind",
        "another reason",
    ],
)
def test_losses_merge_only_where_one_marker_tells_both(later: Skip, merged: Skip | None) -> None:
    """The count of a marker is its last id - its first + 1, and its part ids are both there or both not."""
    ring = Ring(4, drops=True)
    ring.skip(SKIP)
    ring.skip(later)
    assert ring.take(0.0) == (merged or SKIP)
    assert ring.take(0.0) == (None if merged else later)


def test_losses_whose_ids_nobody_knows_merge_by_their_count() -> None:
    ring = Ring(4, drops=True)
    for _ in range(3):
        ring.skip(Skip("unreadable", 1, None, None, 0, "counted"))
    assert ring.take(0.0) == Skip("unreadable", 3, None, None, 0, "counted")


def test_frames_dropped_of_two_streams_stay_two_losses() -> None:
    """The camera went and came back while the engine was busy: its ids begin at 1 again."""
    ring = Ring(4, drops=True)
    for frame_id in (7, 8, 9, 10, 1, 2, 3, 4, 5, 6):
        put(ring, frame_id)
    assert drain(ring)[:2] == [("ring_full", 7, 10, 4), ("ring_full", 1, 2, 2)]
    for frame_id in (9, 1, 2):
        put(ring, frame_id)
    ring.abandon()
    assert drain(ring) == [("shutdown", 9, 9, 1), ("shutdown", 1, 2, 2)]


def test_a_frame_dropped_without_its_part_id_has_a_marker_of_its_own() -> None:
    ring = Ring(4, drops=True)
    for frame_id, part_id in ((1, 71), (2, None), (3, 73), (4, 74), (5, 75), (6, 76), (7, 77), (8, 78)):
        slot = ring.acquire(8, meta(frame_id, part_id), lambda: True)
        assert slot is not None
        ring.commit(slot)
    skips = [ring.take(0.0) for _ in range(3)]
    assert [(s.part_id_first, s.part_id_last, s.count) for s in skips if isinstance(s, Skip)] == [
        (71, 71, 1),
        (None, None, 1),
        (73, 74, 2),
    ]


def test_in_replay_neighbours_do_not_merge_so_that_a_recording_comes_out_as_it_went_in() -> None:
    ring = Ring(4, drops=False)
    ring.skip(gap(1, 2))
    ring.skip(gap(3, 3))
    assert drain(ring) == [("frame_id_gap", 1, 2, 2), ("frame_id_gap", 3, 3, 1)]


def test_replay_waits_for_a_slot_and_loses_nothing() -> None:
    ring = Ring(4, drops=False)
    got: list[int] = []

    def consume() -> None:
        while True:
            try:
                item = ring.take(0.1)
            except EOFError:
                return
            if isinstance(item, Slot):
                assert item.meta is not None
                got.append(item.meta.frame_id)
                ring.release(item)

    thread = threading.Thread(target=consume)
    thread.start()
    for k in range(200):
        put(ring, k)
    ring.close()
    thread.join()
    assert got == list(range(200))
    assert ring.dropped == 0


def test_a_replay_told_to_stop_while_it_waits_says_shutdown_for_the_frame_in_hand() -> None:
    ring = Ring(4, drops=False)
    for k in range(4):
        put(ring, k)
    assert ring.acquire(8, meta(4), lambda: False) is None
    assert drain(ring)[-1] == ("shutdown", 4, 4, 1)


def test_what_cannot_be_inspected_any_more_is_skipped_as_shutdown() -> None:
    ring = Ring(4, drops=True)
    put(ring, 0)
    ring.skip(gap(1, 1))
    put(ring, 2)
    put(ring, 3)
    ring.abandon()
    assert drain(ring) == [("shutdown", 0, 0, 1), ("frame_id_gap", 1, 1, 1), ("shutdown", 2, 3, 2)]


def test_a_checkpoint_keeps_its_place_whatever_is_dropped_around_it() -> None:
    """Of two neighbours the later one counts; losses on its two sides do not merge."""
    ring = Ring(4, drops=True)
    ring.mark(0)
    for k in range(3):
        put(ring, k)
    ring.mark(3)
    ring.skip(gap(3, 4))
    ring.mark(5)
    ring.mark(5)
    for k in range(5, 10):
        put(ring, k)
    out: list[object] = []
    while (item := ring.take(0.0)) is not None:
        out.append(item if isinstance(item, Checkpoint) else getattr(item, "reason", "frame"))
    assert out[:6] == [Checkpoint(0), "ring_full", Checkpoint(3), "frame_id_gap", Checkpoint(5), "ring_full"]
    assert out[6:] == ["frame"] * 4


def test_checkpoints_outlive_what_is_abandoned() -> None:
    ring = Ring(4, drops=True)
    put(ring, 0)
    ring.mark(1)
    put(ring, 1)
    ring.abandon()
    first, mark, second = (ring.take(0.0) for _ in range(3))
    assert isinstance(first, Skip)
    assert isinstance(second, Skip)
    assert (first.frame_id_first, mark, second.frame_id_first) == (0, Checkpoint(1), 1)


def test_a_closed_ring_gives_what_waits_and_then_ends() -> None:
    ring = Ring(4, drops=True)
    put(ring, 0)
    ring.close()
    assert isinstance(ring.take(0.0), Slot)
    with pytest.raises(EOFError):
        ring.take(0.0)


def test_a_slot_grows_for_a_larger_frame_and_is_kept_for_a_smaller_one() -> None:
    ring = Ring(4, drops=True)
    slot = ring.acquire(100, meta(0), lambda: True)
    assert slot is not None
    memory = slot.view.__array_interface__["data"][0]
    slot.fit(40, meta(1))
    assert slot.view.nbytes == 40
    assert slot.view.__array_interface__["data"][0] == memory
    slot.fit(1000, meta(2))
    assert slot.view.nbytes == 1000


def memory(ring: Ring) -> list[int]:
    return sorted(slot._buffer.nbytes for slot in ring._free)


def test_the_memory_of_all_slots_is_made_with_the_first_frame_and_with_a_larger_one() -> None:
    """None is left to be made at the first backlog; a slot in work gets its larger memory when it is used again."""
    ring = Ring(4, drops=True)
    assert memory(ring) == [0, 0, 0, 0]
    put(ring, 0)
    assert memory(ring) == [8, 8, 8]
    in_work = ring.take(0.0)
    assert isinstance(in_work, Slot)
    larger = ring.acquire(100, meta(1), lambda: True)
    assert larger is not None
    assert larger.view.nbytes == 100
    assert memory(ring) == [100, 100]
    assert (in_work.view == 0).all()
    ring.release(in_work)
    slot = ring.acquire(60, meta(2), lambda: True)
    assert slot is in_work
    assert (slot.view.nbytes, slot._buffer.nbytes) == (60, 100)


def test_no_memory_is_made_for_frames_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring(4, drops=True)
    put(ring, 0)

    def refused(*_: object) -> None:
        raise AssertionError("memory for a frame")

    monkeypatch.setattr(np, "empty", refused)
    for k in range(1, 12):
        put(ring, k)
    taken = [ring.take(0.0) for _ in range(3)]
    for k in range(12, 20):
        put(ring, k)
    for slot in taken:
        if isinstance(slot, Slot):
            ring.release(slot)
    put(ring, 20)
    assert ring.committed == 21


def test_the_first_backlog_takes_no_memory_from_the_system() -> None:
    """Slots that were allocated and never touched cost nothing until a busy moment; a soak took that for a leak."""
    ring, nbytes = Ring(32, drops=True), 1 << 20
    slot = ring.acquire(nbytes, meta(0), lambda: True)
    assert slot is not None
    before = resident_bytes()
    slot.view[:] = 1
    ring.commit(slot)
    for k in range(1, 32):
        slot = ring.acquire(nbytes, meta(k), lambda: True)
        assert slot is not None
        slot.view[:] = 1
        ring.commit(slot)
    assert ring.fill == 32
    assert resident_bytes() - before < 4 * nbytes


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def test_a_frame_that_finds_no_memory_is_a_loss_in_its_place_and_costs_no_slot() -> None:
    ring = Ring(4, drops=True)
    put(ring, 0)
    in_work = ring.take(0.0)
    assert isinstance(in_work, Slot)
    for k in range(1, 7):
        with pytest.raises(MemoryError):
            ring.acquire(1 << 60, meta(k), lambda: True)
    assert (ring.fill, ring.dropped) == (1, 6)
    ring.release(in_work)
    put(ring, 7)
    assert drain(ring) == [("ring_full", 1, 6, 6), ("frame", 7, 7, 1)]
    assert ring.fill == 0


def test_a_slot_that_finds_no_memory_when_it_is_used_again_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring(4, drops=True)
    taken = []
    for k in range(4):
        put(ring, k)
        taken.append(ring.take(0.0))
    assert ring.acquire(1000, meta(4), lambda: True) is None  # no slot is free: nothing to make larger
    assert isinstance(taken[0], Slot)
    ring.release(taken[0])
    empty = np.empty
    monkeypatch.setattr(np, "empty", lambda n, dtype: empty(n, dtype) if n < 1000 else empty(1 << 60, dtype))
    with pytest.raises(MemoryError):
        ring.acquire(1000, meta(5), lambda: True)
    assert ring.fill == 3
    monkeypatch.undo()
    put(ring, 6)
    assert drain(ring) == [("ring_full", 4, 5, 2), ("frame", 6, 6, 1)]


def test_part_ids_of_lost_frames_are_named() -> None:
    ring = Ring(4, drops=True)
    for k in range(6):
        slot = ring.acquire(8, meta(k, part_id=70 + k), lambda: True)
        assert slot is not None
        ring.commit(slot)
    skip = ring.take(0.0)
    assert isinstance(skip, Skip)
    assert (skip.part_id_first, skip.part_id_last) == (70, 71)


@settings(max_examples=200, deadline=None)
@given(
    slots=st.integers(4, 8),
    steps=st.lists(st.sampled_from(["frame", "gap", "take", "release"]), max_size=80),
)
def test_every_announced_frame_comes_out_once_and_in_order(slots: int, steps: list[str]) -> None:
    """Whatever the interleaving: ids of frames and skips, laid end to end, count up without a hole."""
    ring = Ring(slots, drops=True)
    next_id, held, out = 0, [], []

    def note(item: Slot | Skip | None) -> None:
        if isinstance(item, Skip):
            assert item.frame_id_first is not None
            assert item.frame_id_last is not None
            assert item.count == item.frame_id_last - item.frame_id_first + 1
            out.extend(range(item.frame_id_first, item.frame_id_last + 1))
        elif item is not None:
            assert item.meta is not None
            out.append(item.meta.frame_id)
            held.append(item)

    for step in steps:
        if step == "frame":
            put(ring, next_id)
            next_id += 1
        elif step == "gap":
            ring.skip(gap(next_id, next_id + 1))
            next_id += 2
        elif step == "take" and len(held) < 3:
            note(ring.take(0.0))
        elif step == "release" and held:
            ring.release(held.pop(0))
    while (item := ring.take(0.0)) is not None:
        note(item)
    assert out == list(range(next_id))


def test_a_frame_that_comes_when_the_ring_is_closed_is_a_loss_in_the_order() -> None:
    for end in (Ring.close, Ring.abandon):
        ring = Ring(4, drops=True)
        slot = ring.acquire(8, meta(1), lambda: True)
        assert slot is not None
        end(ring)
        ring.commit(slot)
        assert ring.acquire(8, meta(2), lambda: True) is None
        told = ring.take(0.0)
        assert isinstance(told, Skip)
        assert (told.reason, told.frame_id_first, told.frame_id_last) == ("shutdown", 1, 2)
        assert (ring.fill, ring.committed) == (0, 0)
