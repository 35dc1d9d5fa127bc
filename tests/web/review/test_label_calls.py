"""Frames are searched and labelled over the API: by whom it may be, by their own words, and of their own cameras."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from support.pages import log_in, ours
from support.reviewed import reviewed, write_frames
from support.waits import until

from edge.models.sets.frame_set import read_set
from edge.web.doors.guard import COOKIE
from edge.web.doors.roles import Role
from edge.web.logs.indexer import look_at_frames
from edge.web.review.label_table import LabelTable


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge.web.doors.passwords._N", 1 << 8)
        patch.setattr("edge.service.instances.trusted_roots", list)
        with reviewed(tmp_path_factory.mktemp("page"), 12) as page:
            yield page


@pytest.fixture
def page(running) -> Iterator[Any]:
    """One page for all tests, because its worker takes seconds to start; each begins as the reviewer, without labels."""
    site, client, _ = running
    secret = client.cookies[COOKIE]
    yield site, client
    client.cookies.clear()
    client.cookies.set(COOKIE, secret)
    for shown in details(client, *found(client)):
        if shown["votes"]:
            client.delete(f"/api/v1/labels/cam1/{shown['id']}", headers=ours.headers)


def found(client, **query) -> list[int]:
    answer = client.get("/api/v1/cameras/cam1/frames", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["ids"])


def put(client, frame: int, **word) -> Any:
    return client.put(f"/api/v1/labels/cam1/{frame}", json=word, headers=ours.headers)


def details(client, *ids: int) -> list[dict[str, Any]]:
    return list(client.get("/api/v1/cameras/cam1/frames/details", params={"ids": ",".join(map(str, ids))}).json())


def test_a_frame_is_labelled_found_by_its_label_and_its_word_taken_back(page) -> None:
    site, client = page
    first, second = found(client, verdict="fail")
    assert put(client, first, label="defect", kinds=["crack"], shapes=[[3, 4, 13, 14]]).json() == {
        "votes": [
            {"by": "reviewer1", "label": "defect", "kinds": ["crack"], "mask": True, "decides": False}
            | {"at": votes_at(client, first)}
        ]
    }
    put(client, second, label="good")
    assert found(client, label="defect") == found(client, kind="crack") == [first]
    assert found(client, disagree="1") == [second]
    assert found(client, label="none", verdict="fail") == found(client, mine="no", verdict="fail") == []
    assert client.get(f"/api/v1/labels/cam1/{first}").json()["shapes"] == [[3.0, 4.0, 13.0, 14.0]]
    assert client.get("/api/v1/labels/cam1").json() == {"counts": {"defect": 1, "good": 1}, "kinds": ["crack"]}
    assert client.delete(f"/api/v1/labels/cam1/{first}", headers=ours.headers).json() == {"votes": []}
    assert found(client, label="defect") == []
    noted = [line for line in site.doors.audit.newest(10) if line["event"] == "label"]
    assert (noted[0]["who"], noted[0]["label"], noted[2]["kinds"]) == ("reviewer1", "withdrawn", ["crack"])
    frames = {one.file: one.kind for one in read_set(site.folder / "labels" / "cam1" / "set.jsonl").frames}
    assert sorted(frames.values()) == ["good", "unlabelled"]


def votes_at(client, frame: int) -> str:
    return str(details(client, frame)[0]["votes"][0]["at"])


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ({"label": "perhaps"}, "label"),
        ({}, "label"),
        ({"label": "good", "kinds": ["crack"]}, "kinds"),
        ({"label": "good", "shapes": [[1, 2, 3, 4]]}, "shapes"),
        ({"label": "defect", "kinds": ["good"]}, "kinds.0"),
        ({"label": "defect", "kinds": ["../../etc"]}, "kinds.0"),
        ({"label": "defect", "kinds": ["<img src=x onerror=alert(1)>"]}, "kinds.0"),
        ({"label": "defect", "kinds": ["a"] * 10}, "kinds"),
        ({"label": "defect", "shapes": [[1, 2, 3]]}, "shapes.0"),
        ({"label": "defect", "shapes": [[[1, 2], [3, 4]]]}, "shapes.0"),
        ({"label": "defect", "shapes": [[5, 5, 5, 5]]}, "shapes.0: holds no pixel of the map"),
        ({"label": "defect", "shapes": [[1, 1, 900, 9]]}, "shapes.0: outside the frame"),
        ({"label": "defect", "shapes": [[1, 1, 9, 9]] * 21}, "shapes"),
        ({"label": "good", "colour": 1}, "colour"),
    ],
)
def test_a_word_that_is_none_is_refused_with_its_key(page, word, text) -> None:
    answer = put(page[1], found(page[1])[0], **word)
    assert (answer.status_code, answer.json()["what"], answer.json()["code"]) == (400, text, "invalid_word")
    assert found(page[1], label="none") == found(page[1])


def test_a_word_of_somebody_else_or_of_another_frame_is_not_written(page) -> None:
    _, client = page
    (frame, *_) = found(client)
    answer = put(client, frame, label="good", who="ann")
    assert (answer.status_code, answer.json()["what"]) == (409, "this is a word of ann, and reviewer1 is logged in")
    answer = put(client, frame, label="good", who="reviewer1", at="1")
    assert answer.json()["what"] == f"frame {frame} of cam1 is another one now: search again"
    (shown,) = details(client, frame)
    assert put(client, frame, label="good", who="reviewer1", at=shown["at"]).status_code == 200


def test_no_answer_but_that_a_word_is_none_gives_a_browser_leave_to_forget_it(page) -> None:
    site, client = page
    (frame, *_) = found(client)
    path = site.folder / "labels" / "cam1" / "set.jsonl"
    put(client, frame, label="good")
    whole = path.read_bytes()
    path.write_bytes(whole + b"{damaged}\n")
    try:
        damaged = put(client, frame, label="defect")
    finally:
        path.write_bytes(whole)
    unknown = client.put(f"/api/v1/labels/cam3/{frame}", json={"label": "good"}, headers=ours.headers)
    answers = (damaged, unknown, put(client, 999, label="good"), put(client, frame, label="good", who="ann"))
    assert [(one.status_code, "code" in one.json()) for one in answers] == [(code, False) for code in (400, 404, 404, 409)]
    assert "not a line of a set's manifest" in damaged.json()["what"]


def test_a_word_finds_its_frame_by_name_and_time_where_the_index_was_begun_anew(page) -> None:
    _, client = page
    first, second, third, *_ = found(client)
    meant, other = details(client, first, second)
    named = {"at": meant["at"], "kept": meant["kept"]}
    assert put(client, second, label="good", **named).json()["votes"][0]["label"] == "good"
    assert put(client, 999, label="unsure", **named).status_code == 200
    assert found(client, label="unsure") == [first]
    wrong = put(client, second, label="good", at=meant["at"], kept=other["kept"])
    assert (wrong.status_code, wrong.json()["what"]) == (404, f"frame {second} of cam1 is another one now: search again")
    client.delete(f"/api/v1/labels/cam1/{third}", params=named, headers=ours.headers)
    assert found(client, label="none") == found(client)


def test_an_address_with_a_frames_time_never_shows_another_one(page) -> None:
    _, client = page
    first, second, *_ = found(client)
    at = details(client, first)[0]["at"]
    for name in ("thumbnail.jpg", "picture.jpg"):
        place = f"/api/v1/cameras/cam1/frames/{first}/{name}"
        assert client.get(place, params={"at": at}).headers["cache-control"] == "private, max-age=86400"
        assert client.get(place).headers["cache-control"] == "private, no-cache"
        other = client.get(f"/api/v1/cameras/cam1/frames/{second}/{name}", params={"at": at})
        assert (other.status_code, other.json()["what"]) == (
            404,
            f"frame {second} of cam1 is another one now: search again",
        )
    assert client.get(f"/api/v1/labels/cam1/{second}", params={"at": at}).status_code == 404


def test_a_viewer_looks_and_two_reviewers_may_disagree(page) -> None:
    site, client = page
    (frame, *_) = found(client)
    put(client, frame, label="good")
    log_in(client, site, Role.ENGINEER)
    put(client, frame, label="defect")
    assert found(client, label="disputed") == [frame]
    put(client, frame, label="defect", decides=True)
    assert [vote["by"] for vote in details(client, frame)[0]["votes"]] == ["engineer1"]
    viewed = found(client, label="defect")
    taken_back = client.delete(f"/api/v1/labels/cam1/{frame}", headers=ours.headers).json()["votes"]
    assert [vote["by"] for vote in taken_back] == ["reviewer1"]
    log_in(client, site, Role.VIEWER)
    assert (viewed, found(client, label="defect")) == ([frame], [])
    refused = put(client, frame, label="good")
    assert (refused.status_code, refused.json()["what"]) == (403, "this needs the role reviewer; viewer1 has viewer")


def test_pictures_come_small_and_large_and_another_cameras_frames_do_not(page) -> None:
    site, client = page
    (frame, *_) = found(client)
    place = f"/api/v1/cameras/cam1/frames/{frame}"
    small = client.get(f"{place}/thumbnail.jpg")
    assert (small.headers["content-type"], small.content[:2]) == ("image/jpeg", b"\xff\xd8")
    assert len(list((site.folder / "thumbnails").iterdir())) == 1
    assert client.get(f"{place}/picture.jpg?most=16").content[:2] == b"\xff\xd8"
    assert client.get(f"/api/v1/cameras/cam2/frames/{frame}/picture.jpg").status_code == 404
    assert client.put(f"/api/v1/labels/cam2/{frame}", json={"label": "good"}, headers=ours.headers).status_code == 404
    gone = client.get("/api/v1/cameras/cam1/frames/999/thumbnail.jpg")
    assert (gone.status_code, gone.json()["what"]) == (404, "no frame 999 of cam1: a quota may have taken it")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"verdict": "bad"}, "verdict"),
        ({"label": "bad"}, "label"),
        ({"near": "-1"}, "near"),
        ({"near": "nan"}, "near"),
        ({"part": "9" * 25}, "part"),
        ({"since": "yesterday"}, "since"),
        ({"numbers": "1,x"}, "numbers"),
    ],
)
def test_a_search_that_is_none_says_what_was_expected(page, query, name) -> None:
    answer = page[1].get("/api/v1/cameras/cam1/frames", params=query)
    assert (answer.status_code, answer.json()["what"]) == (400, name)
    assert answer.json()["expected"]


def test_a_session_that_ended_writes_nothing_and_the_word_is_taken_after_the_next_log_in(page) -> None:
    _, client = page
    (frame, *_) = found(client)
    secret = client.cookies[COOKIE]
    client.cookies.set(COOKIE, "of yesterday")
    assert put(client, frame, label="good", who="reviewer1").status_code == 401
    client.cookies.clear()
    client.cookies.set(COOKIE, secret)
    assert found(client, label="good") == []
    assert put(client, frame, label="good", who="reviewer1").status_code == 200


def test_what_edge_label_says_meanwhile_is_found_by_the_next_search(page) -> None:
    site, client = page
    (frame, *_) = found(client)
    put(client, frame, label="good")
    path = site.folder / "labels" / "cam1" / "set.jsonl"
    file = next(orjson.loads(line)["file"] for line in reversed(path.read_bytes().splitlines()))
    word = {"kind": "label", "file": file, "label": "defect", "by": "bob", "at": "2026-11-30T00:00:00Z"}
    with path.open("ab") as manifest:
        manifest.write(orjson.dumps(word) + b"\n")
    assert found(client, label="disputed") == [frame]
    with path.open("ab") as manifest:
        manifest.write(orjson.dumps(word | {"label": "withdrawn"}) + b"\n")


def test_a_table_that_is_begun_anew_while_the_page_runs_is_filled_before_the_next_search(page) -> None:
    site, client = page
    (frame, *_) = found(client)
    put(client, frame, label="good")
    assert found(client, label="good") == [frame]
    table = LabelTable(site.folder)
    table.forget("cam1")
    table.close()
    assert found(client, label="good") == [frame]


def test_the_page_says_who_labels_and_is_in_the_navigation(page) -> None:
    _, client = page
    text = client.get("/cam/cam1/review").text
    assert "&#34;labels&#34;:true" in text
    assert 'href="/cam/cam1/review" aria-current="page"' in text


def test_the_api_describes_a_word(page) -> None:
    described = page[1].get("/api/v1/openapi.json").json()["paths"]["/api/v1/labels/{camera}/{frame}"]["put"]
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["label"]["enum"] == ["good", "defect", "unsure"]


def test_labels_are_exported_listed_sent_as_a_tar_and_deleted(page) -> None:
    site, client = page
    place = "/api/v1/exports/cam1"
    refused = client.post(place, json={}, headers=ours.headers)
    assert (refused.status_code, refused.json()["what"].partition(":")[2]) == (400, " no frame is labelled good or defect")
    good, bad, *_ = found(client)
    put(client, good, label="good")
    put(client, bad, label="defect", kinds=["crack"], shapes=[[3, 4, 13, 14]])
    name = client.post(place, json={}, headers=ours.headers).json()["name"]
    until(lambda: client.get(place).json()[0]["state"] == "done")
    assert client.get(place).json()[0]["counts"] == {"test/crack": 1, "train/good": 1}
    with tarfile.open(fileobj=io.BytesIO(client.get(f"{place}/{name}.tar").content)) as tar:
        folders = sorted(member.name.rpartition("/")[0] for member in tar.getmembers())
    assert folders == [f"{name}/ground_truth/crack", f"{name}/test/crack", f"{name}/train/good"]
    assert client.get(f"/api/v1/exports/cam2/{name}.tar").status_code == 404
    running = "cam1-20261130T000000Z"
    (site.folder / "exports" / f"{running}.part").mkdir()
    for refused in (client.get(f"{place}/{running}.tar"), client.delete(f"{place}/{running}", headers=ours.headers)):
        assert (refused.status_code, refused.json()["what"]) == (
            409,
            f"export {running} is being written: wait for its end",
        )
    assert client.delete(f"{place}/{name}", headers=ours.headers).json() == {"deleted": name}
    assert client.get(place).json() == []
    events = [line["event"] for line in site.doors.audit.newest(5)]
    assert events[:3] == ["label_export_deleted", "label_download", "label_export"]


def test_fifty_thousand_frames_are_found_at_once_and_shown_by_the_page(running) -> None:
    _, client, index = running
    rows = index._database.execute("select * from frames limit 1").fetchone()
    more = ((None, rows[1], 1000 + n, rows[3] - 1_000_000_000 * (n + 1), *rows[4:]) for n in range(50_000))
    index._database.execute("begin")
    index._database.executemany(f"insert into frames values ({', '.join('?' * 21)})", more)
    index._database.execute("commit")
    ids = found(client)
    assert len(ids) == 50_012
    assert [one["number"] for one in details(client, *ids[-2:])] == [50_998, 50_999]
    assert len(found(client, label="none", mine="no", verdict="pass")) > 40_000
    index._database.execute("delete from frames where number >= 1000")


def test_frames_that_come_later_are_found_by_the_next_search(running, tmp_path) -> None:
    site, client, index = running
    evidence = site.folder.parent / "line" / "evidence"
    write_frames(evidence, range(12, 14))
    assert look_at_frames(index, site.config.lines, ()) == 2
    assert len(found(client)) == 14
