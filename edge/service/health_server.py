"""The daemon reports about itself over HTTP on loopback: /live, /ready and Prometheus /metrics."""

from __future__ import annotations

import contextlib
import re
import socket as sockets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.errors import UserError, may_pass
from edge.frames import STAGES
from edge.line.drift_watch import WatchStatus
from edge.line.ring import Ring
from edge.line.snapshot import LineSnapshot
from edge.line.tally import BUCKETS_MS, Tally
from edge.outputs.protocol import OutputStatus

AT_ONCE = 8
"""Number of requests at a time; a scraper and an orchestrator have two."""
TIMEOUT_S = 5.0
"""Time in s after which an unfinished request gives its place up."""
AGAIN_S = 1.0
LEVELS = {"info": 1, "warn": 2, "lock": 3}
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Collector):
    """Metrics read the run's counters whenever Prometheus asks; nothing is counted twice."""

    def __init__(self, tally: Tally, ring: Ring, snapshot: Callable[[], LineSnapshot]) -> None:
        self._tally = tally
        self._ring = ring
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        shot, tally = self._snapshot(), self._tally
        camera = shot.camera
        yield _counter("edge_inspections", "Frames inspected, by verdict", camera, "verdict", tally.verdicts)
        yield _counter("edge_invalid", "Invalid inspections, by reason", camera, "reason", dict(tally.invalid_reasons))
        yield _counter("edge_skipped_frames", "Frames lost, by reason", camera, "reason", dict(tally.skipped_frames))
        yield _counter(
            "edge_source_events",
            "Counters of the source",
            camera,
            "event",
            {k: int(v) for k, v in shot.source.counters.items()},
        )
        yield _counter(
            "edge_output_records",
            "Records each output took",
            camera,
            "output",
            {n: s.accepted for n, s in shot.outputs.items()},
        )
        yield _counter(
            "edge_output_lost", "Records each output lost", camera, "output", {n: s.lost for n, s in shot.outputs.items()}
        )
        yield from self._outputs(camera, shot.outputs)
        yield _counter("edge_stage_restarts", "Restarts of each stage", camera, "stage", shot.restarts)
        yield _gauge("edge_announced_frames", "Frames that the producer's ids announced", camera, shot.source.announced)
        yield _gauge("edge_ring_fill", "Ring slots in use", camera, self._ring.fill)
        yield _gauge("edge_ring_slots", "Ring slots", camera, self._ring.slots)
        yield _gauge("edge_ready", "1 when frames can be inspected", camera, int(shot.ready))
        yield _gauge("edge_progress_age_seconds", "Age of the oldest stage's progress", camera, shot.progress_age_s)
        faults = GaugeMetricFamily("edge_fault", "1 for each fault that lasts", labels=["camera", "code"])
        for code in shot.faults:
            faults.add_metric([camera, code], 1)
        yield faults
        reconnects = CounterMetricFamily("edge_source_reconnects", "Times the camera came back", labels=["camera"])
        reconnects.add_metric([camera], shot.source.counters.get("reconnects", 0))
        yield reconnects
        state = GaugeMetricFamily("edge_source_state", "1 for the state the source is in", labels=["camera", "state"])
        state.add_metric([camera, shot.source.state], 1)
        yield state
        yield self._latency(camera)
        if shot.drift is not None:
            yield from _drift(camera, shot.drift)

    def _outputs(self, camera: str, outputs: Mapping[str, OutputStatus]) -> Iterator[Metric]:
        events = CounterMetricFamily("edge_output_events", "What each output counts", labels=["camera", "output", "event"])
        fault = GaugeMetricFamily("edge_output_fault", "1 while an output fails", labels=["camera", "output"])
        free = GaugeMetricFamily("edge_disk_free_bytes", "Free on the disk it writes to", labels=["camera", "output"])
        heard = GaugeMetricFamily("edge_subscribers", "Subscriptions at this moment", labels=["camera", "output"])
        for name, status in outputs.items():
            fault.add_metric([camera, name], int(status.fault is not None))
            for event, count in {**status.counters, "failures": status.failures}.items():
                events.add_metric([camera, name, event], count)
            if status.free_bytes is not None:
                free.add_metric([camera, name], status.free_bytes)
            if status.subscribers is not None:
                heard.add_metric([camera, name], max(status.subscribers, 0))
        yield from (events, fault, free, heard)

    def _latency(self, camera: str) -> Metric:
        family = HistogramMetricFamily("edge_latency_seconds", "Latency by stage", labels=["camera", "stage"])
        for stage in STAGES:
            total, buckets = 0, []
            for bound, count in zip((*BUCKETS_MS, None), self._tally.histograms[stage], strict=True):
                total += count
                buckets.append(("+Inf" if bound is None else str(bound / 1e3), total))
            family.add_metric([camera, stage], buckets, self._tally.latency_sums_ms[stage] / 1e3)
        return family


