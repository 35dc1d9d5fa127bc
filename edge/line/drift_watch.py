"""The watch measures every N-th frame in the judge's thread, which waits for the model most of the time, and says what
changed.

It counts frames, never time: a replay of the same frames finds the same drift at the same frame. It measures when a frame's
record has left, so that no record waits for it, and whatever goes wrong with it costs no record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from edge.drift.detector import Block
from edge.drift.monitor import DriftMonitor
from edge.drift.named import Breach, Drift
from edge.drift.statistics import NAMES
from edge.errors import text_of
from edge.frames import Frame, FrameMeta

log = structlog.get_logger()

BREACH_WORDS: Final[Mapping[Breach, str]] = {
    "clipped": "the picture is overexposed or black",
    "out_of_focus": "the picture is out of focus",
    "out_of_place": "the part is not in its place",
}


_BREACH_GROUPS: Final[Mapping[Breach, str]] = {"clipped": "lighting", "out_of_focus": "blur", "out_of_place": "pose"}


@dataclass(frozen=True, slots=True)
class WatchStatus:
    """A look at the watch, for /metrics, /ready and the heartbeat.

    ``counters``: frames ``measured``, ``locks`` begun, ``errors``: frames that could not be measured.
    """

    drift: Drift | None
    counters: Mapping[str, int] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What people are to know now, or nothing: a single block beyond the limit is no matter."""
        return "" if self.drift is None or self.drift.level == "info" else in_words(self.drift)


class DriftWatch:
    """A watch has one reference. The judge calls ``of`` before each verdict and ``see`` after it; any thread may call the
    rest.
    """

    def __init__(
        self, monitor: DriftMonitor, measure: Callable[[Frame], NDArray[np.float64]], key: str, what: str = ""
    ) -> None:
        """Take ``measure``, which gives a frame's statistics; ``key``: two watches with the same key find the same; and
        ``what`` it does, in words.
        """
        self.what = what
        self.key = key
        self.measures = True
        """False for frames of evidence: they bring the drift of their time with them."""
        self.in_state: Mapping[str, Any] | None = None
        """The drift as ``state`` has it."""
        self.block: Mapping[str, Any] | None = None
        """The newest whole block as ``state`` has it."""
        self._in_record: Mapping[str, Any] | None = None
        self._measure = measure
        self._monitor = monitor
        self._drift: Drift | None = None
        self._whole: Block | None = None
        self._measured = self._locks = self._errors = 0
        self._trouble: str | None = None
        """Why the last frame whose turn it was could not be measured."""

    def of(self, meta: FrameMeta) -> tuple[Mapping[str, Any] | None, str | None]:
        """Return the drift as this frame's record has it, and the reason why the frame is invalid; None for either."""
        if not self.measures:
            recorded = meta.drift
            locks = () if recorded is None else recorded.get("locks", ())
            return recorded, f"drift_{locks[0]}" if locks else None
        drift = self._drift
        return self._in_record, None if drift is None else drift.reason

    def see(self, frame: Frame) -> None:
        """Count a frame, measure it if its turn has come, and never raise."""
        if not self.measures or not self._monitor.wants():
            return
        try:
            values = self._measure(frame)
            drift = self._monitor.see(values, frame.meta.received_ns)
        except Exception as error:  # noqa: BLE001  (a frame of another size, no memory: the line goes on without)
            self._errors += 1
            self._trouble = text_of(error)
            return
        self._measured += 1
        self._trouble = None
        if drift != self._drift:
            self._follow(drift)
        if self._monitor.whole is not self._whole:
            self._whole = self._monitor.whole
            self.block = self._block_message(frame.meta.received_ns)

    def faults(self) -> dict[str, str]:
        """Return a fault for each lock, by its reason, and one while frames can't be measured."""
        drift, trouble = self._drift, self._trouble
        faults = {} if trouble is None else {"drift_not_measured": f"drift can't be noticed: {trouble}"}
        if drift is None:
            return faults
        return faults | {
            f"drift_{lock}": f"{BREACH_WORDS[lock]}: every frame is invalid until that is over" for lock in drift.locks
        }

    def status(self) -> WatchStatus:
        counters = {"measured": self._measured, "locks": self._locks, "errors": self._errors}
        return WatchStatus(self._drift, counters)

    def _block_message(self, now_ns: int) -> Mapping[str, Any]:
        """Return the newest block as messages have it: each statistic's median, and the band in which it is usual."""
        assert self._whole is not None
        columns = (self._whole.middle, *self._monitor.band())
        rows = zip(NAMES, *(column.tolist() for column in columns), strict=True)
        return {
            "begun_ns": self._whole.begun_ns,
            "ended_ns": now_ns,
            "statistics": {name: [_digits(value) for value in values] for name, *values in rows},
        }

    def _follow(self, drift: Drift | None) -> None:
        before, self._drift = self._drift, drift
        self._locks += drift is not None and drift.locked and not (before is not None and before.locked)
        message = None if drift is None else drift_message(drift)
        self._in_record = (
            None if message is None else {name: value for name, value in message.items() if name != "since_ns"}
        )
        self.in_state = message
        if _kind(drift) != _kind(before):
            _log(drift, before)


def drift_message(drift: Drift) -> dict[str, Any]:
    """Return a drift as messages have it: the nearer cause's own fields, and both under ``causes``.

    A breach shows before the first block is whole and a cause can be named: until then it is the cause itself.
    """
    unnamed = drift.breaches and not drift.causes
    return {
        "level": drift.level,
        "cause": drift.breaches[0] if unnamed else drift.cause,
        "group": _BREACH_GROUPS[drift.breaches[0]] if unnamed else drift.group,
        "since_ns": drift.since_ns,
        "size": _rounded(drift.size),
        "unit": drift.unit,
        "z": _rounded(drift.z),
        "statistic": drift.statistic,
        "words": in_words(drift),
        "causes": [
            {"cause": c.cause, "group": c.group, "size": _rounded(c.size), "unit": c.unit, "words": c.words}
            for c in drift.causes
        ],
        "breaches": list(drift.breaches),
        "locks": list(drift.locks),
    }


def in_words(drift: Drift) -> str:
    """Return a drift as a person reads it: "18 % brighter; frames are invalid: drift_clipped"."""
    words = drift.words or ", ".join(BREACH_WORDS[breach] for breach in drift.breaches) or drift.cause
    return f"{words}; frames are invalid: {drift.reason}" if drift.locked else words


def _kind(drift: Drift | None) -> tuple[object, ...] | None:
    """What a transition is: another level, cause or lock; a size that moves is none."""
    return None if drift is None else (drift.level, tuple(c.cause for c in drift.causes), drift.locks)


def _log(drift: Drift | None, before: Drift | None) -> None:
    if drift is None:
        assert before is not None
        log.info("drift_over", cause=before.cause, group=before.group, drift_level=before.level)
        return
    tell = log.info if drift.level == "info" else log.warning
    message = drift_message(drift)
    names = ("cause", "group", "size", "unit", "z", "statistic", "words")
    tell("drift", drift_level=message["level"], **{name: message[name] for name in names})


def _rounded(value: float | None) -> float | None:
    """Three digits: a state is sent again at each change, and the fourth digit changes with every block."""
    return None if value is None else float(f"{value:.3g}")


def _digits(value: float) -> float:
    """Five digits: a band is narrow beside what it lies around."""
    return float(f"{value:.5g}")
