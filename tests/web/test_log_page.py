"""The Log page and its calls: search, one record, what made it, exports; each for whom it is."""

from __future__ import annotations

import csv
import io
import json

import orjson
import pytest
from support.lines import BASE
from support.logs import START, lines, lost, write
from support.pages import client_of, log_in, site_in

from edge.web.doors.roles import Role
from edge.web.logs.indexer import look_once
from edge.web.logs.record_index import FILE, RecordIndex
from edge.web.pages.log_page import readable

HASH, OTHER = "a" * 64, "d" * 64


@pytest.fixture
def page(tmp_path):
    """A camera with a config, a log of nine records, and the archive beside it."""
    with site_in(tmp_path, "cam1", "cam2") as site:
        config = tmp_path / "cam1.yaml"
        config.write_text(BASE)
        told = {"camera": "cam1", "config": str(config), "overrides": []}
        (tmp_path / "run" / "cam1" / "instance.json").write_bytes(orjson.dumps(told))
        archive = tmp_path / "log" / "archive"
        archive.mkdir(parents=True)
        (archive / f"{HASH}.yaml").write_text("regions:\n  min_area_px: 16\n  # <script>alert(1)</script>\n")
        (archive / f"{OTHER}.yaml").write_text("regions:\n  min_area_px: 20\n")
        shown = [*lines("run1", range(7)), *lines("run1", range(7, 8), verdict="fail"), lost("run1", 8, START + 8)]
        write(tmp_path / "log" / "edge-cam1-20261121T180000Z-000000.jsonl", shown)
        index = RecordIndex(site.folder / FILE)
        assert look_once(index, site.config.lines) == 9
        index.close()
        with client_of(site) as client:
            log_in(client, site, Role.ENGINEER)
            yield site, client


def test_a_search_is_a_form_and_its_answer_a_table(page) -> None:
    text = page[1].get("/log", params={"verdict": "fail", "since": "2026-11-21", "part": "42"}).text
    assert "9 records of 1 files are indexed" in text
    assert text.count('<span class="verdict fail">') == 1
    assert "/cam/cam1/record/run1/7" in text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"since": "yesterday"}, "since"),
        ({"part": "x"}, "part"),
        ({"verdict": "good"}, "verdict"),
        ({"seq": "1.5"}, "seq"),
        ({"seq": "9999999999999999999"}, "seq"),
        ({"cursor": "99999999999999999999-1"}, "cursor"),
        ({"cursor": "1-9999999999999999999"}, "cursor"),
        ({"since": "0001-01-01"}, "since"),
        ({"until": "9999-12-31"}, "until"),
        ({"since": "99999999d"}, "since"),
    ],
)
def test_a_search_that_is_none_says_what_was_expected(page, query, words) -> None:
    text = page[1].get("/log", params=query).text
    assert f'<p class="wrong" role="alert">{words}\n  received: ' in text


def test_a_record_shows_what_made_it_and_how_two_configs_differ(page) -> None:
    client = page[1]
    text = client.get("/cam/cam1/record/run1/7").text
    assert f"/cam/cam1/made-by/{HASH}" in text
    text = client.get(f"/cam/cam1/made-by/{HASH}", params={"other": OTHER}).text
    assert '<span class="removed">-  min_area_px: 20</span>' in text
    assert '<span class="added">+  min_area_px: 16</span>' in text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_a_record_or_text_that_is_not_there_says_so(page) -> None:
    client = page[1]
    answer = client.get("/cam/cam1/record/run1/99", headers={"accept": "text/html"})
    assert (answer.status_code, "is not here any more" in answer.text) == (400, True)
    for sha256 in ("e" * 64, "%2e%2e%2fpasswd"):
        assert client.get(f"/api/v1/cameras/cam1/archive/{sha256}").status_code in (400, 404)
    assert client.get(f"/api/v1/cameras/cam2/archive/{HASH}").json()["what"] == "cam2: keeps no log"


def test_records_come_a_page_at_a_time_or_whole_one_a_line(page) -> None:
    client = page[1]
    first = client.get("/api/v1/cameras/cam1/records", params={"limit": 5}).json()
    rest = client.get("/api/v1/cameras/cam1/records", params={"limit": 5, "cursor": first["cursor"]}).json()
    assert [record["seq"] for record in first["records"] + rest["records"]] == [*range(8, -1, -1)]
    whole = client.get("/api/v1/cameras/cam1/records", headers={"accept": "application/x-ndjson"}).text.splitlines()
    assert [orjson.loads(line)["seq"] for line in whole] == [*range(8, -1, -1)]


def test_a_page_of_whole_records_has_the_cursor_of_the_next_and_an_end(page, monkeypatch) -> None:
    client, headers = page[1], {"accept": "application/x-ndjson"}
    path = "/api/v1/cameras/cam1/records"
    first = client.get(path, params={"limit": 5}, headers=headers)
    rest = client.get(path, params={"cursor": first.headers["x-edge-cursor"]}, headers=headers)
    told = (first.text + rest.text).splitlines()
    assert [orjson.loads(line)["seq"] for line in told] == [*range(8, -1, -1)]
    monkeypatch.setattr("edge.web.logs.record_search.MOST", 4)
    assert len(client.get(path, params={"limit": 999_999_999}, headers=headers).text.splitlines()) == 4


@pytest.mark.parametrize("path", ["export.csv", "export.ndjson", "cameras/cam1/records"])
def test_a_wrong_word_is_refused_before_an_answer_begins(page, path) -> None:
    headers = {"accept": "application/x-ndjson"}
    answer = page[1].get(f"/api/v1/{path}", params={"verdict": "good"}, headers=headers)
    assert (answer.status_code, answer.json()["what"]) == (400, "verdict")


def test_no_record_has_a_number_that_is_too_large(page) -> None:
    answer = page[1].get("/api/v1/cameras/cam1/records/x/99999999999999999999")
    assert (answer.status_code, answer.json()["what"]) == (400, "a number is too large")


def test_an_export_is_for_reviewers_and_is_noted(page) -> None:
    site, client = page
    rows = list(csv.DictReader(io.StringIO(client.get("/api/v1/export.csv", params={"verdict": "fail"}).text)))
    assert [(row["camera"], row["seq"], row["part"], row["time"]) for row in rows] == [
        ("cam1", "7", "42", "2026-11-21T18:00:00.000Z")
    ]
    assert site.doors.audit.newest(1)[0]["event"] == "export"
    log_in(client, site, Role.VIEWER)
    assert client.get("/api/v1/export.csv").status_code == 403
    assert client.get(f"/api/v1/cameras/cam1/archive/{HASH}").status_code == 403


def test_another_cameras_records_are_not_in_ones_own_search(page) -> None:
    site, client = page
    log_in(client, site, Role.REVIEWER, ["cam2"])
    assert "/cam/cam1/record" not in client.get("/log").text
    assert client.get("/api/v1/export.ndjson").text == ""
    assert client.get("/api/v1/cameras/cam1/records").status_code == 404


def test_a_record_is_shown_with_a_line_for_each_field_and_each_region() -> None:
    record = {"seq": 3, "camera": "übung", "regions": [{"id": n, "bbox_xyxy": [n, 2, 3, 4]} for n in range(500)]}
    text = readable(record)
    assert json.loads(text) == record
    assert len(text.splitlines()) == 506
    assert text.splitlines()[1:3] == ['  "seq": 3,', '  "camera": "übung",']
    assert text.splitlines()[4] == '    {"id": 0, "bbox_xyxy": [0, 2, 3, 4]},'
    assert json.loads(readable({"regions": [], "seq": None})) == {"regions": [], "seq": None}
