"""The daemon as a process: ready, fed to the watchdog, stopped, frozen, locked; asked over HTTP and ZeroMQ."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson
import pytest
from support.daemons import Manager, daemon
from support.doors import Keys
from support.lines import frame_ids, loaded, records
from support.waits import PATIENCE_S

from edge.client import Received, Subscriber
from edge.service.instances import instance_in

FREEZE = """\
import sys, time
import {module}
from edge.service.sd_notify import notify
whole = {module}.{name}
calls = []
def frozen(*args, **kwargs):
    calls.append(1)
    if len(calls) > {after}:
        notify("STATUS=frozen")
        time.sleep(3600)
    return whole(*args, **kwargs)
{module}.{name} = frozen
sys.argv = ["edge", *sys.argv[1:]]
from edge.cli import main
main()
"""


def endpoints(folder: Path) -> dict[str, str]:
    path = folder / "run" / "endpoints.json"
    end = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    found: dict[str, str] = orjson.loads(path.read_bytes())
    return found


def ask(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_sigterm_even_twice_at_once_drains_says_so_and_exits_0(tmp_path: Path, manager: Manager) -> None:
    with daemon(tmp_path, manager=manager) as process:
        manager.wait_for("READY=1")
        manager.listen(0.5)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    manager.listen(0.1)
    told = [m for _, m in manager.heard]
    assert told.index("READY=1") < told.index("STOPPING=1")
    assert "STATUS=streaming" in " ".join(told)
    found = records(tmp_path / "log")
    ids = frame_ids(found)
    assert ids == list(range(1, len(ids) + 1))
    assert len(found) > 10
    assert instance_in(tmp_path / "run").ended_ns is not None  # `edge fleet` shows it in grey


def test_the_watchdog_is_fed_while_frames_come(tmp_path: Path, manager: Manager) -> None:
    with daemon(tmp_path, manager=manager, watchdog_s=1.0):
        manager.wait_for("READY=1")
        assert manager.listen(1.5).count("WATCHDOG=1") >= 4


def test_an_idle_source_for_twice_the_limit_is_no_fault(tmp_path: Path, manager: Manager) -> None:
    """A trigger that does not come: one frame in 1,000 s, limit 0.5 s."""
    with daemon(tmp_path, "source.fps=0.001", "supervise.limit_s=0.5", manager=manager, watchdog_s=2.0) as process:
        manager.wait_for("READY=1")
        manager.listen(1.0)
        assert manager.listen(1.5).count("WATCHDOG=1") >= 2
        assert process.poll() is None


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("edge.sources.synthetic.source", "SyntheticSource.read"),
        ("edge.line.in_flight", "start"),
        ("edge.line.judging", "to_inspection"),
    ],
    ids=["acquire", "infer", "judge"],
)
def test_with_one_stage_frozen_the_watchdog_is_not_fed_and_the_process_leaves(
    tmp_path: Path, manager: Manager, module: str, name: str
) -> None:
    """One feed may follow, for the progress from before; after the stage's limit the process leaves with 4."""
    script = FREEZE.format(module=module, name=name, after=20)
    limit_s = 1.0
    with daemon(tmp_path, f"supervise.limit_s={limit_s}", manager=manager, watchdog_s=4.0, script=script) as process:
        manager.wait_for("STATUS=frozen")
        frozen = manager.heard[-1][0]
        while process.poll() is None and time.monotonic() < frozen + 20:
            manager.listen(0.1)
        assert process.poll() == 4
        assert time.monotonic() - frozen > limit_s
        stderr = process.communicate()[1]
    fed = [when - frozen for when, message in manager.heard if message == "WATCHDOG=1" and when > frozen]
    assert len(fed) <= 1  # the progress from before it froze
    assert all(after < limit_s for after in fed)
    assert '"code": "stage_hung"' in stderr
    assert "in frozen" in stderr  # the traceback of all threads says where
    (told,) = [orjson.loads(line) for line in stderr.splitlines() if '"event": "stopped"' in line]
    found = records(tmp_path / "log")
    assert len(frame_ids(found)) == told["accounted"]
    assert (told["announced"] == told["accounted"]) == (module != "edge.line.judging")  # a hung judge writes no record
    if module == "edge.line.in_flight":
        assert {r["reason"] for r in found if r["kind"] == "skip"} >= {"shutdown"}
    assert instance_in(tmp_path / "run").ended_ns is None


def test_a_frozen_stage_stops_the_watchdog_even_before_the_process_leaves(tmp_path: Path, manager: Manager) -> None:
    script = FREEZE.format(module="edge.line.in_flight", name="start", after=20)
    with daemon(tmp_path, "supervise.limit_s=30", manager=manager, watchdog_s=1.0, script=script) as process:
        manager.wait_for("READY=1")
        manager.listen(1.5)  # 20 frames at 50 fps, then half the interval
        assert "WATCHDOG=1" not in manager.listen(2.0)
        assert process.poll() is None


