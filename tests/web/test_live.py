"""What a line says reaches the browser: records, states, pictures with the record of the same frame; and its silence."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
import simplejpeg
from starlette.websockets import WebSocketDisconnect
from support.live_line import LiveLine, live_line
from support.pages import WS, client_of, log_in, ours, site_in
from support.records import REGION
from support.waits import PATIENCE_S, until

from edge.frames import Fault
from edge.web.api import camera_calls
from edge.web.doors.guard import COOKIE
from edge.web.doors.roles import Role, Visitor
from edge.web.live.channel import Channel
from edge.web.live.feed import Feed


@pytest.fixture
def page(tmp_path) -> Iterator[Any]:
    """Two lines, a client of them, and a heart that beats."""
    with (
        live_line(tmp_path / "run" / "cam1") as cam1,
        live_line(tmp_path / "run" / "cam2", "cam2") as cam2,
        site_in(tmp_path, lines=(tmp_path / "run" / "cam1", tmp_path / "run" / "cam2")) as site,
        client_of(site) as client,
    ):
        stop = threading.Event()
        heart = threading.Thread(target=_beat, args=([cam1, cam2], stop))
        heart.start()
        log_in(client, site, Role.VIEWER)
        until(lambda: all(told["line_state"] for told in client.get("/api/v1/cameras").json()))
        yield site, client, cam1
        stop.set()
        heart.join()


def _beat(lines: list[LiveLine], stop: threading.Event) -> None:
    for line in lines:
        line.say()
    while not stop.wait(0.1):
        for line in lines:
            line.beat()


def socket(client):
    return client.websocket_connect(f"{WS}/api/v1/ws", headers=ours.headers)


def heard(connection: Any, topic: str, wanted: Any = lambda payload: True) -> Any:
    """The next payload of a topic that is wanted; pictures are passed over."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        message = connection.receive()
        if message.get("text"):
            told = orjson.loads(message["text"])
            if told["topic"] == topic and wanted(told["payload"]):
                return told["payload"]
    raise AssertionError(f"nothing of {topic}")


def picture(connection: Any) -> tuple[dict[str, Any], bytes]:
    while True:
        message = connection.receive()
        if message.get("bytes"):
            length = int.from_bytes(message["bytes"][:4], "big")
            return orjson.loads(message["bytes"][4 : 4 + length]), message["bytes"][4 + length :]


def test_records_come_as_a_strip_and_then_one_by_one(page) -> None:
    site, client, line = page
    for _ in range(3):
        line.inspect()
    until(lambda: len(site.hub.feed("cam1").records) == 3)
    with socket(client) as connection:
        connection.send_text('{"subscribe": ["records/cam1"]}')
        strip = heard(connection, "records/cam1")["snapshot"]
        assert [(record["seq"], record["verdict"], record["part"]) for record in strip] == [
            (n, "pass", 42) for n in range(3)
        ]
        line.inspect("fail", regions=(REGION,))
        (new,) = heard(connection, "records/cam1")["new"]
        assert (new["seq"], new["verdict"], new["regions"], new["threshold"]) == (3, "fail", 1, 0.6)


def test_a_picture_comes_with_the_record_of_its_own_frame(page) -> None:
    _, client, line = page
    with socket(client) as connection:
        connection.send_text('{"subscribe": ["preview/cam1"]}')
        until(lambda: line.preview.subscribers)
        seq = line.inspect("fail", size=(1920, 1200), regions=(REGION,))
        head, jpeg = picture(connection)
        assert (head["topic"], head["record"]["seq"], head["size"]) == ("preview/cam1", seq, [1920, 1200])
        assert head["record"]["regions"][0]["bbox_xyxy"] == [10, 20, 50, 60]
        assert jpeg.startswith(b"\xff\xd8")
    until(lambda: not line.preview.subscribers)  # nobody looks: the daemon encodes nothing


def test_state_and_faults_are_shown_whatever_their_text_holds(page) -> None:
    _, client, line = page
    with socket(client) as connection:
        connection.send_text('{"subscribe": ["state/cam1", "fleet"]}')
        text = "<img src=x onerror=alert(1)>"
        line.say(Fault("output_jsonl", 1, text))
        told = heard(connection, "state/cam1", lambda payload: payload["faults"])
        assert (told["faults"][0]["text"], told["line_state"], told["well"]) == (text, "ContinuousExecution", False)
        assert [tile["camera"] for tile in heard(connection, "fleet")] == ["cam1", "cam2"]


