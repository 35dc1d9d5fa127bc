"""The daemon's state is one snapshot, published only when it changes: line state, source, engine, outputs, faults."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import structlog

from edge.frames import Fault, LineState, State
from edge.line.supervise import StageHealth
from edge.outputs.protocol import OutputStatus
from edge.sources.protocol import SourceStatus

log = structlog.get_logger()

_UNWELL = {
    "lost": "the camera was lost",
    "backoff": "the camera is not there",
    "silent": "no frames, though none are triggered",
}
OUTPUT_HOLD_S = 10.0
"""Time in s that an output's fault stays after its last failure: some lose a record now and then, and each is over at
once."""
TEXT_EVERY_S = 1.0
"""Least time in s between two texts of one fault: some hold a number that changes all the time."""


class StateBook:
    """The book remembers the last state and since when each fault lasts. The supervisor's thread alone uses it."""

    def __init__(self, engine: Mapping[str, Any]) -> None:
        self.engine = engine
        self._faults: dict[str, Fault] = {}
        self._text_at: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._failed: dict[str, tuple[str, float]] = {}
        """Last fault of each output that failed lately, and when it failed."""
        self._last: State | None = None

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Return the faults of the last ``update``. Any thread may call this."""
        return () if self._last is None else self._last.faults

    def update(
        self,
        source: SourceStatus,
        outputs: Mapping[str, OutputStatus],
        health: StageHealth,
        *,
        started: bool,
        stopping: bool,
        extra_faults: Mapping[str, str],
        drift: Mapping[str, Any] | None = None,
        drift_block: Mapping[str, Any] | None = None,
    ) -> State | None:
        """Return the new state if anything changed since the last call, otherwise None.

        Each fault is logged when it comes, when its text changes, and when it goes. A fault of an output that came and went
        since the last call is reported all the same, and stays for ``OUTPUT_HOLD_S``.
        """
        texts = dict(extra_faults)
        if source.state in _UNWELL:
            texts[f"source_{source.state}"] = source.detail or _UNWELL[source.state]
        if source.problem is not None:
            texts["source_problem"] = source.problem
        failed = {name: self._fault_of(name, status) for name, status in outputs.items()}
        texts |= {f"output_{name}": fault for name, fault in failed.items() if fault is not None}
        if health.hung:
            texts["stage_hung"] = f"{health.hung} makes no progress"
        if health.failed:
            texts["stage_failed"] = f"{health.failed[0]}: {health.failed[1]}"
        self._follow(texts)
        state = State(
            state_seq=self._last.state_seq + 1 if self._last else 0,
            line_state=_line_state(source, health, started=started, stopping=stopping),
            source_state=source.state,
            engine=self.engine,
            outputs={n: {"ok": failed[n] is None, "fault": failed[n], **s.detail} for n, s in outputs.items()},
            faults=tuple(self._faults.values()),
            drift=drift,
            drift_block=drift_block,
        )
        last = self._last
        if last is not None and _content(last) == _content(state):
            return None
        if last is None or (last.source_state, last.line_state) != (state.source_state, state.line_state):
            log.info("state", line_state=state.line_state, source_state=state.source_state)
        self._last = state
        return state

    def _fault_of(self, name: str, status: OutputStatus) -> str | None:
        missed = status.failures > self._failures.get(name, 0)
        self._failures[name] = status.failures
        fault, now = status.fault or (status.last_fault if missed else None), time.monotonic()
        if fault is not None:
            self._failed[name] = fault, now
        elif name in self._failed and now - self._failed[name][1] >= OUTPUT_HOLD_S:
            del self._failed[name]
        return self._failed[name][0] if name in self._failed else None

    def _follow(self, texts: Mapping[str, str]) -> None:
        for code in [c for c in self._faults if c not in texts]:
            fault = self._faults.pop(code)
            log.info("fault_over", code=code, lasted_s=round((time.time_ns() - fault.since_ns) / 1e9, 1))
        now = time.monotonic()
        for code, text in texts.items():
            known = self._faults.get(code)
            if known is not None and (text == known.text or now - self._text_at[code] < TEXT_EVERY_S):
                continue
            log.warning("fault", code=code, text=text)
            self._text_at[code] = now
            self._faults[code] = Fault(code, known.since_ns if known else time.time_ns(), text)


def _content(state: State) -> tuple[object, ...]:
    whole = (state.line_state, state.source_state, state.engine, state.outputs, state.faults)
    return (*whole, state.drift, state.drift_block)


def _line_state(source: SourceStatus, health: StageHealth, *, started: bool, stopping: bool) -> LineState:
    if stopping:
        return "Halted"
    if health.hung or health.failed or source.problem is not None or source.state in ("lost", "backoff"):
        return "Error"
    if not started or source.state in ("opening", "configured"):
        return "Preoperational"
    return "Ready" if source.state == "waiting_for_trigger" else "ContinuousExecution"
