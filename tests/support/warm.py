"""``edge`` in processes forked from one that has imported it: the second of imports is paid once, not by every command.

A command's process has its own arguments, environment, folder and streams, runs ``edge.__main__.run`` and ends as Python
ends. What a test wants to see of the imports themselves needs an interpreter of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_LENGTH, _WORD = 8, 16
"""Bytes of an order's length, and of a number in the pipe that says a command's process id and exit code."""
_LATER = ("onnxruntime", "edge.engines.onnx", "edge.service.daemon", "edge.line.line")
"""What commands import only when they need it."""
_lock = threading.Lock()
_server: tuple[int, socket.socket] | None = None


class WarmEdge:
    """A running command, with the part of ``subprocess.Popen`` that tests use."""

    def __init__(
        self, arguments: Sequence[str | Path], *, cwd: Path | None, env: dict[str, str], stderr: int | Any
    ) -> None:
        self.args = ["edge", *map(str, arguments)]
        self.returncode: int | None = None
        self._ended, ended = os.pipe()
        out_read, out = os.pipe()
        self.stdout: Any = os.fdopen(out_read)
        self.stderr: Any = None
        given = stderr if isinstance(stderr, int) else stderr.fileno()
        if given == subprocess.PIPE:
            err_read, err = os.pipe()
            self.stderr = os.fdopen(err_read)
        else:
            err = os.open(os.devnull, os.O_WRONLY) if given == subprocess.DEVNULL else os.dup(out if given == -2 else given)
        order = json.dumps({"argv": self.args, "cwd": str(cwd or Path.cwd()), "env": env}).encode()
        with _lock:
            control = _control()
            socket.send_fds(control, [len(order).to_bytes(_LENGTH)], [out, err, ended])
            control.sendall(order)
        for fd in (out, err, ended):
            os.close(fd)
        self.pid = int(os.read(self._ended, _WORD))

    def poll(self) -> int | None:
        return self._code(0.0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._code(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read both streams to their ends and wait."""
        read = {"out": "", "err": ""}
        readers = [
            threading.Thread(target=lambda name=name, stream=stream: read.__setitem__(name, stream.read()), daemon=True)
            for name, stream in (("out", self.stdout), ("err", self.stderr))
            if stream is not None and not stream.closed
        ]
        end = None if timeout is None else time.monotonic() + timeout
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(None if end is None else max(0.0, end - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.wait(None if end is None else max(0.0, end - time.monotonic()))
        return read["out"], read["err"]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _code(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._ended], [], [], timeout)[0]:
            self.returncode = int(os.read(self._ended, _WORD))
            os.close(self._ended)
        return self.returncode

    def __del__(self) -> None:
        if self.returncode is None:
            with contextlib.suppress(OSError):
                os.close(self._ended)


def _control() -> socket.socket:
    global _server
    if _server is None or _server[0] != os.getpid():
        ours, theirs = socket.socketpair()
        path = [entry for entry in sys.path if entry]
        code = f"import sys; sys.path[:0] = {path!r}; from support.warm import serve; serve({theirs.fileno()})"
        server = subprocess.Popen([sys.executable, "-c", code], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        atexit.register(_end, server, ours)
        _server = (os.getpid(), ours)
    return _server[1]


def _end(server: subprocess.Popen[bytes], control: socket.socket) -> None:
    control.close()
    server.wait()


def serve(fd: int) -> None:
    """Import the commands, then fork for each order until the tests end. The process of a command returns, and runs it."""
    before = dict(os.environ)
    from edge import cli

    for name in cli.NAMES:
        importlib.import_module(f"edge.cli.{name.replace('-', '_')}")
    for name in _LATER:
        importlib.import_module(name)
    own = {name: value for name, value in os.environ.items() if before.get(name) != value}  # what imports set
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a person's Ctrl-C is for the tests
    with socket.socket(fileno=fd) as control:
        while True:
            head, fds, *_ = socket.recv_fds(control, _LENGTH, 3)
            if not head:
                return
            order = json.loads(control.recv(int.from_bytes(head), socket.MSG_WAITALL))
            order["env"] = {**own, **order["env"]}
            if os.fork() == 0:
                control.close()
                break
            for one in fds:
                os.close(one)
    _run(order, *fds)


def _run(order: dict[str, Any], out: int, err: int, ended: int) -> None:
    """Fork the command and be there when it ends: its code goes to the test, which can't wait for it itself."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid:
        os.write(ended, f"{pid:{_WORD}}".encode())
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(BrokenPipeError):
            os.write(ended, f"{os.waitstatus_to_exitcode(status):{_WORD}}".encode())
        os._exit(0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for fd in (out, err, ended):
        os.close(fd)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()  # the C library read TZ when the first of us asked for local time
    sys.argv = order["argv"]
    from edge.__main__ import run

    run()
