"""The pictures of one record: the frame that evidence kept of it, small, and with its regions drawn."""

from __future__ import annotations

from support.reviewed import reviewed

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


def test_a_record_without_pictures_has_an_empty_list(tmp_path) -> None:
    with reviewed(tmp_path, 6, Role.VIEWER) as (_, client, _):
        for place in ("run1/99", "run2/4", f"run1/{1 << 70}", "run1/-1"):
            assert client.get(f"{RECORDS}/{place}/pictures").json() == []
