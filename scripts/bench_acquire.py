"""The acquisition loop on the simulated camera: at the camera's limit, and what it takes from other threads."""

from __future__ import annotations

import contextlib
import logging
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import structlog

from edge.config.sources import GenicamConfig as SourceConfig
from edge.frames import FrameMeta, Skip
from edge.line.ring import Checkpoint, Ring
from edge.line.stages import acquire_loop
from edge.preprocess.pixel_formats import decode_payload
from edge.sources.genicam.producers import producer_files
from edge.sources.genicam.source import GenicamSource

SIDE, BUFFERS, SLOTS = 800, 64, 64
FASTEST, SLOW = 200.0, 20.0
"""Frame rates asked for, in Hz; the simulated camera reaches about 187."""
SETTLE_S = 0.5
WINDOWS = 20
LEAST_WINDOW_S = 1.0
"""A window of the second part is the first part's time divided by this."""


def measure(seconds: float, repeats: int, spread: Callable[[Sequence[float]], str]) -> dict[str, float]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    results = _full_rate(seconds)
    results |= _disturbance(max(LEAST_WINDOW_S, seconds / WINDOWS), repeats, spread)
    _unpacking(repeats, spread)
    return results


@dataclass(slots=True)
class _Account:
    """What came out of the ring, and what the loop's thread spent, from one frame on."""

    frames: int = 0
    lost: int = 0
    next_id: int | None = None
    cpu_s: float = 0.0
    checks: list[tuple[int, int]] = field(default_factory=list)

    def took(self, first: int, last: int) -> None:
        assert self.next_id in (None, first), f"frame {first} after {self.next_id} was expected"
        self.next_id = last + 1


def _source(rate: float) -> GenicamSource:
    features = (("PixelFormat", "RGBa8"), ("Width", SIDE), ("Height", SIDE), ("AcquisitionFrameRate", rate))
    config = SourceConfig(kind="genicam", producer="simulated", serial="0", buffers=BUFFERS, features=features)
    return GenicamSource(config, "bench")


def _consume(ring: Ring, account: _Account) -> None:
    """Takes everything at once, as an engine without work would."""
    while True:
        try:
            item = ring.take(0.1)
        except EOFError:
            return
        if isinstance(item, Checkpoint):
            account.checks.append((item.announced, account.frames + account.lost))
        elif isinstance(item, Skip):
            assert item.frame_id_first is not None
            assert item.frame_id_last is not None
            account.took(item.frame_id_first, item.frame_id_last)
            account.lost += item.count
        elif item is not None:
            assert item.meta is not None
            account.took(item.meta.frame_id, item.meta.frame_id)
            account.frames += 1
            ring.release(item)


@contextlib.contextmanager
def _camera(rate: float) -> Iterator[tuple[GenicamSource, Ring, _Account]]:
    """The daemon's own loop in its thread, and a consumer in another, while the block runs."""
    source, ring, account = _source(rate), Ring(SLOTS, drops=True), _Account()
    stop = threading.Event()

    def acquire() -> None:
        began: list[float] = []

        def beat() -> bool:
            if not began and source.status().announced:
                began.append(time.thread_time())
            if began:
                account.cpu_s = time.thread_time() - began[0]
            return not stop.is_set()

        acquire_loop(source, ring, beat)

    threads = [threading.Thread(target=acquire), threading.Thread(target=_consume, args=(ring, account))]
    for thread in threads:
        thread.start()
    while not account.frames:
        time.sleep(0.01)
    try:
        yield source, ring, account
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _full_rate(seconds: float) -> dict[str, float]:
    with _camera(FASTEST) as (source, ring, account):
        began, first = time.monotonic(), account.frames
        time.sleep(seconds)
        fps = (account.frames - first) / (time.monotonic() - began)
    announced = source.status().announced
    assert announced == account.frames + account.lost, "the sum rule"
    assert all(said == counted for said, counted in account.checks), account.checks
    payload = 4 * SIDE * SIDE
    results = {
        "fps": round(fps, 2),
        "lost_share": round(account.lost / announced, 6),
        "loop_cpu_ms_per_frame": round(1e3 * account.cpu_s / account.frames, 4),
        "bytes_over_payload": round(ring.copied_bytes / (account.frames * payload), 4),
    }
    print(
        f"{SIDE}x{SIDE} RGBa8, {BUFFERS} buffers, {seconds:g} s: {fps:.1f} fps, {announced} frames announced, all in order "
        f"and accounted for at {len(account.checks)} checks, {account.lost} lost ({account.lost / announced:.3%}), "
        f"{ring.dropped} of them in the ring"
    )
    print(
        f"CPU of the loop's thread, the producer's calls included: {results['loop_cpu_ms_per_frame']:.3f} ms a frame; "
        f"bytes into the ring / payload: {results['bytes_over_payload']}"
    )
    return results


