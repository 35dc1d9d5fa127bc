"""Closed standard streams change nothing, and no file takes their place."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from edge.service.descriptors import ENOUGH, use_descriptors


@pytest.mark.parametrize("closed", ["2>&-", "<&-", "<&- 2>&-"])
def test_a_command_works_with_a_stream_closed(tmp_path: Path, closed: str) -> None:
    """Cron and old supervisors start programs so: each command ended with 1, and said nothing."""
    done = subprocess.run(
        ["bash", "-c", f'"$0" -m edge keys new plc --dir "$1" {closed}', sys.executable, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "plc.key_secret").exists()


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    program = (
        "import sys; from edge.service.descriptors import open_standard_streams; open_standard_streams()\n"
        "file = open(sys.argv[1], 'w'); print('noise'); print('noise', file=sys.stderr); sys.stdout.flush()\n"
        "file.write(str(file.fileno()))"
    )
    command = ["bash", "-c", '"$0" -c "$1" "$2" <&- >&- 2>&-', sys.executable, program, str(tmp_path / "log")]
    assert subprocess.run(command, check=False).returncode == 0
    assert int((tmp_path / "log").read_text()) > 2


def test_the_soft_limit_is_raised_as_far_as_it_is_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: asked.append(limits))
    for limits, expected in (
        ((1024, 524288), (ENOUGH, 524288)),
        ((1024, 2048), (2048, 2048)),
        ((1024, resource.RLIM_INFINITY), (ENOUGH, resource.RLIM_INFINITY)),
        ((65536, 65536), None),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
    ):
        monkeypatch.setattr(resource, "getrlimit", lambda _which, limits=limits: limits)
        use_descriptors()
        assert (asked.pop() if asked else None) == expected
