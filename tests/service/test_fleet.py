"""``edge fleet``: what daemons say of themselves, side by side; and those that say nothing."""

from __future__ import annotations

import io
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console
from support.daemons import Manager, daemon
from support.records import DRIFT
from support.waits import PATIENCE_S
from typer.testing import CliRunner

import edge
from edge.cli import app
from edge.cli.fleet import table, well
from edge.client.events import Received, Refused, Stale
from edge.errors import UserError
from edge.service.fleet import Fleet, Row
from edge.service.instances import Instance

HEAD = {"simulated": False}
BEAT = {"counters": {"pass": 5, "fail": 2, "invalid": 1, "skipped_ring_full": 3, "source_x": 9}, "ring_fill": 4}
STATE = {"line_state": "ContinuousExecution", "source_state": "streaming", "faults": []}
FAULT = {"code": "output_jsonl", "since_ns": 1, "text": "No space left on device"}


def instance(camera: str, *, pid: int | None = 7, **endpoints: str) -> Instance:
    return Instance(camera, Path("/run/edge") / camera, pid, endpoints, None, ())


def received(kind: str, **message: Any) -> Received:
    return Received(kind, "cam1", HEAD | message, b"")


class Script:
    """A subscriber that hears what a test says."""

    def __init__(self, *events: Any) -> None:
        self._events = deque(events)
        self.closed = False

    def receive(self, timeout_s: float) -> Any:
        if self._events:
            return self._events.popleft()
        time.sleep(0.01)
        return None

    def __enter__(self) -> Script:  # noqa: PYI034  (typing.Self came with Python 3.11)
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


def rows(found: list[Instance], *events: Any, until: Any = lambda rows: True) -> list[Row]:
    scripts: list[Script] = []

    def open_line(_instance: Instance) -> Any:
        scripts.append(Script(*events))
        return scripts[-1]

    fleet = Fleet(lambda: found, open_line)
    try:
        end = time.monotonic() + PATIENCE_S
        while not until(seen := fleet.look()):
            assert time.monotonic() < end, seen
            time.sleep(0.01)
    finally:
        fleet.close()
    assert all(script.closed for script in scripts)
    return seen


def test_a_row_is_what_the_daemon_told_last() -> None:
    events = [
        received("state", **STATE | {"faults": [FAULT]}),
        received("inspection", verdict="fail", latency_ms={"total": 12.5}),
        received("heartbeat", **BEAT),
    ]
    (row,) = rows([instance("cam1", zmq="ipc:///x")], *events, until=lambda r: r[0].counts)
    assert (row.state, row.source, row.last, row.ring_fill) == ("ContinuousExecution", "streaming", "fail", 4)
    assert (row.counts, row.lost, row.p50_ms) == ({"pass": 5, "fail": 2, "invalid": 1}, 3, 12.5)
    assert row.text == "output_jsonl: No space left on device"
    assert not well(row)


def test_a_rate_needs_two_heartbeats() -> None:
    later = BEAT | {"counters": {"pass": 11, "fail": 2, "invalid": 1}}
    events = [received("heartbeat", **BEAT), None, received("heartbeat", **later)]
    (row,) = rows([instance("cam1", zmq="ipc:///x")], *events, until=lambda r: r[0].per_minute is not None)
    assert row.per_minute is not None
    assert row.per_minute > 0


@pytest.mark.parametrize(
    ("event", "state", "text"),
    [(Stale("cam1", 2.4), "silent", "no heartbeat for 2 s"), (Refused("no such key"), "refused", "no such key")],
)
def test_silence_and_refusal_show(event: Any, state: str, text: str) -> None:
    (row,) = rows([instance("cam1", zmq="ipc:///x")], event, until=lambda r: r[0].text)
    assert (row.state, row.text, well(row)) == (state, text, False)


def test_a_daemon_that_does_not_run_or_does_not_publish_has_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [instance("b", pid=None, zmq="ipc:///x"), instance("a", health="http://x")]
    seen = rows(found, until=lambda r: {row.state for row in r} == {"running", "not running"})
    assert [(r.instance.camera, r.state) for r in seen] == [("a", "running"), ("b", "not running")]


def test_those_that_come_and_go_are_followed() -> None:
    found = [instance("a", pid=None)]
    fleet = Fleet(lambda: list(found), lambda _: Script())  # type: ignore[arg-type, return-value]
    assert [row.instance.camera for row in fleet.look()] == ["a"]
    found.append(instance("b", pid=None))
    assert [row.instance.camera for row in fleet.look()] == ["a", "b"]
    del found[0]
    assert [row.instance.camera for row in fleet.look()] == ["b"]
    fleet.close()


def test_an_endpoint_that_cannot_be_used_is_told() -> None:
    def refuse(_instance: Instance) -> Any:
        raise UserError("'x' is no endpoint to connect to")

    fleet = Fleet(lambda: [instance("a", zmq="x")], refuse)
    end = time.monotonic() + PATIENCE_S
    while not fleet.look()[0].text:
        assert time.monotonic() < end
    assert fleet.look()[0].text == "'x' is no endpoint to connect to"
    fleet.close()


def test_the_table_shows_a_line_for_each() -> None:
    counts = {"pass": 5, "fail": 2, "invalid": 1}
    good = Row(instance("cam1"), "Ready", "waiting_for_trigger", counts, 0, 1200.4, 3.25, 2, "pass", "", simulated=True)
    console = Console(width=200, record=True, file=None, quiet=False)
    with console.capture() as told:
        console.print(table([good, Row(instance("cam2", pid=None), "not running")]))
    text = told.get()
    assert "2 daemons" in text
    assert [w for w in ("cam1", "simulated", "waits for trigger", "1200", "3.2", "not running") if w not in text] == []


