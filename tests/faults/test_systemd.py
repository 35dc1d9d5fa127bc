"""The shipped unit under systemd as PID 1: `pytest -m systemd` boots a machine, installs the wheel and follows the docs.

One machine boots for all of these tests, which follow each other; the last one switches it off.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from pymodbus.client import ModbusTcpClient
from support.machine import EDGE, PYTHON, ROOT, Machine, built, made_root, why_no_machine

from edge.gateways.registers import COUNT, PASS
from edge.service.unit_files import next_steps
from edge.storage.log_files import read_records, segments

pytestmark = [
    pytest.mark.systemd,
    pytest.mark.timeout(900),
    pytest.mark.skipif(why_no_machine() is not None, reason=str(why_no_machine())),
]
CAMERA = "cam1"
UNIT = f"edge@{CAMERA}"
CONFIG = """\
camera: {camera}
recipe_id: {recipe}
source: {{kind: genicam, producer: simulated, serial: "0", features: [[PixelFormat, Mono8], [Width, 400], [Height, 300],
         [AcquisitionFrameRate, 20], [BouncingBallSize, 1]]}}
ring: {{slots: 64}}
model: {{bundle: models/white-scene}}
regions: {{border_px: 2, smooth: {{kind: median, size: 3}}, threshold: {{high: 6.0}}, min_area_px: 16}}
outputs:
  zmq: {{}}
  jsonl: {{dir: {log}}}
  evidence: {{dir: /var/lib/edge/{camera}, quota_gb: 0.1}}
"""
LOG = "/var/log/edge/cam1"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    share, logs = folder / "share", folder / "log"
    share.mkdir()
    logs.mkdir()
    wheel = built(share)
    machine = Machine(made_root(), share, logs)
    try:
        machine.run(
            PYTHON, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--force-reinstall", f"/share/{wheel.name}"
        )
        machine.path("/etc/edge/models").mkdir(parents=True)
        shutil.copytree(ROOT / "configs" / "bundles" / "white-scene", machine.path("/etc/edge/models/white-scene"))
        yield machine
    finally:
        machine.close()


def configure(machine: Machine, camera: str = "cam1", recipe: str = "a", log: str = LOG, extra: str = "") -> None:
    machine.path(f"/etc/edge/{camera}.yaml").write_text(CONFIG.format(camera=camera, recipe=recipe, log=log) + extra)


def records(machine: Machine, name: str = "edge/cam1") -> list[dict[str, object]]:
    """All that stand in the log; a file that was just compressed is read by its other name."""
    folder = machine.logs / name
    for _ in range(5):
        with contextlib.suppress(FileNotFoundError):
            return [r for path in segments(folder) for r in read_records(path)]
    return []


def journal(machine: Machine, *options: str, unit: str = UNIT) -> str:
    return machine.run("journalctl", "-u", unit, "-o", "cat", "--no-pager", *options)


def in_journal(machine: Machine, unit: str, pattern: str) -> str:
    """What the pattern's group holds where the unit said it last; waits until it did."""
    machine.until(lambda: re.search(pattern, journal(machine, unit=unit)))
    return re.findall(pattern, journal(machine, unit=unit))[-1]  # type: ignore[no-any-return]


def inspects_again(machine: Machine, before: int, timeout_s: float = 90.0) -> None:
    machine.until(lambda: len(records(machine)) > before and machine.shown(UNIT, "ActiveState") == "active", timeout_s)


def test_the_printed_steps_install_and_start_it(machine: Machine) -> None:
    """And READY comes: `systemctl start` returns with the line inspecting, as its own user, without capabilities."""
    configure(machine)
    told = machine.run(EDGE, "install-service", "cam1")
    assert "warning" not in told
    for step in next_steps("cam1"):
        if step.startswith(("sysctl", "udevadm", "edge doctor")):  # a container has neither, and doctor says so
            continue
        machine.run("sh", "-c", f"PATH=/opt/edge/venv/bin:$PATH; {step}")
    assert machine.shown(UNIT, "ActiveState") == "active"
    inspects_again(machine, 20)
    pid = machine.shown(UNIT, "MainPID")
    status = machine.path(f"/proc/{pid}/status").read_text()
    assert re.search(r"^CapEff:\s+0+$", status, re.M)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M)
    assert re.search(r"^Seccomp:\s+2$", status, re.M)
    assert machine.run("stat", "-c", "%U", f"/proc/{pid}").strip() == "edge"
    assert "streaming" in machine.shown(UNIT, "StatusText")
    security = machine.run("systemd-analyze", "security", "--no-pager", UNIT)
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", security)
    assert exposure is not None
    assert float(exposure[1]) <= 2.0


