"""A model that raises, hangs or says nonsense: its frames are invalid, the others are judged, none is missing."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from lines import Bent, loaded, make_line, records, run
from sums import sum_rule, sum_rule_of

from edge.engines import Prediction
from edge.line import EXIT_HUNG, run_line


def test_an_engine_that_raises_now_and_then(tmp_path: Path) -> None:
    bad = {0, 7, 8, 41, 99}

    def raises(index: int) -> None:
        if index in bad:
            raise RuntimeError("CUDA error 700: an illegal memory access was encountered")

    line = make_line(loaded(tmp_path, "source.frames=100"), before=raises)
    assert run(line) == 0
    found = records(tmp_path / "log")
    assert {r["seq"] for r in found if r["reason"] == "engine_error"} == bad
    assert all((r["verdict"] == "invalid") == (r["seq"] in bad) for r in found)
    sum_rule_of(line, found)


def test_what_an_engine_raises_is_a_fault_until_a_minute_has_passed_without(tmp_path: Path) -> None:
    def raises(index: int) -> None:
        if index == 3:
            raise RuntimeError("out of memory")

    line = make_line(loaded(tmp_path), before=raises)
    assert run(line) == 0
    assert line.workers[1].trouble() == "RuntimeError: out of memory"
    faults = {f.code: f.text for f in line.faults}
    assert faults == {"stage_infer": "raised and was restarted: RuntimeError: out of memory"}
    line.workers[1]._last_raised -= 61  # type: ignore[operator]
    assert line.workers[1].trouble() is None


def test_an_engine_that_hangs_is_noticed_and_what_was_judged_is_kept(tmp_path: Path) -> None:
    """The process then leaves with 4; here the call is let go, and the rest is inspected."""
    let_go = threading.Event()

    def hangs(index: int) -> None:
        if index == 20:
            let_go.wait(30)

    line = make_line(loaded(tmp_path, "supervise.limit_s=0.5"), before=hangs)
    stop = threading.Event()
    line.start(stop)
    assert run_line(line, stop, lambda *_: None) == EXIT_HUNG
    assert line._health.hung in ("infer", "acquire")  # acquire waits for room in the ring, and says that it lives
    assert "stage_hung" in {f.code for f in line.faults}
    found = records(tmp_path / "log")
    assert len(found) == 20
    sum_rule(found)
    let_go.set()
    while not line.over:
        line.workers[2].join(0.01)
    line.stop()
    sum_rule_of(line, records(tmp_path / "log"))


class Nan(Bent):
    """Every third map holds one value that is none."""

    def infer(self, image: Any) -> Prediction:
        self._count += 1
        found = self._engine.infer(image)
        if self._count % 3 == 0:
            found.map[0, 0] = (np.nan, np.inf, -np.inf)[self._count // 3 % 3]
        return found


def test_a_map_that_is_not_finite_is_never_a_pass(tmp_path: Path) -> None:
    line = make_line(loaded(tmp_path, "source.frames=60"), before=lambda _index: None, bent=Nan)
    assert run(line) == 0
    found = records(tmp_path / "log")
    assert [r["reason"] for r in found] == [None, None, "map_not_finite"] * 20
    assert [r["verdict"] for r in found] == ["pass", "pass", "invalid"] * 20
    sum_rule_of(line, found)
