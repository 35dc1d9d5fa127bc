"""The page as browsers reach it: over TLS of its own, and over a Unix socket behind a proxy that ends TLS."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.pages import PASSWORD
from support.waits import until

from edge.config.web import load_web_config
from edge.errors import UserError
from edge.web import serve
from edge.web.doors.roles import Role
from edge.web.site import Site

FORM = {"content-type": "application/x-www-form-urlencoded"}


@contextlib.contextmanager
def running(folder: Path, text: str) -> Iterator[Any]:
    """The page of this web.yaml, served by uvicorn in a thread; yields its site and port."""
    (folder / "web.yaml").write_text(f"dir: page\n{text}")
    loaded = load_web_config(folder / "web.yaml")
    with contextlib.ExitStack() as opened:
        site = opened.enter_context(contextlib.closing(Site.open(loaded)))
        site.doors.accounts.add_user("ann", Role.VIEWER, PASSWORD, None)
        listening = opened.enter_context(contextlib.closing(serve._listen(loaded.config)))
        server = serve._Server(serve._settings(loaded.config, site))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
        thread.start()
        opened.callback(thread.join)
        opened.callback(setattr, server, "should_exit", True)
        until(lambda: server.started)
        port = None if listening.family == socket.AF_UNIX else listening.getsockname()[1]
        yield SimpleNamespace(site=site, port=port, config=loaded.config)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate of 127.0.0.1 and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -keyout box.key -out box.pem -days 2 -subj /CN=box"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1"], cwd=folder, check=True, capture_output=True
    )
    return folder


def log_in(connection: http.client.HTTPConnection, origin: str, **more: str) -> http.client.HTTPResponse:
    body = f"name=ann&password={PASSWORD.replace(' ', '+')}"
    connection.request("POST", "/login", body, FORM | {"origin": origin, "sec-fetch-site": "same-origin"} | more)
    answer = connection.getresponse()
    answer.read()
    return answer


def test_with_a_certificate_of_its_own_the_page_speaks_https_alone(tmp_path: Path, certificate: Path) -> None:
    text = f"bind: 127.0.0.1:0\ntls: {{cert: {certificate}/box.pem, key: {certificate}/box.key}}\n"
    with running(tmp_path, text) as page:
        trusted = ssl.create_default_context(cafile=str(certificate / "box.pem"))
        with contextlib.closing(http.client.HTTPSConnection("127.0.0.1", page.port, context=trusted)) as connection:
            answer = log_in(connection, f"https://127.0.0.1:{page.port}")
            cookie = answer.headers["set-cookie"]
            assert (answer.status, answer.headers["location"]) == (303, "/")
            assert {"Secure", "HttpOnly", "SameSite=strict"} <= {word.strip() for word in cookie.split(";")}
            connection.request("GET", "/", headers={"cookie": cookie.partition(";")[0]})
            assert connection.getresponse().status == 200
        with socket.create_connection(("127.0.0.1", page.port)) as plain:
            plain.sendall(b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert not plain.recv(100).startswith(b"HTTP/")


def test_a_certificate_that_is_none_is_refused_in_words(tmp_path: Path, certificate: Path) -> None:
    for cert, what in (("none.pem", "No such file"), ("box.key", "PEM")):
        text = f"bind: 127.0.0.1:0\ntls: {{cert: {certificate}/{cert}, key: {certificate}/box.key}}\n"
        (tmp_path / cert).mkdir()
        with pytest.raises(UserError, match=what), running(tmp_path / cert, text):
            pass


class UnixConnection(http.client.HTTPConnection):
    """What a proxy on the same machine does: HTTP over the page's socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("edge-box.plant.lan")
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def test_behind_a_proxy_on_a_socket_the_visitors_address_and_scheme_are_the_proxys_word(tmp_path: Path) -> None:
    path = tmp_path / "page.sock"
    text = f"bind: unix:{path}\nhosts: [edge-box.plant.lan]\nbehind_proxy: {{}}\n"
    said = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}
    with running(tmp_path, text) as page, contextlib.closing(UnixConnection(path)) as connection:
        assert path.stat().st_mode & 0o777 == 0o660
        answer = log_in(connection, "https://edge-box.plant.lan", **said)
        assert answer.status == 303
        assert "Secure" in answer.headers["set-cookie"]
        assert page.site.doors.audit.newest(1)[0]["peer"] == "192.0.2.7"
        assert log_in(connection, "https://evil.example", **said).status == 403
        assert log_in(connection, "https://edge-box.plant.lan", host="other.lan", **said).status == 421


def test_without_a_proxy_nobodys_word_on_the_visitors_address_is_believed(tmp_path: Path) -> None:
    said = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}
    with running(tmp_path, "bind: 127.0.0.1:0\n") as page:
        connection = http.client.HTTPConnection("127.0.0.1", page.port)
        answer = log_in(connection, f"http://127.0.0.1:{page.port}", **said)
        connection.close()
        assert answer.status == 303
        assert "Secure" not in answer.headers["set-cookie"]
        assert page.site.doors.audit.newest(1)[0]["peer"] == "127.0.0.1"
