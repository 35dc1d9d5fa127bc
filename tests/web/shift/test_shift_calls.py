"""Shift's page and call: the cause in force, the course of memory and log together, and commands of this very line."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.live_line import LiveLine, live_line
from support.pages import client_of, log_in, site_in
from support.records import DRIFT, WIRE, record
from support.waits import until

from edge.web.doors.roles import Role
from edge.web.logs.record_index import FILE, RecordIndex


def block(ended_ns: int, median: float = 0.1) -> dict[str, Any]:
    return {"begun_ns": ended_ns - 1, "ended_ns": ended_ns, "statistics": {"log_gain": [median, -0.2, 0.2]}}


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[Any, Any, LiveLine]]:
    with (
        live_line(tmp_path / "run" / "cam1") as line,
        site_in(tmp_path, lines=(tmp_path / "run" / "cam1",)) as site,
        client_of(site) as client,
    ):
        log_in(client, site, Role.VIEWER)
        until(lambda: site.hub.feed("cam1") is not None)
        yield site, client, line


def drift_of(client: Any, **query: str) -> Any:
    return client.get("/api/v1/cameras/cam1/drift", params=query).json()


def test_the_cause_comes_with_what_a_person_does_about_it(page) -> None:
    site, client, line = page
    line.say(drift=DRIFT | {"since_ns": 1})
    until(lambda: site.hub.feed("cam1").state)
    told = drift_of(client)
    assert told["now"]["words"] == DRIFT["words"]
    assert [set(one) for one in told["advice"]] == [{"cause", "words", "advice"}]


def test_the_course_grows_with_every_block_that_is_heard(page) -> None:
    site, client, line = page
    now = time.time_ns()
    for at in range(3):
        line.say(drift_block=block(now + at))
        until(lambda wanted=at + 1: len(site.hub.feed("cam1").course) == wanted)
    line.say(drift_block=block(now + 2))  # the same one again: a state changes for other reasons too
    line.say(drift_block=block(now + 3))
    until(lambda: len(site.hub.feed("cam1").course) == 4)
    assert drift_of(client)["course"]["ended_ns"] == [now, now + 1, now + 2, now + 3]


def test_the_course_of_a_log_is_there_after_the_page_was_started_anew(page, tmp_path) -> None:
    site, client, _ = page
    now = time.time_ns()
    old, new = now - 3 * 3600 * 10**9, now - 60 * 10**9
    lines = [WIRE.header(1), WIRE.drift_block(block(old), old), WIRE.drift(0, DRIFT, new), record(0).line]
    lines += [WIRE.drift_block(block(new), new), WIRE.drift(1, None, now)]
    log = tmp_path / "log"
    log.mkdir()
    (log / "edge-cam1-20261130T000000Z-000000.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    index = RecordIndex(site.folder / FILE)
    assert index.follow("cam1", log) == 1
    index.close()
    assert drift_of(client)["course"]["ended_ns"] == [old, new]
    assert drift_of(client, since="1h")["course"]["ended_ns"] == [new]
    over, named = drift_of(client)["named"]
    assert (over["over"], named["over"], named["words"]) == (True, False, DRIFT["words"])


def test_an_index_of_before_is_made_anew(tmp_path) -> None:
    with sqlite3.connect(tmp_path / FILE) as old:
        old.execute("create table files (id integer primary key, path text)")
    index = RecordIndex(tmp_path / FILE)
    assert index.follow("cam1", tmp_path) == 0
    index.close()


def test_commands_are_those_of_the_lines_config(page, tmp_path) -> None:
    _, client, line = page
    assert [one["command"] for one in drift_of(client)["commands"]][-1] == "drift: {}"
    assert drift_of(client)["measures"] is False
    (line.folder / "instance.json").write_bytes(orjson.dumps({"camera": "cam1", "config": str(tmp_path / "none.yaml")}))
    assert client.get("/cam/cam1/shift").status_code == 200


def test_a_time_that_is_none_is_refused_in_words(page) -> None:
    answer = page[1].get("/api/v1/cameras/cam1/drift", params={"since": "soon"})
    assert (answer.status_code, answer.json()["received"]) == (400, "soon")