def _disturbance(window_s: float, repeats: int, spread: Callable[[Sequence[float]], str]) -> dict[str, float]:
    """Windows without a camera, with our loop, with the producer's calls alone, and with the library's loop, in turn."""
    beside: dict[str, Callable[[], contextlib.AbstractContextManager[object]]] = {
        "without": contextlib.nullcontext,
        "ours": lambda: _camera(SLOW),
        "bare": _bare_loop,
        "naive": _naive_loop,
    }
    speed: dict[str, list[float]] = {name: [] for name in beside}
    overshoot: dict[str, list[float]] = {name: [] for name in beside}
    for turn in range(repeats):
        for name in list(beside) if turn % 2 else reversed(beside):
            with beside[name]():
                time.sleep(SETTLE_S)
                speed[name].append(_numpy_speed(window_s))
                overshoot[name] += _overshoot_ms(window_s)
    kept = {name: [s / w for s, w in zip(speed[name], speed["without"], strict=True)] for name in ("ours", "bare", "naive")}
    p50, p99 = ({name: float(np.quantile(o, q)) for name, o in overshoot.items()} for q in (0.5, 0.99))
    print(
        f"at {SLOW:g} fps, a NumPy loop in another thread keeps {spread(kept['ours'])}; "
        f"the producer's calls alone leave {spread(kept['bare'])}, the naive loop {spread(kept['naive'])}"
    )
    for name in beside:
        print(
            f"a 1 ms sleep overshoots, {name:7}: p50 {p50[name]:.3f} ms, p99 {p99[name]:.3f} ms (n={len(overshoot[name])})"
        )
    print(f"p99 over p99 without: ours {p99['ours'] / p99['without']:.2f}, bare {p99['bare'] / p99['without']:.2f}")
    return {
        "numpy_speed_kept": round(statistics.median(kept["ours"]), 4),
        "sleep_overshoot_p50_ms": round(p50["ours"], 4),
        "sleep_overshoot_p99_ratio": round(p99["ours"] / p99["without"], 4),
    }


@contextlib.contextmanager
def _bare_loop() -> Iterator[None]:
    """Poll, take the event, queue the buffer: what no loop on this producer can do without. No picture is read."""
    source, stop = _source(SLOW), threading.Event()
    source.open()
    assert source._link is not None
    assert source._link._stream is not None
    stream, monitor = source._link._stream._stream, source._link._stream._monitor

    def poll() -> None:
        while not stop.is_set():
            if stream.num_awaiting_delivery:
                monitor.update_event_data(0)
                stream.queue_buffer(monitor.buffer, clear_buffer=False)
            time.sleep(0.001)

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        source.close()


@contextlib.contextmanager
def _naive_loop() -> Iterator[None]:
    """As the library's tutorial has it: try_fetch in a thread."""
    from harvesters.core import Harvester

    harvester = Harvester()
    harvester.add_file(str(producer_files("simulated")[0]))
    harvester.update()
    acquirer = harvester.create(0)
    nodes = acquirer.remote_device.node_map
    nodes.Width.value, nodes.Height.value, nodes.AcquisitionFrameRate.value = SIDE, SIDE, SLOW
    stop = threading.Event()

    def fetch() -> None:
        acquirer.start()
        while not stop.is_set():
            buffer = acquirer.try_fetch(timeout=0.1)
            if buffer is not None:
                with buffer:
                    buffer.payload.components[0].data.copy()
        acquirer.stop()
        acquirer.destroy()

    thread = threading.Thread(target=fetch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        harvester.reset()


def _numpy_speed(seconds: float) -> float:
    """Additions of two pictures of 2000x2000 per second."""
    a = np.ones((2000, 2000), np.uint8)
    out = np.empty_like(a)
    count, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        np.add(a, a, out=out)
        count += 1
    return count / took


def _overshoot_ms(seconds: float) -> list[float]:
    found, end = [], time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        time.sleep(0.001)
        found.append(1e3 * (time.perf_counter() - began) - 1.0)
    return found


def _unpacking(repeats: int, spread: Callable[[Sequence[float]], str]) -> None:
    """Mono12p of 5 MP to 8 bits, beside the library's own way to 16 bits and the shift that would have to follow."""
    from harvesters.util.pfnc import Mono12p

    width, height = 2592, 1944
    data = np.random.default_rng(0).integers(0, 256, width * height * 3 // 2, np.uint8)
    meta = FrameMeta(0, "device", width, height, "Mono12p", 0, 0)
    library = Mono12p()
    assert np.array_equal(np.asarray(library.expand(data)).ravel() >> 4, decode_payload(meta, data, 8).pixels.ravel())
    ratios, ours_ms = [], []
    for _ in range(3 * repeats):
        times = []
        for unpack in (lambda: decode_payload(meta, data, 8), lambda: library.expand(data)):
            began = time.perf_counter()
            unpack()
            times.append(1e3 * (time.perf_counter() - began))
        ours_ms.append(times[0])
        ratios.append(times[0] / times[1])
    print(f"Mono12p of 5 MP to 8 bits: {spread(ours_ms)} ms, {spread(ratios)} of the library's unpacking alone")
