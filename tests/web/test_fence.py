"""Other sites, other names, uploads and floods stop at the fence."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.pages import ORIGIN, PASSWORD, client_of, log_in, ours, secret_of, site_in

from edge.web.doors.account_book import AccountBook
from edge.web.doors.roles import Role

FORM = {"name": "viewer1", "password": PASSWORD, "next": "/"}


@pytest.fixture
def page(tmp_path):
    with site_in(tmp_path, "cam1") as site, client_of(site) as client:
        secret_of(site, Role.VIEWER)
        yield site, client


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (ours.headers, 303),
        ({"origin": ORIGIN}, 303),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": ORIGIN, "host": "evil.example"}, 421),
        ({"origin": ORIGIN, "content-type": "multipart/form-data; boundary=x"}, 415),
        ({"origin": ORIGIN, "content-type": "text/plain"}, 415),
    ],
)
def test_a_form_comes_from_the_page_itself(page, headers, status) -> None:
    assert page[1].post("/login", data=FORM, headers=headers).status_code == status


def test_a_cookie_without_an_origin_changes_nothing(page) -> None:
    site, client = page
    log_in(client, site, Role.VIEWER)
    answer = client.post("/logout", data={})
    assert (answer.status_code, answer.json()["what"]) == (403, "a request with a cookie and no origin")


def test_a_large_body_is_refused(page) -> None:
    answer = page[1].post("/login", data={"name": "x" * 300_000}, headers=ours.headers)
    assert answer.status_code == 413


def test_every_answer_has_the_headers(page) -> None:
    for path in ("/login", "/", "/nowhere", "/static/x/js/dom.js"):
        headers = page[1].get(path).headers
        assert "script-src 'self';" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_the_sixth_wrong_password_within_a_minute_waits(page) -> None:
    wrong = FORM | {"password": "not that one at all"}
    tries = [page[1].post("/login", data=wrong, headers=ours.headers).status_code for _ in range(6)]
    assert tries == [403] * 5 + [429]
    assert page[1].post("/login", data=FORM, headers=ours.headers).status_code == 429
    events = [line["event"] for line in page[0].doors.audit.newest(9)]
    assert events == ["login_failed"] * 5


def test_wrong_passwords_sent_at_once_are_counted_one_by_one(page, monkeypatch) -> None:
    site, client = page
    hashed: list[str] = []
    log_in = site.doors.accounts.log_in
    monkeypatch.setattr(AccountBook, "log_in", lambda _, name, *more: hashed.append(name) or log_in(name, *more))

    def wrong(_: int) -> int:
        return client.post("/login", data=FORM | {"password": "not that one"}, headers=ours.headers).status_code

    with ThreadPoolExecutor(20) as pool:
        assert sorted(pool.map(wrong, range(20))) == [403] * 5 + [429] * 15
    assert hashed == ["viewer1"] * 5


@pytest.mark.parametrize("body", [r'{"name": "\ud800"}', r'{"password": "\ud800"}', "[" * 100_000])
def test_a_log_in_that_is_no_text_does_not_fit(page, body) -> None:
    headers = {**ours.headers, "content-type": "application/json"}
    assert page[1].post("/api/v1/login", content=body, headers=headers).status_code == 403


def test_a_form_of_too_many_fields_says_how_many_it_may_have(page) -> None:
    answer = page[1].post("/login", data={f"f{n}": "x" for n in range(51)}, headers=ours.headers)
    assert answer.status_code == 400
    assert answer.json() | {"received": None} == {
        "what": "the form has too many fields",
        "received": None,
        "expected": "at most 50",
        "fix": None,
    }


@pytest.mark.parametrize("to", ["//evil.example", "/\\evil.example", "https://evil.example", ""])
def test_a_log_in_leads_to_the_page_alone(page, to) -> None:
    answer = page[1].post("/login", data=FORM | {"next": to}, headers=ours.headers)
    assert answer.headers["location"] == "/"
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=strict" in answer.headers["set-cookie"]


def test_a_file_is_found_by_its_name_alone(page) -> None:
    from edge.web.static_files import VERSION

    assert page[1].get(f"/static/{VERSION}/js/dom.js").headers["cache-control"].endswith("immutable")
    for name in ("../app.py", "%2e%2e/app.py", "js/../../app.py"):
        assert page[1].get(f"/static/{VERSION}/{name}").status_code == 404
