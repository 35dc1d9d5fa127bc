"""A page in a test: its application over a folder of its own, and visitors of every role."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import orjson
from fastapi.testclient import TestClient

from edge.config.web import LoadedWeb, WebConfig
from edge.web.app import make_app
from edge.web.doors.guard import COOKIE
from edge.web.doors.roles import Role
from edge.web.site import Site

ORIGIN, WS = "http://127.0.0.1:8080", "ws://127.0.0.1:8080"
PASSWORD = "a long enough password"


def camera_folder(folder: Path, camera: str) -> Path:
    """A runtime folder of a daemon that ran once."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "instance.json").write_bytes(orjson.dumps({"camera": camera}))
    (folder / "endpoints.json").write_bytes(b"{}")
    return folder


@contextlib.contextmanager
def site_in(folder: Path, *cameras: str, **config: object) -> Iterator[Site]:
    """A page whose machine has these cameras and no others."""
    lines = tuple(camera_folder(folder / "run" / camera, camera) for camera in cameras)
    settings = WebConfig(**{"lines": lines, "bind": "127.0.0.1:8080", **config})
    site = Site.open(LoadedWeb(settings, None, folder / "page"))
    try:
        yield site
    finally:
        site.close()


@contextlib.contextmanager
def client_of(site: Site) -> Iterator[TestClient]:
    with TestClient(make_app(site), base_url=ORIGIN, follow_redirects=False) as client:
        yield client


def secret_of(site: Site, role: Role, cameras: list[str] | None = None) -> str | None:
    """A session's secret of a user with this role; None for nobody."""
    if role is Role.OPEN:
        return None
    name = f"{role.word}1"
    site.doors.accounts.add_user(name, role, PASSWORD, cameras)
    return site.doors.accounts.log_in(name, PASSWORD, "test")


def log_in(client: TestClient, site: Site, role: Role, cameras: list[str] | None = None) -> None:
    """Give the client a session of this role."""
    client.cookies.clear()
    secret = secret_of(site, role, cameras)
    if secret is not None:
        client.cookies.set(COOKIE, secret)


ours = SimpleNamespace(headers={"origin": ORIGIN, "sec-fetch-site": "same-origin"})
"""What a browser sends with a form or a call of the page's own."""
