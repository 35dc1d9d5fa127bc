"""Two runs over the same frames: every frame is compared once, by what identifies it, and the changed ones are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from support.lines import loaded, make_line, run
from support.records import META, REGION, WIRE, inspection, skip

from edge.config.regions import RegionsConfig
from edge.frames import Frame, Skip
from edge.outputs.queued import Queued
from edge.outputs.replay_pictures import PictureSink, WantedPictures
from edge.regions.criteria import Criteria
from edge.report.changed_picture import draw_change
from edge.report.compare import Comparison, OutcomeChange, Outcomes, outcome
from edge.report.picture_names import PictureOf
from edge.report.run_lengths import run_lengths
from edge.storage.log_files import read_records
from edge.wire.read import read

CRITERIA = Criteria(RegionsConfig(), 0.5)


def told(seq: int, *, run_id: str = "run1", **changes: Any) -> dict[str, Any]:
    """A record of a pass as it is read from a log; ``changes`` of the frame's meta or of the inspection."""
    of_meta = {key: changes.pop(key) for key in list(changes) if hasattr(META, key)}
    record = WIRE.inspection(seq, inspection(meta=replace(META, **of_meta), **changes), 1)
    return {**read(record.line), "instance_id": run_id}


def lost(seq: int, run_id: str = "run1", **changes: Any) -> dict[str, Any]:
    return {**read(WIRE.skip(seq, skip(**changes), 1).line), "instance_id": run_id}


def transitions(found: Comparison) -> Mapping[tuple[str, str], int]:
    return dict(found.transitions)


def test_each_kind_of_change_is_counted_and_what_stayed_too() -> None:
    before = Outcomes([told(k, frame_id=k, verdict=v) for k, v in enumerate(("pass", "pass", "fail", "invalid", "pass"))])
    now = [told(k, frame_id=k, verdict=v) for k, v in enumerate(("pass", "fail", "pass", "invalid", "fail"))]
    found = before.compare(now)
    assert transitions(found) == {
        ("pass", "pass"): 1,
        ("pass", "fail"): 2,
        ("fail", "pass"): 1,
        ("invalid", "invalid"): 1,
    }
    assert found.changes == (
        OutcomeChange("frame 1", "pass", "fail", 1),
        OutcomeChange("frame 2", "fail", "pass", 2),
        OutcomeChange("frame 4", "pass", "fail", 4),
    )
    assert (found.only_before, found.only_now) == (0, 0)


def test_pictures_are_matched_by_their_path_whatever_their_number() -> None:
    before = Outcomes([told(0, frame_id=0, frame_ref="a.png"), told(1, frame_id=1, frame_ref="b.png", verdict="fail")])
    found = before.compare([told(0, frame_id=0, frame_ref="b.png")])
    assert found.changes == (OutcomeChange("b.png", "fail", "pass", 0),)
    assert (found.only_before, found.only_now) == (1, 0)


def test_the_frames_of_a_video_share_its_name_and_are_matched_by_number() -> None:
    before = Outcomes([told(k, frame_id=k, frame_ref="v.avi", verdict="fail") for k in range(3)])
    found = before.compare([told(k, frame_id=k, frame_ref="v.avi", verdict="pass" if k else "fail") for k in range(3)])
    assert transitions(found) == {("fail", "fail"): 1, ("fail", "pass"): 2}
    assert [change.name for change in found.changes] == ["v.avi, frame 1", "v.avi, frame 2"]


def test_skips_count_each_of_their_frames() -> None:
    before = Outcomes([lost(0, count=3, frame_id_first=5, frame_id_last=7), told(1, frame_id=8)])
    now = [
        lost(0, count=1, frame_id_first=5, frame_id_last=5),
        told(1, frame_id=6),
        told(2, frame_id=7),
        told(3, frame_id=8),
    ]
    assert transitions(before.compare(now)) == {("skip", "skip"): 1, ("skip", "pass"): 2, ("pass", "pass"): 1}
    assert [change.name for change in before.compare(now).changes] == ["frame 6", "frame 7"]


def test_a_damaged_picture_is_matched_by_its_path() -> None:
    before = Outcomes([told(0, frame_id=0, frame_ref="0.png")])
    now = [lost(0, reason="unreadable", count=1, frame_id_first=0, frame_id_last=0, frame_ref="0.png")]
    assert before.compare(now).changes == (OutcomeChange("0.png", "pass", "skip", 0),)


def test_frames_that_one_side_lacks_are_counted() -> None:
    before = Outcomes([told(k, frame_id=k) for k in range(5)])
    found = before.compare([told(k, frame_id=k) for k in range(3, 9)])
    assert (sum(found.transitions.values()), found.only_before, found.only_now) == (2, 3, 4)


def test_skipped_frames_without_numbers_match_nothing_and_are_counted() -> None:
    nameless: dict[str, Any] = {"count": 4, "frame_id_first": None, "frame_id_last": None}
    before = Outcomes([lost(0, **nameless), told(1, frame_id=1)])
    assert before.nameless == 4
    found = before.compare([lost(0, **nameless), told(1, frame_id=1)])
    assert (transitions(found), found.only_before, found.only_now) == ({("pass", "pass"): 1}, 4, 4)


def test_of_several_runs_in_a_log_the_last_one_with_the_frame_counts() -> None:
    first = [told(k, frame_id=k, verdict="fail") for k in range(3)]
    second = [told(k, frame_id=k, run_id="run2") for k in range(2)]
    before = Outcomes(first + second)
    assert (before.runs, len(before)) == (2, 3)
    found = before.compare([told(k, frame_id=k) for k in range(3)])
    assert transitions(found) == {("pass", "pass"): 2, ("fail", "pass"): 1}


