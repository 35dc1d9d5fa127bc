"""The daemon's state as one snapshot, told only when it changes: line state, source, engine, outputs, faults."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import structlog

from edge.frames import Fault, LineState, State
from edge.outputs import OutputStatus
from edge.sources import SourceStatus
from edge.supervise import Health

log = structlog.get_logger()

_UNWELL = {
    "lost": "the camera was lost",
    "backoff": "the camera is not there",
    "silent": "no frames, though none are triggered",
}


class StateBook:
    """Remembers the last state and since when each fault lasts. Used by the supervisor's thread alone."""

    def __init__(self, engine: Mapping[str, Any]) -> None:
        self.engine = engine
        self._faults: dict[str, Fault] = {}
        self._last: State | None = None

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Those of the last ``update``. From any thread."""
        return () if self._last is None else self._last.faults

    def update(
        self,
        source: SourceStatus,
        outputs: Mapping[str, OutputStatus],
        health: Health,
        *,
        started: bool,
        stopping: bool,
        extra_faults: Mapping[str, str],
    ) -> State | None:
        """The new state if anything changed since the last call, else None. Logs each fault as it comes and goes."""
        texts = dict(extra_faults)
        if source.state in _UNWELL:
            texts[f"source_{source.state}"] = source.detail or _UNWELL[source.state]
        for name, status in outputs.items():
            if status.fault:
                texts[f"output_{name}"] = status.fault
        if health.hung:
            texts["stage_hung"] = f"{health.hung} made no progress for {health.progress_age_s:.1f} s"
        if health.failed:
            texts["stage_failed"] = f"{health.failed[0]}: {health.failed[1]}"
        self._follow(texts)
        state = State(
            state_seq=self._last.state_seq + 1 if self._last else 0,
            line_state=_line_state(source, health, started=started, stopping=stopping),
            source_state=source.state,
            engine=self.engine,
            outputs={n: {"ok": s.fault is None, "fault": s.fault, **s.detail} for n, s in outputs.items()},
            faults=tuple(self._faults.values()),
        )
        last = self._last
        if last is not None and _content(last) == _content(state):
            return None
        if last is None or (last.source_state, last.line_state) != (state.source_state, state.line_state):
            log.info("state", line_state=state.line_state, source_state=state.source_state)
        self._last = state
        return state

    def _follow(self, texts: Mapping[str, str]) -> None:
        for code in [c for c in self._faults if c not in texts]:
            fault = self._faults.pop(code)
            log.info("fault_over", code=code, lasted_s=round((time.time_ns() - fault.since_ns) / 1e9, 1))
        for code, text in texts.items():
            known = self._faults.get(code)
            if known is None:
                log.warning("fault", code=code, text=text)
            self._faults[code] = Fault(code, known.since_ns if known else time.time_ns(), text)


def _content(state: State) -> tuple[object, ...]:
    codes = tuple((f.code, f.since_ns) for f in state.faults)
    return (state.line_state, state.source_state, state.engine, state.outputs, codes)


def _line_state(source: SourceStatus, health: Health, *, started: bool, stopping: bool) -> LineState:
    if stopping:
        return "Halted"
    if health.hung or health.failed or source.state in ("lost", "backoff"):
        return "Error"
    if not started or source.state in ("opening", "configured"):
        return "Preoperational"
    return "Ready" if source.state == "waiting_for_trigger" else "ContinuousExecution"
