"""A machine of its own: a root of this distribution, booted by systemd-nspawn with systemd as PID 1, with this checkout's
wheel installed as the docs say.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = "/opt/edge/venv/bin/python"
EDGE: Final = "/opt/edge/venv/bin/edge"
_UNIFIED: Final = Path("/sys/fs/cgroup/unified")
_TOOLS: Final = ("systemd-nspawn", "mmdebstrap", "nsenter")
_MASKED: Final = ("systemd-udevd", "systemd-logind", "console-getty", "systemd-networkd-wait-online")
_PATH: Final = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def why_no_machine() -> str | None:
    """What keeps this computer from booting one, in words."""
    if os.geteuid() != 0:
        return "needs root, who may boot a machine in a container"
    if any(shutil.which(tool) is None for tool in _TOOLS):
        return "needs systemd-nspawn and mmdebstrap: apt install systemd-container mmdebstrap"
    if not _codename():
        return "needs a Debian or Ubuntu, whose packages the machine is made of"
    if not (_UNIFIED / "cgroup.procs").exists() and not Path("/sys/fs/cgroup/cgroup.procs").exists():
        return "needs control groups of version 2, in which systemd can run"
    return None


def _codename() -> str:
    lines = Path("/etc/os-release").read_text().splitlines() if Path("/etc/os-release").exists() else []
    return next((line.partition("=")[2].strip('"') for line in lines if line.startswith("VERSION_CODENAME=")), "")


def made_root() -> Path:
    """The root, with all that the package depends on; made once in two minutes (0.8 GB), and kept in ~/.cache.

    Made anew where the package's needs or this recipe changed.
    """
    needs = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + Path(__file__).read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "edge-inspect"
    root = cache / f"machine-{_codename()}-{needs}"
    if root.is_dir():
        return root
    making = cache / f"making-{os.getpid()}"
    cache.mkdir(parents=True, exist_ok=True)
    try:
        packages = "systemd,systemd-sysv,dbus,python3,python3-venv,iproute2,procps"
        sources = [str(path) for path in Path("/etc/apt").glob("sources.list*") if path.is_file()]
        sources += [str(path) for path in Path("/etc/apt/sources.list.d").glob("*.sources")]
        _call("mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", _codename(), str(making), *sources[:1])
        version = _said("chroot", str(making), "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
        # the wheel of the camera library needs it, and Debian's own python3 does without
        # mmdebstrap leaves no lists; without them apt takes the dot for a pattern, installs nothing and is content
        _call("chroot", str(making), "apt-get", "update", "-qq")
        _call("chroot", str(making), "apt-get", "install", "-qq", "-y", "--no-install-recommends", f"libpython{version}")
        wheels = making / "wheels"
        pip = [sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", f"--python-version={version}"]
        _call(*pip, "-d", str(wheels), f"edge-inspect[camera,web] @ {built(wheels).as_uri()}")
        _call("chroot", str(making), "python3", "-m", "venv", "/opt/edge/venv")
        install = ["/opt/edge/venv/bin/pip", "install", "-q", "--no-index", "--find-links", "/wheels"]
        _call("chroot", str(making), *install, "edge-inspect[camera,web]")
        shutil.rmtree(wheels)
        _call("systemctl", f"--root={making}", "set-default", "multi-user.target")
        _call("systemctl", f"--root={making}", "mask", *_MASKED)
        making.rename(root)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return root


def built(to: Path) -> Path:
    """The wheel of this checkout."""
    _call(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(to), str(ROOT))
    return next(to.glob("edge_inspect-*.whl"))


class Machine:
    """What is written in it lies in memory and is gone at its end, but for /var/log, which is ``logs`` outside."""

    def __init__(self, root: Path, share: Path, logs: Path) -> None:
        """``share`` is /share inside, read-only."""
        self.logs = logs
        command = ["systemd-nspawn", "-q", "--register=no", "--volatile=overlay", "-D", str(root), "--boot"]
        command += ["--console=read-only", "--hostname=edgebox", f"--bind={logs}:/var/log", f"--bind-ro={share}:/share"]
        if not Path("/run/systemd/system").exists():
            command.append("--keep-unit")
        self._console = (logs.parent / "console").open("wb")
        environment = os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        self._nspawn = subprocess.Popen(
            command, stdout=self._console, stderr=self._console, env=environment, preexec_fn=_join_unified
        )
        self.leader: int | None = None
        try:
            self.leader = self._leader()
            self.until(lambda: self._state() in ("running", "degraded"), 120)
            assert self._state() == "running", self.run("systemctl", "--failed", "--no-pager", check=False)
        except BaseException:
            self.close()
            raise

    def _leader(self) -> int:
        """The process that is number 1 inside; before it there are others that set it up."""
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        end = time.monotonic() + 30
        while self._nspawn.poll() is None and time.monotonic() < end:
            for child in children.read_text().split():
                if _is_first_inside(Path(f"/proc/{child}")):
                    return int(child)
            time.sleep(0.05)
        raise RuntimeError(f"it did not boot: {Path(self._console.name).read_text()[-500:]}")

    def _state(self) -> str:
        return self.run("systemctl", "is-system-running", check=False).strip()

    def run(self, *command: str, check: bool = True, timeout_s: float = 120.0) -> str:
        """What a command says inside, standard error included. Raises AssertionError where it fails."""
        done = self.call(*command, timeout_s=timeout_s)
        assert not check or done.returncode == 0, f"{command} ended with {done.returncode}: {done.stdout}"
        return done.stdout

    def call(self, *command: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        inside = ["nsenter", "-t", str(self.leader), "-a", "env", "-i", f"PATH={_PATH}", "LANG=C.UTF-8", "HOME=/root"]
        return subprocess.run(
            [*inside, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout_s, check=False
        )

    def path(self, inside: str) -> Path:
        """Where a path of the machine lies outside."""
        return Path(f"/proc/{self.leader}/root{inside}")

    def shown(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", unit, "--property", name, "--value").strip()

    def until(self, is_so: Callable[[], object], timeout_s: float = 60.0) -> None:
        end = time.monotonic() + timeout_s
        while not is_so():
            assert time.monotonic() < end, f"not within {timeout_s:g} s"
            time.sleep(0.2)

    def power_off(self, timeout_s: float = 60.0) -> None:
        """As the button does: systemd stops every service first."""
        assert self.leader is not None
        os.kill(self.leader, signal.SIGRTMIN + 4)
        self._nspawn.wait(timeout_s)
        self.close()

    def close(self) -> None:
        """End everything in it: with its number 1 all processes of the machine go."""
        if self.leader is not None and self._nspawn.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.leader, signal.SIGKILL)
        if self._nspawn.poll() is None:
            self._nspawn.kill()
            self._nspawn.wait()
        self._console.close()


def _is_first_inside(process: Path) -> bool:
    try:
        numbers = re.search(r"^NSpid:\s+\d+\s+1$", (process / "status").read_text(), re.M)
        return numbers is not None and (process / "comm").read_text().strip() == "systemd"
    except OSError:
        return False


def _join_unified() -> None:
    """Where control groups of both versions are mounted, systemd inside gets a branch of the second."""
    if (_UNIFIED / "cgroup.procs").exists():
        branch = _UNIFIED / "edge-inspect-tests"
        branch.mkdir(exist_ok=True)
        (branch / "cgroup.procs").write_text(str(os.getpid()))


def _call(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
