"""Registers of a record, a heartbeat and a state: whatever is no fresh pass is not valid, and says why."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.records import DRIFT, IDENTITY, META, REGION, STATE, inspection, skip

from edge.client import Decision, Latest
from edge.frames import Fault, Heartbeat
from edge.gateways.registers import COUNT, FAIL, FAULT, MAP_VERSION, NOT_VALID, PASS, READY, WHY, Registers
from edge.gateways.registers import DRIFT as DRIFT_BIT
from edge.wire.encode import Wire
from edge.wire.read import read

WIRE = Wire(IDENTITY)
BEAT = read(
    WIRE.heartbeat(Heartbeat(5, {"skipped_incomplete": 2, "skipped_frame_id_gap": 65536, "skipped_ring_full": 3}), 7)
)


class Known:
    """A subscriber that knows one thing."""

    stale_s = 2.0

    def __init__(self, decision: Decision, **changes: Any) -> None:
        state = read(WIRE.state(STATE, 1))
        self.now = replace(Latest(decision, 0.12, BEAT, 0.3, state), **changes)
        self.allowed = False

    def latest(self, _max_age_s: float, *, allow_simulated: bool, **_made_by: object) -> Latest:
        self.allowed = allow_simulated
        return self.now


def decision(why: Any = "pass", **changes: Any) -> Decision:
    body = inspection(map_max=0.5, meta=replace(META, part_id=0x12345678, frame_id=0x00010002), **changes)
    return Decision(why == "pass", why, why, read(WIRE.inspection(0x30007, body, 1).line))


def registers(decision: Decision, *, scale: float = 10_000.0, **changes: Any) -> list[int]:
    known: Any = Known(decision, **changes)
    return Registers(known, 0.5, allow_simulated=False, score_scale=scale).read()


def test_a_pass_as_registers() -> None:
    assert registers(decision()) == [
        1, 7, 0b11100001, 1, 0x1234, 0x5678, 1, 2, PASS, 0, 5000, 6000, 0, 0, 0, 0, 0, 120, 2, 1, 2, 0, 3, 7,
        0x302E, 0xD3E8, 0xAAAA, 0xAAAA, 7,
    ]  # fmt: skip


def test_a_fail_shows_its_largest_region() -> None:
    small = replace(REGION, bbox_xyxy=(0, 0, 3, 3), area_px=9.0)
    found = registers(decision("fail", verdict="fail", regions=(small, REGION)), scale=1e6)
    assert found[8:17] == [FAIL, 1, 65535, 65535, 2, 10, 20, 40, 40]


def test_whatever_is_no_pass_is_not_valid_and_says_why() -> None:
    for why, code in WHY.items():
        found = registers(decision(why))
        assert found[8:10] == [{"pass": PASS, "fail": FAIL}.get(why, NOT_VALID), code]


def test_nothing_known_is_all_zero_but_the_version_the_fault_and_the_reason() -> None:
    nothing = Decision(False, "no_record", "no record yet")
    found = registers(nothing, record_age_s=float("inf"), heartbeat=None, heartbeat_age_s=float("inf"), state=None)
    assert found == [1, 0, FAULT, *[0] * 6, WHY["no_record"], *[0] * 19]


def test_a_record_says_which_recipe_and_which_config_made_it() -> None:
    record = read(WIRE.inspection(1, inspection(), 1).line)
    other = record | {"recipe_id": None, "config_sha256": "0123abcd" + "0" * 56}
    assert registers(Decision(True, "pass", "pass", other))[24:] == [0, 0, 0x0123, 0xABCD, 1]
    known: Any = Known(decision("recipe"))
    found = Registers(known, 0.5, allow_simulated=False, score_scale=1.0, recipe_id="plate-7").read()
    assert (found[8], found[9]) == (NOT_VALID, 11)


def test_lost_frames_have_no_part() -> None:
    lost = Decision(False, "invalid", "", read(WIRE.skip(9, skip(), 1).line))
    found = registers(lost)
    assert (found[1], found[4:9], found[23]) == (9, [0, 0, 0, 0, NOT_VALID], 9)


@pytest.mark.parametrize(
    "changes",
    [
        {"heartbeat_age_s": 2.1},
        {"heartbeat": BEAT | {"progress_age_ms": 2001.0}},
        {"heartbeat": None, "heartbeat_age_s": float("inf")},
    ],
)
def test_while_the_inspection_stands_still_there_is_no_pass_no_heartbeat_and_a_fault(changes: dict[str, Any]) -> None:
    found = registers(decision(), **changes)
    assert (found[2] & (READY | FAULT), found[3], found[8]) == (FAULT, 0, NOT_VALID)


def test_the_heartbeat_counts_each_beat_once_and_wraps() -> None:
    known: Any = Known(decision())
    lines = Registers(known, 0.5, allow_simulated=True, score_scale=1.0)
    lines._beats = 65534
    assert [lines.read()[3] for _ in range(2)] == [65535, 65535]
    assert known.allowed
    known.now = replace(known.now, heartbeat=BEAT | {"created_ns": 8})
    assert lines.read()[3] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"regions": [{"bad": 1}]},
        {"regions": [{"area_px": 4.0, "bbox_xyxy": [1, 2, 3]}]},
        {"regions": [{"area_px": 4.0, "bbox_xyxy": [None, 0, 1, 1]}]},
        {"regions": 7},
        {"latency_ms": None},
        {"latency_ms": {}},
        {"threshold": None},
        {"map_max": "high"},
        {"frame_id": "[/]"},
        {"frame_id": None},
        {"part_id": "42"},
        {"part_id": []},
        {"part_id": True},
    ],
)
def test_a_record_that_does_not_say_what_it_should_is_not_valid_and_told_once(
    wrong: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    known: Any = Known(decision())
    lines = Registers(known, 0.5, allow_simulated=False, score_scale=1.0)
    whole = known.now
    assert lines.read()[8] == PASS
    known.now = replace(whole, decision=replace(whole.decision, record=whole.decision.record | wrong))
    for _ in range(3):
        found = lines.read()
        assert (found[1], found[8:10], found[23]) == (0, [NOT_VALID, WHY["schema"]], 0)
        assert found[2] == FAULT
        assert (found[0], found[3]) == (MAP_VERSION, 1)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("what the daemon says can't be shown: ")
    known.now = whole
    assert lines.read()[8] == PASS
    assert capsys.readouterr().err == "what the daemon says can be shown again\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"heartbeat": BEAT | {"counters": None}},
        {"heartbeat": BEAT | {"counters": {"skipped_incomplete": "many"}}},
        {"heartbeat": BEAT | {"progress_age_ms": None}},
        {"heartbeat": BEAT | {"ring_fill": None}},
        {"state": {}},
    ],
)
def test_a_heartbeat_or_state_that_does_not_say_what_it_should_shows_no_pass(
    changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found = registers(decision(), **changes)
    assert (found[2], found[8:10]) == (FAULT, [NOT_VALID, WHY["schema"]])
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_page_for_plc_people_has_every_register_bit_and_reason() -> None:
    page = (Path(__file__).parents[2] / "docs" / "plc.md").read_text("utf-8")
    sections = page.partition("## The registers")[2].partition("## The rule")[0].split("\n\n| ")
    tables = [[row.split("|")[1] for row in table.splitlines() if re.match(r"\| \d", row)] for table in sections]
    addresses, bits, reasons = ([int(n) for cell in table for n in cell.split(",")] for table in tables[1:])
    assert addresses == list(range(COUNT))
    assert bits == list(range(8))
    assert reasons == list(WHY.values())


def test_status_bits() -> None:
    faulty = read(WIRE.state(replace(STATE, faults=(Fault("x", 1, "y"),), drift=DRIFT | {"since_ns": 1}), 1))
    busy = BEAT | {"ring_fill": 1, "simulated": True}
    found = registers(decision(), state=faulty, heartbeat=busy, record_age_s=0.6)
    assert found[2] == 0b01111111
    block = read(WIRE.state(replace(STATE, drift=DRIFT | {"level": "info", "since_ns": 1}), 1))
    assert registers(decision(), state=block)[2] & DRIFT_BIT == 0  # a single block is no drift yet
    assert registers(decision(), state=read(WIRE.state(replace(STATE, line_state="Error"), 1)))[2] & READY == 0
