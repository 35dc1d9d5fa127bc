"""Frames of several places are one row, and their names say where each lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.models.frame_sequence import FrameSequence, name_of
from edge.models.good_frames import good_frames
from edge.storage.pictures import write_png


def place(folder: Path) -> Path:
    folder.mkdir()
    for name in ("1.png", "2.png"):
        write_png(folder / name, np.zeros((4, 6), np.uint8))
    return folder


def test_names_of_one_place_are_as_they_lie_there(tmp_path: Path) -> None:
    frames = FrameSequence.of(good_frames(place(tmp_path / "a")))
    assert [name_of(entry) for entry in frames] == ["1.png", "2.png"]


def test_names_of_several_places_begin_with_the_place_on_any_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(tmp_path / "a")
    (place(tmp_path / "b") / "2.png").write_bytes(b"no picture")
    monkeypatch.chdir(tmp_path)
    frames = FrameSequence.of(good_frames(Path("a")), good_frames(Path("b")), good_frames(Path("a/2.png")))
    named = ["a/1.png", "a/2.png", "b/1.png", "b/2.png", "a/2.png"]
    assert [name_of(entry) for entry in frames] == named
    assert [name_of(entry) for entry in frames.absolute().read(1, 4)] == named[1:4]
