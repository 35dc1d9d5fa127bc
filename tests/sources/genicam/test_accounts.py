"""What a camera's frames, as they come, say of the camera: one bad frame is a loss, and so many in a row a problem."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs

pytest.importorskip("genicam", reason="the extra 'camera' is not installed")

from edge.frames import Payload, Skip
from edge.sources.genicam import accounts as genicam_accounts
from edge.sources.genicam.accounts import Accounts
from edge.sources.genicam.buffer import RawFrame

PIXELS = np.zeros(1, np.uint8)
NO_PARTS = "no frame has a part id: ChunkCounterValue does not come with it"


def frame(frame_id: int | None, **changes: Any) -> RawFrame:
    """A good one, but for ``changes``."""
    good = {"data": PIXELS, "width": 1, "height": 1, "pixel_format": "Mono8", "part_id": 7}
    return RawFrame(None, frame_id, 0, 0, **{**good, **changes})


def bad(frame_id: int | None, problem: str = "payload type GenDC", **changes: Any) -> RawFrame:
    return frame(frame_id, data=None, reason="bad_payload", problem=problem, **changes)


def accounts() -> Accounts:
    return Accounts("ChunkCounterValue", structlog.get_logger())


def problems(*frames: RawFrame) -> list[str | None]:
    """What the accounts say after each."""
    book = accounts()
    return [(book.put(one), book.problem)[1] for one in frames]


def put(book: Accounts, *frames: RawFrame) -> list[Payload | Skip]:
    for one in frames:
        book.put(one)
    return [book.take() for _ in range(len(book._waiting))]


@pytest.fixture(autouse=True)
def clock(monkeypatch) -> list[float]:
    """The monotonic seconds that the accounts see; what was a problem is over at once, if no test says otherwise."""
    now = [100.0]
    monkeypatch.setattr(genicam_accounts.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(genicam_accounts, "PROBLEM_S", 0.0)
    return now


def test_a_problem_that_comes_again_and_again_is_one_until_ten_seconds_after_it_was_seen(monkeypatch, clock):
    """Three frames of four are spoilt by an overloaded switch, ten frames a second."""
    monkeypatch.setattr(genicam_accounts, "PROBLEM_S", 10.0)
    book, told = accounts(), []
    for n in range(1, 41):
        clock[0] += 0.125
        book.put(frame(n) if n % 4 == 0 else bad(n))
        told.append(book.problem)
    assert told == [None] * 2 + ["no frame can be used: payload type GenDC"] * 38
    clock[0] += 9.75
    assert book.problem is not None
    clock[0] += 0.25  # the last that showed it was the 39th
    assert book.problem is None


def test_a_problem_that_the_newest_frame_shows_stays_however_long_no_other_comes(monkeypatch, clock):
    book = accounts()
    for n in (1, 2, 3):
        book.put(bad(n))
    clock[0] += 3600
    assert book.problem == "no frame can be used: payload type GenDC"


def test_three_frames_in_a_row_that_cannot_be_used_are_a_problem_until_one_can():
    told = problems(frame(1), bad(2), bad(3), bad(4), bad(5), frame(6), bad(7))
    text = "no frame can be used: payload type GenDC"
    assert told == [None, None, None, text, text, None, None]


def test_the_problem_is_the_latest_one():
    torn = frame(4, data=None, part_id=None, reason="incomplete", problem="bytes are missing")
    assert problems(frame(1), bad(2), bad(3), torn)[-1] == "no frame can be used: bytes are missing"


def test_three_frames_in_a_row_without_a_part_id_are_a_problem_until_one_has_it():
    told = problems(*(frame(n, part_id=None) for n in range(1, 5)), frame(5))
    assert told == [None, None, NO_PARTS, NO_PARTS, None]


def test_frames_that_cannot_be_used_say_nothing_of_part_ids():
    told = problems(*(frame(n, part_id=None) for n in (1, 2, 3)), bad(4), frame(5, part_id=None), bad(6, part_id=9))
    assert told[3:] == [NO_PARTS] * 3


def test_without_a_part_id_in_the_config_none_is_missed():
    book = Accounts(None, structlog.get_logger())
    for n in range(1, 9):
        book.put(frame(n, part_id=None))
    assert book.problem is None


def test_a_stream_that_begins_has_no_problem_yet():
    book = accounts()
    for n in range(1, 9):
        book.put(bad(n))
    assert book.problem is not None
    book.start()
    assert book.problem is None


def test_a_lost_frame_s_skip_names_its_part():
    """As its chunk says, or as the frames before it say where it brought none."""
    book = accounts()
    good = [frame(n, part_id=100 + n) for n in range(1, 5)]
    torn = frame(9, data=None, part_id=None, reason="incomplete", problem="bytes are missing")
    items = put(book, *good, bad(5, part_id=105), torn, frame(11, part_id=111))
    named = [
        (item.reason, item.frame_id_first, item.frame_id_last, item.part_id_first, item.part_id_last)
        for item in items
        if isinstance(item, Skip)
    ]
    assert named == [
        ("bad_payload", 5, 5, 105, 105),
        ("frame_id_gap", 6, 8, 106, 108),
        ("incomplete", 9, 9, 109, 109),
        ("frame_id_gap", 10, 10, 110, 110),
    ]


def test_where_frames_are_counted_here_no_part_is_named_that_was_not_read():
    """Frames lost in transport are not seen then, and would shift it."""
    book = accounts()
    torn = frame(None, data=None, part_id=None, reason="incomplete", problem="bytes are missing")
    items = put(book, *(frame(None, part_id=100 + n) for n in range(5)), torn)
    assert items[-1].frame_id_source == "counted"
    assert items[-1].part_id_first is None


def test_each_problem_is_logged_once_and_no_endless_number_of_them():
    with capture_logs() as logs:
        book = accounts()
        for n in range(1000):
            book.put(bad(2 * n + 1, "payload type GenDC"))
            book.put(bad(2 * n + 2, f"{n} bytes, 10000 needed for Mono8 100x100"))
            book.take(), book.take()
    assert [log["problem"] for log in logs][:2] == ["payload type GenDC", "0 bytes, 10000 needed for Mono8 100x100"]
    assert len(logs) == 64


def test_a_picture_that_stands_still_under_running_ids_is_a_loss_and_a_problem():
    book = Accounts(None, structlog.get_logger(), max_repeats=1)
    still = np.random.default_rng(0).integers(0, 255, 5000, np.uint8)
    with capture_logs() as logs:
        items = put(book, *(frame(number, data=still.copy(), part_id=None) for number in range(6)))
    assert [item.reason if isinstance(item, Skip) else "frame" for item in items] == ["frame"] * 2 + ["bad_payload"] * 4
    assert book.counters["bad_payload"] == 4
    assert book.problem == "no frame can be used: the camera repeats its last picture"
    assert [line["problem"] for line in logs] == ["the camera repeats its last picture"]
    assert book.announced == 6
    put(book, frame(6, data=still[::-1].copy(), part_id=None))
    assert book.problem is None
