"""What comes and goes around a daemon in a soak: reloads, subscribers, scrapes, and `edge fleet` beside it all the time."""

from __future__ import annotations

import json
import os
import signal
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

EVERY_S = {"reloads": 20.0, "subscribers": 1.0, "scrapes": 2.0}
"""Time in s between two of each."""
SETTLED_S = 10.0
"""Time in s after which a program beside the daemon has started."""


class Visitors(threading.Thread):
    """One thread asks for reloads, each with another ``recipe_id``, subscribes and leaves, and reads every page of the
    health server. ``counts`` says how often, ``fleet_growth_mb`` by how much `edge fleet` grew since its start.
    """

    def __init__(self, pid: int, config: Path, runtime: Path) -> None:
        super().__init__(name="visitors", daemon=True)
        self._pid, self._config, self._runtime = pid, config, runtime
        self._text = config.read_text()
        self._over = threading.Event()
        self.counts = {"reloads": 0, "reloads_refused": 0, "subscribers": 0, "scrapes": 0, "scrapes_failed": 0}
        self.fleet_growth_mb = 0.0

    def close(self) -> None:
        self._over.set()
        self.join(30)

    def run(self) -> None:
        endpoints = json.loads((self._runtime / "endpoints.json").read_text())
        command = [sys.executable, "-m", "edge", "fleet", str(self._runtime)]
        fleet = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._visit(endpoints, fleet.pid)
        finally:
            fleet.terminate()
            fleet.wait()

    def _visit(self, endpoints: dict[str, str], fleet: int) -> None:
        began, at_start = time.monotonic(), 0.0
        due = {name: began + every for name, every in EVERY_S.items()}
        while not self._over.wait(0.2):
            now = time.monotonic()
            if now - began > SETTLED_S:
                at_start = at_start or rss_mb(fleet)
                self.fleet_growth_mb = round(rss_mb(fleet) - at_start, 2)
            for name, call in (("reloads", self._reload), ("subscribers", self._subscribe), ("scrapes", self._scrape)):
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


def rss_mb(pid: int) -> float:
    """Resident size of a process in MB; 0.0 where there is none."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def told(visitors: Visitors | None) -> dict[str, Any]:
    """The visitors' figures; none without them."""
    return {} if visitors is None else {**visitors.counts, "fleet_growth_mb": visitors.fleet_growth_mb}
