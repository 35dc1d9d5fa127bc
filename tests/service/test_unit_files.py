"""The service's files: known keys only, and an exposure that an auditor accepts, with each drop-in too."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.service.unit_files import GATEWAY_UNIT, DropIn, service_files

FOLDER = Path(__file__).parents[2] / "systemd"
UNIT = FOLDER / "edge@.service"
DROP_INS: tuple[tuple[DropIn, ...], ...] = ((), ("cuda",), ("jetson",))


def needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine on which nobody but this user exists, under the names root and edge."""
    for file in service_files("cam1"):
        file.write(tmp_path)
    uid, gid = os.getuid(), os.getgid()
    (tmp_path / "etc" / "passwd").write_text(f"root:x:{uid}:{gid}::/:/bin/sh\nedge:x:{uid}:{gid}::/:/bin/sh\n")
    (tmp_path / "etc" / "group").write_text(f"root:x:{gid}:\nedge:x:{gid}:\n")
    return tmp_path


@needs("systemd-analyze")
@pytest.mark.parametrize("drop_ins", DROP_INS, ids=lambda d: "+".join(d) or "plain")
def test_systemd_knows_every_key(tmp_path: Path, drop_ins: tuple[DropIn, ...]) -> None:
    folder = tmp_path / "systemd"
    for file in service_files("cam1", drop_ins, Path("/bin/true")):
        path = folder / Path(*file.path.parts[-2:] if "service.d" in file.path.parent.name else [file.path.name])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text)
    unit = folder / "edge@cam1.service"
    (folder / "edge@.service").rename(unit)
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


@needs("systemd-analyze")
def test_systemd_knows_every_key_of_the_page_s_unit_and_its_exposure_is_at_most_2(tmp_path: Path) -> None:
    for file in service_files("cam1", web=True, program=Path("/bin/true")):
        file.write(tmp_path)
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", f"--root={tmp_path}"]
    result = subprocess.run([*command, "edge-web.service"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-200:]
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "etc/systemd/system/edge-web.service")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


@needs("systemd-analyze")
def test_systemd_knows_every_key_of_the_gateway_s_unit_and_its_exposure_is_at_most_2(tmp_path: Path) -> None:
    for file in service_files("cam1", gateway=True, program=Path("/bin/true")):
        file.write(tmp_path)
    folder = tmp_path / "etc/systemd/system"
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", f"--root={tmp_path}"]
    result = subprocess.run([*command, "edge-gateway@cam1.service"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-200:]
    for name in ("edge", "edge-gateway"):
        (folder / f"{name}@.service").rename(folder / f"{name}@cam1.service")
    command = ["systemd-analyze", "verify", "--man=no", str(folder / "edge-gateway@cam1.service")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


@needs("systemd-analyze")
@pytest.mark.parametrize("drop_ins", DROP_INS, ids=lambda d: "+".join(d) or "plain")
def test_exposure_is_at_most_2(tmp_path: Path, drop_ins: tuple[DropIn, ...]) -> None:
    for file in service_files("cam1", drop_ins):
        file.write(tmp_path)
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", f"--root={tmp_path}"]
    result = subprocess.run([*command, "edge@cam1.service"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-200:]


@pytest.mark.parametrize(
    "path", [UNIT, FOLDER / GATEWAY_UNIT, *sorted((FOLDER / "drop-ins").iterdir())], ids=lambda p: p.name
)
def test_no_key_is_newer_than_systemd_249(path: Path) -> None:
    """JetPack 6 is Ubuntu 22.04: systemd 249."""
    newer = {"RestartSteps", "RestartMaxDelaySec", "ReloadSignal", "PrivatePIDs", "LogFilterPatterns", "BindLogSockets"}
    keys = set(re.findall(r"^([A-Za-z]+)=", path.read_text(), flags=re.M))
    assert not keys & newer
    assert "Type=notify-reload" not in path.read_text()


def test_the_unit_waits_to_be_told_that_the_daemon_is_ready() -> None:
    assert "Type=notify\n" in UNIT.read_text()


@needs("systemd-sysusers")
def test_the_user_edge_would_be_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    command = ["systemd-sysusers", "--dry-run", f"--root={tmp_path}", "--inline", *_lines("edge.sysusers.conf")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Creating user 'edge' (Edge inspection) with UID" in result.stderr


@needs("systemd-tmpfiles")
def test_the_folders_are_made(root: Path) -> None:
    command = ["systemd-tmpfiles", "--create", "-E", f"--root={root}", "edge.conf"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    for name in ("etc/edge", "var/lib/edge", "var/log/edge", "var/cache/edge"):
        assert (root / name).stat().st_mode & 0o7777 == 0o750, name


def test_each_udev_line_is_a_match_or_an_assignment_for_the_group_edge() -> None:
    """The tool ``udevadm verify`` came with systemd 254; until then, the grammar that these lines use."""
    pair = r'(?:ACTION|SUBSYSTEM|ENV\{\w+\}|ATTR\{\w+\}|GROUP|MODE|GOTO|LABEL)(?:==|!=|=)"[^"]*"'
    lines = _lines("70-edge-usb3vision.rules")
    assert all(re.fullmatch(rf"{pair}(?:, {pair})*", line) for line in lines)
    vendors = [line for line in lines if "idVendor" in line]
    assert all(re.search(r'^ATTR\{idVendor\}=="[0-9a-f]{4}", GROUP="edge", MODE="0660"$', v) for v in vendors)
    assert len(set(vendors)) == len(vendors) == 5
    gotos, labels = (set(re.findall(rf'{word}="(\w+)"', "\n".join(lines))) for word in ("GOTO", "LABEL"))
    assert gotos == labels


@needs("sysctl")
def test_sysctl_reads_its_file() -> None:
    command = ["sysctl", "--dry-run", "-p", str(FOLDER / "60-edge-gige.conf")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stdout.splitlines()) == (
        0,
        ["net.core.rmem_max = 33554432", "net.core.netdev_max_backlog = 5000"],
    )


def _lines(name: str) -> list[str]:
    return [line for line in (FOLDER / name).read_text().splitlines() if line and not line.startswith("#")]
