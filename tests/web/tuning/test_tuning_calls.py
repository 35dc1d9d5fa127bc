"""A program opens a recording, sweeps its controls and takes the export; nobody sees another one's session."""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketTestSession
from support.pages import client_of, log_in, ours, site_in
from support.tuned import evidence
from support.waits import until

from edge.models.sets.manifest import FrameLine, HeadLine, LabelLine, now, write_manifest
from edge.web.doors.guard import COOKIE
from edge.web.doors.roles import Role
from edge.web.site import Site
from edge.web.tuning.desk import MOST_SESSIONS
from edge.web.tuning.recordings import kept_name


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evidence(tmp_path_factory.mktemp("line"), frames=20)


@pytest.fixture(scope="module")
def running(line: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, TestClient]]:
    folder = tmp_path_factory.mktemp("page")
    with site_in(folder, "cam1", "cam2") as site:
        told = {"camera": "cam1", "config": str(line), "overrides": []}
        (folder / "run" / "cam1" / "instance.json").write_bytes(orjson.dumps(told))
        with client_of(site) as client:
            log_in(client, site, Role.ENGINEER)
            yield site, client


@pytest.fixture
def page(running: tuple[Site, TestClient]) -> Iterator[tuple[Site, TestClient]]:
    """The same page for all tests, because a worker takes seconds to start; each one leaves it without sessions."""
    site, client = running
    secret = client.cookies[COOKIE]
    yield running
    client.cookies.set(COOKIE, secret)
    for seat in list(site.tuning.seats()):
        assert client.delete(f"/api/v1/tuning/{seat.name}", headers=ours.headers).status_code == 200


def socket_of(client: TestClient, session: str) -> WebSocketTestSession:
    host = {"host": "127.0.0.1:8080"}
    return client.websocket_connect(f"/api/v1/tuning/{session}/ws", headers={**ours.headers, **host})


def opened(client: TestClient, **more: Any) -> dict[str, Any]:
    [recording] = client.get("/api/v1/cameras/cam1/recordings").json()
    body = {"camera": "cam1", "recording": recording["id"], **more}
    answer = client.post("/api/v1/tuning", json=body, headers=ours.headers)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def settled(client: TestClient, session: str) -> dict[str, Any]:
    told: dict[str, Any] = {}

    def done() -> bool:
        told.update(client.get(f"/api/v1/tuning/{session}/verdicts").json())
        return told["left"] == 0

    until(done)
    return told


def test_a_program_sweeps_a_control_and_takes_the_export(page: tuple[Site, TestClient]) -> None:
    _, client = page
    told = opened(client)
    session, regions = told["id"], told["regions"]
    assert len(told["frames"]) == 20
    assert told["kept_maps"] == 20
    before = settled(client, session)
    assert before["old"] == before["new"]
    head = client.put(
        f"/api/v1/tuning/{session}/regions",
        json={"regions": {**regions, "min_area_px": 5000}, "view": before["new"].index("f")},
        headers=ours.headers,
    ).json()
    assert (head["verdict"], head["kept_count"]) == ("pass", 0)
    assert head["dropped"][0]["filter"] == "min_area_px"
    assert settled(client, session)["new"] == "p" * 20
    exported = client.get(f"/api/v1/tuning/{session}/export").json()
    assert exported["yaml"] == "regions:\n  min_area_px: 5000\n"
    assert exported["diff"] == "regions:\n-  min_area_px: 8\n+  min_area_px: 5000\n"
    assert exported["set"] == "--set regions.min_area_px=5000"
    assert client.get(f"/api/v1/tuning/{session}/export.yaml").text == exported["yaml"]
    picture = client.get(f"/api/v1/tuning/{session}/frames/3/frame.jpg?most=64")
    assert picture.headers["content-type"] == "image/jpeg"
    assert client.get(f"/api/v1/tuning/{session}/frames/3/map.jpg").content[:2] == b"\xff\xd8"
    spread = client.get(f"/api/v1/tuning/{session}/histogram?key=area").json()
    assert len(spread["edges"]) == len(spread["counts"]) + 1
    assert client.delete(f"/api/v1/tuning/{session}", headers=ours.headers).json() == {"closed": session}
    assert client.get(f"/api/v1/tuning/{session}/verdicts").status_code == 404


