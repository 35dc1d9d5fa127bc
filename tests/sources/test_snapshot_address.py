"""A camera's snapshot address: one picture per interval, its password nowhere, its age in its stamps."""

from __future__ import annotations

import itertools
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs
from support.http_camera import PASSWORD, USER, http_camera, let_in, send
from support.takes import take
from support.waits import until

from edge.config.sources import SnapshotConfig
from edge.errors import UserError
from edge.frames import Payload, Skip
from edge.sources.open import check_source, device_findings
from edge.sources.snapshot_address import SnapshotSource
from edge.storage.pictures import encode_jpeg, encode_png


def jpeg(level: int) -> bytes:
    return encode_jpeg(np.random.default_rng(level).integers(0, 255, (24, 32, 3), np.uint8))


class Pictures:
    """Answers with a new picture each time, and counts."""

    def __init__(self, *schemes: str, **headers: str) -> None:
        self.schemes, self.headers, self.asked = schemes, headers, 0

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        if self.schemes and not let_in(handler, *self.schemes):
            return
        self.asked += 1
        send(handler, jpeg(self.asked), **self.headers)


@contextmanager
def asking(address: str, folder: Path = Path(), **keys: Any) -> Iterator[SnapshotSource]:
    config = SnapshotConfig(kind="snapshot", address=address, **{"interval_s": 0.01, **keys})
    source = SnapshotSource(config, folder, first_wait_s=0.01)
    source.open()
    try:
        yield source
    finally:
        source.close()


def kinds(items: list[Payload | Skip]) -> list[str]:
    return [item.meta.pixel_format if isinstance(item, Payload) else item.reason for item in items]


def detail(source: SnapshotSource, state: str) -> str:
    until(lambda: (source.read(0.01), source.status().state)[1] == state)
    return source.status().detail


def test_each_interval_gives_one_picture() -> None:
    pictures = Pictures()
    with http_camera(pictures) as camera, asking(f"{camera}/snap.jpg") as source:
        assert not source.simulated
        items = take(source, 5)
        status = source.status()
    first = items[0]
    assert isinstance(first, Payload)
    meta = first.meta
    assert (meta.frame_id, meta.frame_id_source, meta.width, meta.height, meta.pixel_format) == (
        0,
        "counted",
        32,
        24,
        "RGB8",
    )
    assert kinds(items) == ["RGB8"] * 5
    assert (status.state, status.detail, status.announced) == ("streaming", f"{camera}/...", 5)
    assert 5 <= pictures.asked <= 7, "one is held ready, one may be under way"


def test_a_camera_is_not_asked_while_the_line_takes_nothing() -> None:
    pictures = Pictures()
    with http_camera(pictures) as camera, asking(camera) as source:
        take(source, 1)
        time.sleep(0.2)
        assert pictures.asked <= 2


@pytest.mark.parametrize("schemes", [("Basic",), ("Digest",), ("Digest", "Basic"), ("Basic", "Digest")], ids="+".join)
def test_a_password_is_given_as_the_camera_asks_and_stands_nowhere(
    schemes: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAM_PW", PASSWORD)
    with capture_logs() as logs, http_camera(Pictures(*schemes)) as camera:
        host = camera.partition("://")[2]
        with asking(f"http://{USER}:${{CAM_PW}}@{host}/snap?x=1") as source:
            assert kinds(take(source, 2)) == ["RGB8"] * 2
            told = f"{source.status()} {logs}"
    assert PASSWORD not in told
    assert USER not in told


def test_a_wrong_password_is_sent_once_in_30_s() -> None:
    """Cameras lock a user out after five."""
    sent: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        sent.append(handler.headers.get("Authorization", ""))
        let_in(handler, "Digest", "Basic")

    with http_camera(answer) as camera:
        host = camera.partition("://")[2]
        with asking(f"http://{USER}:wrong@{host}/snap") as source:
            told = detail(source, "backoff")
            assert [source.read(0.01) for _ in range(20)] == [None] * 20
    assert told == f"http://{host}/...: HTTP 401 Unauthorized: user or password; asked again in 30 s"
    assert [bool(value) for value in sent] == [False, True]


def test_a_damaged_cut_or_repeated_picture_is_a_loss_in_its_place() -> None:
    good = jpeg(0)
    scan = good.index(b"\xff\xda")
    answers = [
        jpeg(1),
        good[: scan + 40] + b"\xff\xd9",
        jpeg(2),
        jpeg(2),
        encode_png(np.full((24, 32), 9, np.uint8)),
        jpeg(3),
    ]
    waiting = itertools.chain(answers, map(jpeg, itertools.count(10)))
    with http_camera(lambda handler: send(handler, next(waiting))) as camera, asking(camera) as source:
        items = take(source, 6)
        status = source.status()
    assert kinds(items) == ["RGB8", "bad_payload", "RGB8", "bad_payload", "bad_payload", "RGB8"]
    assert [i.frame_id_first if isinstance(i, Skip) else i.meta.frame_id for i in items] == list(range(6))
    assert (status.announced, status.counters["bad_payload"], status.counters["frames"]) == (6, 3, 3)


def test_an_answer_that_is_shorter_than_it_promised_is_a_loss() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        data = encode_png(np.random.default_rng(0).integers(0, 255, (24, 32), np.uint8))
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data) + 100))
        handler.end_headers()
        handler.wfile.write(data)

    with http_camera(answer) as camera, asking(camera) as source:
        assert kinds(take(source, 1)) == ["bad_payload"]
        assert source.status().detail == f"{camera}: cut off: 100 bytes are missing"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("multipart/x-mixed-replace; boundary=x", "the address is that of a stream, not of one picture: use kind: opencv"),
        ("text/html", "the address gives no picture but text/html"),
        ("video/mp4", "the address gives no picture but video/mp4"),
    ],
)
def test_what_is_no_picture_is_told(kind: str, text: str) -> None:
    with http_camera(lambda handler: send(handler, b"<html>", kind=kind)) as camera, asking(camera) as source:
        assert detail(source, "backoff").startswith(f"{camera}: {text}; asked again in ")


