"""A worker outlives what goes wrong in one session."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from support.tuned import evidence, session_message

from edge.web.tuning import messages
from edge.web.tuning.session import TuningSession
from edge.web.tuning.worker import TuningWorker

REGIONS = {"threshold": {"high": 6.0, "low": 4.0}, "border_px": 3}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evidence(tmp_path_factory.mktemp("line"), frames=6)


class Told(io.BytesIO):
    """What a worker wrote."""

    def heads(self) -> list[dict[str, Any]]:
        source, heads = io.BytesIO(self.getvalue()), []
        while (message := messages.read_message(source)) is not None:
            heads.append(message[0])
        return heads


def opening(line: Path, tmp_path: Path, name: str) -> dict[str, Any]:
    told = session_message(line, line.parent / "evidence", tmp_path / "cache")
    return {**told, "op": "open", "session": name, "id": None}


def finish(worker: TuningWorker) -> None:
    """Do all that waits, however short ago the last message came."""
    while worker._busy or worker._rest:
        if worker._busy:
            worker._busy.rotate(-1)
            worker._go_on(worker._busy[-1])
        else:
            worker._tell_at_rest(next(iter(worker._rest)))


def test_a_frame_that_is_not_there_ends_no_session(line: Path, tmp_path: Path) -> None:
    out = Told()
    worker = TuningWorker(io.BytesIO(), out)
    worker._answer(opening(line, tmp_path, "one"))
    judge: dict[str, Any] = {"op": "judge", "session": "one", "id": None, "regions": REGIONS}
    for n, view in enumerate((999, -1, 0), 1):
        worker._answer({**judge, "n": n, "view": view})
    finish(worker)
    heads = out.heads()
    refused = [head["error"]["what"] for head in heads if "error" in head]
    assert refused == ["view: there is no frame 999", "view: there is no frame -1"]
    assert [head["n"] for head in heads if head["op"] == "look"] == [3]
    assert [head["op"] for head in heads[-3:]] == ["verdicts", "funnel", "problems"]
    assert heads[-3]["left"] == 0


def test_while_a_slider_moves_its_frame_alone_is_judged_and_the_rest_is_told_once_when_it_rests(
    line: Path, tmp_path: Path
) -> None:
    out = Told()
    worker = TuningWorker(io.BytesIO(), out)
    worker._answer(opening(line, tmp_path, "one"))
    finish(worker)
    before = len(out.heads())
    for n in range(1, 21):
        regions = {**REGIONS, "border_px": n % 4}
        worker._answer({"op": "judge", "session": "one", "id": None, "n": n, "view": 0, "regions": regions})
    assert [head["op"] for head in out.heads()[before:]] == ["look"] * 20
    finish(worker)
    ops = [head["op"] for head in out.heads()[before + 20 :]]
    assert (ops.count("funnel"), ops.count("problems"), ops[-2:]) == (1, 1, ["funnel", "problems"])
    assert [head["left"] for head in out.heads() if head["op"] == "verdicts"][-1] == 0


def test_maxima_are_told_when_they_were_measured_and_to_a_page_that_comes_later(line: Path, tmp_path: Path) -> None:
    out = Told()
    worker = TuningWorker(io.BytesIO(), out)
    worker._answer(opening(line, tmp_path, "one"))
    finish(worker)
    own = worker._sessions["one"].base.model_dump(mode="json")
    told = []
    for regions in ({**own, "min_area_px": 9}, {**own, "min_area_px": 9}, {**own, "border_px": 2}):
        worker._answer({"op": "judge", "session": "one", "id": None, "n": 1, "view": 0, "regions": regions})
        finish(worker)
        told.append("maxima" in [head for head in out.heads() if head["op"] == "verdicts"][-1])
    assert told == [False, True, True]


def test_what_fails_between_two_messages_stops_its_own_session_alone(
    line: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Told()
    worker = TuningWorker(io.BytesIO(), out)
    worker._answer(opening(line, tmp_path, "one"))
    worker._answer(opening(line, tmp_path, "other"))

    def broken() -> bool:
        raise IndexError("no such map")

    monkeypatch.setattr(worker._sessions["one"], "step", broken)
    finish(worker)
    [stopped] = [head for head in out.heads() if head["op"] == "stopped"]
    assert (stopped["session"], "no such map" in stopped["error"]["what"]) == ("one", True)
    told = [head for head in out.heads() if head["op"] == "verdicts"]
    assert {head["session"]: head["left"] for head in told}["other"] == 0
    monkeypatch.setattr(worker._sessions["one"], "step", lambda: TuningSession.step(worker._sessions["one"]))
    worker._answer({"op": "judge", "session": "one", "id": None, "n": 1, "view": 0, "regions": REGIONS})
    finish(worker)
    assert [head["left"] for head in out.heads() if head["op"] == "verdicts" and head["session"] == "one"][-1] == 0