def test_one_earlier_frame_is_compared_with_one_frame_though_several_runs_count_alike() -> None:
    before = Outcomes([told(0, frame_id=1), told(1, frame_id=2)])
    thrice = [told(seq, frame_id=1 + seq % 2, verdict="fail") for seq in range(6)]
    found = before.compare(thrice)
    assert (transitions(found), found.only_before, found.only_now) == ({("pass", "fail"): 2}, 0, 4)


def test_a_camera_that_counts_from_the_beginning_again_is_told_apart_by_its_own_clock() -> None:
    twice = [
        told(0, frame_id=1, camera_ns=10, verdict="fail"),
        told(1, frame_id=1, camera_ns=99),
    ]
    assert transitions(Outcomes(twice).compare(twice)) == {("fail", "fail"): 1, ("pass", "pass"): 1}
    other = Outcomes([told(0, frame_id=1, camera_ns=10)]).compare([told(0, frame_id=1, camera_ns=11)])
    assert (transitions(other), other.only_before, other.only_now) == ({}, 1, 1)


def test_a_lost_frame_has_no_clock_and_matches_by_its_number() -> None:
    before = Outcomes([told(0, frame_id=5, camera_ns=10)])
    assert transitions(before.compare([lost(0, count=1, frame_id_first=5, frame_id_last=5)])) == {("pass", "skip"): 1}
    before = Outcomes([lost(0, count=1, frame_id_first=5, frame_id_last=5)])
    assert transitions(before.compare([told(0, frame_id=5, camera_ns=10)])) == {("skip", "pass"): 1}


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1400, 300)])
def test_a_changed_frame_is_drawn_before_and_now(width: int, height: int) -> None:
    meta = replace(META, width=width, height=height)
    frame = Frame(meta, np.full((height, width), 40, np.uint8))
    before = told(0, frame_id=7, verdict="fail", regions=(REGION,))
    picture = draw_change(frame, before, inspection(meta=meta), CRITERIA, PictureOf(seq=4))
    assert (picture.dtype, picture.shape[2]) == (np.uint8, 3)
    if width < 2 * height:
        assert picture.shape[1] == 2 * width + 8
        strip = picture.shape[0] - height
        left, right = picture[strip:, :width], picture[strip:, width + 8 :]
        assert tuple(picture[-1 - height, 0]) == (200, 30, 40)
    else:
        assert picture.shape[1] == width
        left, right = picture[: picture.shape[0] // 2], picture[-height:]
    red = (255, 40, 60)
    assert (left == red).all(axis=2).any()
    assert not (right == red).all(axis=2).any()


def test_a_frame_that_was_lost_before_can_be_drawn() -> None:
    meta = replace(META, width=640, height=480)
    frame = Frame(meta, np.full((480, 640), 40, np.uint8))
    picture = draw_change(frame, lost(0, reason="ring_full"), inspection(meta=meta), CRITERIA, PictureOf())
    assert picture.shape[1] == 1288


def test_only_frames_whose_outcome_changed_are_drawn_in_a_replay(tmp_path: Path) -> None:
    config = loaded(tmp_path, "source.frames=4", "regions.threshold={high: 2.0}")
    assert run(make_line(config)) == 0
    log = next((tmp_path / "log").glob("*.jsonl"))
    old = list(read_records(log))
    assert [record["verdict"] for record in old] == ["pass"] * 4
    stricter = loaded(tmp_path, "source.frames=4", "regions.threshold={high: 0.1}", "outputs.jsonl.dir=log2")
    sink = PictureSink(tmp_path / "out", CRITERIA, WantedPictures(before=Outcomes(old[:3])))
    assert run(make_line(stricter, more_outputs=[Queued(sink, 8, "wait")])) == 0
    assert sorted(p.name[:8] for p in (tmp_path / "out" / "changed").iterdir()) == [f"{k:08d}" for k in range(3)]
    new = list(read_records(next((tmp_path / "log2").glob("*.jsonl"))))
    found = Outcomes(old[:3]).compare(new)
    assert (transitions(found), found.only_now) == ({("pass", "fail"): 3}, 1)


def test_outcome_is_the_verdict_or_skip() -> None:
    assert outcome(told(0, verdict="invalid", reason="late")) == "invalid"
    assert outcome(lost(0)) == "skip"
    assert isinstance(skip(), Skip)


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        (["0000", "0000"], [8]),
        (["1111", "1111"], [0, 8]),
        (["0110", "0001"], [1, 2, 4, 1]),
        (["1000", "0001"], [0, 1, 6, 1]),
        (["0011", "1100"], [2, 4, 2]),
        ([""], []),
    ],
)
def test_run_lengths_go_row_by_row_and_begin_with_zeros(rows: list[str], counts: list[int]) -> None:
    mask = np.array([[255 * int(c) for c in row] for row in rows], np.uint8)
    assert run_lengths(mask) == counts


def test_run_lengths_give_the_mask_back_as_the_page_says() -> None:
    mask = np.where(np.random.default_rng(0).random((37, 53)) < 0.3, 255, 0).astype(np.uint8)
    line = orjson.loads(orjson.dumps({"size": mask.shape, "counts": run_lengths(mask)}))
    counts, (h, w) = line["counts"], line["size"]
    again = np.repeat(np.arange(len(counts)) % 2, counts).reshape(h, w)
    np.testing.assert_array_equal(again, mask > 0)
