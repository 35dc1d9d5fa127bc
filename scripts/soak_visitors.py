"""What comes and goes around a daemon in a soak: reloads, subscribers, scrapes, and two programs beside it all the time."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge.client import Subscriber
from edge.service.runtime_folder import read_reload

EVERY_S = {"reloads": 20.0, "subscribers": 1.0, "scrapes": 2.0, "polls": 0.2}
"""Time in s between two of each."""
SETTLED_S = 10.0
"""Time in s after which a program beside the daemon has started."""
ALL_REGISTERS = bytes((0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 29))
"""What a PLC sends to read the 29 holding registers (Modbus TCP, function code 3)."""


class Visitors(threading.Thread):
    """One thread asks for reloads, each with another ``recipe_id``, subscribes and leaves, reads every page of the health
    server and polls the gateway as a PLC does. ``counts`` says how often; ``growth_mb`` by how much `edge fleet` and
    `edge gateway modbus` grew since their starts.
    """

    def __init__(self, pid: int, config: Path, runtime: Path) -> None:
        super().__init__(name="visitors", daemon=True)
        self._pid, self._config, self._runtime = pid, config, runtime
        self._text = config.read_text()
        self._over = threading.Event()
        self._port = free_port()
        self.counts = {"reloads": 0, "reloads_refused": 0, "subscribers": 0, "scrapes": 0, "scrapes_failed": 0, "polls": 0}
        self.growth_mb = {"fleet": 0.0, "gateway": 0.0}

    def close(self) -> None:
        self._over.set()
        self.join(30)

    def run(self) -> None:
        endpoints = json.loads((self._runtime / "endpoints.json").read_text())
        edge = (sys.executable, "-m", "edge")
        gateway = ("gateway", "modbus", str(self._config), "--port", str(self._port), "--allow-simulated")
        commands = {"fleet": (*edge, "fleet", str(self._runtime)), "gateway": (*edge, *gateway)}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        beside = {name: subprocess.Popen(command, **quiet) for name, command in commands.items()}
        try:
            self._visit(endpoints, {name: process.pid for name, process in beside.items()})
        finally:
            for process in beside.values():
                process.terminate()
                process.wait()

    def _visit(self, endpoints: dict[str, str], beside: dict[str, int]) -> None:
        began = time.monotonic()
        at_start: dict[str, float] = {}
        due = {name: began + every for name, every in EVERY_S.items()}
        calls = {"reloads": self._reload, "subscribers": self._subscribe, "scrapes": self._scrape, "polls": self._poll}
        while not self._over.wait(0.1):
            now = time.monotonic()
            if now - began > SETTLED_S:
                at_start = at_start or {name: rss_mb(pid) for name, pid in beside.items()}
                self.growth_mb = {name: round(rss_mb(pid) - at_start[name], 2) for name, pid in beside.items()}
            for name, call in calls.items():
                if now >= due[name]:
                    due[name] = now + EVERY_S[name]
                    call(endpoints)

    def _reload(self, _endpoints: dict[str, str]) -> None:
        report = read_reload(self._runtime)
        number = 0 if report is None else report.number
        if number < self.counts["reloads"]:
            return  # the one before is still under way
        if report is not None and report.refused is not None:
            self.counts["reloads_refused"] += 1
        self._config.write_text(f"{self._text}recipe_id: soak-{number}\n")
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGHUP)
            self.counts["reloads"] += 1

    def _subscribe(self, endpoints: dict[str, str]) -> None:
        with Subscriber(endpoints["zmq"]) as line:
            line.receive(0.3)
        self.counts["subscribers"] += 1

    def _scrape(self, endpoints: dict[str, str]) -> None:
        for page in ("metrics", "ready", "live"):
            try:
                with urllib.request.urlopen(f"{endpoints['health']}/{page}", timeout=5) as answer:
                    answer.read()
                self.counts["scrapes"] += 1
            except OSError:
                self.counts["scrapes_failed"] += 1

    def _poll(self, _endpoints: dict[str, str]) -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1.0) as plc:
            plc.sendall(ALL_REGISTERS)
            self.counts["polls"] += plc.recv(1024)[7:9] == bytes((3, 58))


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def rss_mb(pid: int) -> float:
    """Resident size of a process in MB; 0.0 where there is none."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def visitor_figures(visitors: Visitors | None) -> dict[str, Any]:
    """The visitors' figures; none without them."""
    if visitors is None:
        return {}
    return {**visitors.counts, **{f"{name}_growth_mb": grown for name, grown in visitors.growth_mb.items()}}
