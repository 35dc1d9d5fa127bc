"""Anything but a fresh pass for this part is a reject: each way to doubt it, and any mixture of them."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import IDENTITY, META, REGION, STATE, inspection, skip

from edge.client.pass_rule import WHOLE_BYTES, Decision, PassRule, Wanted
from edge.frames import Heartbeat, Verdict
from edge.wire.encode import Wire

RECORDS, STATES, HEARTBEATS = b"inspection/1/cam1/", b"state/1/cam1/", b"heartbeat/1/cam1/"
WITHIN = 0.2


class Daemon:
    """What a daemon says at a moment, heard ``delay`` later by ``rule``."""

    def __init__(self, run: str = "run1", *, simulated: bool = False, rule: PassRule | None = None) -> None:
        self.wire = Wire(replace(IDENTITY, instance_id=run, simulated=simulated))
        self.rule = rule or PassRule("cam1")
        self.seq = 0

    def beat(self, now: float, delay: float = 0.0) -> Daemon:
        line = self.wire.heartbeat(Heartbeat(None), int(now * 1e9))
        self.rule.hear(HEARTBEATS, line, now + delay, now + delay)
        return self

    def judge(
        self,
        part: int | None,
        now: float,
        verdict: Verdict = "pass",
        *,
        delay: float = 0.0,
        lose: int = 0,
        came: float | None = None,
        reason: str | None = None,
        **changes: Any,
    ) -> Daemon:
        self.seq += lose
        body = inspection(verdict=verdict, reason=reason, meta=replace(META, part_id=part))
        line = self.wire.inspection(self.seq, body, int(now * 1e9)).line
        if changes:
            line = orjson.dumps(orjson.loads(line) | changes)
        self.seq += 1
        self.rule.hear(RECORDS, line, now + delay if came is None else came, now + delay)
        return self

    def lose(self, now: float, first: int | None, last: int | None) -> Daemon:
        line = self.wire.skip(self.seq, skip(part_id_first=first, part_id_last=last), int(now * 1e9)).line
        self.seq += 1
        self.rule.hear(RECORDS, line, now, now)
        return self

    def ask(self, called: float, now: float, part: int = 42, **options: Any) -> tuple[bool, str, str] | None:
        decision = self.rule.decide(part, called, WITHIN, now, Wanted(**options))
        return None if decision is None else (decision.accept, decision.why, decision.text)


def test_a_fresh_pass_is_accepted_with_its_record() -> None:
    daemon = Daemon().beat(10.0).judge(42, 10.1)
    decision = daemon.rule.decide(42, 10.0, WITHIN, 10.1)
    assert decision is not None
    assert (decision.accept, decision.why) == (True, "pass")
    assert decision.record is not None
    assert decision.record["part_id"] == 42


def test_the_window_is_before_and_after_the_call_and_is_waited_for() -> None:
    daemon = Daemon().beat(10.0).judge(42, 10.0)
    assert daemon.ask(10.19, 10.19) == (True, "pass", "pass")
    assert daemon.ask(10.3, 10.4) is None
    assert daemon.ask(10.3, 10.5) == (False, "no_record", "no record of part 42 within 0.2 s")
    assert Daemon().beat(10.0).judge(42, 10.3).ask(10.0, 10.3) == (
        False,
        "late",
        "the record came 0.10 s too late",
    )


@pytest.mark.parametrize(
    ("daemon", "why", "text"),
    [
        (Daemon().beat(10.0).judge(42, 10.1, "fail"), "fail", "fail"),
        (Daemon().beat(10.0).judge(42, 10.1, "invalid", reason="late"), "invalid", "invalid: late"),
        (Daemon().beat(10.0).lose(10.1, 41, 43), "invalid", "invalid: frame_id_gap"),
        (Daemon().beat(10.0).judge(42, 10.1).judge(42, 10.15), "ambiguous", "2 records name part 42"),
        (Daemon().beat(10.0).judge(42, 10.1).lose(10.15, 42, 42), "ambiguous", "2 records name part 42"),
        (
            Daemon().beat(10.0).judge(41, 10.0).judge(42, 10.1, lose=3),
            "gap",
            "records 1 to 3 were lost right before this one",
        ),
        (Daemon(simulated=True).beat(10.0).judge(42, 10.1), "simulated", "the pixels don't come from a camera now"),
    ],
)
def test_doubt_is_a_reject_at_once(daemon: Daemon, why: str, text: str) -> None:
    assert daemon.ask(10.0, 10.15) == (False, why, text)


def test_a_part_between_others_or_with_an_unknown_id_has_no_record() -> None:
    daemon = Daemon().beat(10.0).judge(41, 10.1).judge(43, 10.1).judge(None, 10.1).lose(10.1, None, None)
    assert daemon.ask(10.0, 10.2) == (False, "no_record", "no record of part 42 within 0.2 s")


def test_simulated_passes_count_on_request_only() -> None:
    daemon = Daemon(simulated=True).beat(10.0).judge(42, 10.1)
    assert daemon.ask(10.0, 10.1, allow_simulated=True) == (True, "pass", "pass")


def test_without_a_heartbeat_the_window_is_waited_out_and_then_nothing_counts() -> None:
    assert Daemon().judge(42, 10.1).ask(10.0, 10.15) is None
    assert Daemon().judge(42, 10.1).ask(10.0, 10.2) == (False, "stale", "no heartbeat yet")
    assert Daemon().judge(42, 10.1).beat(10.15).ask(10.0, 10.15) == (True, "pass", "pass")
    assert Daemon().beat(8.0).judge(42, 10.1).ask(10.0, 10.2) == (False, "stale", "no heartbeat for 2.2 s")


def test_a_restart_in_the_window_rejects_even_a_pass_of_the_new_run() -> None:
    before = Daemon().beat(10.0).judge(42, 10.0)
    after = Daemon("run2", rule=before.rule).beat(10.05).judge(42, 10.06)
    assert after.ask(10.0, 10.1) == (False, "restart", "the daemon was started anew")
    assert after.ask(10.2, 10.2) == (False, "restart", "the daemon was started anew")
    assert after.judge(43, 10.3).ask(10.3, 10.3, 43) == (True, "pass", "pass")
    assert after.ask(10.3, 10.5) == (False, "no_record", "no record of part 42 within 0.2 s")


def test_of_another_schema_nothing_counts_and_it_is_said() -> None:
    daemon = Daemon()
    daemon.rule.hear(b"inspection/2/cam1/", b"{}", 10.0, 10.0)
    assert daemon.ask(10.0, 10.2) == (
        False,
        "schema",
        "no record of part 42 within 0.2 s; the newest record can't be read: schema 2 is unknown to this program",
    )
    assert Daemon().beat(10.0).judge(42, 10.1, schema=2).ask(10.0, 10.2) == (
        False,
        "schema",
        "no record of part 42 within 0.2 s; the newest record can't be read: schema 2 is unknown to this program",
    )


def test_what_may_have_waited_unread_is_as_old_as_the_last_time_nothing_was_there() -> None:
    assert Daemon().beat(10.0).judge(42, 10.1, came=9.7).ask(10.1, 10.4) == (
        False,
        "no_record",
        "no record of part 42 within 0.2 s",
    )


def test_after_a_stall_on_the_way_old_messages_do_not_look_fresh() -> None:
    daemon = Daemon().beat(10.0).judge(40, 10.1)
    daemon.beat(10.5, delay=3.0).judge(42, 10.6, delay=3.0)
    assert daemon.ask(13.6, 13.9) == (False, "no_record", "no record of part 42 within 0.2 s")
    latest = daemon.rule.latest(WITHIN, 13.6)
    assert latest.decision == Decision(False, "late", "the latest record is 3.00 s old", latest.decision.record)
    assert (latest.record_age_s, latest.heartbeat_age_s) == pytest.approx((3.0, 3.1), abs=1e-6)
    daemon.beat(13.7).judge(43, 13.7)
    assert daemon.ask(13.7, 13.7, 43) == (True, "pass", "pass")


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"recipe_id": "plate-7"}, "made by recipe tile-40, expected plate-7"),
        ({"recipe_id": ""}, "made by recipe tile-40, expected "),
        ({"config_sha256": "b" * 8}, "made by config aaaaaaaaaaaa, expected bbbbbbbb"),
        ({"recipe_id": "tile-40", "config_sha256": "a" * 63 + "b"}, "made by config aaaaaaaaaaaa, expected aaaaaaaaaaaa"),
    ],
)
def test_a_pass_by_another_recipe_is_no_pass(wanted: dict[str, str], text: str) -> None:
    """After a changeover that the daemon refused the old recipe goes on passing."""
    daemon = Daemon().beat(10.0).judge(42, 10.1)
    assert daemon.ask(10.0, 10.1, **wanted) == (False, "recipe", text)
    latest = daemon.rule.latest(0.5, 10.1, Wanted(**wanted)).decision  # type: ignore[arg-type]
    assert (latest.accept, latest.why, latest.text) == (False, "recipe", text)
    for known in (
        {"recipe_id": "tile-40"},
        {"config_sha256": "a" * 8},
        {"recipe_id": "tile-40", "config_sha256": "a" * 64},
    ):
        assert daemon.ask(10.0, 10.1, **known) == (True, "pass", "pass")


def test_a_record_without_a_recipe_is_of_none_that_is_asked_for() -> None:
    daemon = Daemon().beat(10.0).judge(42, 10.1, recipe_id=None)
    assert daemon.ask(10.0, 10.1, recipe_id="tile-40") == (False, "recipe", "made by no recipe, expected tile-40")
    with pytest.raises(ValueError, match="config_sha256: 'abc' is not 8 to 64 lower-case hexadecimal digits"):
        Wanted(config_sha256="abc")
    with pytest.raises(ValueError, match="is not 8 to 64"):
        Wanted(config_sha256="A" * 64)


@pytest.mark.parametrize("step", [-86400.0, -3600.0, -10.0, 3600.0, 3e7])
def test_a_clock_that_stepped_changes_nothing_where_messages_have_a_monotonic_stamp(step: float) -> None:
    daemon = Daemon()
    for now in range(10, 100):
        clock = step if now > 40 else 0.0
        created, mono = int((now + clock) * 1e9), int(now * 1e9)
        daemon.rule.hear(HEARTBEATS, daemon.wire.heartbeat(Heartbeat(None), created, mono), now, now)
        body = inspection(meta=replace(META, part_id=now))
        daemon.rule.hear(RECORDS, daemon.wire.inspection(daemon.seq, body, created, mono).line, now, now)
        daemon.seq += 1
        assert daemon.rule.latest(0.5, now).decision.why == "pass"
    held_up = daemon.wire.inspection(daemon.seq, inspection(meta=META), created, mono).line  # in between, for 3 s
    daemon.rule.hear(RECORDS, held_up, 102.0, 102.0)
    assert daemon.rule.latest(0.5, 102.0).decision.why == "late"


def test_a_machine_that_was_booted_has_another_monotonic_clock_and_no_minute_is_lost() -> None:
    daemon = Daemon()
    daemon.rule.hear(HEARTBEATS, daemon.wire.heartbeat(Heartbeat(None), 1, int(5e14)), 10.0, 10.0)
    again = Daemon("run2", rule=daemon.rule)
    for now in (100.0, 101.0):
        daemon.rule.hear(HEARTBEATS, again.wire.heartbeat(Heartbeat(None), 1, int((now - 70.0) * 1e9)), now, now)
        line = again.wire.inspection(again.seq, inspection(), 1, int((now - 70.0) * 1e9)).line
        again.seq += 1
        daemon.rule.hear(RECORDS, line, now, now)
    assert daemon.rule.latest(0.5, 101.0).decision.why == "pass"


def test_a_minute_of_large_records_takes_little_memory_and_is_decided_all_the_same() -> None:
    """200 records a second of 80 regions: kept as dictionaries they took 600 MB in ten minutes."""
    daemon, count = Daemon().beat(0.0), 600
    many = inspection(verdict="fail", regions=(REGION,) * 80, meta=replace(META, part_id=987654))
    line = daemon.wire.inspection(123456, many, 1, 778899).line
    tracemalloc.start()
    try:
        for number in range(count):
            now = number / 200
            body = line.replace(b":123456,", b":%d," % number).replace(b":987654,", b":%d," % (100_000 + number))
            body = body.replace(b":778899}", b":%d}" % int(now * 1e9))
            daemon.rule.hear(RECORDS, body, now, now)
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(body) > 16_000
    in_two_minutes = WHOLE_BYTES + (used - WHOLE_BYTES) / count * 200 * 120
    assert in_two_minutes < 20e6
    daemon.rule.hear(HEARTBEATS, daemon.wire.heartbeat(Heartbeat(None), 1, int(3e9)), 3.0, 3.0)
    old = daemon.rule.decide(100_007, 3.0, 60.0, 3.0)
    assert old is not None
    assert (old.accept, old.why) == (False, "fail")
    known = {"recipe_id": "tile-40", "config_sha256": "a" * 64, "part_id": 100_007}
    assert old.record == {"kind": "inspection", "seq": 7, "verdict": "fail", "reason": None, "simulated": False} | known
    new = daemon.rule.latest(1.0, 3.0).decision.record
    assert new is not None
    assert (new["seq"], len(new["regions"])) == (count - 1, 80)


def test_who_asks_for_the_latest_only_keeps_that_only() -> None:
    rule = PassRule("cam1", keep_s=0)
    daemon = Daemon(rule=rule).beat(1.0)
    for number in range(100):
        daemon.judge(number, 1.0 + number / 100)
    assert (len(rule._recent), len(rule._whole)) == (1, 1)
    assert rule.latest(1.0, 2.0).decision.accept


def test_without_that_stamp_a_clock_set_back_rejects_for_a_minute_and_a_clock_set_forward_changes_nothing() -> None:
    daemon = Daemon()

    def heard(now: float, clock: float) -> str:
        daemon.rule.hear(HEARTBEATS, daemon.wire.heartbeat(Heartbeat(None), int((now + clock) * 1e9)), now, now)
        body = inspection(meta=replace(META, part_id=daemon.seq))
        line = daemon.wire.inspection(daemon.seq, body, int((now + clock) * 1e9)).line
        daemon.rule.hear(RECORDS, line, now, now)
        daemon.seq += 1
        return daemon.rule.latest(0.5, now).decision.why

    assert heard(10.0, 0.0) == "pass"
    assert heard(11.0, 3600.0) == "pass"
    assert heard(12.0, 0.0) == "late"
    assert heard(45.0, 0.0) == "late"
    assert heard(76.0, 0.0) == "pass"


@pytest.mark.parametrize("created", ["soon", None, 1.5, {}])
def test_a_record_without_a_time_is_never_fresh(created: object) -> None:
    assert Daemon().beat(10.0).judge(42, 10.1, created_ns=created).ask(10.0, 10.2) == (
        False,
        "no_record",
        "no record of part 42 within 0.2 s",
    )


def test_the_latest_record_counts_while_it_is_young() -> None:
    daemon = Daemon()
    assert daemon.rule.latest(0.5, 9.0).decision == Decision(False, "no_record", "no record yet")
    daemon.beat(10.0).judge(42, 10.0)
    daemon.rule.hear(STATES, daemon.wire.state(STATE, 1), 10.0, 10.0)
    latest = daemon.rule.latest(0.5, 10.5)
    assert (latest.decision.why, latest.record_age_s, latest.heartbeat_age_s) == ("pass", 0.5, 0.5)
    assert latest.state is not None
    assert latest.state["line_state"] == "Ready"
    assert daemon.rule.latest(0.5, 10.6).decision.why == "late"
    assert daemon.judge(43, 10.6, "fail").rule.latest(0.5, 10.6).decision.why == "fail"
    after = Daemon("run2", rule=daemon.rule).beat(11.0).judge(44, 11.0)
    assert after.rule.latest(0.5, 11.4).decision.why == "restart"
    assert after.beat(11.6).judge(45, 11.6).rule.latest(0.5, 11.6).decision.why == "pass"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["pass", "pass", "pass", "fail", "invalid", "lost", "beat", "restart", "old", "other", "skip"]),
            st.floats(0, 0.6),
        ),
        max_size=20,
    ),
    st.integers(0, 20),
)
def test_whatever_happened_an_accepted_part_has_one_fresh_pass_of_this_run_and_nothing_lost_before_it(
    story: list[tuple[str, float]], ask_after: int
) -> None:
    daemon, now, run = Daemon().beat(0.0), 0.0, 1
    about: list[tuple[str, float, bool, int]] = []
    lost, beat_at, restart_at = False, 0.0, -1.0
    for what, wait in story[:ask_after]:
        now += wait
        if what == "restart":
            run += 1
            daemon = Daemon(f"run{run}", rule=daemon.rule)
            lost, beat_at, restart_at = False, now, now
            daemon.beat(now)
        elif what == "beat":
            beat_at = now
            daemon.beat(now)
        elif what == "lost":
            daemon.seq, lost = daemon.seq + 1, bool(about) or run > 1 or lost
        elif what == "other":
            daemon.judge(7, now)
            lost = False
            about.append(("other", now, False, run))
        elif what == "skip":
            daemon.lose(now, 42, 42)
            about.append(("invalid", now, lost, run))
            lost = False
        else:
            verdict: Any = "pass" if what == "old" else what
            daemon.judge(42, now, verdict, came=now - 1.0 if what == "old" else None)
            about.append((what, now, lost, run))
            lost = False
    decision = daemon.rule.decide(42, now, WITHIN, now + WITHIN)
    assert decision is not None
    if decision.accept:
        fresh = [a for a in about if a[0] not in ("other", "old") and now - a[1] <= WITHIN + 1e-6 and a[3] == run]
        assert [a[0] for a in fresh] == ["pass"]
        assert not fresh[0][2]
        assert now + WITHIN - beat_at <= 2.0 + 1e-6
        assert now - restart_at > WITHIN - 1e-6


UNREADABLE = b'{"schema":1,"kind":"inspection"'


@pytest.mark.parametrize(
    ("topic", "body", "text"),
    [
        (
            RECORDS,
            UNREADABLE,
            "the newest record can't be read: no JSON: unexpected end of data: line 1 column 32 (char 31)",
        ),
        (RECORDS, b'{"schema":2}', "the newest record can't be read: schema 2 is unknown to this program"),
        (b"inspection/next/cam1/", b"{}", "the newest record can't be read: schema next is unknown to this program"),
    ],
)
def test_after_a_record_that_cannot_be_read_the_one_before_it_is_not_the_latest(
    topic: bytes, body: bytes, text: str
) -> None:
    """Each time; and after it the next record has a gap before it."""
    daemon = Daemon().beat(10.0)
    for seq in (0, 3):
        assert daemon.judge(seq, 10.1).judge(seq, 10.1).rule.latest(0.5, 10.1).decision.why == "pass"
        daemon.rule.hear(topic, body, 10.2, 10.2)
        assert daemon.rule.latest(0.5, 10.2).decision == Decision(False, "schema", text)
        assert daemon.judge(seq + 2, 10.2, lose=1).rule.latest(0.5, 10.2).decision.why == "gap"
    assert daemon.judge(9, 10.3).rule.latest(0.5, 10.3).decision.why == "pass"


def test_a_part_without_a_record_is_said_to_be_unreadable_where_the_newest_one_is() -> None:
    daemon = Daemon().beat(10.0).judge(41, 10.0)
    daemon.rule.hear(RECORDS, b'{"schema":2}', 10.1, 10.1)
    assert daemon.ask(10.0, 10.2) == (
        False,
        "schema",
        "no record of part 42 within 0.2 s; the newest record can't be read: schema 2 is unknown to this program",
    )
    assert daemon.ask(10.0, 10.2, 41) == (True, "pass", "pass")


def test_what_is_no_record_casts_no_doubt_on_the_latest_and_a_restart_ends_the_doubt() -> None:
    daemon = Daemon().beat(10.0).judge(42, 10.1)
    for topic in (HEARTBEATS, STATES, b"state/2/cam1/", b"inspection/1/cam2/", b"preview/1/cam1/"):
        daemon.rule.hear(topic, b"{", 10.1, 10.1)
    assert daemon.rule.latest(0.5, 10.1).decision.why == "pass"
    daemon.rule.hear(RECORDS, b"{", 10.2, 10.2)
    Daemon("run2", rule=daemon.rule).beat(10.3)
    assert daemon.rule.latest(0.5, 11.0).decision == Decision(False, "no_record", "no record yet")