def test_silence_grows_old_and_is_never_fresh(page, monkeypatch) -> None:
    site, client, _ = page
    feed = site.hub.feed("cam2")
    monkeypatch.setattr(feed, "_beat", lambda message: None)  # no heartbeat is heard any more
    with socket(client) as connection:
        connection.send_text('{"subscribe": ["state/cam2"]}')
        old = heard(connection, "state/cam2", lambda payload: payload["age_s"] > 2.0)
        assert old["age_s"] > 2.0
    answer = client.get("/api/v1/cameras/cam2/latest.jpg")
    assert (answer.status_code, answer.json()["what"].startswith("cam2: no ")) == (503, True)


def test_the_newest_picture_is_an_http_call_away(page) -> None:
    _, client, line = page
    stop = threading.Event()
    parts = threading.Thread(target=lambda: [line.inspect() for _ in iter(lambda: stop.wait(0.02), True)])
    parts.start()
    answer = client.get("/api/v1/cameras/cam1/latest.jpg")
    small = client.get("/api/v1/cameras/cam1/latest.jpg?h=40&bbox=1&q=60")
    wrong = client.get("/api/v1/cameras/cam1/latest.jpg?h=1")
    stop.set()
    parts.join()
    assert (answer.status_code, answer.headers["x-edge-verdict"]) == (200, "pass")
    assert int(answer.headers["x-edge-age-ms"]) < 2000
    assert simplejpeg.decode_jpeg_header(small.content)[:2] == (40, 60)
    assert (wrong.status_code, wrong.json()["expected"]) == (400, "16 to 4096")
    assert answer.content.startswith(b"\xff\xd8")


