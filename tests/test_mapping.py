"""Frames of one camera keep one size, where the bundle would squash another."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from graphs import write_identity_bundle
from lines import loaded, make_line, records, run

from edge.bundle import Bundle
from edge.sources import Source
from edge.sources.memory import MemorySource
from edge.sources.recorded import RecordedSource

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
    assert "the frame is 48x48, the stream began with 64x48; the bundle would squash it to 32x32" in told[0]
    assert "another size needs a new start" in told[0]


@pytest.mark.usefixtures("resizing")
def test_a_folder_of_pictures_may_hold_any_sizes(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, picture in enumerate(PICTURES):
        assert cv2.imwrite(str(folder / f"{index}.png"), picture)
    assert verdicts(tmp_path, RecordedSource(folder, "max", 10.0)) == [("pass", None)] * 6


def test_a_model_that_takes_any_size_goes_on(tmp_path: Path) -> None:
    write_identity_bundle(tmp_path / "resizing")
    assert verdicts(tmp_path, MemorySource(PICTURES, len(PICTURES))) == [("pass", None)] * 6
