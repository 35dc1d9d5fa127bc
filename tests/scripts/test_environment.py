"""``scripts/environment.sh``: what makes the virtual environment mends half a one, and installs again when it must.

A stand-in for Python plays ``venv`` and ``pip``, so that nothing is made or fetched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
PYTHON = """\
#!/bin/sh
case "$*" in
  "-m venv .venv")
    mkdir -p .venv/bin && cp "$0" .venv/bin/python
    [ -f has-ensurepip ] && : > .venv/pip ;;
  "-c import pip") [ -f .venv/pip ] ;;
  "-m pip install"*) echo "$@" | sed 's/.* //' >> installed.log ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with both scripts, and a Python whose ``venv`` works."""
    (tmp_path / "scripts").mkdir()
    for name in ("demo", "environment.sh"):
        shutil.copy(SCRIPTS / name, tmp_path / "scripts")
    (tmp_path / "pyproject.toml").write_text("first\n")
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "has-ensurepip").touch()
    return tmp_path


def bash(clone: Path, command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHON": str(clone / "python")}
    command = f"set -euo pipefail; source scripts/environment.sh; {command}"
    return subprocess.run(["bash", "-c", command], cwd=clone, env=environment, capture_output=True, text=True, timeout=120)


def installs(clone: Path) -> list[str]:
    log = clone / "installed.log"
    return log.read_text().split() if log.exists() else []


def test_a_second_run_reuses_what_the_first_one_made_until_pyproject_changes(clone: Path) -> None:
    assert bash(clone, "make_environment dev").returncode == 0
    assert bash(clone, "make_environment dev").stdout == ""
    assert installs(clone) == [".[dev]"]
    (clone / "pyproject.toml").write_text("second\n")
    assert bash(clone, "make_environment dev").stdout == "installing edge-inspect and its 'dev' extra\n"
    assert installs(clone) == [".[dev]"] * 2


def test_without_the_venv_package_it_says_so_each_time_and_goes_on_once_that_is_installed(clone: Path) -> None:
    (clone / "has-ensurepip").unlink()
    for _ in range(2):
        failed = bash(clone, "make_environment dev")
        assert failed.returncode == 1
        assert failed.stderr == (
            f"{clone}/python -m venv failed; on Debian and Ubuntu it is a package of its own: python3-venv\n"
        )
        assert not (clone / ".venv").exists()
    (clone / "has-ensurepip").touch()
    assert bash(clone, "make_environment dev").returncode == 0
    assert installs(clone) == [".[dev]"]


def test_an_environment_without_pip_gets_it_and_keeps_what_it_has(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "kept").touch()
    shutil.copy(clone / "python", clone / ".venv" / "bin" / "python")
    (clone / "has-ensurepip").unlink()
    assert bash(clone, "make_environment dev").returncode == 1
    (clone / "has-ensurepip").touch()
    assert bash(clone, "make_environment dev").returncode == 0
    assert (clone / ".venv" / "kept").exists()


def test_an_environment_whose_python_is_gone_is_made_anew(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to("/nonexistent/python3")
    assert bash(clone, "make_environment dev").returncode == 0
    assert installs(clone) == [".[dev]"]


def test_the_demo_installs_again_after_a_pull_that_changed_pyproject(clone: Path) -> None:
    """Whoever ran the tests needs no second install for the demo, until then."""
    assert bash(clone, "make_environment dev").returncode == 0
    edge = clone / ".venv" / "bin" / "edge"
    edge.write_text('#!/bin/sh\necho "edge $*"\n')
    edge.chmod(0o755)
    assert bash(clone, "scripts/demo --seconds 3").stdout == "edge demo --seconds 3\n"
    (clone / "pyproject.toml").write_text("second\n")
    assert bash(clone, "scripts/demo").stdout == "installing edge-inspect and its 'camera' extra\nedge demo\n"
    assert installs(clone) == [".[dev]", ".[camera]"]
