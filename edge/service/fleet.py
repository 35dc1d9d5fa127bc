"""All daemons of a machine are followed at once: what each one reports, over its own subscription."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from edge.client import Subscriber
from edge.client.events import Received, Refused, Stale
from edge.errors import UserError
from edge.service.instances import Instance

FORGOTTEN_S = 86_400.0
"""Time in s after which a daemon that ended in peace has no row any more."""
_WINDOW_S = 5.0
"""Time in s that the shown rate covers."""
_OpenLine = Callable[[Instance], Subscriber]


@dataclass(frozen=True, slots=True)
class Row:
    """A row is one daemon at one moment. ``text`` says what is wrong with it, or is empty."""

    instance: Instance
    state: str = "not heard yet"
    source: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    per_minute: float | None = None
    p50_ms: float | None = None
    ring_fill: int | None = None
    last: str | None = None
    text: str = ""
    simulated: bool = False
    drift: dict[str, Any] | None = None
    fail_share: float | None = None
    """Share of fails among the verdicts of the last ``recent_s`` seconds; None without a verdict, or of an older daemon."""
    recent_s: int = 0
    ended_ns: int | None = None
    edge_version: str | None = None
    """None before the first state, and of an older daemon."""


class Watch:
    """A watch hears one daemon in a thread of its own until closed."""

    def __init__(self, instance: Instance, open_line: _OpenLine) -> None:
        self.instance = instance
        self._row = Row(instance)
        self._open_line = open_line
        self._beats: deque[tuple[float, int]] = deque()
        self._latencies: deque[float] = deque(maxlen=200)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"fleet-{instance.camera}", daemon=True)
        self._thread.start()

    @property
    def row(self) -> Row:
        return self._row

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        if self.instance.pid is None:
            ended = self.instance.ended_ns
            self._row = replace(self._row, state="not running" if ended is None else "stopped", ended_ns=ended)
            return
        if "zmq" not in self.instance.endpoints:
            self._row = replace(self._row, state="running", text="outputs.zmq is off, or it is starting")
            return
        try:
            with self._open_line(self.instance) as line:
                while not self._stop.is_set():
                    event = line.receive(0.1)
                    if isinstance(event, Received):
                        self._take(event.kind, event.message)
                    elif isinstance(event, Stale):
                        self._row = replace(self._row, state="silent", text=f"no heartbeat for {event.silent_s:.0f} s")
                    elif isinstance(event, Refused):
                        self._row = replace(self._row, state="refused", text=event.text)
        except UserError as error:
            self._row = replace(self._row, text=error.what)

    def _take(self, kind: str, message: dict[str, Any]) -> None:
        row = replace(self._row, simulated=message["simulated"])
        if kind == "heartbeat":
            row = replace(row, **self._beat(message["counters"]), ring_fill=message["ring_fill"])
        elif kind == "state":
            faults = "; ".join(f"{fault['code']}: {fault['text']}" for fault in message["faults"])
            row = replace(row, state=message["line_state"], source=message["source_state"], text=faults)
            row = replace(row, drift=message.get("drift"), edge_version=message.get("edge_version"))
        elif kind == "inspection":
            self._latencies.append(message["latency_ms"]["total"])
            row = replace(row, last=message["verdict"])
        else:
            row = replace(row, last="invalid")
        self._row = row

    def _beat(self, counters: dict[str, int]) -> dict[str, Any]:
        counts = {name: counters.get(name, 0) for name in ("pass", "fail", "invalid")}
        now, total = time.monotonic(), sum(counts.values())
        self._beats.append((now, total))
        while now - self._beats[0][0] > _WINDOW_S and len(self._beats) > 2:
            self._beats.popleft()
        (began, before) = self._beats[0]
        rate = 60 * (total - before) / (now - began) if now > began else None
        values = sorted(self._latencies)
        recent = [counters.get(f"recent_{name}", 0) for name in ("fail", "pass", "invalid")]
        return {
            "fail_share": recent[0] / sum(recent) if sum(recent) else None,
            "recent_s": counters.get("recent_s", 0),
            "counts": counts,
            "lost": sum(count for name, count in counters.items() if name.startswith("skipped_")),
            "per_minute": rate,
            "p50_ms": values[len(values) // 2] if values else None,
        }


class Fleet:
    """The fleet follows the daemons that ``find`` names, those that come and go included."""

    def __init__(self, find: Callable[[], list[Instance]], open_line: _OpenLine) -> None:
        self._find = find
        self._open_line = open_line
        self._watches: list[Watch] = []

    def look(self) -> list[Row]:
        """Return one row for each instance there is now."""
        oldest_ns = time.time_ns() - int(FORGOTTEN_S * 1e9)
        found = [one for one in self._find() if one.ended_ns is None or one.ended_ns > oldest_ns]
        gone = [watch for watch in self._watches if watch.instance not in found]
        self._watches = [watch for watch in self._watches if watch not in gone]
        for watch in gone:
            watch.close()
        known = [watch.instance for watch in self._watches]
        self._watches += [Watch(instance, self._open_line) for instance in found if instance not in known]
        return sorted((w.row for w in self._watches), key=lambda row: (row.instance.camera, row.instance.folder))

    def close(self) -> None:
        for watch in self._watches:
            watch.close()
