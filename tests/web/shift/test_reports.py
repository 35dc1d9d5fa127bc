"""Reports of edge shift are listed by camera and by who may see it; their points reach the browser byte for byte."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.pages import client_of, log_in, site_in
from support.reviewed import reviewed
from support.shift_reports import write_report

from edge.web.doors.roles import Role

CALL = "/api/v1/cameras/cam1/shifts"


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[Any, Any, Path]]:
    folder = tmp_path / "shifts"
    folder.mkdir()
    with site_in(tmp_path, "cam1", "cam2", shifts=(folder,)) as site, client_of(site) as client:
        log_in(client, site, Role.VIEWER)
        yield site, client, folder


def names(client: Any, camera: str = "cam1") -> list[str]:
    return [one["name"] for one in client.get(f"/api/v1/cameras/{camera}/shifts").json()["reports"]]


def test_a_report_stands_on_the_page_of_the_camera_that_its_frames_come_from(page) -> None:
    _, client, folder = page
    write_report(folder / "week48" / "shift.json")
    write_report(folder / "newer.json", created="2026-12-01T10:00:00Z")
    write_report(folder / "other.json", cameras=("cam2",))
    assert names(client) == ["newer.json", "week48/shift.json"]
    assert names(client, "cam2") == ["other.json"]


def test_who_may_not_see_a_camera_sees_no_report_that_shows_frames_of_it(page) -> None:
    site, client, folder = page
    write_report(folder / "both.json", cameras=("cam1", "cam2"))
    write_report(folder / "unsaid.json", cameras=())
    assert sorted(names(client)) == ["both.json", "unsaid.json"]
    report = client.get(CALL).json()["reports"][0]["id"]
    log_in(client, site, Role.REVIEWER, ["cam1"])
    assert names(client) == []
    for more in ("", "/points", "/picture.jpg?start=0&end=9"):
        assert client.get(f"{CALL}/{report}{more}").status_code == 404


@pytest.mark.parametrize("without", [40, None])
def test_a_report_whose_frames_do_not_all_say_their_camera_is_for_those_who_see_all_cameras(page, without) -> None:
    """None: a report of a version that didn't count them."""
    site, client, folder = page
    write_report(folder / "half.json", cameras=("cam1",), without_camera=without)
    assert (names(client), names(client, "cam2")) == (["half.json"], [])
    report = client.get(CALL).json()["reports"][0]["id"]
    log_in(client, site, Role.REVIEWER, ["cam1"])
    assert names(client) == []
    for more in ("", "/points", "/picture.jpg?start=0&end=9"):
        assert client.get(f"{CALL}/{report}{more}").status_code == 404


def test_head_points_and_pictures_are_those_of_the_file(page) -> None:
    _, client, folder = page
    whole = orjson.loads(write_report(folder / "shift.json").read_bytes())
    path = f"{CALL}/{client.get(CALL).json()['reports'][0]['id']}"
    head = client.get(path).json()
    assert (head["headline"], head["recordings"], "points" in head) == (whole["headline"], [None, None], False)
    assert client.get(f"{path}/points").json() == whole["points"]
    start, end = whole["points"]["pictures"]["ends"][:2]
    picture = client.get(f"{path}/picture.jpg", params={"start": start, "end": end})
    assert picture.content == (folder / "shift.jpegs").read_bytes()[start:end]
    for wrong in ((start + 1, end), (end, start), (0, 1 << 20), (10**9, 10**9 + 5), (-5, 5)):
        assert client.get(f"{path}/picture.jpg", params=dict(zip(("start", "end"), wrong, strict=True))).status_code == 404


def test_what_is_no_report_is_not_listed_and_one_without_points_says_how_to_get_them(page, tmp_path) -> None:
    _, client, folder = page
    for name, text in (("a.json", "{}"), ("b.json", "no json"), ("c.json", '{"kind": "edge.shift"}'), ("d.txt", "{}")):
        (folder / name).write_text(text)
    os.symlink(write_report(tmp_path / "elsewhere.json"), folder / "link.json")
    old = orjson.loads(write_report(folder / "old.json").read_bytes())
    (folder / "old.json").write_bytes(orjson.dumps({key: value for key, value in old.items() if key != "points"}))
    assert names(client) == ["old.json"]
    report = client.get(CALL).json()["reports"][0]
    assert report["points"] is False
    answer = client.get(f"{CALL}/{report['id']}/points")
    assert (answer.status_code, answer.json()["fix"]) == (
        400,
        "it is of an older version: make it again with edge shift A B -o FILE.html",
    )


def test_a_set_that_is_a_recording_of_the_page_has_its_id(page, tmp_path) -> None:
    site, client, folder = page
    recordings = tmp_path / "recordings"
    (recordings / "line").mkdir(parents=True)
    (recordings / "line" / "recording.json").write_text('{"camera": "cam1", "created_ns": 1, "source": "x"}')
    object.__setattr__(site, "config", site.config.model_copy(update={"recordings": (recordings,)}))
    write_report(folder / "shift.json", root=str(recordings.resolve()))
    head = client.get(f"{CALL}/{client.get(CALL).json()['reports'][0]['id']}").json()
    assert head["recordings"] == [None, hashlib.sha256(str((recordings / "line").resolve()).encode()).hexdigest()[:16]]


def test_frames_of_a_report_are_found_by_review_under_the_id_that_it_says(tmp_path) -> None:
    with reviewed(tmp_path, 6) as (site, client, _):
        (tmp_path / "shifts").mkdir()
        object.__setattr__(site, "config", site.config.model_copy(update={"shifts": (tmp_path / "shifts",)}))
        places = [tmp_path / "sets" / "lab", (tmp_path / "line" / "evidence").resolve()]
        sets = [{"name": place.name, "path": str(place), "root": str(place), "frames": 6, "parts": 3} for place in places]
        write_report(tmp_path / "shifts" / "shift.json", sets=sets)
        report = client.get(CALL).json()["reports"][0]["id"]
        lab, line = client.get(f"{CALL}/{report}").json()["recordings"]
        assert lab is None
        found = client.get("/api/v1/cameras/cam1/frames", params={"recording": line, "numbers": "1,3"}).json()
        assert len(found["ids"]) == 2
        assert '"has_review":true' in client.get("/cam/cam1/shift").text.replace("&#34;", '"')
