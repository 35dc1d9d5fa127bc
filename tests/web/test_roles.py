"""Every role meets every route: nothing is open by accident, and a new route is in this walk without being named."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from support.pages import WS, client_of, log_in, ours, site_in

from edge.errors import UserError
from edge.web.app import make_app
from edge.web.doors.roles import Role, role_named
from edge.web.doors.routes import guarded

OPEN = {"/static/{version}/{name:path}", "/login", "/enter", "/logout", "/api/v1/login"}
"""Routes that need no log-in. Whoever adds one says here that it is meant."""


@pytest.mark.parametrize("role", Role)
def test_each_role_gets_what_its_routes_say_and_no_more(tmp_path, role) -> None:
    with site_in(tmp_path, "cam1") as site, client_of(site) as client:
        log_in(client, site, role)
        for method, path, guard in guarded(client.app):
            if path.endswith("/logout"):
                continue
            allowed = role >= guard.role
            assert reached(client, method, path) is allowed, f"{role.word}: {method} {path}"


def test_only_the_log_in_is_open(tmp_path) -> None:
    with site_in(tmp_path, "cam1") as site:
        assert {path for _, path, guard in guarded(make_app(site)) if guard.role is Role.OPEN} == OPEN


def test_a_camera_that_a_visitor_may_not_see_is_not_there(tmp_path) -> None:
    with site_in(tmp_path, "cam1", "cam2") as site, client_of(site) as client:
        log_in(client, site, Role.ADMIN, ["cam2"])
        for method, path, _ in guarded(client.app):
            if "{camera}" in path:
                assert not reached(client, method, path), path
        assert "cam1" not in client.get("/").text
        assert "cam2" in client.get("/").text


def test_a_route_without_a_guard_refuses_to_start(tmp_path) -> None:
    with site_in(tmp_path) as site:
        app = make_app(site)
        app.add_api_route("/forgotten", lambda: None)
        with pytest.raises(TypeError, match="a route without a guard"):
            list(guarded(app))


def test_a_role_that_is_none_is_named() -> None:
    with pytest.raises(UserError, match=r"role\n  received: boss\n  expected: viewer, reviewer, engineer, admin"):
        role_named("boss")


def reached(client, method: str, path: str) -> bool:
    """Whether the guard let this request through to its route, whatever the route then said."""
    url = re.sub(r"\{camera\}", "cam1", path)
    url = re.sub(r"\{[^}]+\}", "1", url)
    if method == "WEBSOCKET":
        try:
            with client.websocket_connect(f"{WS}{url}", headers=ours.headers):
                return True
        except (WebSocketDisconnect, WebSocketDenialResponse):
            return False
    body = {"json": {}} if url.startswith("/api/") and method not in ("GET", "DELETE") else {}
    answer = client.request(method, url, headers=ours.headers, **body)
    sent_away = answer.status_code == 303 and answer.headers["location"].startswith("/login")
    unknown = answer.status_code == 404 and "no camera" in answer.text
    return not (
        sent_away or unknown or answer.status_code == 401 or (answer.status_code == 403 and "needs the role" in answer.text)
    )
