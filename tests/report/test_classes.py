"""Labelled frames are counted class by class, now and before; a defect that is not caught any more is named."""

from __future__ import annotations

from edge.report.classes import ClassRow, Verdicts, by_class
from edge.report.compare import FrameOutcomes

KINDS = {"a": "good", "b": "good", "c": "crack", "d": "crack", "e": "blow"}


def test_good_frames_stand_first_and_invalid_is_neither_caught_nor_missed() -> None:
    now = [
        FrameOutcomes("a", None, "pass", 0),
        FrameOutcomes("b", None, "fail", 1),
        FrameOutcomes("c", None, "fail", 2),
        FrameOutcomes("d", None, "invalid", 3),
    ]
    rows = by_class([*now, FrameOutcomes("e", None, "skip", 4), FrameOutcomes("x", None, "fail", 5)], KINDS, compared=False)
    assert rows == [
        ClassRow("good", 2, Verdicts(failed=1, passed=1)),
        ClassRow("blow", 1, Verdicts(undecided=1)),
        ClassRow("crack", 2, Verdicts(failed=1, undecided=1)),
    ]


def test_a_lost_defect_is_named_though_another_was_won() -> None:
    rows = by_class([FrameOutcomes("c", "fail", "pass", 0), FrameOutcomes("d", "pass", "fail", 1)], KINDS, compared=True)
    (crack,) = rows
    assert (crack.now, crack.before) == (Verdicts(failed=1, passed=1), Verdicts(failed=1, passed=1))
    assert (crack.lost, crack.began) == (("c",), ["d"])


def test_a_defect_that_becomes_invalid_is_lost_and_a_good_frame_that_passes_now_is_not() -> None:
    good, crack = by_class(
        [FrameOutcomes("c", "fail", "invalid", 0), FrameOutcomes("a", "fail", "pass", 1)], KINDS, compared=True
    )
    assert (good.lost, good.stopped, crack.lost) == ((), ["a"], ("c",))


def test_before_counts_the_frames_that_both_runs_have() -> None:
    (good,) = by_class([FrameOutcomes("a", "pass", "pass", 0), FrameOutcomes("b", None, "fail", 1)], KINDS, compared=True)
    assert (good.frames, good.now.failed, good.before) == (2, 1, Verdicts(passed=1))
    assert good.as_json() == {
        "class": "good",
        "frames": 2,
        "now": {"false_rejects": 1, "passed": 1, "no_verdict": 0},
        "before": {"false_rejects": 0, "passed": 1, "no_verdict": 0},
        "newly_rejected": [],
        "no_longer_rejected": [],
    }
