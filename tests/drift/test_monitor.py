"""The monitor: what is in force after each measured frame."""

from __future__ import annotations

import numpy as np
import pytest
from support.baselines import still

from edge.drift.detector import Detector
from edge.drift.floors import FLOORS
from edge.drift.ladder import PlaceLimits
from edge.drift.monitor import DriftMonitor
from edge.drift.named import Drift
from edge.drift.reference import make_reference
from edge.drift.signatures import Library, Signatures
from edge.drift.statistics import INDEX, NAMES

COUNT = len(NAMES)
SECOND_NS = 1_000_000_000


def library() -> Library:
    """Brighter light, and a part that moved to the right."""
    rows = np.zeros((2, COUNT), np.float32)
    rows[0, INDEX["log_gain"]], rows[1, INDEX["shift_x"]] = 6, 6
    return Library(Signatures(("brightness", "shift"), rows, np.array([0, 1], np.int16), np.array([18, 3], np.float32)))


def monitor(**changes: object) -> DriftMonitor:
    settings = {"every": 1, **changes}
    return DriftMonitor(make_reference([still(2000)]), library(), PlaceLimits(16.0), **settings)  # type: ignore[arg-type]


def fed(watch: DriftMonitor, values: np.ndarray, start: int = 0) -> list[Drift | None]:
    return [watch.see(row, (start + number) * SECOND_NS) for number, row in enumerate(values)]


def test_a_line_that_stays_as_it_was_has_no_drift() -> None:
    assert set(fed(monitor(), still(3000, 1))) == {None}


def changed_by(floors: float, seed: int = 2, frames: int = 200) -> np.ndarray:
    """Statistics of a line whose light went up by so many floors."""
    changed = still(frames, seed)
    changed[:, INDEX["log_gain"]] += floors * FLOORS[INDEX["log_gain"]]
    return changed


def test_a_small_change_is_info_after_one_block_and_a_warning_after_three() -> None:
    watch = monitor()
    fed(watch, still(100, 1))
    seen = fed(watch, changed_by(16), 100)
    assert [None if drift is None else drift.level for drift in seen] == [None] * 49 + ["info"] * 100 + ["warn"] * 51
    assert seen[-1] is not None
    assert (seen[-1].since_ns, seen[-1].statistic) == (100 * SECOND_NS, "log_gain")


def test_a_large_change_is_a_warning_that_names_it_at_the_second_look_at_the_newest_frames() -> None:
    watch = monitor()
    fed(watch, still(100, 1))
    seen = fed(watch, changed_by(60), 100)
    assert [None if drift is None else drift.level for drift in seen] == [None] * 39 + ["warn"] * 161
    assert {drift.cause for drift in seen if drift is not None} == {"brightness"}
    last = seen[-1]
    assert last is not None
    assert (last.cause, last.group, last.unit, last.since_ns) == ("brightness", "lighting", "%", 110 * SECOND_NS)
    assert last.words == "brighter by 18 %"
    assert (last.statistic, last.locked, last.reason) == ("log_gain", False, None)


@pytest.mark.parametrize("before", range(0, 50, 7))
def test_a_large_change_is_named_within_45_measured_frames_wherever_in_a_block_it_begins(before: int) -> None:
    watch = monitor()
    fed(watch, still(100 + before, 1))
    seen = fed(watch, changed_by(60), 100 + before)
    assert {drift.level for drift in seen[44:] if drift is not None} == {"warn"}
    assert {drift.cause for drift in seen if drift is not None} == {"brightness"}


def test_a_third_of_bad_parts_is_no_large_change_and_locks_nothing() -> None:
    """A third of bad parts, dealt out at random: their statistics are 300 deviations off, light, place and edges too."""
    watch = monitor()
    values = still(5000, 4)
    values[np.random.default_rng(5).random(5000) < 0.33] += 3000 * FLOORS
    assert {drift.breaches for drift in fed(watch, values) if drift is not None} <= {()}
    detector = Detector(make_reference([still(2000)]))
    assert not any(block is not None and block.large for block in (detector.add(row, 0) for row in values))


def test_what_lasts_for_fewer_frames_than_a_look_is_no_matter() -> None:
    watch = monitor()
    fed(watch, still(100, 1))
    assert set(fed(watch, np.concatenate([changed_by(60, frames=14), still(136, 3)]), 100)) == {None}


def test_a_warning_goes_after_three_blocks_as_before() -> None:
    watch = monitor()
    assert fed(watch, changed_by(60, frames=150))[-1] is not None
    seen = fed(watch, still(150, 3), 150)
    assert [drift is None for drift in seen] == [False] * 149 + [True]


def test_every_fifth_frame_is_measured() -> None:
    watch = monitor(every=5)
    assert [watch.wants() for _ in range(11)] == [True, *[False] * 4, True, *[False] * 4, True]


@pytest.mark.parametrize(
    ("statistic", "value", "breach"),
    [("clipped", 0.1, "clipped"), ("edges_x", -1.0, "out_of_focus"), ("shift_y", -20.0, "out_of_place")],
)
def test_a_breach_locks_within_half_a_block_and_unlocks_by_itself(statistic: str, value: float, breach: str) -> None:
    watch = monitor()
    fed(watch, still(60, 1))
    changed = still(50, 2)
    changed[:, INDEX[statistic]] += value
    if breach == "out_of_focus":
        changed[:, INDEX["edges_y"]] += value
    seen = fed(watch, changed, 60)
    assert [drift is not None and drift.locked for drift in seen] == [False] * 18 + [True] * 32
    assert seen[-1] is not None
    assert (seen[-1].reason, seen[-1].level, seen[-1].locks) == (f"drift_{breach}", "lock", (breach,))
    after = fed(watch, still(50, 3), 110)
    assert [drift is not None and drift.locked for drift in after] == [True] * 12 + [False] * 38


def test_a_breach_that_the_config_does_not_lock_for_is_a_warning() -> None:
    watch = monitor(lock=())
    changed = still(50, 2)
    changed[:, INDEX["clipped"]] += 0.1
    last = fed(watch, changed)[-1]
    assert last is not None
    assert (last.level, last.breaches, last.locks) == ("warn", ("clipped",), ())


def test_a_clock_that_is_set_back_or_forward_changes_nothing_but_stamps() -> None:
    changed = changed_by(60)
    plain, stepped = monitor(), monitor()
    levels = [None if drift is None else drift.level for drift in fed(plain, changed, 1000)]
    told = []
    for number, row in enumerate(changed):
        step = -7200 if 60 <= number < 130 else 86400 if number >= 130 else 0
        now_ns = (100_000 + number + step) * SECOND_NS
        drift = stepped.see(row, now_ns)
        told.append(None if drift is None else drift.level)
        assert drift is None or drift.since_ns <= now_ns
    assert told == levels
