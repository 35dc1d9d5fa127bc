"""A camera's password stands in no place but files of the config's own mode: lines as processes, looked at from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import yaml
from support.addresses import SECRET, STYLES
from support.http_camera import http_camera, send
from support.lines import loaded
from support.waits import until
from typer.testing import CliRunner

from edge.cli import app
from edge.client import Received, Subscriber
from edge.errors import UserError
from edge.storage.pictures import encode_jpeg

PICTURES = [encode_jpeg(np.random.default_rng(n).integers(0, 255, (48, 64, 3), np.uint8)) for n in range(4)]

LINES = """\
import os, signal, sys
import edge.cli.run, edge.engines.onnx, edge.outputs.zmq.publisher, edge.sources.opencv.source
from edge.cli import main
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for folder in sys.argv[1:]:
    if os.fork() == 0:
        journal = os.open(os.path.join(folder, "journal.txt"), os.O_WRONLY | os.O_CREAT, 0o644)
        os.dup2(journal, 1), os.dup2(journal, 2)
        sys.argv = ["edge", "run", os.path.join(folder, "line.yaml")]
        main()
for _ in sys.argv[1:]:
    os.wait()
"""
"""Each line is a process of its own; the programs are loaded once for all."""


@contextmanager
def lines(sources: list[dict[str, Any]], folder: Path, **environment: str) -> Iterator[list[Path]]:
    """A running line for each source, its config at 0600 under a umask of 022; their folders."""
    loaded(folder)
    folders = []
    for number, source in enumerate(sources):
        home = folder / f"line{number}"
        home.mkdir()
        config = yaml.safe_load((folder / "cam1.yaml").read_text()) | {"camera": f"cam{number}", "source": source}
        config["model"] = {"bundle": str(folder / "bundle")}
        config["outputs"] |= {"zmq": {}, "evidence": {"dir": "evidence", "keep": ["fail", "invalid", "sample"]}}
        config["outputs"]["evidence"] |= {"sample_every": 1}
        (home / "line.yaml").write_text(yaml.safe_dump(config))
        (home / "line.yaml").chmod(0o600)
        folders.append(home)
    process = subprocess.Popen(
        [sys.executable, "-c", LINES, *map(str, folders)],
        env=os.environ | environment,
        umask=0o022,
        start_new_session=True,
    )
    try:
        yield folders
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def fleet(folders: list[Path]) -> dict[str, Any]:
    """What ``edge fleet --json`` says of each, by camera; empty until all have a runtime folder."""
    runs = [folder / "run" for folder in folders]
    if not all((run / "endpoints.json").exists() for run in runs):
        return {}
    text = CliRunner().invoke(app, ["fleet", "--json", *map(str, runs)]).output
    return {
        row["camera"]: row for row in map(orjson.loads, text.splitlines()) if row["folder"].startswith(str(runs[0])[:-8])
    }


def state_of(folder: Path) -> bytes:
    """The state that a subscriber gets."""
    endpoint = orjson.loads((folder / "run" / "endpoints.json").read_bytes())["zmq"]
    with Subscriber(endpoint, f"cam{folder.name[4:]}") as subscriber:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            event = subscriber.receive(1.0)
            if isinstance(event, Received) and event.kind == "state":
                return event.raw
    raise AssertionError("no state")


def expect_hidden(folders: list[Path], told: dict[str, Any], *, in_config: bool = True) -> None:
    """Assert that the secret is in no text that people see, and in no file of another mode than the config's."""
    assert SECRET not in orjson.dumps(told).decode()
    for folder in folders:
        holding = [p for p in folder.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]
        names = {p.relative_to(folder).parts[0] for p in holding}
        assert names == ({"line.yaml", "log", "run"} if in_config else set()), folder
        assert {p.parent.name for p in holding if p.parent != folder} <= {"archive", "run"}
        assert {oct(p.stat().st_mode & 0o777) for p in holding} <= {"0o600"}