def test_a_reload_takes_effect_between_two_frames_of_the_same_process(machine: Machine) -> None:
    pid = machine.shown(UNIT, "MainPID")
    configure(machine, recipe="b")
    machine.run("systemctl", "reload", UNIT)
    machine.until(lambda: records(machine)[-1]["recipe_id"] == "b")
    assert machine.shown(UNIT, "MainPID") == pid
    found = records(machine)
    assert [r["seq"] for r in found] == list(range(len(found)))
    machine.run(EDGE, "reload", "/etc/edge/cam1.yaml")


def test_a_refused_reload_leaves_the_old_config_at_work(machine: Machine) -> None:
    pid, before = machine.shown(UNIT, "MainPID"), len(records(machine))
    configure(machine, recipe="c", extra="no_such_key: 1\n")
    machine.run("systemctl", "reload", UNIT)
    machine.until(lambda: "reload_refused" in journal(machine))
    inspects_again(machine, before + 20)
    assert records(machine)[-1]["recipe_id"] == "b"
    assert machine.shown(UNIT, "MainPID") == pid
    configure(machine, recipe="b")
    machine.run("systemctl", "reload", UNIT)
    machine.until(lambda: machine.call(EDGE, "fleet", "--json").returncode == 0)


def test_a_member_of_the_group_hears_the_line_and_another_user_is_told_why_not(machine: Machine) -> None:
    machine.run("useradd", "--groups", "edge", "shiftlead")
    machine.run("useradd", "stranger")
    listen = [EDGE, "subscribe", "/run/edge/cam1", "--json", "--count", "3", "--seconds", "10"]
    heard = machine.run("runuser", "-u", "shiftlead", "--", *listen)
    assert [json.loads(line)["camera"] for line in heard.splitlines() if line.startswith("{")][-1] == "cam1"
    refused = machine.call("runuser", "-u", "stranger", "--", *listen)
    assert refused.returncode != 0
    assert "Traceback" not in refused.stdout
    assert "ermission" in refused.stdout or "no daemon" in refused.stdout, refused.stdout
    seen = machine.run("runuser", "-u", "shiftlead", "--", EDGE, "fleet", "--json")
    assert json.loads(seen.splitlines()[-1])["camera"] == "cam1"


def test_a_plc_reads_the_line_through_the_gateway_s_unit_whatever_becomes_of_the_gateway(machine: Machine) -> None:
    """As a user that is made at its start, and has nothing but the line's group."""
    unit = f"edge-gateway@{CAMERA}"
    machine.path(f"/etc/edge/{CAMERA}.gateway.env").write_text("EDGE_GATEWAY_OPTIONS=--port 0 --allow-simulated\n")
    machine.run(EDGE, "install-service", CAMERA, "--gateway")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", unit)

    def passes() -> bool:
        """Asked of the gateway that runs now."""
        plc = ModbusTcpClient("127.0.0.1", port=int(in_journal(machine, unit, r"Modbus TCP on 127\.0\.0\.1:(\d+)")))
        try:
            return plc.connect() and plc.read_holding_registers(0, count=COUNT).registers[8] == PASS
        finally:
            plc.close()

    machine.until(passes)
    pid = machine.shown(unit, "MainPID")
    status = machine.path(f"/proc/{pid}/status").read_text()
    assert re.search(r"^Seccomp:\s+2$", status, re.M)
    assert machine.run("stat", "-c", "%U", f"/proc/{pid}").strip() not in ("root", "edge")
    machine.run("systemctl", "kill", "-s", "STOP", "--kill-whom=main", unit)
    machine.until(lambda: machine.shown(unit, "MainPID") not in (pid, "0"), 90)  # its watchdog has ended it
    machine.until(passes)
    line = machine.shown(UNIT, "MainPID")
    machine.run("systemctl", "restart", UNIT)
    machine.until(passes)  # it stayed, and hears the next daemon
    assert machine.shown(UNIT, "MainPID") != line
    assert machine.shown(unit, "NRestarts") == "1"
    machine.run("systemctl", "disable", "--now", unit)
    assert machine.shown(unit, "Result") == "success"


