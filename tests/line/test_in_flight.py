"""Frames of one camera keep one size, where the bundle would squash another."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs
from support.graphs import write_identity_bundle
from support.lines import Overlapped, loaded, make_line, records, run
from support.records import META

from edge.config.bundle import Bundle
from edge.engines.lane import Lane
from edge.engines.protocol import Engine, Prediction
from edge.frames import Frame
from edge.sources.in_memory import MemorySource
from edge.sources.protocol import Source
from edge.sources.recorded import RecordedSource
from edge.storage.recording_writer import RecordingWriter

SIZES = [(64, 48)] * 3 + [(48, 48)] * 2 + [(64, 48)]
PICTURES = [np.full((height, width), 10, np.uint8) for width, height in SIZES]


def verdicts(folder: Path, source: Source) -> list[tuple[str, str | None]]:
    config = loaded(folder, "model.bundle=resizing", "regions.threshold={high: 0.5}")
    line = make_line(config, source=source)
    assert run(line, threading.Event()) == 0
    return [(r["verdict"], r["reason"]) for r in records(folder / "log")]


@pytest.fixture
def resizing(tmp_path: Path) -> Bundle:
    return write_identity_bundle(tmp_path / "resizing", size=(32, 32), resize=True)


@pytest.mark.usefixtures("resizing")
def test_a_size_that_changes_in_mid_stream_is_invalid_until_it_is_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, squashed = ("pass", None), ("invalid", "frame_size")
    assert verdicts(tmp_path, MemorySource(PICTURES, len(PICTURES))) == [good] * 3 + [squashed] * 2 + [good]
    told = [line for line in capsys.readouterr().out.splitlines() if "frame_size" in line]
    assert len(told) == 1
    assert "the frame is 48x48, the stream began with 64x48: another size needs a new start" in told[0]


@pytest.mark.usefixtures("resizing")
def test_a_folder_of_pictures_may_hold_any_sizes(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, picture in enumerate(PICTURES):
        assert cv2.imwrite(str(folder / f"{index}.png"), picture)
    assert verdicts(tmp_path, RecordedSource(folder, "max", 10.0)) == [("pass", None)] * 6


def test_a_model_that_takes_any_size_does_not_follow_a_camera_that_changes_its_own(tmp_path: Path) -> None:
    """Binned pixels are four times as large, and so is what ``min_area_px`` drops."""
    write_identity_bundle(tmp_path / "resizing")
    good, other = ("pass", None), ("invalid", "frame_size")
    assert verdicts(tmp_path, MemorySource(PICTURES, len(PICTURES))) == [good] * 3 + [other] * 2 + [good]


def test_a_pixel_format_that_changes_in_mid_stream_is_invalid_until_it_is_back(tmp_path: Path) -> None:
    write_identity_bundle(tmp_path / "resizing")
    grey = np.full((48, 64), 10, np.uint8)
    pictures = [grey, np.stack([grey] * 3, axis=2), grey.astype(np.uint16), grey]
    good, other = ("pass", None), ("invalid", "frame_kind")
    assert verdicts(tmp_path, MemorySource(pictures, 4)) == [good, other, other, good]


def test_an_infer_stage_that_is_started_again_gives_no_frame_an_earlier_one_s_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine still has a frame when the stage raises: no bad part passes on the map of the one before it."""
    whole, raised = Lane.submit, []

    def submit(lane: Lane[Any], ticket: Any, image: Any) -> None:
        whole(lane, ticket, image)
        if ticket.frame.meta.frame_id == 7 and not raised:
            raised.append(True)
            raise MemoryError

    monkeypatch.setattr(Lane, "submit", submit)
    pictures = [np.full((64, 64), 10 if k % 5 else 250, np.uint8) for k in range(40)]
    config = loaded(tmp_path, "regions.threshold={high: 0.5}")
    line = make_line(config, before=lambda _index: None, bent=Overlapped, source=MemorySource(pictures, 40))
    assert run(line, threading.Event()) == 0
    found = records(tmp_path / "log")
    assert line.workers[1].restarted == len(raised) == 1
    assert [r["frame_id"] for r in found] == list(range(40))
    wrong = [r["frame_id"] for r in found if r["verdict"] != ("pass" if r["frame_id"] % 5 else "fail")]
    assert wrong in ([7], [6, 7]), "those that were in the engine"
    assert {found[frame_id]["reason"] for frame_id in wrong} == {"engine_error"}


def test_a_lane_forgets_what_one_before_it_left_in_the_engine() -> None:
    engine = Numbered()
    Lane(engine).submit("old", np.full((1, 1, 1), 1, np.uint8))
    lane: Lane[str] = Lane(engine)
    lane.submit("new", np.full((1, 1, 1), 2, np.uint8))
    ticket, outcome = lane.collect()
    assert (ticket, isinstance(outcome, Prediction) and outcome.map[0, 0]) == ("new", 2)


def test_another_frame_s_map_is_an_error_and_never_handed_out() -> None:
    engine = Numbered(forgets=False)
    Lane(engine).submit("old", np.full((1, 1, 1), 1, np.uint8))
    lane: Lane[str] = Lane(engine)
    for _ in range(3):
        lane.submit("new", np.full((1, 1, 1), 2, np.uint8))
        assert str(lane.collect()[1]) == "the next is 0"


class Numbered(Engine):
    """An engine that overlaps two pictures; its map is the picture."""

    depth = 2

    def __init__(self, *, forgets: bool = True) -> None:
        self._forgets = forgets
        self._inside: list[tuple[int, Any]] = []
        self._count = 0

    def infer(self, image: Any) -> Prediction:
        raise AssertionError("a lane submits")

    def submit(self, image: Any) -> int:
        self._inside.append((self._count, image.copy()))
        self._count += 1
        return self._count - 1

    def collect(self, number: int) -> Prediction:
        if self._inside[0][0] != number:
            raise RuntimeError(f"the next is {self._inside[0][0]}")
        return Prediction(self._inside.pop(0)[1][:, :, 0], None, None)

    def abandon(self) -> None:
        if self._forgets:
            self._inside.clear()


def test_sizes_that_all_differ_fill_the_log_with_64_lines_at_most(tmp_path: Path) -> None:
    write_identity_bundle(tmp_path / "resizing", size=(32, 32), resize=True)
    pictures = [np.full((48, 64 + k), 10, np.uint8) for k in range(70)]
    with capture_logs() as logs:
        verdicts(tmp_path, MemorySource(pictures, len(pictures)))
    assert len([log for log in logs if log["event"] == "frame_size"]) == 64


@pytest.mark.usefixtures("resizing")
@pytest.mark.parametrize(("made_by", "squashed"), [("evidence", "pass"), ("camera", "invalid")])
def test_evidence_goes_on_over_starts_with_other_sizes_a_recording_of_one_run_does_not(
    tmp_path: Path, made_by: str, squashed: str
) -> None:
    writer = RecordingWriter(tmp_path / "recording", camera="cam1", source=made_by)
    for index, picture in enumerate(PICTURES):
        height, width = picture.shape
        writer.frame(Frame(replace(META, frame_id=index + 1, width=width, height=height), picture, 8))
    writer.close()
    found = verdicts(tmp_path, RecordedSource(tmp_path / "recording", "max", 10.0))
    assert [verdict for verdict, _ in found] == ["pass"] * 3 + [squashed] * 2 + ["pass"]