@pytest.mark.timeout(300)
def test_passwords_of_a_camera_that_does_not_answer_stand_nowhere(tmp_path: Path) -> None:
    """Twelve styles of address, a line each: journal, state, fleet, archive, instance.json, evidence."""
    with lines([{"kind": "opencv", "device": style} for style in STYLES], tmp_path) as folders:
        until(lambda: [row["source"] for row in fleet(folders).values()] == ["backoff"] * len(STYLES))
        told = {"fleet": fleet(folders), "states": [state_of(folder).decode() for folder in folders]}
    for folder in folders:
        assert "backoff" in (folder / "journal.txt").read_text()
    expect_hidden(folders, told)


class Camera:
    """Sends pictures for ever, one for each question where the path asks for one."""

    asked = 0

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        if "snap" in handler.path:
            self.asked += 1
            send(handler, PICTURES[self.asked % len(PICTURES)])
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        handler.end_headers()
        for number in range(100_000):
            picture = PICTURES[number % len(PICTURES)]
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            handler.wfile.write(head.encode() + picture + b"\r\n")
            time.sleep(0.05)


@pytest.mark.timeout(300)
def test_passwords_of_a_camera_whose_pictures_come_stand_nowhere_either(tmp_path: Path) -> None:
    """A stream and a picture address, the secret in user part, path and query: records and evidence are written. One that
    came from the environment stands in no file at all.
    """
    with http_camera(Camera()) as address:
        host = address.removeprefix("http://")
        secret = f"http://admin:{SECRET}@{host}/{SECRET}/%s?token={SECRET}"
        sources: list[dict[str, Any]] = [
            {"kind": "opencv", "device": secret % "video"},
            {"kind": "snapshot", "address": secret % "snap.jpg", "interval_s": 0.1},
            {"kind": "snapshot", "address": f"http://admin:${{CAM_PW}}@{host}/snap.jpg", "interval_s": 0.1},
        ]
        with lines(sources, tmp_path, CAM_PW=SECRET) as folders:
            until(lambda: all(len(list(f.glob("evidence/frames/*"))) > 3 for f in folders))
            told = {"fleet": fleet(folders), "states": [state_of(folder).decode() for folder in folders]}
    assert all(list(folder.glob("log/*.jsonl")) for folder in folders)
    expect_hidden(folders[:2], told)
    expect_hidden(folders[2:], {}, in_config=False)


ADDRESS = f"rtsp://admin:{SECRET}@127.0.0.1:9/h"


@pytest.mark.parametrize(
    "source",
    [
        ADDRESS,
        {"kind": ADDRESS},
        {"kind": "opencv", "device": [ADDRESS]},
        {"kind": "opencv", "device": ADDRESS, ADDRESS: 1},
        {"kind": "opencv", "device": ADDRESS.replace("rtsp", "rstp")},
        {"kind": "opencv", "device": f"rtspsrc location={ADDRESS} user-pw={SECRET} ! filesrc"},
        {"kind": "snapshot", "address": ADDRESS},
        {"kind": "snapshot", "address": f"http://admin:{SECRET}@"},
        {"kind": "recorded", "path": ADDRESS},
        {"kind": "watched_folder", "path": f"ftp://admin:{SECRET}@127.0.0.1/in"},
        {"kind": "genicam", "mac": ADDRESS},
    ],
)
def test_a_refused_config_is_refused_without_its_password(tmp_path: Path, source: Any) -> None:
    """Such a text goes to the journal, and of a refused reload to everybody who subscribes."""
    loaded(tmp_path)
    config = tmp_path / "cam1.yaml"
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"source": source}))
    done = CliRunner().invoke(app, ["check", str(config)])
    assert isinstance(done.exception, UserError)
    assert "source" in str(done.exception)
    assert SECRET not in done.output + str(done.exception)


def test_an_address_as_a_folder_is_refused_with_the_key_that_takes_it(tmp_path: Path) -> None:
    loaded(tmp_path)
    done = CliRunner().invoke(
        app, ["check", str(tmp_path / "cam1.yaml"), "--set", f"source={{kind: recorded, path: '{ADDRESS}'}}"]
    )
    assert str(done.exception) == (
        f"{tmp_path / 'cam1.yaml'}: source.path\n"
        "  received: 'rtsp://127.0.0.1:9/...'\n"
        "  expected: a folder or a file; a camera's address is device of kind: opencv or address of kind: snapshot"
    )