def test_a_second_instance_is_refused_with_6(tmp_path: Path, manager: Manager) -> None:
    with daemon(tmp_path, manager=manager) as first:
        manager.wait_for("READY=1")
        with daemon(tmp_path) as second:
            assert second.wait(PATIENCE_S) == 6
            assert second.communicate()[1] == (
                "camera cam1: another instance is running\n"
                f"  received: {tmp_path}/run/lock is held by process {first.pid}\n"
                "  fix: stop that one first, or give this one a folder of its own: another camera name, or a runtime_dir\n"
            )
        assert first.poll() is None


def test_live_ready_and_metrics_answer(tmp_path: Path, manager: Manager) -> None:
    with daemon(tmp_path, manager=manager):
        manager.wait_for("READY=1")
        base = endpoints(tmp_path)["health"]
        time.sleep(0.3)
        assert ask(f"{base}/live") == (200, ask(f"{base}/ready")[1])
        assert ask(f"{base}/ready")[0] == 200
        assert ask(f"{base}/nothing") == (404, "/live /ready /metrics\n")
        code, text = ask(f"{base}/metrics")
        assert code == 200
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        assert float(values['edge_inspections_total{camera="cam1",verdict="pass"}']) > 0
        assert values['edge_ring_slots{camera="cam1"}'] == "64.0"
        assert values['edge_source_state{camera="cam1",state="streaming"}'] == "1.0"
        count = float(values['edge_latency_seconds_count{camera="cam1",stage="total"}'])
        assert count == float(values['edge_latency_seconds_bucket{camera="cam1",le="+Inf",stage="total"}'])


def test_a_camera_that_is_not_there_is_waited_for_live_but_not_ready(tmp_path: Path, manager: Manager) -> None:
    with daemon(tmp_path, "source={kind: opencv, device: /dev/video-none}", manager=manager, watchdog_s=2.0) as process:
        manager.wait_for("READY=1")
        base = endpoints(tmp_path)["health"]
        time.sleep(0.5)
        assert ask(f"{base}/live")[0] == 200
        code, text = ask(f"{base}/ready")
        assert code == 503
        assert text.startswith("backoff")
        assert "WATCHDOG=1" in manager.listen(1.0)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0


def test_a_late_subscriber_gets_the_state_and_then_every_record_in_order(tmp_path: Path, manager: Manager) -> None:
    with daemon(tmp_path, manager=manager):
        manager.wait_for("READY=1")
        endpoint = endpoints(tmp_path)["zmq"]
        time.sleep(0.5)
        seen: list[Any] = []
        with Subscriber(endpoint) as subscriber:
            end = time.monotonic() + PATIENCE_S
            while time.monotonic() < end and len(seen) < 60:
                event = subscriber.receive(0.5)
                if event is not None:
                    seen.append(event)
    messages = [e for e in seen if isinstance(e, Received)]
    assert {m.kind for m in messages} - {"skip"} == {"state", "heartbeat", "inspection"}
    numbers = [m.message["seq"] for m in messages if m.kind in ("inspection", "skip")]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert numbers[0] > 5


def test_a_daemon_outlives_its_standard_error(tmp_path: Path, manager: Manager) -> None:
    """Its reader is gone: state changes and faults can't be logged any more, and inspection goes on."""
    with daemon(tmp_path, "outputs.jsonl.sync=none", manager=manager) as process:
        manager.wait_for("READY=1")
        assert process.stderr is not None
        process.stderr.close()
        process.send_signal(signal.SIGHUP)  # a reload logs two lines at least
        time.sleep(1.0)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        process.stderr = None
    found = records(tmp_path / "log")
    assert frame_ids(found) == list(range(1, len(found) + 1))


