"""``edge subscribe`` prints what comes, and says what did not."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
import typer
from support.records import FRAME, IDENTITY, REGION, STATE, WIRE, inspection, record, skip
from typer.testing import CliRunner

from edge.cli.subscribe import event_text, subscribe
from edge.client import (
    Event,
    Gap,
    Received,
    Refused,
    Restart,
    Resumed,
    Simulated,
    Stale,
    UnknownSchema,
    Unreadable,
)
from edge.config.outputs import ZmqConfig
from edge.errors import UserError
from edge.frames import Fault, Heartbeat
from edge.outputs.queued import Queued
from edge.outputs.zmq.publisher import ZmqSink
from edge.service.find_line import find_endpoint
from edge.storage.key_list import allow, new_pair
from edge.wire.keys import DoorKeys
from edge.wire.read import read

app = typer.Typer()
app.command()(subscribe)


def shown(line: bytes) -> str | None:
    message = read(line)
    text = event_text(Received(message["kind"], "cam1", message, line))
    return None if text is None else re.sub(r"^\d\d:\d\d:\d\d\.\d{3}", "TIME", text.plain)


@contextmanager
def publishing(folder: Path, work: Callable[[Queued], None]) -> Iterator[str]:
    """A publisher that does ``work`` once somebody listens."""
    sink = ZmqSink(ZmqConfig(), IDENTITY, folder)
    output = Queued(sink, 1000, "drop")
    output.start()
    over = threading.Event()

    def run() -> None:
        while not sink.subscribers and not over.is_set():
            time.sleep(0.005)
        work(output)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield str(sink.endpoint)
    finally:
        over.set()
        thread.join()
        output.close(2)


def test_records_in_words() -> None:
    second = replace(REGION, area_px=10.0, bbox_xyxy=(0, 0, 1, 1))
    failed = inspection(verdict="fail", regions=(second, REGION), map_max=0.873)
    assert shown(record(3).line) == "TIME  cam1  #3  PASS     map max 0.1, high 0.6  2.7 ms"
    assert shown(WIRE.inspection(4, failed, 1).line) == (
        "TIME  cam1  #4  FAIL     2 regions, biggest 40x40 at 10,20  map max 0.873, high 0.6  2.7 ms"
    )
    assert shown(WIRE.inspection(5, inspection(verdict="invalid", reason="map_not_finite", map_max=None), 1).line) == (
        "TIME  cam1  #5  INVALID  map_not_finite  2.7 ms"
    )
    smoothed = inspection(map_max=127.5, smoothed_max=0.41)
    assert shown(WIRE.inspection(8, smoothed, 1).line) == (
        "TIME  cam1  #8  PASS     map max 127.5, high 0.6 (smoothed to 0.41)  2.7 ms"
    )
    assert shown(WIRE.inspection(9, replace(smoothed, smoothed_max=None), 1).line) == (
        "TIME  cam1  #9  PASS     map max 127.5, high 0.6 (smoothed, opened away, or below its zone's threshold)  2.7 ms"
    )
    assert shown(WIRE.skip(6, skip(), 1).line) == "TIME  cam1  #6  INVALID  frame_id_gap  2 frames lost, id 8 to 9"
    one = skip(count=1, frame_id_first=None, frame_id_last=None, reason="unreadable")
    assert shown(WIRE.skip(7, one, 1).line) == "TIME  cam1  #7  INVALID  unreadable  1 frame lost"


def test_states_in_words_and_heartbeats_not_at_all() -> None:
    faulty = replace(STATE, faults=(Fault("output_jsonl", 1, "No space left on device"),))
    assert shown(WIRE.state(STATE, 1)) == "TIME  cam1  Ready, source waiting_for_trigger"
    assert shown(WIRE.state(faulty, 1)) == (
        "TIME  cam1  Ready, source waiting_for_trigger  output_jsonl: No space left on device"
    )
    assert shown(WIRE.heartbeat(Heartbeat(1), 1)) is None


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Gap("cam1", 5, 5), "cam1  gap: 1 record missed, seq 5 to 5"),
        (Gap("cam1", 5, 7), "cam1  gap: 3 records missed, seq 5 to 7"),
        (Restart("cam1", "aaaaaaaaaaaa", "bbbbbbbbbbbb"), "cam1  restart: run aaaaaaaa ended, run bbbbbbbb began"),
        (Simulated("cam1"), "cam1  simulated: these records are not of a camera now"),
        (Stale("cam1", 2.04), "cam1  no heartbeat for 2.0 s"),
        (Stale(None, 2.04), "nothing heard yet  no heartbeat for 2.0 s"),
        (Resumed("cam1", 3.5), "cam1  heartbeat again after 3.5 s"),
        (UnknownSchema("cam1", 2), "cam1  schema 2 is unknown to this version: its messages are not shown"),
        (Unreadable("inspection/1/cam1/", "no JSON"), "inspection/1/cam1/  unreadable: no JSON"),
        (Refused("the daemon doesn't know this key"), "not let in: the daemon doesn't know this key"),
    ],
)
def test_events_in_words(event: Event, text: str) -> None:
    described = event_text(event)
    assert described is not None
    assert described.plain[14:] == text


def test_it_prints_until_it_has_its_count_of_records(tmp_path: Path) -> None:
    def work(output: Queued) -> None:
        output.accept(record(0), FRAME, None)
        output.accept(record(3), FRAME, None)
        output.accept(record(4), FRAME, None)

    with publishing(tmp_path, work) as endpoint:
        result = CliRunner().invoke(app, [endpoint, "--count", "2", "--seconds", "10"])
    assert result.exit_code == 0
    assert [line[14:] for line in result.stdout.splitlines()] == [
        "cam1  #0  PASS     map max 0.1, high 0.6  2.7 ms",
        "cam1  gap: 2 records missed, seq 1 to 2",
        "cam1  #3  PASS     map max 0.1, high 0.6  2.7 ms",
    ]


def test_as_json_messages_come_as_they_are_and_events_as_objects(tmp_path: Path) -> None:
    def work(output: Queued) -> None:
        for seq in (0, 2):
            output.accept(record(seq), FRAME, None)

    with publishing(tmp_path, work) as endpoint:
        result = CliRunner().invoke(app, [endpoint, "--json", "--count", "2", "--seconds", "10"])
    first, gap, second = result.stdout.splitlines()
    assert (first.encode(), second.encode()) == (record(0).line, record(2).line)
    assert orjson.loads(gap) == {"kind": "gap", "camera": "cam1", "first": 1, "last": 1}


def test_too_few_records_in_its_time_is_exit_code_1(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [f"ipc://{tmp_path}/pub", "--count", "1", "--seconds", "0.05"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert CliRunner().invoke(app, [f"ipc://{tmp_path}/pub", "--seconds", "0.05"]).exit_code == 0


def test_nothing_heard_is_said_after_two_seconds(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [f"ipc://{tmp_path}/pub", "--seconds", "2.3"])
    silence, *reason = result.stdout.splitlines()
    assert re.fullmatch(r"nothing heard yet  no heartbeat for 2\.\d s", silence[14:])
    assert [line[14:] for line in reason] in (
        [],
        [f"not let in: {tmp_path}/pub: No such file or directory: no daemon publishes there"],
    )


def test_a_record_that_cannot_be_shown_does_not_end_it(tmp_path: Path) -> None:
    odd = orjson.loads(record(0).line) | {"regions": 5}

    def work(output: Queued) -> None:
        output.accept(replace(record(0), line=orjson.dumps(odd)), FRAME, None)
        output.accept(record(1), FRAME, None)

    with publishing(tmp_path, work) as endpoint:
        result = CliRunner().invoke(app, [endpoint, "--count", "2", "--seconds", "10"])
    assert [line[14:] if "#1" in line else line for line in result.stdout.splitlines()] == [
        "a record that cannot be shown: TypeError: 'int' object is not iterable",
        "cam1  #1  PASS     map max 0.1, high 0.6  2.7 ms",
    ]


def test_an_endpoints_json_or_its_folder_does_for_an_endpoint(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    path.write_bytes(orjson.dumps({"zmq": "tcp://127.0.0.1:5556", "health": "http://127.0.0.1:1"}))
    assert find_endpoint(str(path)) == find_endpoint(str(tmp_path)) == "tcp://127.0.0.1:5556"
    config = tmp_path / "cam1.yaml"
    config.write_text(f"camera: cam1\nruntime_dir: {tmp_path}\nsource: {{kind: synthetic}}\nmodel: {{bundle: b}}\n")
    assert find_endpoint(str(config)) == "tcp://127.0.0.1:5556"
    assert find_endpoint("ipc:///run/edge/cam1/pub") == "ipc:///run/edge/cam1/pub"


@pytest.mark.parametrize("text", ["{}", "[]", "{", '{"zmq": null}'])
def test_an_endpoints_json_without_a_publisher_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "endpoints.json"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        find_endpoint(str(path))
    assert str(caught.value) == (f'{path}: names no ZeroMQ publisher\n  expected: a JSON object with the key "zmq"')


def test_a_folder_without_a_daemon_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        find_endpoint(str(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path}/endpoints.json: cannot be read: No such file or directory\n"
        "  fix: is the daemon running? Name its runtime folder"
    )


@pytest.mark.parametrize("text", ["nonsense", "tcp:/127.0.0.1:5556", "udp://127.0.0.1:5"])
def test_a_text_that_is_no_endpoint_is_named(text: str) -> None:
    result = CliRunner().invoke(app, [text])
    assert str(result.exception) == (
        f"{text!r} is no endpoint to connect to\n"
        "  expected: tcp://HOST:PORT or ipc://PATH\n"
        "  fix: take the one that stands in endpoints.json in the daemon's runtime folder"
    )


def test_with_a_key_it_is_let_in_and_the_daemons_own_is_found_in_its_config(tmp_path: Path) -> None:
    for name in ("server", "hmi"):
        new_pair(tmp_path, name)
    allow(tmp_path / "clients", tmp_path / "hmi.key")
    config = tmp_path / "cam1.yaml"
    config.write_text(
        f"camera: cam1\nruntime_dir: {tmp_path}\nsource: {{kind: synthetic}}\nmodel: {{bundle: b}}\n"
        "outputs: {zmq: {curve: {server_key: server.key_secret, clients: clients}}}\n"
    )
    sink = ZmqSink(ZmqConfig(), IDENTITY, tmp_path, DoorKeys(tmp_path / "server.key_secret", tmp_path / "clients"))
    output = Queued(sink, 1000, "drop")
    output.start()
    try:
        (tmp_path / "endpoints.json").write_bytes(orjson.dumps({"zmq": sink.endpoint}))
        over = threading.Event()

        def work() -> None:
            for seq in range(10_000):
                if over.wait(0.01):
                    return
                output.accept(record(seq), FRAME, None)

        thread = threading.Thread(target=work)
        thread.start()
        arguments = ["--key", str(tmp_path / "hmi.key_secret"), "--count", "1", "--seconds", "10"]
        assert CliRunner().invoke(app, [str(config), *arguments]).exit_code == 0
        arguments += ["--server-key", str(tmp_path / "server.key")]
        assert CliRunner().invoke(app, [str(sink.endpoint), *arguments]).exit_code == 0
        over.set()
        thread.join()
    finally:
        output.close(2)


def test_a_key_without_the_daemons_is_named(tmp_path: Path) -> None:
    new_pair(tmp_path, "hmi")
    result = CliRunner().invoke(app, ["tcp://127.0.0.1:1", "--key", str(tmp_path / "hmi.key_secret")])
    assert str(result.exception) == "--key needs the daemon's public key too\n  fix: --server-key FILE.key"


def test_looking_for_a_daemon_makes_no_folder(tmp_path: Path) -> None:
    config = tmp_path / "cam1.yaml"
    config.write_text("camera: cam1\nruntime_dir: run\nsource: {kind: synthetic}\nmodel: {bundle: b}\n")
    with pytest.raises(UserError) as caught:
        find_endpoint(str(config))
    assert str(caught.value) == (
        f"{tmp_path}/run/endpoints.json: cannot be read: No such file or directory\n"
        "  fix: is the daemon running? Name its runtime folder"
    )
    assert not (tmp_path / "run").exists()


def test_a_key_of_the_config_that_is_named_can_be_overridden(tmp_path: Path) -> None:
    config = tmp_path / "cam1.yaml"
    config.write_text("camera: cam1\nsource: {kind: synthetic}\nmodel: {bundle: b}\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "endpoints.json").write_text('{"zmq": "ipc:///tmp/x"}')
    assert find_endpoint(str(config), ["runtime_dir=other"]) == "ipc:///tmp/x"
    result = CliRunner().invoke(app, ["tcp://127.0.0.1:1", "--set", "runtime_dir=other"])
    assert str(result.exception) == (
        "--set overrides a key of a line's config, and none is named\n"
        "  received: tcp://127.0.0.1:1\n  expected: a line's config (.yaml)"
    )
