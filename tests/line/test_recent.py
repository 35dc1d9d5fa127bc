"""A line that loses frames for seconds says so, and which stage is the slowest; a burst that is over is no fault."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.line.recent import RECENT_S, Recent
from edge.line.tally import Tally


@dataclass
class Seconds:
    """A line, second by second."""

    tally: Tally = field(default_factory=Tally)
    recent: Recent = field(default_factory=Recent)
    now_s: float = 0.0

    def pass_by(
        self, count: int = 1, *, passed: int = 28, failed: int = 0, ring: int = 0, gap: int = 0, judge_ms: float = 9.0
    ) -> None:
        for _ in range(count):
            self.now_s += 1.0
            self.tally.verdicts["pass"] += passed
            self.tally.verdicts["fail"] += failed
            for reason, lost in (("ring_full", ring), ("frame_id_gap", gap)):
                self.tally.skipped_frames[reason] = self.tally.skipped_frames.get(reason, 0) + lost
            self.tally.latency_sums_ms["infer"] += 4.0 * (passed + failed)
            self.tally.latency_sums_ms["judge"] += judge_ms * (passed + failed)
            self.recent.look(self.tally, self.tally.verdicts, self.now_s)


def test_frames_lost_for_seconds_are_a_fault_that_names_the_slowest_stage() -> None:
    line = Seconds()
    line.pass_by(2)
    line.pass_by(2, ring=72)
    assert line.recent.faults() == {}
    line.pass_by(4, ring=72)
    assert line.recent.faults() == {"frames_dropped": "inspects 28 of 100 frames; the slowest stage is judge, 9 ms a frame"}
    line.pass_by(5, ring=72, judge_ms=1.0)
    assert line.recent.faults()["frames_dropped"].startswith("inspects 28 of 100 frames; the slowest stage is infer, 4")


def test_the_fault_ends_when_no_frame_was_lost_for_five_seconds() -> None:
    line = Seconds()
    line.pass_by(6, ring=72)
    line.pass_by(4)
    assert line.recent.faults() != {}
    line.pass_by(2)
    assert line.recent.faults() == {}


def test_a_burst_and_a_frame_now_and_then_are_no_fault() -> None:
    line = Seconds()
    line.pass_by(3)
    line.pass_by(1, ring=500)
    line.pass_by(6)
    assert line.recent.faults() == {}
    line.pass_by(6, passed=1000, ring=1)
    assert line.recent.faults() == {}


def test_frames_that_never_came_blame_no_stage() -> None:
    line = Seconds()
    line.pass_by(6, passed=50, gap=50)
    assert line.recent.faults() == {"frames_dropped": "inspects 50 of 100 frames; the camera or its network loses them"}


def test_the_text_stays_while_the_share_moves_a_little() -> None:
    line = Seconds()
    line.pass_by(6, passed=50, gap=50)
    told = line.recent.faults()
    line.pass_by(3, passed=45, gap=55)
    assert line.recent.faults() == told
    line.pass_by(6, passed=20, gap=80)
    assert line.recent.faults() != told


def test_counters_cover_five_minutes_and_no_more() -> None:
    line = Seconds()
    assert line.recent.counters() == {}
    line.pass_by(100, failed=7, ring=3)
    assert line.recent.counters() == {
        "recent_s": 99,
        "recent_pass": 99 * 28,
        "recent_fail": 99 * 7,
        "recent_invalid": 0,
        "recent_lost": 99 * 3,
    }
    line.pass_by(int(RECENT_S))
    assert line.recent.counters() == {
        "recent_s": 300,
        "recent_pass": 300 * 28,
        "recent_fail": 0,
        "recent_invalid": 0,
        "recent_lost": 0,
    }


def test_a_second_is_counted_once_however_often_one_looks() -> None:
    line = Seconds()
    line.pass_by(2)
    for _ in range(5):
        line.recent.look(line.tally, {"pass": 999, "fail": 0, "invalid": 0}, line.now_s + 0.1)
    assert line.recent.counters()["recent_pass"] == 28
