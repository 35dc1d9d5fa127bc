"""The page's Tuning: from a slider to the painted overlay, a recording judged anew, and what that costs a line.

A recording of 500 frames lies on few maps of the kind that ``bench_regions`` calls typical, 1024 x 1024, in the page cache.
The browser is the system's Chromium, without a head; a key's time runs from its event until the overlay was painted. A
line is one thread that prepares, infers and judges the built-in bundle's frames; it runs with a re-judge beside it and
without, in turns. Without a Chromium the browser's figures are left out.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from bench_regions import KINDS

from edge.config.bundle import load_bundle
from edge.config.line import ModelConfig
from edge.config.web import SessionsConfig
from edge.engines.open import open_engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.frames import AnomalyMap, Frame, FrameMeta
from edge.regions.criteria import Criteria
from edge.regions.to_inspection import to_inspection
from edge.storage.recording_writer import RecordingWriter
from edge.web.doors.account_book import AccountBook
from edge.web.doors.guard import COOKIE
from edge.web.doors.roles import Role
from edge.web.tuning.session import TuningSession

FRAMES, SIDE, MAPS, KEYS, SECONDS = 500, 1024, 12, 120, 6.0
KEY_S = 0.1
_PAINTED = "document.documentElement.dataset.painted ?? ''"
BUNDLE = Path(__file__).parents[1] / "configs" / "bundles" / "synthetic-part"
CHROMIUM = "/usr/bin/chromium"
PASSWORD = "a password of the bench"
CONFIG = f"""\
camera: cam1
source: {{kind: synthetic, width: 1024, height: 1024}}
model: {{bundle: {BUNDLE}}}
regions:
  border_px: 2
  smooth: {{kind: median, size: 3}}
  threshold: {{high: 0.6, low: 0.45}}
  min_area_px: 16
  min_fill_ratio: 0.15
  max_aspect_ratio: 6.0
  min_solidity: 0.8
"""
Spread = Callable[[Sequence[float]], str]


def measure(repeats: int, spread: Spread, *, smoke: bool = False) -> dict[str, float]:
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        frames, seconds = (40, 0.5) if smoke else (FRAMES, SECONDS)
        config = _recording(folder, frames)
        results |= _rejudged(config, folder, repeats, spread, frames)
        results |= _line(config, folder, repeats, spread, seconds)
        results |= _front(config, folder, spread, smoke=smoke)
    return results


def _recording(folder: Path, frames: int) -> Path:
    """Write a config and a recording whose frames share a few pictures and maps; return the config."""
    config = folder / "cam1.yaml"
    config.write_text(CONFIG)
    kind = next(kind for kind in KINDS if kind.name == "typical")
    writer = RecordingWriter(folder / "recording", camera="cam1", source="bench")
    for number in range(MAPS):
        values = kind.draw(SIDE, np.random.default_rng([SIDE, number]))
        pixels = np.ascontiguousarray(np.clip(values * 255, 0, 255).astype(np.uint8))
        meta = FrameMeta(number, "counted", SIDE, SIDE, "Mono8", number + 1, 0)
        writer.frame(Frame(meta, pixels), amap=AnomalyMap(values, (1.0, 1.0, 0.0, 0.0)))
    writer.close()
    index = folder / "recording" / "frames.jsonl"
    lines = [json.loads(line) for line in index.read_text().splitlines()]
    many = [lines[n % MAPS] | {"number": n, "frame_id": n, "received_ns": n + 1} for n in range(frames)]
    index.write_text("".join(json.dumps(line) + "\n" for line in many))
    return config


def _session(config: Path, folder: Path) -> TuningSession:
    opening = {"config": str(config), "recording": str(folder / "recording"), "cache": str(folder / "cache")}
    return TuningSession(opening)


def _rejudged(config: Path, folder: Path, repeats: int, spread: Spread, frames: int) -> dict[str, float]:
    """Judge all frames anew by a filter, and by a control that looks at the maps again: CPU times of one thread."""
    session = _session(config, folder)
    _settle(session)
    data = session.regions.model_dump(mode="json")
    by_filter, by_maps, first = [], [], []
    for repeat in range(max(repeats, 1)):
        for area in (17 + repeat, 40 + repeat):
            began = time.thread_time()
            session.change({**data, "min_area_px": area}, 0)
            session.verdicts()
            by_filter.append((time.thread_time() - began) * 1e3)
        began = time.thread_time()
        session.change({**data, "border_px": 3 + repeat % 2}, frames // 2)
        for _ in range(min(50, frames)):
            session.step()
        first.append(time.thread_time() - began)
        _settle(session)
        session.verdicts()
        by_maps.append(time.thread_time() - began)
    session.close()
    print(f"{frames} frames, filter ms: {spread(by_filter)}; control before candidates s: {spread(by_maps)}")
    print(f"the 50 around the view s: {spread(first)}")
    return {
        "rejudge_500_filter_ms": round(statistics.median(by_filter), 2),
        "rejudge_500_upstream_s": round(statistics.median(by_maps), 3),
        "rejudge_first_50_s": round(statistics.median(first), 3),
    }


def _settle(session: TuningSession) -> None:
    while session.step():
        pass


def _line(config: Path, folder: Path, repeats: int, spread: Spread, seconds: float) -> dict[str, float]:
    """Return what is left of a line's throughput beside a worker that judges without a pause, one core free and none."""
    results = {}
    for name, lines in (("line_fps_kept", max((os.cpu_count() or 2) - 1, 1)), ("line_fps_kept_busy", os.cpu_count() or 2)):
        kept = []
        for repeat in range(max(repeats, 1)):
            rates = {}
            for beside in (False, True) if repeat % 2 else (True, False):
                with _judging(config, folder) if beside else _nothing():
                    rates[beside] = _rate(lines, seconds)
            kept.append(rates[True] / rates[False])
        print(f"{name}, {lines} lines: {spread(kept)}")
        results[name] = round(statistics.median(kept), 3)
    return results


