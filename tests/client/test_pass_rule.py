"""Anything but a fresh pass for this part is a reject: each way to doubt it, and any mixture of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import IDENTITY, META, STATE, inspection, skip

from edge.client.pass_rule import Decision, PassRule
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
        decision = self.rule.decide(part, called, WITHIN, now, **options)
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
        (Daemon().beat(10.0).judge(42, 10.1).judge(42, 10.15), "ambiguous", "2 records tell of part 42"),
        (Daemon().beat(10.0).judge(42, 10.1).lose(10.15, 42, 42), "ambiguous", "2 records tell of part 42"),
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


def test_a_clock_set_back_rejects_for_a_minute_and_a_clock_set_forward_changes_nothing() -> None:
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
