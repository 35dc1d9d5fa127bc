"""``edge gateway modbus``: the camera comes from the config, and nothing is announced before the port is there."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest
from pymodbus.client import ModbusTcpClient
from support.daemons import Manager, daemon
from support.lines import loaded
from support.waits import PATIENCE_S
from typer.testing import CliRunner

from edge.cli import app
from edge.errors import ExitCode, UserError
from edge.gateways.registers import COUNT, PASS, SIMULATED


def refusal(*arguments: str) -> UserError:
    result = CliRunner().invoke(app, ["gateway", "modbus", *arguments])
    assert isinstance(result.exception, UserError), result.output
    assert "Modbus TCP on" not in result.output
    return result.exception


def test_a_camera_that_is_not_the_config_s_is_refused(tmp_path: Path) -> None:
    loaded(tmp_path)
    config = str(tmp_path / "cam1.yaml")
    assert str(refusal(config, "--camera", "nope")) == (
        f"--camera: not this line's camera\n  received: nope\n  expected: cam1, as {config} says"
    )


def test_a_runtime_folder_names_its_camera_too(tmp_path: Path) -> None:
    (tmp_path / "instance.json").write_bytes(orjson.dumps({"camera": "cam7"}))
    for where in (tmp_path, tmp_path / "endpoints.json"):
        assert str(refusal(str(where), "--camera", "cam1")) == (
            f"--camera: not this line's camera\n  received: cam1\n  expected: cam7, as {where} says"
        )


def test_an_endpoint_needs_the_camera_s_name_and_must_be_one() -> None:
    assert str(refusal("tcp://127.0.0.1:5556")) == (
        "--camera is missing\n"
        "  received: tcp://127.0.0.1:5556\n"
        "  expected: the camera's name too, because an endpoint doesn't tell it\n"
        "  fix: name the line's config (.yaml) in place of the endpoint"
    )
    assert str(refusal("nonsense", "--camera", "cam1")) == (
        "'nonsense' is no endpoint to connect to\n"
        "  expected: tcp://HOST:PORT or ipc://PATH\n"
        "  fix: take the one that stands in endpoints.json in the daemon's runtime folder"
    )


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--score-scale", "inf", "--score-scale\n  received: inf\n  expected: a number"),
        (
            "--config-sha256",
            "12",
            "--config-sha256: '12' is not 8 to 64 lower-case hexadecimal digits\n"
            "  fix: edge log --records shows config_sha256 of each record",
        ),
    ],
)
def test_what_would_show_every_verdict_or_none_is_refused(option: str, value: str, text: str) -> None:
    assert str(refusal("ipc:///nowhere/pub", "--camera", "cam1", option, value)) == text


@pytest.mark.parametrize(("option", "value"), [("--port", "502000"), ("--port", "-1"), ("--max-age-ms", "nan")])
def test_a_number_beyond_its_range_is_no_traceback(option: str, value: str) -> None:
    result = CliRunner().invoke(app, ["gateway", "modbus", "ipc:///nowhere/pub", "--camera", "cam1", option, value])
    assert result.exit_code == 2 or isinstance(result.exception, UserError)
    assert option in (result.output or str(result.exception))


def test_a_port_in_use_ends_it_before_anything_is_announced(tmp_path: Path) -> None:
    loaded(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = refusal(str(tmp_path / "cam1.yaml"), "--port", str(port))
    assert error.what == f"--port: another program has port {port}"
    assert error.exit_code == ExitCode.LOCKED


def test_the_bench_is_told_in_capitals(tmp_path: Path) -> None:
    loaded(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        arguments = [str(tmp_path / "cam1.yaml"), "--port", str(taken.getsockname()[1]), "--allow-simulated"]
        result = CliRunner().invoke(app, ["gateway", "modbus", *arguments])
    bang = "!" * 78
    shouted = f"{bang}\nBENCH ONLY: verdicts of simulated and recorded frames are shown as real ones.\n{bang}\n"
    assert result.stderr == shouted


def test_a_gateway_begins_before_its_daemon_and_shows_a_plc_the_daemon_s_passes(tmp_path: Path) -> None:
    """With a real daemon and a PLC of pymodbus's."""
    loaded(tmp_path)
    manager = Manager(tmp_path)
    command = [sys.executable, "-m", "edge", "gateway", "modbus", str(tmp_path / "cam1.yaml"), "--port", "0"]
    environment = {**os.environ, "NOTIFY_SOCKET": str(manager.path)}
    environment.pop("RUNTIME_DIRECTORY", None)
    gateway = subprocess.Popen([*command, "--allow-simulated"], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        manager.wait_for("READY=1")
        assert gateway.stderr is not None
        lines = [gateway.stderr.readline() for _ in range(5)]
        found = re.fullmatch(r"Modbus TCP on 127\.0\.0\.1:(\d+), camera cam1\n", lines[3])
        assert found, lines
        assert lines[4].startswith(f"waiting for the daemon: {tmp_path}/run/endpoints.json: cannot be read: No such file")
        plc = ModbusTcpClient("127.0.0.1", port=int(found[1]), timeout=20)
        assert plc.connect()
        assert plc.read_holding_registers(8, count=2).registers == [0, 3]
        with daemon(tmp_path):
            end = time.monotonic() + PATIENCE_S
            registers = [0] * COUNT
            while registers[8] != PASS:
                assert time.monotonic() < end, registers
                registers = plc.read_holding_registers(0, count=COUNT).registers
                time.sleep(0.01)
        plc.close()
        assert registers[2] & SIMULATED
        assert registers[26:28] != [0, 0]
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(PATIENCE_S) == 0
        assert any("WATCHDOG=1" in text for _, text in manager.heard) or manager.listen(0.1)
    finally:
        gateway.kill()
        gateway.communicate()
        manager.close()


def test_a_gateway_needs_no_picture_library_and_no_model_runtime() -> None:
    script = (
        "import sys\n"
        "for name in ('cv2', 'numpy', 'onnx', 'onnxruntime', 'pydantic', 'rich', 'structlog', 'yaml'):\n"
        "    sys.modules[name] = None\n"
        "import edge.gateways.line_watch, edge.gateways.modbus, edge.gateways.registers\n"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120).stderr == ""
    script = "import sys, edge.cli.gateway; print(*sorted({'cv2', 'onnx', 'onnxruntime', 'genicam'} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (told.stdout, told.stderr) == ("\n", "")
