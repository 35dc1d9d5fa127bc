"""A command on a terminal of its own, whose keys a test presses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from support.waits import PATIENCE_S

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class OnTerminal:
    """``edge`` runs on a terminal of 100 columns."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._master, slave = os.openpty()
        self._slave: int | None = slave  # open until the command has ended: with nobody there, reading the master ends
        name = os.ttyname(slave)
        # the session's leader that opens a terminal gets it as its own, and with it the signals of its keys
        command = ["sh", "-c", f'exec "$@" <>{name} >&0 2>&0', "sh", sys.executable, "-m", "edge", *arguments]
        environment = os.environ | {"COLUMNS": "100", "LINES": "40", "TERM": "xterm-256color"}
        self._process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)
        self._read = bytearray()
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """What it printed, without colours and movements of the cursor."""
        return _CONTROL.sub("", self._read.decode(errors="replace")).replace("\r\n", "\n").replace("\r", "\n")

    def wait_until(self, happened: Callable[[], bool]) -> None:
        """Wait for what must happen; the command may have ended before."""
        end = time.monotonic() + PATIENCE_S
        while not happened() and self._process.poll() is None:
            assert time.monotonic() < end, self.text
            time.sleep(0.005)

    def wait_until_it_imports(self) -> None:
        """Wait until the command's own code runs: what is installed is being loaded. An interrupt while Python itself still
        begins, before any line of ours, is Python's to answer.
        """
        maps = Path("/proc") / str(self._process.pid) / "maps"
        self.wait_until(lambda: "/site-packages/" in maps.read_text())

    def press_ctrl_c(self) -> None:
        os.write(self._master, b"\x03")

    def code(self) -> int:
        """Wait for its end; return the exit code as a shell gives it, 130 for one that SIGINT killed."""
        code = self._process.wait(PATIENCE_S)
        self._hang_up()
        return code if code >= 0 else 128 - code

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE_S)
        self._hang_up()
        os.close(self._master)

    def _hang_up(self) -> None:
        """Read to the end of what was printed."""
        if self._slave is not None:
            os.close(self._slave)
            self._slave = None
        self._reader.join(PATIENCE_S)

    def _follow(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # EIO: nobody has the other end open any more
                return
            if not data:
                return
            self._read += data