class HealthServer:
    """The server answers until closed, at most ``AT_ONCE`` requests at a time. A busy address is tried each second.

    Raises:
        UserError: an address that only another config makes possible, for example a port below 1024.
    """

    def __init__(self, bind: str, metrics: Metrics, snapshot: Callable[[], LineSnapshot]) -> None:
        self._host, _, port = bind.rpartition(":")
        self._port = int(port)
        self._bind = bind
        registry = CollectorRegistry(auto_describe=False)
        registry.register(metrics)
        self._handler = _handler(snapshot, registry, self._host)
        self._server: _Server | None = None
        self._closing = threading.Event()
        self.address: str | None = None
        """Where it serves, once it does: port 0 in the config takes any free port."""
        self.fault: str | None = None
        """Why it doesn't serve."""
        self._open()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        server = self._server
        if server is not None:
            server.shutdown()
            server.server_close()
        self._thread.join()

    def _open(self) -> bool:
        try:
            self._server = _Server((self._host, self._port), self._handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            self.fault = f"health.bind: {self._bind} cannot be opened: {reason}"
            if not (isinstance(error, OSError) and may_pass(error)):
                raise UserError(self.fault, expected="a free port on loopback; 127.0.0.1:0 takes any") from None
            return False
        self._port = self._server.server_address[1]
        self.address, self.fault = f"{self._host}:{self._port}", None
        return True

    def _run(self) -> None:
        while self._server is None:
            if self._closing.wait(AGAIN_S):
                return
            self._open()
        self._server.serve_forever(0.1)


class _Server(ThreadingHTTPServer):
    """Each request has a thread and a descriptor: a stranger who holds some must not have all."""

    daemon_threads = True
    request_queue_size = 16

    def __init__(self, *arguments: Any) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, tuple[float, sockets.socket]] = {}
        super().__init__(*arguments)

    def get_request(self) -> tuple[sockets.socket, Any]:
        try:
            return super().get_request()
        except OSError:  # no descriptor is free: the connection stays where it is, and is offered again at once
            time.sleep(0.2)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give up the oldest place if all are taken and it had its time; otherwise turn the new request away."""
        now = time.monotonic()
        with self._lock:
            oldest = min(self._open.values(), key=lambda held: held[0], default=None)
            full = len(self._open) >= AT_ONCE
            if full and oldest is not None and now - oldest[0] > TIMEOUT_S:
                with contextlib.suppress(OSError):
                    oldest[1].shutdown(sockets.SHUT_RDWR)
            if not full:
                self._open[id(request)] = (now, request)
        if full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(id(request), None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore whoever hangs up on us: a traceback each time would fill the journal."""


def _handler(snapshot: Callable[[], LineSnapshot], registry: CollectorRegistry, host: str) -> type[BaseHTTPRequestHandler]:
    hosts = {"127.0.0.1", "localhost", "[::1]", host}

    class Handler(BaseHTTPRequestHandler):
        timeout = TIMEOUT_S

        def do_GET(self) -> None:
            asked = self.headers.get("Host")
            if asked is not None and re.sub(r":\d*$", "", asked.strip().lower()) not in hosts:
                # a page in somebody's browser whose name was made to lead here
                self._answer(421, b"this is the machine's own address\n")
                return
            if self.path == "/metrics":
                self._answer(200, generate_latest(registry), CONTENT_TYPE)
                return
            shot = snapshot()
            answers = {"/live": shot.live, "/ready": shot.ready}
            if self.path not in answers:
                self._answer(404, b"/live /ready /metrics\n")
            else:
                self._answer(200 if answers[self.path] else 503, f"{shot.text}\n".encode())

        def _answer(self, code: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Log no requests, because a scraper asks every few seconds."""

    return Handler


def _drift(camera: str, status: WatchStatus) -> Iterator[Metric]:
    events = CounterMetricFamily("edge_drift_events", "What the drift watch counts", labels=["camera", "event"])
    for event, count in status.counters.items():
        events.add_metric([camera, event], count)
    named = GaugeMetricFamily(
        "edge_drift", "Level of each cause that is named now: 1 info, 2 warn, 3 lock", labels=["camera", "cause", "group"]
    )
    size = GaugeMetricFamily("edge_drift_size", "Its size", labels=["camera", "cause", "unit"])
    locked = GaugeMetricFamily("edge_drift_lock", "1 for each reason why all are invalid", labels=["camera", "reason"])
    drift = status.drift
    if drift is not None:
        for cause in drift.causes:
            named.add_metric([camera, cause.cause, cause.group], LEVELS[drift.level])
            if cause.size is not None:
                size.add_metric([camera, cause.cause, cause.unit], cause.size)
        for lock in drift.locks:
            locked.add_metric([camera, f"drift_{lock}"], 1)
    yield from (events, named, size, locked)
    yield _gauge("edge_drift_z", "Largest deviation of the last block", camera, drift.z if drift else 0)


def _counter(name: str, text: str, camera: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=["camera", label])
    for key, value in values.items():
        family.add_metric([camera, key], value)
    return family


def _gauge(name: str, text: str, camera: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["camera"])
    family.add_metric([camera], value)
    return family
