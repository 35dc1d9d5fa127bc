"""What a line produced is counted by time, shape, size and place, and stands on one page that needs nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from support.logs import HOUR, START, lines, lost, write
from support.records import IDENTITY, META, REGION, inspection

from edge.frames import Frame
from edge.report.log_summary import Filter, LogDamage, Summary, read_log
from edge.report.production import Production, places, shape_of, size_words
from edge.report.production_page import production_page
from edge.storage.record_pictures import RecordPictures
from edge.storage.recording_writer import RecordingWriter
from edge.wire.encode import Wire


def produced(tmp_path: Path, told: list[bytes]) -> tuple[Production, LogDamage]:
    path = write(tmp_path / "edge-cam1-20261121T180000Z-000000.jsonl", told)
    production, damage = Production(Summary(3)), LogDamage()
    for record in read_log([path], Filter(), damage, production.summary.drift.add):
        production.add(record)
    return production, damage


LONG = replace(REGION, bbox_xyxy=(0, 0, 40, 4), area_px=60.0, aspect_ratio=10.0, solidity=0.9, score_max=2.0)
BENT = replace(REGION, bbox_xyxy=(300, 200, 320, 240), area_px=400.0, aspect_ratio=2.0, solidity=0.4, score_max=9.0)
ROUND = replace(REGION, bbox_xyxy=(310, 230, 316, 236), area_px=9.0, aspect_ratio=1.0, solidity=1.0, score_max=1.0)


@pytest.fixture
def shift(tmp_path: Path) -> tuple[Production, LogDamage]:
    told = lines("a", range(3)) + lines("a", range(3, 5), START + HOUR, verdict="fail", regions=(LONG, BENT, ROUND))
    told += [*lines("a", range(5, 6), START + HOUR, verdict="invalid", reason="late"), lost("a", 6, START + 2 * HOUR)]
    return produced(tmp_path, told)


def test_outcomes_are_counted_in_steps_of_time(shift: tuple[Production, LogDamage]) -> None:
    told = shift[0].over_time()
    assert told.step_s == 60
    assert {name: int(counts.sum()) for name, counts in told.frames.items()} == {
        "pass": 3,
        "fail": 2,
        "invalid": 1,
        "skipped": 2,
    }
    assert told.frames["fail"].nonzero()[0].tolist() == [60]
    assert told.share[0] == pytest.approx([0.1 / 0.6] * 2, rel=1e-5)
    assert np.isnan(told.share[60]).all()  # fails say nothing about how near passes come
    assert told.total_ms[0].tolist() == pytest.approx([2.683] * 2, rel=1e-5)


@pytest.mark.parametrize(("hours", "step_s"), [(0, 10), (10, 300), (100, 3600), (24 * 365, 86_400)])
def test_steps_grow_with_the_time(tmp_path: Path, hours: int, step_s: int) -> None:
    told, _ = produced(tmp_path, lines("a", range(1)) + lines("a", range(1, 2), START + hours * HOUR))
    assert told.over_time().step_s == step_s


def test_regions_are_counted_by_shape_and_size(shift: tuple[Production, LogDamage]) -> None:
    assert dict(shift[0].kinds) == {("long", 1): 2, ("irregular", 2): 2, ("compact", 0): 2}
    assert shift[0].worst_of_kind == {"long": 2.0, "irregular": 9.0, "compact": 1.0}
    assert [shape_of({"aspect_ratio": a, "solidity": s}) for a, s in ((3.0, 0.1), (2.9, 0.69), (1, None))] == [
        "long",
        "irregular",
        "compact",
    ]
    assert [size_words(k) for k in (0, 1, 4)] == ["below 10 px", "10 to 100 px", "10,000 px and more"]


def test_a_box_counts_once_in_each_cell_that_it_touches() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 5, 20, 10], [39, 19, 40, 20], [100, 100, 200, 200]], np.float32)
    counts = places(boxes[:3], (40, 20), 4)
    assert counts.tolist() == [[2, 1, 0, 0], [0, 0, 0, 1]]
    assert places(boxes[3:], (40, 20), 4).tolist() == [[0, 0, 0, 0], [0, 0, 0, 1]]  # beyond the frame: at its edge
    assert places(np.empty((0, 4), np.float32), (40, 20), 4).sum() == 0


def test_the_page_needs_nothing_from_elsewhere_and_says_what_happened(shift: tuple[Production, LogDamage]) -> None:
    pytest.importorskip("bokeh")
    page = production_page(*shift, RecordPictures([]), in_utc=True).decode()
    outside_scripts = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:)?//""", outside_scripts)
    for text in (
        "6 frames were inspected; 40.00 % failed (2 of 5), 1 got no verdict, 2 were lost.",
        "2026-11-21 18:00:00 to 2026-11-21 20:00:00 (UTC)",
        "Verdicts per hour",
        "2026-11-21 19:00",
        "6 defect regions by shape and by area",
        "67 % lower right, 33 % upper left",
        "No picture of these frames was kept",
        "frame_id_gap",
        "The log names no drift",
    ):
        assert text in page, text


def test_a_log_without_an_inspection_makes_a_page_too(tmp_path: Path) -> None:
    pytest.importorskip("bokeh")
    page = production_page(*produced(tmp_path, [lost("a", 0, START)]), RecordPictures([])).decode()
    for text in ("0 frames were inspected; none was judged", "No frame had a defect region", "No frame was inspected."):
        assert text in page


def test_the_worst_regions_come_with_their_pictures_and_the_part_lies_under_the_heat_map(tmp_path: Path) -> None:
    pytest.importorskip("bokeh")
    folder = tmp_path / "kept"
    writer = RecordingWriter(folder, camera="cam1", source="evidence")
    told = inspection(verdict="fail", regions=(BENT,))
    record = Wire(replace(IDENTITY, instance_id="a")).inspection(3, told, START)
    frame = Frame(replace(META, width=400, height=300), np.full((300, 400), 120, np.uint8))
    writer.frame(frame, record.line, "fail")
    writer.close()
    kept = RecordPictures([folder])
    assert (kept.frame_size, kept.a_frame) == ((400.0, 300.0), folder / "frames" / "00000000.png")
    production, damage = produced(tmp_path, [record.line])
    page = production_page(production, damage, kept).decode()
    assert page.count("data:image/jpeg;base64,") == 1
    assert "00000000.png" in page
    assert "reaches to the outermost defect" not in page


def test_replayed_records_stand_at_the_time_of_their_frames(tmp_path: Path) -> None:
    told = orjson.loads(lines("a", range(1))[0]) | {"simulated": True, "received_ns": START - 5 * HOUR}
    production, _ = produced(tmp_path, [orjson.dumps(told)])
    assert production.summary.first_ns == START - 5 * HOUR
    assert production.simulated == 1
