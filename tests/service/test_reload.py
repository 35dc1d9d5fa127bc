"""SIGHUP: a new model and new criteria between two frames; what fails leaves the old ones running and says so."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.graphs import nan_model, write_identity_bundle
from support.lines import Bent, frame_ids, loaded, make_line, records
from support.reloads import LIVE, Driven
from support.waits import PATIENCE_S

from edge.config.load import Loaded, load_config
from edge.line.open_watch import open_watched
from edge.line.recipe import open_model
from edge.outputs.queued import Queued
from edge.outputs.sink import Sink
from edge.service import reload
from edge.service.reload import needs_restart
from edge.service.runtime_folder import ReloadReport


def test_a_new_model_and_new_rules_take_effect_between_two_frames(tmp_path: Path) -> None:
    config = loaded(tmp_path, *LIVE)
    other = write_identity_bundle(tmp_path / "other", name="other", score=False)
    driven = Driven(config)
    try:
        driven.inspected(20)
        text = config.path.read_text()
        config.path.write_text(text.replace("bundle: bundle", "bundle: other").replace("high: 2.0", "high: 0.1"))
        driven.reloader.ask()
        driven.wait(lambda: driven.line.tally.verdicts["fail"] >= 20)
    finally:
        driven.stop()
    found = records(tmp_path / "log")
    assert frame_ids(found) == list(range(1, len(frame_ids(found)) + 1))
    assert {r["kind"] for r in found} == {"inspection"}  # nothing was lost while the model loaded
    names = [r["model"]["name"] for r in found]
    swapped = names.index("other")
    assert names == ["identity"] * swapped + ["other"] * (len(names) - swapped)
    assert {r["verdict"] for r in found[:swapped]} == {"pass"}
    assert {r["verdict"] for r in found[swapped:]} == {"fail"}
    assert {r["threshold"] for r in found[swapped:]} == {0.1}
    assert {r["model"]["sha256"] for r in found[swapped:]} == {other.sha256}
    assert len({r["config_sha256"] for r in found}) == 2
    assert len({r["instance_id"] for r in found}) == 1
    assert [r["seq"] for r in found] == list(range(len(found)))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("bundle: bundle", "bundle: none"), "{folder}/none: there is no such bundle"),
        (("high: 2.0", "hihg: 2.0"), "{folder}/cam1.yaml:5: regions.threshold.hihg: unknown key"),
        (("width: 64", "width: 80"), "source: changed, and needs a restart\n  fix: restart the service, or undo it"),
    ],
)
def test_what_fails_leaves_the_old_one_running_and_is_a_fault(tmp_path: Path, change: tuple[str, str], text: str) -> None:
    config = loaded(tmp_path, *LIVE)
    driven = Driven(config)
    try:
        driven.inspected(10)
        before = config.path.read_text()
        config.path.write_text(before.replace(*change))
        driven.reloader.ask()
        driven.wait(lambda: driven.line.fault)
        assert text.format(folder=tmp_path) in driven.line.fault["reload_refused"]
        driven.inspected(10)
        config.path.write_text(before)
        driven.reloader.ask()
        driven.wait(lambda: not driven.line.fault)
    finally:
        driven.stop()
    found = records(tmp_path / "log")
    assert {(r["verdict"], r["model"]["name"]) for r in found} == {("pass", "identity")}


def test_a_model_without_one_finite_value_is_not_swapped_in(tmp_path: Path) -> None:
    config = loaded(tmp_path, *LIVE)
    write_identity_bundle(tmp_path / "other", model=nan_model(), name="other")
    driven = Driven(config)
    try:
        driven.inspected(5)
        config.path.write_text(config.path.read_text().replace("bundle: bundle", "bundle: other"))
        driven.reloader.ask()
        driven.wait(lambda: "reload_refused" in driven.line.fault)
        assert driven.line.fault["reload_refused"].startswith(
            f"{tmp_path}/other/model.onnx: the model's map is NaN or infinite on every picture\n"
        )
        driven.inspected(5)
    finally:
        driven.stop()
    assert {(r["verdict"], r["model"]["name"]) for r in records(tmp_path / "log")} == {("pass", "identity")}


class Ear(Sink):
    """An output that remembers the faults of each state."""

    name = "ear"

    def __init__(self) -> None:
        self.heard: list[dict[str, str]] = []

    def write(self, record: Any, kept: Any) -> None: ...

    def state(self, state: Any) -> None:
        self.heard.append({fault.code: fault.text for fault in state.faults})

    def refusals(self) -> list[str]:
        texts = [faults["reload_refused"] for faults in self.heard if "reload_refused" in faults]
        return list(dict.fromkeys(texts))


def test_every_refusal_is_told_also_after_another_one(tmp_path: Path) -> None:
    """In state and log; one for the same reason again in the log alone."""
    config = loaded(tmp_path, *LIVE)
    ear = Ear()
    text = config.path.read_text()
    unknown = f"{tmp_path}/cam1.yaml:5: regions.threshold.hihg: unknown key"
    restart = "source: changed, and needs a restart\n  fix: restart the service, or undo it"
    with capture_logs() as logs:
        driven = Driven(config, more_outputs=[Queued(ear, 100, "drop")])
        try:
            config.path.write_text(text.replace("high: 2.0", "hihg: 2.0"))
            driven.reloader.ask()
            driven.wait(lambda: len(ear.refusals()) == 1)
            config.path.write_text(text.replace("width: 64", "width: 80"))
            driven.reloader.ask()
            driven.wait(lambda: len(ear.refusals()) == 2)
            driven.reloader.ask()
            driven.wait(lambda: driven.reloader._number == 3)
        finally:
            driven.stop()
    first, second = ear.refusals()
    assert unknown in first
    assert second == restart
    told = [(e["event"], e["text"]) for e in logs if e["event"] in ("fault", "reload_refused_again")]
    assert told == [("fault", first), ("fault", second), ("reload_refused_again", second)]


def test_a_reload_that_is_asked_for_while_another_loads_is_done_after_it(tmp_path: Path) -> None:
    """Each report says which config was read, and when."""
    config = loaded(tmp_path, *LIVE)
    text = config.path.read_text()
    loading, go = threading.Event(), threading.Event()

    def slowly(read: Loaded) -> Any:
        loading.set()
        assert go.wait(PATIENCE_S)
        return open_watched(read)

    reports: list[ReloadReport] = []
    driven = Driven(config)
    driven.reloader._open_model = slowly
    driven.reloader.report = reports.append
    hashes = []
    try:
        for high in ("3.0", "4.0"):
            config.path.write_text(text.replace("high: 2.0", f"high: {high}"))
            hashes.append(load_config(config.path, config.overrides).sha256)
            asked_ns = time.monotonic_ns()
            driven.reloader.ask()
            driven.wait(loading.is_set, 20.0)
        go.set()
        driven.wait(lambda: len(reports) == 2, 20.0)
    finally:
        driven.stop()
    assert [(r.number, r.tried_sha256, r.config_sha256, r.refused) for r in reports] == [
        (1, hashes[0], hashes[0], None),
        (2, hashes[1], hashes[1], None),
    ]
    assert reports[0].began_ns < asked_ns <= reports[1].began_ns
    assert driven.line.identity.config_sha256 == hashes[1]


def test_a_report_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    config = loaded(tmp_path, *LIVE)

    def full(_report: ReloadReport) -> None:
        raise OSError(28, "No space left on device", "/run/edge/cam1/.reload.json.tmp")

    with capture_logs() as logs:
        driven = Driven(config)
        driven.reloader.report = full
        try:
            driven.inspected(1)
            driven.reloader.ask()
            driven.wait(lambda: any(e["event"] == "reload_not_reported" for e in logs), 20.0)
            driven.inspected(5)
        finally:
            driven.stop()
    assert [e["error"] for e in logs if e["event"] == "reload_not_reported"] == [
        "/run/edge/cam1/.reload.json.tmp: No space left on device"
    ]


def test_a_load_that_takes_too_long_is_a_fault_until_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = loaded(tmp_path, *LIVE)
    go = threading.Event()
    monkeypatch.setattr(reload, "SLOW_S", 0.05)

    def slowly(read: Loaded) -> Any:
        assert go.wait(PATIENCE_S)
        return open_watched(read)

    reports: list[ReloadReport] = []
    driven = Driven(config)
    driven.reloader._open_model, driven.reloader.report = slowly, reports.append
    try:
        driven.reloader.ask()
        driven.wait(lambda: driven.line.fault, 20.0)
        assert driven.line.fault == {
            "reload_slow": "a reload has been loading for more than 0.05 s; until it ends no other one begins"
        }
        driven.inspected(1)
        monkeypatch.setattr(reload, "SLOW_S", 60.0)
        go.set()
        driven.wait(lambda: reports, 20.0)
        assert driven.line.fault == {}
    finally:
        driven.stop()


def test_the_old_model_is_closed_once_no_map_of_it_is_on_its_way(tmp_path: Path) -> None:
    config = loaded(tmp_path, *LIVE)
    driven = Driven(config, before=lambda _index: None)
    old = driven.line.recipes.current.engine
    assert isinstance(old, Bent)
    closed: list[float] = []
    old.close = lambda: closed.append(time.monotonic())  # type: ignore[method-assign]
    try:
        driven.inspected(5)
        driven.reloader.ask()
        driven.wait(lambda: closed)
        assert driven.line.recipes.judging is driven.line.recipes.current
        driven.inspected(5)
    finally:
        driven.stop()
    assert len(closed) == 1


def test_a_model_that_never_got_a_frame_is_closed_too(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    line = make_line(config)
    opened = []
    for _ in range(3):
        engine, criteria = open_model(config)
        opened.append(engine)
        line.inspect_with(config, engine, criteria)
    line.recipes.judge(line.recipes.current)
    line.recipes.close_retired()
    assert line.recipes.current.engine is opened[-1]
    assert [e._session is None for e in opened] == [True, True, False]  # type: ignore[attr-defined]
    line.recipes.close()


def test_twenty_reloads_under_load_lose_no_frame(tmp_path: Path) -> None:
    config = loaded(tmp_path, *LIVE)
    driven = Driven(config)
    text = config.path.read_text()
    try:
        for index in range(20):
            config.path.write_text(text.replace("high: 2.0", f"high: {2.0 + index}"))
            wanted = load_config(config.path, config.overrides).sha256
            driven.reloader.ask()
            driven.wait(lambda wanted=wanted: driven.line.identity.config_sha256 == wanted)  # type: ignore[misc]
            driven.inspected(1)
    finally:
        driven.stop()
    found = records(tmp_path / "log")
    assert frame_ids(found) == list(range(1, len(frame_ids(found)) + 1))
    assert len({r["config_sha256"] for r in found}) == 20
    assert {r["verdict"] for r in found} == {"pass"}


def test_keys_that_need_a_restart_are_named(tmp_path: Path) -> None:
    config = loaded(tmp_path).config
    assert needs_restart(config, config) == []
    same = loaded(tmp_path, "recipe_id=b", "deadline_ms=5", "regions.border_px=2").config
    assert needs_restart(config, same) == []
    other = loaded(tmp_path, "camera=cam2", "ring.slots=9").config
    assert needs_restart(config, other) == ["camera", "ring"]


def test_a_daemon_reloads_on_sighup(tmp_path: Path) -> None:
    from support.daemons import Manager, daemon
    from support.waits import until

    manager = Manager(tmp_path)
    try:
        with daemon(tmp_path, manager=manager) as process:
            manager.wait_for("READY=1")
            until(lambda: len(records(tmp_path / "log")) > 5)
            path = tmp_path / "cam1.yaml"
            path.write_text(path.read_text().replace("high: 2.0", "high: 0.1"))
            os.kill(process.pid, signal.SIGHUP)
            until(lambda: [r["verdict"] for r in records(tmp_path / "log")].count("fail") > 5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
    finally:
        manager.close()
    verdicts = [r["verdict"] for r in records(tmp_path / "log") if r["kind"] == "inspection"]
    swapped = verdicts.index("fail")
    assert swapped > 0
    assert verdicts == ["pass"] * swapped + ["fail"] * (len(verdicts) - swapped)