@pytest.mark.parametrize("seconds", [2.0, pytest.param(60.0, marks=[pytest.mark.soak, pytest.mark.timeout(300)])])
def test_a_standard_error_that_nobody_reads_holds_up_nothing(tmp_path: Path, manager: Manager, seconds: float) -> None:
    """A journal on a dying disk, Ctrl-S or a stopped tee: heartbeat, watchdog and SIGTERM were dead."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, bytes(4096))
    try:
        with daemon(tmp_path, manager=manager, watchdog_s=2.0, stderr=writing) as process:
            manager.wait_for("READY=1", 60.0)
            with Subscriber(endpoints(tmp_path)["zmq"], "cam1") as line:
                end, oldest_s = time.monotonic() + seconds, 0.0
                while time.monotonic() < end:
                    process.send_signal(signal.SIGHUP)  # each writes some lines
                    assert "WATCHDOG=1" in manager.listen(2.0)
                    oldest_s = max(oldest_s, line.latest(60.0).heartbeat_age_s)
                assert oldest_s < (1.0 if seconds > 10 else 2.0)
            process.send_signal(signal.SIGTERM)
            asked = time.monotonic()
            assert process.wait(5 if seconds > 10 else PATIENCE_S) == 0
            print(f"oldest heartbeat {oldest_s:.2f} s, ended after {time.monotonic() - asked:.2f} s")
    finally:
        os.close(reading)
        os.close(writing)


def test_records_of_a_run_share_their_identity(tmp_path: Path) -> None:
    with daemon(tmp_path, "source.fps=null", "source.frames=20", "recipe_id=tile-40") as process:
        assert process.wait(PATIENCE_S) == 0
    found = records(tmp_path / "log")
    assert len(found) == 20
    for key in ("instance_id", "config_sha256", "model", "recipe_id", "camera", "simulated", "calibration_sha256"):
        assert all(r[key] == found[0][key] for r in found)
    assert found[0]["recipe_id"] == "tile-40"
    assert found[0]["simulated"] is True


@pytest.mark.parametrize("missing", ["model", "mask", "producer", "keys", "socket folder"])
def test_what_is_not_there_yet_is_waited_for_and_the_line_runs_once_it_is(
    tmp_path: Path, manager: Manager, missing: str
) -> None:
    """After a power cut disks are mounted and switches boot later than we do: exit 2 is never started again."""
    loaded(tmp_path)
    away = tmp_path / "away"
    place, overrides = _hide(tmp_path, missing)
    place.rename(away)
    with daemon(tmp_path, *overrides, manager=manager) as process:
        if missing in ("model", "mask"):
            manager.wait_for("STATUS=waiting: ")  # READY comes later
            assert any(m.startswith("EXTEND_TIMEOUT_USEC=") for _, m in manager.heard)
        else:
            manager.wait_for("READY=1")
        time.sleep(1.2)  # some attempts
        assert process.poll() is None
        away.rename(place)
        manager.wait_for("READY=1")
        if missing == "producer":  # it is none, but it is there: a mistake that a person must mend
            assert process.wait(PATIENCE_S) == 3  # and 2 at the next start
            assert "the GenTL producer cannot be loaded" in process.communicate()[1]
            return
        end = time.monotonic() + PATIENCE_S
        well = 'edge_output_fault{camera="cam1",output="zmq"} 0.0'
        while well not in ask(f"{endpoints(tmp_path)['health']}/metrics")[1]:
            assert time.monotonic() < end
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert records(tmp_path / "log")


@pytest.mark.parametrize("torn", ["model.onnx", "bundle.yaml"])
def test_a_model_that_is_torn_or_on_its_way_is_waited_for(tmp_path: Path, manager: Manager, torn: str) -> None:
    """A copy that a power cut or a slow network left half done: the rest comes, and nobody starts the line again."""
    loaded(tmp_path)
    path = tmp_path / "bundle" / torn
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if torn == "model.onnx" else bytes(len(whole)))
    with daemon(tmp_path, manager=manager) as process:
        manager.wait_for("STATUS=waiting: ")
        assert process.poll() is None
        path.write_bytes(whole)
        manager.wait_for("READY=1")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


def _hide(folder: Path, missing: str) -> tuple[Path, list[str]]:
    """What to take away, and the config that names it."""
    if missing == "model":
        shutil.copytree(folder / "bundle", folder / "disk" / "model")
        return folder / "disk", ["model.bundle=disk/model"]
    if missing == "mask":
        (folder / "mask.png").write_bytes(cv2.imencode(".png", np.full((64, 64), 255, np.uint8))[1].tobytes())
        return folder / "mask.png", ["regions.roi={units: image_px, mask: mask.png}"]
    if missing == "producer":
        (folder / "vendor.cti").write_text("no library")
        return folder / "vendor.cti", [f"source={{kind: genicam, producer: {folder}/vendor.cti}}"]
    if missing == "keys":
        (folder / "keys").mkdir()
        Keys(folder / "keys")
        curve = "{server_key: keys/server.key_secret, clients: keys/clients}"
        return folder / "keys", [f"outputs.zmq={{bind: 'tcp://127.0.0.1:0', curve: {curve}}}"]
    (folder / "ipc").mkdir()
    return folder / "ipc", [f"outputs.zmq={{bind: 'ipc://{folder}/ipc/pub'}}"]


def test_a_busy_health_port_is_a_fault_until_it_is_free(tmp_path: Path, manager: Manager) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with daemon(tmp_path, f"health.bind='127.0.0.1:{port}'", manager=manager):
            manager.wait_for("READY=1")
            assert endpoints(tmp_path)["health"] is None
            with Subscriber(endpoints(tmp_path)["zmq"]) as line:
                states = (e.message["faults"] for e in line if isinstance(e, Received) and e.kind == "state")
                text = next(faults for faults in states if faults)
            fault = f"health.bind: 127.0.0.1:{port} cannot be opened: Address already in use"
            assert [(f["code"], f["text"]) for f in text] == [("health", fault)]
            taken.close()
            end = time.monotonic() + PATIENCE_S
            while endpoints(tmp_path)["health"] is None:
                assert time.monotonic() < end
                time.sleep(0.05)
            assert ask(f"http://127.0.0.1:{port}/live")[0] == 200


def test_a_wrong_key_in_a_config_still_ends_it_with_2(tmp_path: Path) -> None:
    with daemon(tmp_path, "health.bind='127.0.0.1:99999'") as process:
        assert process.wait(PATIENCE_S) == 2
