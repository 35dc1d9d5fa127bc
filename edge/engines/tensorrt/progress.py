"""A TensorRT build takes minutes; this counts how far it is and tells whoever waits, and the log."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from edge.engines.protocol import BuildProgress

log = structlog.get_logger()

_LOOK_S: Final = 0.2
BUILD_SILENT_S: Final = 900.0
"""Time in s after which a silent build is taken to hang, and is not reported any more: a service manager that is asked
for no more time ends it. Single steps that try out kernels take minutes on a Jetson."""


@dataclass(slots=True)
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class Phases:
    """Phases count how far a build is: each counts as one step of the phase that it lies in. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, _Phase] = {}
        self.share = 0.0
        """Part of the whole, 0 to 1; never falls."""
        self.latest = ""
        """The phase that began last and is still open."""
        self.heard_at = time.monotonic()
        """Time at which the build last said anything."""

    def phase(self, name: str, parent: str | None, steps: int) -> None:
        with self._lock:
            self._open[name] = _Phase(parent if parent in self._open else None, max(steps, 1))
            self._count()

    def step(self, name: str) -> None:
        with self._lock:
            if name in self._open:
                self._open[name].done += 1
            self._count()

    def finish(self, name: str) -> None:
        with self._lock:
            if name in self._open:
                self._open[name].done = self._open[name].steps  # some end a step early
                self._count()
                del self._open[name]

    def _count(self) -> None:
        self.heard_at = time.monotonic()
        self.latest = next(reversed(self._open), self.latest)
        shares: dict[str, float] = {}
        for name, phase in reversed(self._open.items()):  # inner ones first
            inner = sum(shares[n] for n, p in self._open.items() if p.parent == name and n in shares)
            shares[name] = min((phase.done + min(inner, 1.0)) / phase.steps, 1.0)
        outer = [shares[name] for name, phase in self._open.items() if phase.parent is None]
        self.share = max(self.share, *outer) if outer else self.share


@contextmanager
def shown_build(model: str, tell: BuildProgress) -> Iterator[Phases]:
    """Report the build inside until it ends. ``tell`` is called in a thread of its own, five times a second."""
    phases, over = Phases(), threading.Event()
    teller = threading.Thread(target=_tell, args=(model, phases, over, tell), name="tensorrt-build", daemon=True)
    began = time.monotonic()
    log.info("tensorrt_building", model=model, why="no engine file of this model, GPU and TensorRT yet; takes minutes")
    teller.start()
    try:
        yield phases
    finally:
        over.set()
        teller.join()
    log.info("tensorrt_built", model=model, took_s=round(time.monotonic() - began, 1))


def _tell(model: str, phases: Phases, over: threading.Event, tell: BuildProgress) -> None:
    while not over.wait(_LOOK_S):
        if time.monotonic() - phases.heard_at < BUILD_SILENT_S:
            tell(
                phases.share, f"building the TensorRT engine of {model}: {phases.share:.0%}, {phases.latest or 'starting'}"
            )