def _rate(lines: int, seconds: float) -> float:
    """Frames a second of so many lines together."""
    context = multiprocessing.get_context("spawn")
    go, counts = context.Event(), context.Queue()
    running = [context.Process(target=_run_line, args=(go, counts, seconds)) for _ in range(lines)]
    for one in running:
        one.start()
    for _ in running:
        counts.get()  # warm
    go.set()
    total = sum(counts.get() for _ in running)
    for one in running:
        one.join()
    return total / seconds


def _run_line(go: Any, counts: Any, seconds: float) -> None:
    bundle = load_bundle(BUNDLE)
    engine = open_engine(ModelConfig(bundle=BUNDLE, engine="onnx"), bundle)
    workspace, criteria = ready_workspace(bundle), Criteria(_session_regions(), 0.6, 0.45)
    pixels = np.random.default_rng(1).integers(0, 255, (512, 512), np.uint8)
    frame = Frame(FrameMeta(0, "counted", 512, 512, "Mono8", 0, 0), pixels)
    to_inspection(frame, to_map(frame, engine, workspace), criteria)
    counts.put(0)
    go.wait()
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        to_inspection(frame, to_map(frame, engine, workspace), criteria)
        count += 1
    counts.put(count)
    engine.close()


def _session_regions() -> Any:
    from edge.config.regions import RegionsConfig

    return RegionsConfig(min_area_px=16)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _judging(config: Path, folder: Path) -> Iterator[None]:
    """Keep the real worker process judging."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "edge.web.tuning.worker", "1024"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    from edge.web.tuning import messages

    opening = {"config": str(config), "recording": str(folder / "recording"), "cache": str(folder / "cache")}
    worker.stdin.write(messages.packed_message({"op": "open", "session": "a", "id": 1, **opening}))
    worker.stdin.flush()
    opened = messages.read_message(worker.stdout)
    assert opened is not None
    regions, ended = opened[0]["regions"], threading.Event()

    def drive() -> None:
        border = 2
        while not ended.is_set() and (message := messages.read_message(worker.stdout)) is not None:  # type: ignore[arg-type]
            if message[0]["op"] == "verdicts" and not message[0]["left"]:
                border = 5 - border
                change = {"op": "judge", "session": "a", "view": 0, "regions": {**regions, "border_px": border}}
                worker.stdin.write(messages.packed_message(change))  # type: ignore[union-attr]
                worker.stdin.flush()  # type: ignore[union-attr]

    driving = threading.Thread(target=drive)
    driving.start()
    try:
        yield
    finally:
        ended.set()
        worker.kill()
        worker.wait()
        driving.join()
        worker.stdin.close()
        worker.stdout.close()


def _front(config: Path, folder: Path, spread: Spread, *, smoke: bool) -> dict[str, float]:
    """Start the page as it is shipped and move its sliders in a browser."""
    runtime = folder / "run"
    runtime.mkdir()
    (runtime / "instance.json").write_text(json.dumps({"camera": "cam1", "config": str(config), "overrides": []}))
    (runtime / "endpoints.json").write_text("{}")
    settings = folder / "web.yaml"
    settings.write_text(f"bind: 127.0.0.1:0\ndir: page\nlines: [run]\nrecordings: [{folder}]\n")
    (folder / "page").mkdir()
    book = AccountBook(folder / "page", SessionsConfig())
    book.add_user("bench", Role.ENGINEER, PASSWORD, None)
    secret = book.log_in("bench", PASSWORD, "bench")
    book.close()
    page = subprocess.Popen(
        [sys.executable, "-m", "edge", "web", "-c", str(settings)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert page.stdout is not None
        address = next(word for line in page.stdout for word in line.split() if word.startswith("http://"))
        threading.Thread(target=page.stdout.read, daemon=True).start()
        results = {"front_rss_mb": 0.0}
        missing = _why_no_browser()
        if missing is None:
            results |= _in_browser(address, str(secret), spread, keys=4 if smoke else KEYS)
        else:
            print(f"{missing}: sliders were not moved")
        results["front_rss_mb"] = _rss_mb(page.pid)
        workers = [int(pid) for pid in Path(f"/proc/{page.pid}/task/{page.pid}/children").read_text().split()]
        if workers:
            results["worker_rss_mb"] = max(map(_rss_mb, workers))
        print({name: results[name] for name in results if name.endswith("_mb")})
        return results
    finally:
        page.terminate()
        page.wait()


def _why_no_browser() -> str | None:
    if not (shutil.which("chromium") or Path(CHROMIUM).exists()):
        return f"no {CHROMIUM}"
    return None if find_spec("playwright") is not None else "playwright is not installed"


def _rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return round(int(status.partition("VmRSS:")[2].split()[0]) / 1024, 1)


def _in_browser(address: str, secret: str, spread: Spread, *, keys: int) -> dict[str, float]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium") or CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.add_cookies([{"name": COOKIE, "value": secret, "url": address}])
        page, loaded = context.new_page(), []
        page.on("requestfinished", lambda request: loaded.append(request))
        page.goto(f"{address}/cam/cam1/tune")
        page.locator("#changed-count", has_text="verdicts changed").wait_for(timeout=120_000)
        first = sum(r.sizes()["responseBodySize"] for r in loaded if ".jpg" not in r.url and "/api/" not in r.url)
        times = {}
        for name, slider in (("slider_p95_ms", "border_px"), ("filter_p95_ms", "min_area_px")):
            times[name] = sorted(_moved(page, slider, keys))
            print(f"{slider}, ms from key to paint: {spread(times[name])}")
        browser.close()
    p95 = {name: round(found[min(int(0.95 * len(found)), len(found) - 1)], 1) for name, found in times.items()}
    p50 = {name.replace("p95", "p50"): round(statistics.median(found), 1) for name, found in times.items()}
    fastest = {name.replace("p95", "fastest"): round(found[0], 1) for name, found in times.items()}
    return p95 | p50 | fastest | {"first_load_kb": round(first / 1024, 1)}


def _moved(page: Any, slider: str, keys: int) -> list[float]:
    """Press ten keys a second, as one that is held down does; nothing is asked of the page while it draws."""
    page.locator("#changed-count", has_text="verdicts changed").wait_for(timeout=120_000)
    page.locator(f"#slider-{slider}").focus()
    found = []
    for press in range(keys):
        before = page.evaluate(_PAINTED)
        page.keyboard.press("ArrowRight" if press % 8 < 4 else "ArrowLeft")
        time.sleep(KEY_S)
        while page.evaluate(_PAINTED) == before:
            time.sleep(KEY_S / 4)
        found.append(float(page.evaluate("document.documentElement.dataset.paintedMs")))
    return found
