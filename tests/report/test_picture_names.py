"""A picture says of which frame it is, in its strip and in its file's name, in the time of the machine's zone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from edge.config.regions import RegionsConfig
from edge.frames import AnomalyMap, Found, Frame, FrameMeta, Inspection
from edge.regions.criteria import Criteria
from edge.report import overlay as module
from edge.report.changed_picture import draw_change
from edge.report.colour_scale import Scale
from edge.report.explain import Basis, draw_explanation
from edge.report.lettering import shortened, text_size
from edge.report.overlay import draw_overlay
from edge.report.picture_names import PictureOf, file_stem, identity_facts, local_time

NS = 1_796_000_037_123_456_789  # 2026-11-30T00:53:57Z
OF = PictureOf("cam1", 39)


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield "Asia/Tokyo"
    monkeypatch.undo()
    time.tzset()


def meta(ref: str | None = "bad/blowhole/exp6_num_3789.png", *, part: int | None = 12, size: int = 640) -> FrameMeta:
    return FrameMeta(1531, "device", size, size, "Mono8", NS, 0, part_id=part, frame_ref=ref)


@pytest.mark.usefixtures("zone")
def test_a_files_name_says_seq_camera_local_time_part_and_frame() -> None:
    assert file_stem(meta(), OF) == "00000039-cam1-20261130T095357+0900-part12-bad-blowhole-exp6_num_3789"
    assert file_stem(meta(None, part=None), OF) == "00000039-cam1-20261130T095357+0900-frame1531"
    assert file_stem(meta("shift.mp4"), OF).endswith("-part12-shift.mp4-frame-1531")
    assert file_stem(replace(meta(), received_ns=0), PictureOf()) == "part12-bad-blowhole-exp6_num_3789"


@pytest.mark.usefixtures("zone")
def test_time_on_pictures_is_the_machines_own_with_its_offset() -> None:
    assert local_time(NS) == "2026-11-30 09:53:57 +09:00"


def test_the_same_moment_has_the_same_name_but_for_the_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for name in ("UTC", "America/New_York"):
        monkeypatch.setenv("TZ", name)
        time.tzset()
        names.append(file_stem(meta(None), OF))
    monkeypatch.undo()
    time.tzset()
    assert names == [
        "00000039-cam1-20261130T005357+0000-part12-frame1531",
        "00000039-cam1-20261129T195357-0500-part12-frame1531",
    ]


@pytest.mark.parametrize(
    "ref", ["../../etc/passwd.png", "a b/c:d*?.png", "ø" * 300 + ".png", "-.png", "x/" * 100 + "y.tif"]
)
def test_any_frames_name_makes_a_name_that_a_file_can_have(ref: str) -> None:
    stem = file_stem(meta(ref), OF)
    assert "/" not in stem
    assert not set(stem) & set(' :*?"<>|\\')
    assert len(stem.encode()) < 200


@pytest.mark.usefixtures("zone")
def test_the_strip_of_every_kind_of_picture_says_frame_camera_time_part_and_seq(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(module, "write", lambda _picture, text, *_: told.append(text))
    frame = Frame(meta(), np.full((640, 640), 40, np.uint8))
    inspection = Inspection(meta=frame.meta, verdict="pass", map_max=0.1, threshold=0.5)
    basis = Basis(AnomalyMap(np.zeros((64, 64), np.float32), (10, 10, 0, 0)), Found(np.zeros((64, 64), np.uint8), (), {}))
    before = {"kind": "inspection", "verdict": "fail", "reason": None, "map_max": 0.9, "threshold": 0.5, "regions": []}
    drawings = {
        "overlay": lambda: draw_overlay(frame, inspection, of=OF),
        "explain": lambda: draw_explanation(frame, inspection, basis, Scale(0.5), of=OF),
        "explain without a map": lambda: draw_explanation(frame, inspection, None, Scale(0.5), of=OF),
        "changed": lambda: draw_change(frame, before, inspection, Criteria(RegionsConfig(), 0.5), OF, basis),
    }
    for kind, draw in drawings.items():
        told.clear()
        draw()
        text = "   ".join(told)
        for fact in ("bad/blowhole/exp6_num_3789.png", "camera cam1", "2026-11-30 09:53:57 +09:00", "part 12", "seq 39"):
            assert fact in text, (kind, fact)


@pytest.mark.parametrize("size", [1, 120, 320, 512, 4000])
def test_no_word_of_the_strip_is_cut_at_its_edge(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    told: list[tuple[int, str, float, int]] = []
    monkeypatch.setattr(module, "write", lambda picture, text, x, _y, px, *_: told.append((x, text, px, picture.shape[1])))
    of = meta(f"bad/{'very_long_name_' * 20}.png", size=size)
    frame = Frame(of, np.full((size, size), 40, np.uint8))
    draw_overlay(frame, Inspection(meta=of, verdict="invalid", reason="part_out_of_place", threshold=0.5), of=OF)
    assert told
    for x, text, px, width in told:
        assert x + text_size(text, px)[0] <= width, text


def test_a_name_that_is_too_long_keeps_its_end() -> None:
    short = shortened("bad/blowhole/exp6_num_378912_left_side.png", 13.0, 200)
    assert text_size(short, 13.0)[0] <= 200
    assert short.startswith("bad/")
    assert short.endswith("left_side.png")
    assert "..." in short


def test_a_frame_without_a_picture_of_its_own_is_named_by_its_number() -> None:
    assert identity_facts(replace(meta(None, part=None), received_ns=0), PictureOf()) == ["frame 1531"]