def test_errors_of_the_way_are_told_without_the_address_and_waits_double() -> None:
    with http_camera(lambda handler: send(handler, b"", code=404)) as camera, asking(camera) as source:
        assert detail(source, "backoff").startswith(f"{camera}: HTTP 404 Not Found: another path; asked again in ")
        until(lambda: (source.read(0.01), "asked again in 0.04 s" in source.status().detail)[1])
    with asking(camera) as source:  # the server is gone
        assert detail(source, "backoff").startswith(f"{camera}: Connection refused; asked again in ")
    with asking("http://no.such.host.invalid/S3CRET") as source:
        assert detail(source, "backoff").startswith("http://no.such.host.invalid/...: its name is not known; asked ")


def test_a_camera_that_comes_back_is_streaming_again() -> None:
    broken: list[bool] = []
    pictures = Pictures()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if broken:
            send(handler, b"", code=503)
        else:
            pictures(handler)

    with http_camera(answer) as camera, asking(camera) as source:
        take(source, 1)
        broken.append(True)
        until(lambda: (source.read(0.01), source.status().state)[1] in ("lost", "backoff"))
        broken.clear()
        until(lambda: (source.read(0.01), source.status().state)[1] == "streaming")
        assert source.status().counters["reconnects"] == 1


def test_a_camera_that_drips_is_given_up_in_time() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        for _ in range(1000):
            handler.wfile.write(b"x")
            time.sleep(0.01)

    with http_camera(answer) as camera, asking(camera, timeout_s=0.1) as source:
        assert detail(source, "backoff").startswith(f"{camera}: the picture did not come whole within 0.1 s; asked again")


def test_another_host_is_not_followed_and_another_path_is_with_the_password() -> None:
    pictures = Pictures("Digest")

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/old":
            send(handler, b"", code=302, Location="/new")
        elif handler.path == "/away":
            send(handler, b"", code=302, Location="http://localhost:1/new")
        elif handler.path == "/file":
            send(handler, b"", code=302, Location="file:///etc/passwd")
        else:
            pictures(handler)

    with http_camera(answer) as camera:
        host = camera.partition("://")[2]
        escaped = PASSWORD.replace("/", "%2F").replace("@", "%40").replace(":", "%3A")
        with asking(f"http://{USER}:{escaped}@{host}/old") as source:
            assert kinds(take(source, 1)) == ["RGB8"]
        for path in ("away", "file"):
            with asking(f"{camera}/{path}") as source:
                assert ": the camera sends to another host, which is not followed; " in detail(source, "backoff")


