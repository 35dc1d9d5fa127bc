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


def test_a_frame_that_is_not_there_ends_no_session(line: Path, tmp_path: Path) -> None:
    out = Told()
    worker = TuningWorker(io.BytesIO(), out)
    worker._answer(opening(line, tmp_path, "one"))
    judge: dict[str, Any] = {"op": "judge", "session": "one", "id": None, "regions": REGIONS}
    for n, view in enumerate((999, -1, 0), 1):
        worker._answer({**judge, "n": n, "view": view})
    while worker._busy:
        worker._go_on(worker._busy[-1])
    heads = out.heads()
    refused = [head["error"]["what"] for head in heads if "error" in head]
    assert refused == ["view: there is no frame 999", "view: there is no frame -1"]
    assert [head["n"] for head in heads if head["op"] == "look"] == [3]
    assert heads[-1]["left"] == 0


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
    while worker._busy:
        worker._busy.rotate(-1)
        worker._go_on(worker._busy[-1])
    last = {head["session"]: head for head in out.heads()}
    [stopped] = [head for head in out.heads() if head["op"] == "stopped"]
    assert (stopped["session"], "no such map" in stopped["error"]["what"]) == ("one", True)
    assert (last["one"]["op"], last["other"]["left"]) == ("verdicts", 0)
    monkeypatch.setattr(worker._sessions["one"], "step", lambda: TuningSession.step(worker._sessions["one"]))
    worker._answer({"op": "judge", "session": "one", "id": None, "n": 1, "view": 0, "regions": REGIONS})
    while worker._busy:
        worker._go_on(worker._busy[-1])
    assert out.heads()[-1]["left"] == 0
