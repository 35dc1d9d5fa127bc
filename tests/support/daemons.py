"""A daemon in a process of its own, and what systemd would hear of it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from support.lines import loaded
from support.waits import PATIENCE_S
from support.warm import WarmEdge

LIVE = ["source.fps=50", "source.frames=null", "outputs.zmq={}", "ring.slots=64"]
"""The ring holds more than a second of frames: how late a loaded machine is must not decide what a test sees."""


class Manager:
    """What systemd is to the daemon: the socket that it notifies."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self.heard: list[tuple[float, str]] = []

    def wait_for(self, text: str, timeout_s: float = PATIENCE_S) -> None:
        end = time.monotonic() + timeout_s
        while not any(text in m for _, m in self.heard):
            self.listen(max(0.01, end - time.monotonic()), once=True)
            assert time.monotonic() < end, f"{text!r} not among {self.heard}"

    def listen(self, seconds: float, *, once: bool = False) -> list[str]:
        """Messages of the next ``seconds``."""
        end, new = time.monotonic() + seconds, []
        while time.monotonic() < end and not (once and new):
            self._socket.settimeout(max(0.001, end - time.monotonic()))
            with contextlib.suppress(TimeoutError):
                new.append(self._socket.recv(4096).decode())
                self.heard.append((time.monotonic(), new[-1]))
        return new

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def daemon(
    folder: Path,
    *overrides: str,
    manager: Manager | None = None,
    watchdog_s: float | None = None,
    script: str | None = None,
    stderr: int = subprocess.PIPE,
    sets: Sequence[str] = LIVE,
    text: str | None = None,
) -> Iterator[Any]:
    loaded(folder)
    if text is not None:
        (folder / "cam1.yaml").write_text(text)
    environment = {k: v for k, v in os.environ.items() if k not in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "RUNTIME_DIRECTORY")}
    if manager is not None:
        environment["NOTIFY_SOCKET"] = str(manager.path)
    if watchdog_s is not None:
        environment["WATCHDOG_USEC"] = str(int(watchdog_s * 1e6))
    sets = [part for item in [*sets, *overrides] for part in ("--set", item)]
    arguments = ["run", "-c", str(folder / "cam1.yaml"), *sets]
    process: Any
    if script is None:
        process = WarmEdge(arguments, cwd=None, env=environment, stderr=stderr)
    else:
        command = [sys.executable, "-c", script, *arguments]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
