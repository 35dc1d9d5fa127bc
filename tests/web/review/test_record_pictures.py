"""The pictures of one record: the frame that evidence kept of it, small, and with its regions drawn."""

from __future__ import annotations

from datetime import datetime, timezone

from support.reviewed import START, reviewed

from edge.web.doors.roles import Role

RECORDS = "/api/v1/cameras/cam1/records"


def test_a_record_has_the_frame_that_evidence_kept_and_its_overlay(tmp_path) -> None:
    with reviewed(tmp_path, 6, Role.VIEWER) as (_, client, _):
        overlays = tmp_path / "line" / "evidence" / "overlays"
        overlays.mkdir(exist_ok=True)
        (overlays / "00000004-seq4-cam1.jpg").write_bytes(b"\xff\xd8drawn")
        (told,) = client.get(f"{RECORDS}/run1/4/pictures").json()
        assert (told["why"], told["size"]) == ("fail", [64, 48])
        assert client.get(told["picture"]).content.startswith(b"\xff\xd8")
        assert client.get(told["overlay"]).content == b"\xff\xd8drawn"
        (passed,) = client.get(f"{RECORDS}/run1/3/pictures").json()
        assert passed["overlay"] is None
        assert client.get(passed["picture"].replace("picture", "overlay")).status_code == 404


def test_no_overlay_of_another_frame_of_the_same_number_is_shown(tmp_path) -> None:
    with reviewed(tmp_path, 6, Role.VIEWER) as (_, client, _):
        overlays = tmp_path / "line" / "evidence" / "overlays"
        overlays.mkdir(exist_ok=True)
        for name in ("00000004-seq40-cam1-frame4.jpg", "00000004-seq4-cam1-20010203T040506+0000-frame4.jpg"):
            (overlays / name).write_bytes(b"\xff\xd8of another")
        (told,) = client.get(f"{RECORDS}/run1/4/pictures").json()
        assert told["overlay"] is None
        moment = datetime.fromtimestamp(START // 1_000_000_000 + 4, timezone.utc).strftime("%Y%m%dT%H%M%S%z")
        (overlays / f"00000004-seq4-cam1-{moment}-frame4.jpg").write_bytes(b"\xff\xd8drawn")
        (told,) = client.get(f"{RECORDS}/run1/4/pictures").json()
        assert client.get(told["overlay"]).content == b"\xff\xd8drawn"


def test_a_record_without_pictures_has_an_empty_list(tmp_path) -> None:
    with reviewed(tmp_path, 6, Role.VIEWER) as (_, client, _):
        for place in ("run1/99", "run2/4", f"run1/{1 << 70}", "run1/-1"):
            assert client.get(f"{RECORDS}/{place}/pictures").json() == []