@pytest.mark.parametrize("spec", ["2.3", "2.4"])  # of ASGI: a client that left is heard of by a message, or by an error
def test_a_client_that_leaves_before_its_first_picture_takes_no_place_of_the_streams(page, monkeypatch, spec) -> None:
    site, client, _ = page
    asked = []

    async def fresh(*_: object) -> tuple[object, float]:
        asked.append(1)
        return object(), 1.0

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(_: object) -> None:
        raise OSError("gone")

    async def come_and_go() -> None:
        headers = [(b"host", b"127.0.0.1:8080"), (b"cookie", f"{COOKIE}={client.cookies[COOKIE]}".encode())]
        path = "/api/v1/cameras/cam1/live.mjpeg"
        scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": spec}, "http_version": "1.1", "method": "GET"}
        told = {"path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers, "scheme": "http"}
        with contextlib.suppress(Exception):
            await client.app({**scope, **told, "root_path": "", "server": ("127.0.0.1", 8080)}, receive, send)

    monkeypatch.setattr(camera_calls, "_fresh", fresh)
    for _ in range(camera_calls.MOST_STREAMS + 1):
        client.portal.call(come_and_go)
    assert (len(asked), camera_calls._streams) == (camera_calls.MOST_STREAMS + 1, set())
    assert not site.hub.feed("cam1").lookers


def test_one_record_is_there_as_it_was_published(page) -> None:
    site, client, line = page
    seq = line.inspect("fail", regions=(REGION,))
    until(lambda: site.hub.feed("cam1").last_fail)
    record = client.get(f"/api/v1/cameras/cam1/records/run1/{seq}").json()
    assert (record["seq"], record["regions"][0]["area_px"], record["recipe_id"]) == (seq, 1600.0, "tile-40")
    assert client.get("/api/v1/cameras/cam1/records/run1/99").status_code == 404
    assert client.get("/api/v1/cameras/cam1").json()["model"]["name"] == "tile-40"


def test_a_line_that_went_and_came_again_is_heard_without_a_reload(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("edge.service.instances.trusted_roots", lambda: [tmp_path / "run"])
    folder = tmp_path / "run" / "cam1"
    line = LiveLine(folder, "cam1")
    with site_in(tmp_path) as site, client_of(site) as client:
        log_in(client, site, Role.VIEWER)
        with socket(client) as connection:
            connection.send_text('{"subscribe": ["state/cam1", "records/cam1", "preview/cam1"]}')
            until(lambda: line.preview.subscribers)
            line.close()
            shutil.rmtree(folder)
            until(lambda: site.hub.feed("cam1") is None)
            with live_line(folder, instance_id="run2") as line:
                until(lambda: line.preview.subscribers)
                line.inspect("fail")
                assert picture(connection)[0]["record"]["instance_id"] == "run2"


def test_who_leaves_and_comes_again_finds_the_thread_that_hears_pictures(page) -> None:
    _, client, line = page
    with socket(client) as connection:
        connection.send_text('{"subscribe": ["preview/cam1"]}')
        until(lambda: line.preview.subscribers)
        for _ in range(20):
            connection.send_text('{"unsubscribe": ["preview/cam1"], "subscribe": ["preview/cam1", "x"]}')
            heard(connection, "refused")
        assert [thread.name for thread in threading.enumerate()].count("previews-cam1") == 1
        line.inspect("fail")
        assert picture(connection)[0]["record"]["verdict"] == "fail"
    until(lambda: "previews-cam1" not in [thread.name for thread in threading.enumerate()])


def test_who_looks_without_an_ear_is_not_taken_over_by_the_next_run(page) -> None:
    site, client, _ = page

    async def taken_over() -> list[set[object]]:
        before = site.hub.feed("cam1")
        channel = Channel(site.hub, Visitor("ann", Role.VIEWER))
        channel.hear({"subscribe": ["preview/cam1"]})
        before.look(asking := object())
        after = Feed(replace(before.instance, pid=None), lambda _: None, asyncio.get_running_loop())
        after.follow(before)
        channel.close()
        before.look_away(asking)
        return [after.lookers, {channel}, before.lookers, set()]

    taken, wanted, left, none = client.portal.call(taken_over)
    assert (taken, left) == (wanted, none)


def test_a_camera_that_is_not_ours_is_refused_on_the_socket(page) -> None:
    site, client, _ = page
    log_in(client, site, Role.REVIEWER, ["cam2"])
    with socket(client) as connection:
        connection.send_text('{"subscribe": ["records/cam1", "preview/nowhere", "weather/cam2", "fleet"]}')
        refused = [heard(connection, "refused") for _ in range(3)]
        assert [text.partition(": ")[0] for text in refused] == ["records/cam1", "preview/nowhere", "weather/cam2"]
        assert [tile["camera"] for tile in heard(connection, "fleet")] == ["cam2"]
        connection.send_text("no json")
        assert heard(connection, "refused").startswith("a JSON object")


def test_a_revoked_session_loses_its_socket(page) -> None:
    site, client, _ = page
    with socket(client) as connection:
        connection.send_text('{"subscribe": ["fleet"]}')
        heard(connection, "fleet")
        site.doors.accounts.revoke_user("viewer1")
        messages = iter(connection.receive, None)
        code = next(message["code"] for message in messages if message["type"] == "websocket.close")
        assert code == 1008


@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {}])
def test_another_site_gets_no_socket(page, headers) -> None:
    with pytest.raises(WebSocketDisconnect), page[1].websocket_connect(f"{WS}/api/v1/ws", headers=headers):
        pass


def test_a_program_reads_with_its_token_and_needs_no_origin(page) -> None:
    site, client, _ = page
    secret = site.doors.accounts.add_token("grafana", Role.VIEWER)
    client.cookies.clear()
    token = {"authorization": f"Bearer {secret}"}
    assert client.get("/api/v1/cameras/cam1/stats", headers=token).json()["counts"]["fail"] == 0
    assert client.get("/api/v1/profile", headers=token).json() == {
        "name": "grafana",
        "role": "viewer",
        "cameras": ["cam1", "cam2"],
        "program": True,
    }
    site.doors.accounts.revoke_token("grafana")
    assert client.get("/api/v1/cameras", headers=token).status_code == 401


def test_the_api_describes_itself(page) -> None:
    described = page[1].get("/api/v1/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert "/api/v1/cameras/{camera}/latest.jpg" in described["paths"]
    assert "nothing in it acts on a daemon" in described["info"]["description"]
    assert all(call["summary"] for path in described["paths"].values() for call in path.values())
