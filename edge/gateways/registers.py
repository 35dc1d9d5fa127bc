"""What a subscriber knows about a line becomes 29 registers of 16 bits. ``docs/plc.md`` has them as a table for PLC people.

The PLC passes a part only if register 8 says pass, for this part, by this recipe, while the heartbeat register moves;
anything else is a reject. What the registers say is worked out when they are read, so that a gateway that hangs answers
nothing at all.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from typing import Any, Final, Protocol

from edge.client import Latest

COUNT: Final = 29
MAP_VERSION: Final = 1
NOT_VALID, PASS, FAIL = 0, 1, 2
READY, BUSY, FAULT, SIMULATED, DRIFT, TOGGLE, HAS_PART, FRESH = (1 << bit for bit in range(8))
"""Bits of register 2."""
WHY: Final = {
    "pass": 0,
    "fail": 1,
    "invalid": 2,
    "no_record": 3,
    "late": 4,
    "gap": 5,
    "restart": 6,
    "stale": 7,
    "simulated": 8,
    "schema": 9,
    "ambiguous": 10,
    "recipe": 11,
}
"""Values of register 9."""
PROGRESS_MS: Final = 2000.0
"""A stage that made no progress for longer stops the heartbeat register; an idle trigger is progress."""
_NEVER_CAME: Final = ("frame_id_gap", "incomplete")
_MALFORMED: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class KnownLine(Protocol):
    """A known line answers like ``edge.client.Subscriber``."""

    @property
    def stale_s(self) -> float:
        """Return the silence in s after which nothing counts any more."""

    def latest(
        self, max_age_s: float, *, recipe_id: str | None, config_sha256: str | None, allow_simulated: bool
    ) -> Latest:
        """Apply the pass rule to the latest record."""


class Registers:
    """The registers follow one line. One thread reads them."""

    def __init__(
        self,
        line: KnownLine,
        max_age_s: float,
        *,
        allow_simulated: bool,
        score_scale: float,
        recipe_id: str | None = None,
        config_sha256: str | None = None,
        tell: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
    ) -> None:
        """Take ``recipe_id`` and ``config_sha256``, what a record must have been made by to be shown as a pass; None: by
        any. ``tell`` gets a sentence when the daemon says something that can't be shown, and when that is over.
        """
        self._line = line
        self._max_age_s = max_age_s
        self._allow_simulated = allow_simulated
        self._recipe_id = recipe_id
        self._config_sha256 = config_sha256
        self._scale = score_scale
        self._tell_person = tell
        self._beats = 0
        self._last_beat: object = None
        self._trouble: str | None = None

    def read(self) -> list[int]:
        """Return the registers of this moment: not valid, and logged once, where a message doesn't say what it should.

        Raises:
            ValueError: ``config_sha256`` is no such hash.
        """
        latest = self._line.latest(
            self._max_age_s,
            recipe_id=self._recipe_id,
            config_sha256=self._config_sha256,
            allow_simulated=self._allow_simulated,
        )
        try:
            registers, trouble = self._shown(latest), None
        except _MALFORMED as error:
            registers, trouble = [0] * COUNT, f"{type(error).__name__}: {error}"
            registers[0], registers[2], registers[3], registers[9] = MAP_VERSION, FAULT, self._beats, WHY["schema"]
        if trouble is not None and self._trouble is None:
            self._tell_person(f"what the daemon says can't be shown: {trouble}")
        elif trouble is None and self._trouble is not None:
            self._tell_person("what the daemon says can be shown again")
        self._trouble = trouble
        return registers

    def _shown(self, latest: Latest) -> list[int]:
        decision, beat = latest.decision, latest.heartbeat
        fresh_beat = latest.heartbeat_age_s <= self._line.stale_s
        moves = beat is not None and fresh_beat and beat["progress_age_ms"] <= PROGRESS_MS
        if moves and beat is not None and beat["created_ns"] != self._last_beat:
            self._last_beat = beat["created_ns"]
            self._beats = (self._beats + 1) & 0xFFFF
        registers = [0] * COUNT
        registers[0] = MAP_VERSION
        registers[3] = self._beats
        registers[2] = self._status(latest, moves=moves)
        registers[9] = WHY[decision.why]
        if beat is not None:
            skipped = {k.removeprefix("skipped_"): v for k, v in beat["counters"].items() if k.startswith("skipped_")}
            never_came = sum(v for k, v in skipped.items() if k in _NEVER_CAME)
            registers[19:21] = _two_words(min(never_came, 0xFFFFFFFF))
            registers[21:23] = _two_words(min(sum(skipped.values()) - never_came, 0xFFFFFFFF))
        if decision.record is not None:
            self._fill(decision.record, registers)
            registers[17] = _word(latest.record_age_s * 1000)
        if decision.accept:
            registers[8] = PASS if moves else NOT_VALID
        elif decision.why == "fail":
            registers[8] = FAIL
        return registers

    def _status(self, latest: Latest, *, moves: bool) -> int:
        record, beat, state = latest.decision.record, latest.heartbeat, latest.state
        simulated = any(m is not None and m["simulated"] for m in (record, beat))
        bits = {
            READY: moves and state is not None and state["line_state"] in ("Ready", "ContinuousExecution"),
            BUSY: moves and beat is not None and beat["ring_fill"] > 0,
            FAULT: not moves or state is None or bool(state["faults"]),
            SIMULATED: simulated,
            DRIFT: state is not None and state["drift"] is not None and state["drift"].get("level") != "info",
            TOGGLE: record is not None and bool(record["seq"] & 1),
            HAS_PART: record is not None and record["part_id"] is not None,
            FRESH: record is not None and latest.record_age_s <= self._max_age_s,
        }
        return sum(bit for bit, is_set in bits.items() if is_set)

    def _fill(self, record: dict[str, Any], registers: list[int]) -> None:
        registers[1] = registers[23] = registers[28] = record["seq"] & 0xFFFF
        recipe_id = record["recipe_id"]
        if recipe_id is not None:
            registers[24:26] = _two_words(int(hashlib.sha256(recipe_id.encode()).hexdigest()[:8], 16))
        registers[26:28] = _two_words(int(record["config_sha256"][:8], 16))
        if record["kind"] != "inspection":
            return
        registers[4:6] = [0, 0] if record["part_id"] is None else _two_words(record["part_id"])
        registers[6:8] = _two_words(record["frame_id"])
        registers[10] = _word((record["map_max"] or 0.0) * self._scale)
        registers[11] = _word(record["threshold"] * self._scale)
        regions = record["regions"]
        registers[12] = _word(len(regions))
        if regions:
            x0, y0, x1, y1 = max(regions, key=lambda region: region["area_px"])["bbox_xyxy"]
            registers[13:17] = [_word(v) for v in (x0, y0, x1 - x0, y1 - y0)]
        registers[18] = _word(record["latency_ms"]["total"])


def _word(value: float) -> int:
    return int(min(max(value, 0), 0xFFFF))


def _two_words(value: int) -> list[int]:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no integer")
    return [value >> 16 & 0xFFFF, value & 0xFFFF]
