"""The unit file: known keys only, and an exposure that an auditor accepts."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[1] / "systemd" / "edge@.service"
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@needs_systemd
def test_systemd_knows_every_key(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(), flags=re.M))
    result = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


@needs_systemd
def test_exposure_is_at_most_2() -> None:
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", str(UNIT)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-200:]


def test_no_key_is_newer_than_systemd_249() -> None:
    """JetPack 6 is Ubuntu 22.04: systemd 249."""
    newer = {"RestartSteps", "RestartMaxDelaySec", "ReloadSignal", "PrivatePIDs", "LogFilterPatterns", "BindLogSockets"}
    keys = set(re.findall(r"^([A-Za-z]+)=", UNIT.read_text(), flags=re.M))
    assert not keys & newer
    assert "Type=notify\n" in UNIT.read_text()
    assert "Type=notify-reload" not in UNIT.read_text()