def test_what_was_labelled_in_review_is_known_here(page: tuple[Site, TestClient]) -> None:
    site, client = page
    [recording] = client.get("/api/v1/cameras/cam1/recordings").json()
    frames = opened(client)["frames"]
    assert {frame["label"] for frame in frames} == {None}
    names = [kept_name(recording["id"], int(one["received_ns"]), one["number"], "frames/1.png") for one in frames[:2]]
    size = {"sha256": "a" * 64, "width": 512, "height": 512}
    lines = [HeadLine(created=now()), *(FrameLine(file=name, **size) for name in names)]
    lines.append(LabelLine(file=names[0], label="good", by="ann", at=now()))
    lines.append(LabelLine(file=names[1], label="defect", defects=("crack",), by="ann", at=now()))
    write_manifest(site.folder / "labels" / "cam1" / "set.jsonl", lines)
    assert [frame["label"] for frame in opened(client)["frames"][:3]] == ["good", "crack", None]
    (site.folder / "labels" / "cam1" / "set.jsonl").unlink()


def test_what_is_wrong_with_a_change_is_said_with_its_key_and_the_session_goes_on(page: tuple[Site, TestClient]) -> None:
    _, client = page
    told = opened(client)
    bad = {**told["regions"], "open_px": 4}
    answer = client.put(f"/api/v1/tuning/{told['id']}/regions", json={"regions": bad, "view": 0}, headers=ours.headers)
    assert answer.status_code == 400
    assert "open_px: must be odd: 4 moves every shape by half a pixel; try 5" in answer.json()["what"]
    good = {"regions": {**told["regions"], "open_px": 3}, "view": 0}
    assert client.put(f"/api/v1/tuning/{told['id']}/regions", json=good, headers=ours.headers).status_code == 200


def test_what_edge_check_refuses_stands_in_the_export_and_beside_the_control(page: tuple[Site, TestClient]) -> None:
    _, client = page
    told = opened(client)
    huge = {"regions": {**told["regions"], "min_area_px": 70000}, "view": 0}
    assert client.put(f"/api/v1/tuning/{told['id']}/regions", json=huge, headers=ours.headers).status_code == 200
    [problem] = client.get(f"/api/v1/tuning/{told['id']}/export").json()["problems"]
    assert problem["key"] == "min_area_px"
    assert "no region can be so large" in problem["text"]


