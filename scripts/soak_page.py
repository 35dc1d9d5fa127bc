#!/usr/bin/env python3
"""The page left open for long: `scripts/soak_page.py --minutes 30 [--json]`.

A daemon on the simulated camera at 30 frames a second, `edge web`, and the system's Chromium on Live; each minute Tuning is
opened in a second tab, a slider moved, and the tab closed. Once a minute every process's memory is noted, the page's heap
and nodes, sockets opened anew, errors in the console, and what the daemon lost. Needs the extras camera, web and dev-all.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from page_pictures import BUNDLE, served_line

from edge.storage.log_files import read_records, segments
from edge.web.doors.guard import COOKIE

LINE = f"""\
camera: line1
runtime_dir: run
source:
  kind: genicam
  producer: simulated
  serial: "0"
  features: [[PixelFormat, Mono8], [Width, 800], [Height, 800], [AcquisitionFrameRate, 30]]
ring: {{slots: 128}}
model: {{bundle: {BUNDLE}}}
regions: {{smooth: {{kind: median, size: 3}}, threshold: {{high: 6.0, low: 4.0}}, min_area_px: 8}}
outputs:
  zmq: {{preview: "tcp://127.0.0.1:0"}}
  jsonl: {{dir: log}}
  evidence: {{dir: evidence, keep: [fail, invalid], maps: true, quota_gb: 0.2}}
"""
SETTLED = 3
"""Samples after which memory is to stay where it is."""


class Window:
    """A browser's window on Live, and what happened in it."""

    def __init__(self, context: Any, address: str) -> None:
        from playwright.sync_api import TimeoutError as Late

        self._context, self._address, self._late = context, address, Late
        self.page = context.new_page()
        self.sockets, self.errors = 0, list[str]()
        self._hear(self.page)
        self.page.goto(f"{address}/cam/line1")
        self._cdp = context.new_cdp_session(self.page)
        self._cdp.send("Performance.enable")

    def _hear(self, page: Any) -> None:
        if page is self.page:
            page.on("websocket", lambda _: setattr(self, "sockets", self.sockets + 1))
        page.on("console", lambda m: self.errors.append(m.text) if _is_trouble(m) else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "response",
            lambda response: self.errors.append(f"{response.status} {response.url}") if response.status >= 400 else None,
        )

    def sample(self) -> dict[str, float]:
        """Return heap in MB, nodes and listeners after a collection of garbage, and the seq that is shown."""
        self._cdp.send("HeapProfiler.collectGarbage")
        metrics = {one["name"]: one["value"] for one in self._cdp.send("Performance.getMetrics")["metrics"]}
        return {
            "heap_mb": round(metrics["JSHeapUsedSize"] / 2**20, 2),
            "nodes": metrics["Nodes"],
            "listeners": metrics["JSEventListeners"],
            "seq": int(seq) if (seq := self.page.locator("#seq").inner_text()).isdecimal() else -1,
        }

    def tune(self) -> bool:
        """Open Tuning in a tab of its own, move a slider, close it; False if no core was left for its worker."""
        tab = self._context.new_page()
        self._hear(tab)
        with contextlib.closing(tab):
            tab.goto(f"{self._address}/cam/line1/tune")
            try:
                tab.locator("html[data-settled=yes]").wait_for(timeout=120_000, state="attached")
            except self._late:
                return False
            tab.locator("#slider-min_area_px").focus()
            for _ in range(10):
                tab.keyboard.press("ArrowRight")
                tab.wait_for_timeout(100)
        return True


def _is_trouble(message: Any) -> bool:
    """Return True for an error of the page's own; what the server refused is heard of with its address."""
    return message.type in ("error", "warning") and not message.text.startswith("Failed to load resource")


def rss_mb(pid: int) -> float:
    return round(int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024, 1)


def children(pid: int) -> list[int]:
    return [int(one) for task in Path(f"/proc/{pid}/task").iterdir() for one in (task / "children").read_text().split()]


def processes() -> dict[str, list[int]]:
    """Return daemon, front and the front's children, found by this process's own children."""
    found: dict[str, list[int]] = {"daemon": [], "front": [], "worker": []}
    for pid in children(os.getpid()):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        if "web" in words:
            found["front"].append(pid)
            found["worker"] += children(pid)
        elif "run" in words:
            found["daemon"].append(pid)
    return found


def soak(minutes: float, every_s: float, folder: Path, chromium: str | None) -> list[dict[str, float]]:
    """Return a sample for each ``every_s``."""
    from playwright.sync_api import sync_playwright

    samples, tuned = list[dict[str, float]](), 0
    with served_line(folder, LINE) as (address, secret), sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.add_cookies([{"name": COOKIE, "value": secret, "url": address}])
        window = Window(context, address)
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            window.page.wait_for_timeout(1000 * every_s)
            tuned += window.tune()
            if not processes()["daemon"]:
                sys.exit("the daemon has ended")
            sizes = {f"{name}_mb": sum(map(rss_mb, pids)) for name, pids in processes().items()}
            more = {"sockets": window.sockets, "errors": len(window.errors), "tuned": tuned, "load": os.getloadavg()[0]}
            samples.append({**sizes, **window.sample(), **more})
            print(json.dumps(samples[-1]), file=sys.stderr, flush=True)
        print("\n".join(window.errors[:20]), file=sys.stderr)
        browser.close()
    return samples


def summary(samples: list[dict[str, float]], folder: Path) -> dict[str, float]:
    """Return the last sample, the growth of each memory, and what the log says was lost."""
    settled = samples[SETTLED:] if len(samples) > 2 * SETTLED else samples
    result = dict(samples[-1])
    for name in ("daemon_mb", "front_mb", "worker_mb", "heap_mb", "nodes"):
        values = [one[name] for one in settled]
        result[f"{name}_most"] = max(values)
        result[f"{name}_growth"] = round(statistics.median(values[-3:]) - statistics.median(values[:3]), 2)
    records = [one for path in segments(folder / "log") for one in read_records(path)]
    result["records"] = len(records)
    result["frames_lost"] = sum(
        one.get("count", 0) for one in records if one["kind"] == "skip" and one["reason"] != "shutdown"
    )
    seqs = [one["seq"] for one in records]
    result["records_missing"] = seqs[-1] - seqs[0] + 1 - len(seqs)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two samples")
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the browser, or a script that starts it idle")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="edge-soak-page-") as temp:
        result = summary(soak(arguments.minutes, arguments.every, Path(temp), arguments.chromium), Path(temp))
    for line in [json.dumps(result)] if arguments.json else [f"{name:20} {value}" for name, value in result.items()]:
        print(line)


if __name__ == "__main__":
    main()