def test_the_page_s_unit_shows_the_line_and_its_log_and_writes_into_its_own_folder_alone(machine: Machine) -> None:
    unit = "edge-web"
    machine.path("/etc/edge/web.env").write_text("EDGE_WEB_OPTIONS=--bind 127.0.0.1:0\n")
    machine.run(EDGE, "install-service", CAMERA, "--web")
    machine.run("systemd-sysusers")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", unit)
    token = machine.run(EDGE, "web", "token", "add", "grafana").split()[-1]

    def asked(path: str) -> Any:
        address = in_journal(machine, unit, r"(http://127\.0\.0\.1:\d+)")
        request = urllib.request.Request(f"{address}/api/v1/{path}", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def shown() -> bool:
        return [(tile["camera"], tile["running"], tile["age_s"] < 2) for tile in asked("cameras")] == [(CAMERA, True, True)]

    machine.until(shown)
    machine.until(lambda: asked(f"cameras/{CAMERA}/records?since=1h")["records"])
    pid = machine.shown(unit, "MainPID")
    status = machine.path(f"/proc/{pid}/status").read_text()
    assert re.search(r"^CapEff:\s+0+$", status, re.M)
    assert re.search(r"^Seccomp:\s+2$", status, re.M)
    assert machine.run("stat", "-c", "%U", f"/proc/{pid}").strip() == "edge-web"
    for place in (LOG, f"/var/lib/edge/{CAMERA}", f"/run/edge/{CAMERA}", "/etc/edge"):
        assert machine.run("find", place, "-user", "edge-web") == ""
        tried = machine.call("nsenter", "-t", pid, "-m", "runuser", "-u", "edge-web", "--", "touch", f"{place}/x")
        assert tried.returncode != 0, place
    machine.run("systemctl", "kill", "-s", "KILL", "--kill-whom=main", unit)
    machine.until(lambda: machine.shown(unit, "MainPID") not in (pid, "0"))
    machine.until(lambda: machine.shown(unit, "ActiveState") == "active")
    machine.until(shown)
    machine.run("systemctl", "disable", "--now", unit)
    assert machine.shown(unit, "Result") == "success"


def test_a_second_instance_ends_with_6_and_names_the_lock(machine: Machine) -> None:
    again = machine.call(
        "runuser", "-u", "edge", "--", "env", "RUNTIME_DIRECTORY=/run/edge/cam1", EDGE, "run", "-c", "/etc/edge/cam1.yaml"
    )
    assert again.returncode == 6, again.stdout
    assert "/run/edge/cam1/lock" in again.stdout
    assert machine.shown(UNIT, "ActiveState") == "active"


def test_a_killed_daemon_inspects_again(machine: Machine) -> None:
    before, restarts = len(records(machine)), int(machine.shown(UNIT, "NRestarts"))
    machine.run("systemctl", "kill", "-s", "KILL", "--kill-whom=main", UNIT)
    machine.until(lambda: int(machine.shown(UNIT, "NRestarts")) == restarts + 1)
    inspects_again(machine, before)


def test_a_daemon_that_stands_still_is_ended_by_the_watchdog_with_its_stacks_in_the_journal(machine: Machine) -> None:
    before, restarts = len(records(machine)), int(machine.shown(UNIT, "NRestarts"))
    inspects_again(machine, before)
    machine.run("systemctl", "kill", "-s", "STOP", "--kill-whom=main", UNIT)
    machine.until(lambda: int(machine.shown(UNIT, "NRestarts")) == restarts + 1, 90)
    inspects_again(machine, before + 1)
    told = journal(machine)
    assert "Watchdog timeout" in told
    assert "Fatal Python error: Aborted" in told
    assert "supervise" in told


def test_a_config_that_is_wrong_ends_with_2_and_is_not_tried_again(machine: Machine) -> None:
    machine.run("systemctl", "stop", UNIT)
    assert machine.shown(UNIT, "Result") == "success"
    configure(machine, extra="no_such_key: 1\n")
    assert machine.call("systemctl", "start", UNIT).returncode != 0
    assert machine.shown(UNIT, "ExecMainStatus") == "2"
    machine.run("sleep", "3")  # a restart would come after 2 s
    assert machine.shown(UNIT, "ActiveState") == "failed"
    assert "no_such_key" in journal(machine, "-n", "20")
    configure(machine)
    machine.run("systemctl", "start", UNIT)
    assert machine.shown(UNIT, "ActiveState") == "active"


def test_what_the_config_needs_beyond_the_unit_stands_in_a_drop_in(machine: Machine) -> None:
    """Without it a log in /data is read-only for the service, which says so and inspects."""
    machine.run("install", "-d", "-o", "edge", "-g", "edge", "/data/log")
    configure(machine, log="/data/log")
    machine.run("systemctl", "restart", UNIT)
    machine.until(lambda: "Read-only file system" in journal(machine, "-n", "50"))
    assert machine.shown(UNIT, "ActiveState") == "active"
    machine.run(EDGE, "install-service", "cam1")
    drop_in = machine.path("/etc/systemd/system/edge@cam1.service.d/40-config.conf").read_text()
    assert "ReadWritePaths=-/data/log\n" in drop_in
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", UNIT)
    machine.until(lambda: any(machine.path("/data/log").glob("*.jsonl")))
    configure(machine)
    machine.run("systemctl", "restart", UNIT)


def test_the_password_of_a_camera_comes_as_a_credential_and_is_told_nowhere(machine: Machine) -> None:
    source = '{kind: opencv, device: "http://admin:${CAM_PW}@127.0.0.1:9/video"}'
    configure(machine)
    path = machine.path("/etc/edge/cam1.yaml")
    path.write_text(re.sub(r"source: \{.*?\}\n", f"source: {source}\n", path.read_text(), flags=re.S))
    machine.run("systemctl", "stop", UNIT)
    assert machine.shown(UNIT, "Result") == "success"
    assert machine.call("systemctl", "start", UNIT).returncode != 0
    assert "CAM_PW" in journal(machine, "-n", "20")
    folder = machine.path("/etc/systemd/system/edge@cam1.service.d")
    folder.mkdir(exist_ok=True)
    secret = machine.path("/etc/edge/cam_pw")
    secret.write_text("s3cr3t@pw\n")
    secret.chmod(0o600)
    (folder / "50-credential.conf").write_text("[Service]\nLoadCredential=CAM_PW:/etc/edge/cam_pw\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", UNIT)
    machine.until(lambda: "source_lost" in journal(machine, "-n", "50") or "backoff" in journal(machine, "-n", "50"))
    found = machine.call("grep", "-rl", "-e", "s3cr3t", "/run/edge", "/var/log/edge", "/var/lib/edge")
    assert (found.returncode, found.stdout) == (1, "")
    assert "s3cr3t" not in journal(machine)
    configure(machine)
    machine.run("systemctl", "restart", UNIT)
    inspects_again(machine, len(records(machine)) + 5)


def test_at_power_off_every_announced_frame_has_its_record(machine: Machine) -> None:
    machine.power_off()
    told = subprocess.run(
        ["journalctl", "-D", str(machine.logs / "journal"), "-u", UNIT, "-o", "cat", "--no-pager"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    stopped = [json.loads(line) for line in told.splitlines() if '"event": "stopped"' in line][-1]
    assert stopped["drained"]
    assert stopped["announced"] == stopped["accounted"] > 0
    last_run = records(machine)[-1]["instance_id"]
    found = [r for r in records(machine) if r["instance_id"] == last_run]
    assert sum(int(str(r.get("count", 1))) for r in found) == stopped["accounted"]
    assert [r["seq"] for r in found] == list(range(len(found)))