def test_polygons_of_the_page_are_taken_as_they_stand_in_json(page: tuple[Site, TestClient]) -> None:
    _, client = page
    told = opened(client)
    roi = {
        "units": "norm",
        "include": [[[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]],
        "exclude": [[0.2, 0.2, 0.3, 0.3]],
        "mask": None,
    }
    body = {"regions": {**told["regions"], "roi": roi}, "view": 0}
    assert client.put(f"/api/v1/tuning/{told['id']}/regions", json=body, headers=ours.headers).status_code == 200
    exported = client.get(f"/api/v1/tuning/{told['id']}/export").json()
    assert exported["problems"] == []
    assert "include" in exported["yaml"]


def test_a_session_is_its_openers_alone(page: tuple[Site, TestClient]) -> None:
    site, client = page
    session = opened(client)["id"]
    log_in(client, site, Role.ADMIN)
    assert client.get(f"/api/v1/tuning/{session}/verdicts").status_code == 404
    log_in(client, site, Role.REVIEWER)
    assert client.get("/api/v1/cameras/cam1/recordings").status_code == 403


def test_two_tabs_tune_at_once_and_each_keeps_its_own(page: tuple[Site, TestClient]) -> None:
    _, client = page
    one, other = opened(client), opened(client)
    body = {"regions": {**one["regions"], "min_area_px": 5000}, "view": 0}
    client.put(f"/api/v1/tuning/{one['id']}/regions", json=body, headers=ours.headers)
    first, second = settled(client, one["id"]), settled(client, other["id"])
    assert first["new"] == "p" * 20
    assert second["new"] == second["old"] != first["new"]


def test_too_many_sessions_are_refused_with_words_unless_the_page_of_one_went_away(page: tuple[Site, TestClient]) -> None:
    site, client = page
    first = opened(client)
    for _ in range(MOST_SESSIONS - 1):
        opened(client)
    seats = {seat.name: seat for seat in site.tuning.seats()}
    for seat in seats.values():
        seat.asked_at = time.monotonic() + 1000  # as if their pages asked all the time
    [recording] = client.get("/api/v1/cameras/cam1/recordings").json()
    body = {"camera": "cam1", "recording": recording["id"]}
    answer = client.post("/api/v1/tuning", json=body, headers=ours.headers)
    assert answer.status_code == 503
    assert answer.json()["what"] == "8 recordings are open for tuning already"
    seats[first["id"]].asked_at -= 2000
    seats[first["id"]].asking = 1  # its page waits for an answer, however long the worker has no core
    assert not seats[first["id"]].is_idle_for(5.0)
    seats[first["id"]].asking = 0
    assert seats[first["id"]].is_idle_for(5.0)
    assert client.post("/api/v1/tuning", json=body, headers=ours.headers).status_code == 200
    left = {seat.name for seat in site.tuning.seats()}
    assert set(seats) - left == {first["id"]}


def test_a_worker_that_is_killed_ends_its_sessions_with_words_and_the_next_one_starts(
    page: tuple[Site, TestClient],
) -> None:

    site, client = page
    told = opened(client)
    with socket_of(client, told["id"]) as socket:
        pid = site.tuning.pids[0]
        os.kill(pid, signal.SIGKILL)
        heads = [head_of(socket.receive_bytes())]
        while heads[-1]["op"] != "died":
            heads.append(head_of(socket.receive_bytes()))
        assert heads[-1]["error"]["what"] == "the worker that computes for this page has ended"
    assert client.get(f"/api/v1/tuning/{told['id']}/verdicts").status_code == 404
    assert len(opened(client)["frames"]) == 20


def test_the_socket_says_the_look_first_then_all_verdicts_and_once_at_rest_funnel_and_problems(
    page: tuple[Site, TestClient],
) -> None:
    _, client = page
    told = opened(client)
    settled(client, told["id"])
    with socket_of(client, told["id"]) as socket:
        socket.send_text(
            orjson.dumps({"op": "judge", "n": 7, "view": 2, "regions": {**told["regions"], "border_px": 5}}).decode()
        )
        heads: list[dict[str, Any]] = []
        while not {"look", "funnel", "problems"} <= {head["op"] for head in heads} or not judged(heads):
            heads.append(head_of(socket.receive_bytes()))
        assert [head["op"] for head in heads if head["op"] != "verdicts"] == ["look", "funnel", "problems"]
        assert heads[0]["op"] == "look"
        assert (heads[0]["n"], heads[0]["kind"], heads[0]["view"]) == (7, "maps", 2)
        socket.send_text("no JSON")
        socket.send_text(orjson.dumps({"op": "open", "view": 0}).decode())  # not for browsers
        socket.send_text(orjson.dumps({"op": "judge", "view": 2, "regions": {"min_area_px": -1}}).decode())
        head = head_of(socket.receive_bytes())
        assert head["error"]["key"] == "min_area_px"


def judged(heads: list[dict[str, Any]]) -> bool:
    return any(head["op"] == "verdicts" and not head["left"] for head in heads)


def test_recordings_that_are_none_or_of_another_camera_are_not_listed(
    page: tuple[Site, TestClient], tmp_path: Path
) -> None:
    _, client = page
    assert client.get("/api/v1/cameras/cam2/recordings").json() == []
    assert client.get("/api/v1/cameras/cam3/recordings").status_code == 404
    answer = client.post("/api/v1/tuning", json={"camera": "cam1", "recording": "../../etc"}, headers=ours.headers)
    assert (answer.status_code, answer.json()["what"]) == (404, "no recording '../../etc' of cam1")


def head_of(message: bytes) -> dict[str, Any]:
    [length] = struct.unpack("!I", message[:4])
    told: dict[str, Any] = orjson.loads(message[4 : 4 + length])
    return told


def test_the_worker_is_the_last_in_every_queue(page: tuple[Site, TestClient]) -> None:

    site, client = page
    opened(client)
    pid = site.tuning.pids[0]
    assert os.sched_getscheduler(pid) == os.SCHED_IDLE
    assert Path(f"/proc/{pid}/oom_score_adj").read_text("ascii").strip() == "1000"