def test_the_share_of_fails_is_of_the_last_minutes() -> None:
    counters = {
        "pass": 900,
        "fail": 9,
        "invalid": 1,
        "recent_s": 300,
        "recent_pass": 90,
        "recent_fail": 6,
        "recent_invalid": 4,
    }
    events = [received("heartbeat", counters=counters, ring_fill=0)]
    (row,) = rows([instance("cam1", zmq="ipc:///x")], *events, until=lambda r: r[0].counts)
    assert (row.fail_share, row.recent_s) == (0.06, 300)
    young = replace(row, recent_s=42, state="ContinuousExecution", per_minute=600.0, p50_ms=2.5)
    text = shown([replace(young, recent_s=300), young])
    assert "in 42 s" in text
    assert text.count("6.0%") == 2
    assert [word for word in ("600", "2.5", "min", "ms", "running") if word not in text] == []
    assert "ContinuousExecution" not in text


def test_who_ended_in_peace_is_grey_and_no_reason_for_concern(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        now = time.time_ns()
        old = now - 25 * 3600 * 10**9
        found = [replace(instance("a", pid=None), ended_ns=now), replace(instance("b", pid=None), ended_ns=old)]
        (row,) = rows(found, until=lambda r: r[0].state == "stopped")
        assert well(row)
        at = time.strftime("%H:%M", time.localtime(now // 10**9))
        assert f"stopped {at}" in shown([row])
    finally:
        monkeypatch.undo()
        time.tzset()


def shown(seen: list[Row], width: int = 200) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(table(seen))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_table_fits_80_columns_with_its_units() -> None:
    counts = {"pass": 123456, "fail": 2345, "invalid": 12}
    row = Row(
        instance("cam1"),
        "ContinuousExecution",
        "streaming",
        counts,
        1015,
        1200.4,
        13.25,
        2,
        "invalid",
        "",
        fail_share=0.123,
    )
    text = shown([row], 80)
    assert max(map(len, text.splitlines())) <= 80
    assert [unit for unit in ("1200", "13.2", "12.3%", "running", "ms", "invalid") if unit not in text] == []


def test_those_that_are_gone_are_forgotten_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cam1"
    folder.mkdir()
    (folder / "instance.json").write_text('{"camera": "cam1"}')
    monkeypatch.setattr("edge.service.instances.trusted_roots", lambda: [tmp_path])
    result = CliRunner().invoke(app, ["fleet", "--forget"])
    assert (result.exit_code, result.output) == (0, f"forgotten: cam1 ({folder})\n")
    assert CliRunner().invoke(app, ["fleet", "--forget"]).output == "forgotten: none, all run\n"


def test_scripts_get_json_and_an_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.service.instances.trusted_roots", list)
    manager = Manager(tmp_path)
    folder = str(tmp_path / "run")
    try:
        with daemon(tmp_path, manager=manager) as process:
            manager.wait_for("READY=1")
            well_off = CliRunner().invoke(app, ["fleet", folder, "--json"])
            assert well_off.exit_code == 0, well_off.output
            told = orjson.loads(well_off.stdout.splitlines()[-1])
            assert (told["camera"], told["pid"], told["state"]) == ("cam1", process.pid, "ContinuousExecution")
            assert (told["last"], told["simulated"], told["faults"]) == ("pass", True, "")
            assert told["pass"] > 0
            assert told["edge_version"] == edge.__version__
            shown = CliRunner().invoke(app, ["fleet", folder, "--seconds", "0.5"])
            assert shown.exit_code == 0
            assert "1 daemon" in shown.output
    finally:
        manager.close()
    gone = CliRunner().invoke(app, ["fleet", folder, "--once"])
    assert gone.exit_code == 1
    assert "not running" in gone.output
    nobody = CliRunner().invoke(app, ["fleet", "--once"])
    assert (nobody.exit_code, nobody.stdout) == (0, "no daemon has run here\n")


def test_daemons_of_one_camera_name_are_told_apart_by_their_folders() -> None:
    one, other = (Instance("cam1", Path(folder), 7, {}, None, ()) for folder in ("/run/a", "/run/b"))
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(table([Row(one), Row(other), Row(instance("cam2"))]))
    text = console.export_text()
    assert "/run/a" in text
    assert "/run/b" in text
    assert "/run/edge" not in text


def drifting(level: str) -> dict[str, Any]:
    words = "brighter by 18 %" + ("; frames are invalid: drift_clipped" if level == "lock" else "")
    return DRIFT | {"level": level, "cause": "brightness", "words": words, "since_ns": 1}


def heard(seen: list[Row]) -> bool:
    return seen[0].state == "ContinuousExecution"


def drawn(seen: list[Row], width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(table(seen))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    return str(shown)


def test_a_drift_stands_beside_the_state_at_any_width_and_is_no_fault() -> None:
    (row,) = rows([instance("cam1", zmq="ipc://x")], received("state", **STATE, drift=drifting("warn")), until=heard)
    assert row.drift == drifting("warn")
    assert well(row)
    (none,) = rows([instance("cam1", zmq="ipc://x")], received("state", **STATE, drift=None), until=heard)
    for width in (80, 200):
        shown = drawn([row, replace(none, instance=instance("cam2"))], width)
        assert shown.count("drift: brightness") == 1
        assert "cam1: drift: brighter by 18 %" in shown
        assert max(map(len, shown.splitlines())) <= width
        assert "drift" not in drawn([none], width)


def test_a_single_block_beyond_the_limit_is_a_word_in_the_table_and_no_more() -> None:
    (row,) = rows([instance("cam1", zmq="ipc://x")], received("state", **STATE, drift=drifting("info")), until=heard)
    assert "drift: brightness" in drawn([row], 120)
    assert "cam1: drift" not in drawn([row], 120)
