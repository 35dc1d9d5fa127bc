"""What a run counts, and the fault of a model whose maps are not finite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.lines import loaded, make_line
from support.records import inspection, record

from edge.frames import Inspection
from edge.line import tally
from edge.line.tally import Tally

BAD = inspection(verdict="invalid", reason="map_not_finite", map_max=None)
GOOD = inspection()
NO_MAP = inspection(verdict="invalid", reason="engine_error", map_max=None)


def text(frame_id: int) -> str:
    return f"the model's map has NaN or infinity, first on frame {frame_id}: such frames are invalid"


def bad(frame_id: int) -> Inspection:
    return replace(BAD, meta=replace(BAD.meta, frame_id=frame_id))


def test_maps_that_are_not_finite_are_trouble_until_finite_ones_have_come_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(tally.time, "monotonic", lambda: now[0])
    found = Tally()
    told = []
    for seconds, one in [(0, GOOD), (1, bad(3)), (2, GOOD), (3, bad(4)), (12.9, GOOD), (13.1, GOOD)]:
        now[0] = 100.0 + seconds
        found.inspected(record(0), one)
        told.append(found.map_trouble())
    assert told == [None, text(3), text(3), text(3), text(3), None]


def test_a_frame_without_a_map_says_nothing_of_the_models_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(tally.time, "monotonic", lambda: now[0])
    found = Tally()
    found.inspected(record(0), bad(8))
    now[0] += 60
    found.inspected(record(1), NO_MAP)
    assert found.map_trouble() == text(8)
    found.inspected(record(2), GOOD)
    assert found.map_trouble() is None
    found.inspected(record(3), bad(20))
    assert found.map_trouble() == text(20)


def test_it_is_a_fault_in_state_and_a_line_of_the_log_as_it_comes_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = make_line(loaded(tmp_path))
    with capture_logs() as logs:
        line.turn()
        assert line.faults == ()
        for count in range(1, 4):
            line.tally.inspected(record(count), bad(count))
            line.turn()
            assert [(f.code, f.text) for f in line.faults] == [("map_not_finite", text(1))]
        line.tally.inspected(record(4), GOOD)
        monkeypatch.setattr(tally, "FINITE_S", -1.0)
        line.turn()
        assert line.faults == ()
    told = [(log["event"], log["code"]) for log in logs if "code" in log]
    assert told == [("fault", "map_not_finite"), ("fault_over", "map_not_finite")]
    line.stop()