@pytest.mark.parametrize(
    ("headers", "age_s"),
    [
        ({}, 0),
        ({"Age": "30"}, 30),
        ({"Last_Modified": "Mon, 30 Nov 2020 10:00:00 GMT", "Date": "Mon, 30 Nov 2020 10:00:07 GMT"}, 7),
        ({"Last_Modified": "rubbish", "Age": "-5"}, 0),
    ],
)
def test_a_picture_is_as_old_as_the_question_and_older_if_the_server_says_so(headers: dict[str, str], age_s: int) -> None:
    class Dated(Pictures):
        def __call__(self, handler: BaseHTTPRequestHandler) -> None:
            date = self.headers.get("Date")
            if date is not None:
                handler.date_time_string = lambda *_: date  # type: ignore[method-assign]
            rest = {name: value for name, value in self.headers.items() if name != "Date"}
            self.asked += 1
            send(handler, jpeg(self.asked), **rest)

    before_ns = time.monotonic_ns()
    with http_camera(Dated(**headers)) as camera, asking(camera) as source:
        (item,) = take(source, 1)
    after_ns = time.monotonic_ns()
    assert isinstance(item, Payload)
    asked_ns = item.meta.received_mono_ns + age_s * 1_000_000_000
    assert before_ns <= asked_ns <= after_ns
    assert (
        abs((time.time_ns() - item.meta.received_ns) - (time.monotonic_ns() - item.meta.received_mono_ns)) < 1_000_000_000
    )


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A camera's own certificate, for a name that is not its address."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=AXIS-00408C"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cam.pem")]
    subprocess.run([*command, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cam.pem", tmp_path / "key.pem")
    return context


def test_a_camera_s_own_certificate_is_trusted_when_the_config_names_it(tmp_path: Path, tls: ssl.SSLContext) -> None:
    with http_camera(Pictures(), tls) as camera:
        with asking(camera, tmp_path, ca_file=Path("cam.pem")) as source:
            assert kinds(take(source, 1)) == ["RGB8"]
        with asking(camera, tmp_path) as source:
            assert ": its certificate is not trusted (" in detail(source, "backoff")
            assert "see ca_file" in source.status().detail


def refused(folder: Path, **keys: Any) -> str:
    config = SnapshotConfig(kind="snapshot", **keys)
    told = []
    for refusing in (lambda: check_source(config, folder), lambda: SnapshotSource(config, folder).open()):
        with pytest.raises(UserError) as caught:
            refusing()
        told.append(str(caught.value))
    assert told[0] == told[1]
    return told[0]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("file:///data/snap.jpg", "file:///..."),
        ("ftp://cam/snap.jpg", "ftp://cam/..."),
        ("rtsp://admin:S3CRET@cam/1", "rtsp://cam/..."),
        ("snap.jpg", "snap.jpg"),
        ("http://", "http://"),
        ("http://admin:S3CRET/pw@cam/v", "http://***"),
        ("http://Admin:12?S3CRET@cam/v", "http://***"),
        ("http://admin:a#S3CRET@cam/v", "http://***"),
        ("http://cam:99999/snap", "http://cam:99999/..."),
    ],
)
def test_what_is_no_address_of_a_picture_is_refused_and_its_password_not_shown(
    address: str, shown: str, tmp_path: Path
) -> None:
    assert refused(tmp_path, address=address) == (
        f"source.address: no address of a camera's picture\n  received: {shown}\n"
        "  expected: http://HOST/PATH or https://HOST/PATH; / ? # @ and : in a password escaped (%2F %3F %23 %40 %3A)\n"
        "  fix: write the password as ${NAME}, which needs no escaping; a stream is kind: opencv, a file kind: recorded"
    )


def test_a_certificate_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cam.pem").write_text("none")
    assert refused(tmp_path, address="https://cam/", ca_file=Path("cam.pem")) == (
        f"source.ca_file: holds no certificate\n  received: {tmp_path}/cam.pem\n  expected: PEM"
    )
    assert refused(tmp_path, address="https://cam/", ca_file=Path("none.pem")) == (
        f"source.ca_file: cannot be read: No such file or directory\n  received: {tmp_path}/none.pem"
    )


def test_a_secret_without_a_value_is_told_at_the_start_and_not_by_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    config = SnapshotConfig(kind="snapshot", address="http://admin:${NO_SUCH}@cam/snap")
    check_source(config, tmp_path)
    with pytest.raises(UserError, match=r"source\.address: \$\{NO_SUCH\} has no value"):
        SnapshotSource(config, tmp_path).open()


def test_doctor_asks_once_and_says_what_came() -> None:
    def finding(address: str, **keys: Any) -> tuple[str, str, str | None]:
        config = SnapshotConfig(kind="snapshot", address=address, **keys)
        (found,) = device_findings(config)
        return found.level, found.text, found.fix

    with http_camera(Pictures()) as camera:
        level, text, _ = finding(camera, interval_s=60.0)
        assert (level, text.rpartition(" in ")[0]) == ("ok", f"{camera}: 32x24")
        assert finding(camera, interval_s=0.000_01)[0] == "warn"
    assert finding(camera) == ("warn", f"{camera}: Connection refused", "look after the camera and its network")
    with http_camera(Pictures("Basic")) as camera:
        told = finding(camera)
        assert told == ("fail", f"{camera}: HTTP 401 Unauthorized: user or password", "correct user and password")
    with http_camera(lambda handler: send(handler, b"\xff\xd8 no JPEG")) as camera:
        assert finding(camera)[0] == "fail"
