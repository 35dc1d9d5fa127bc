"""Outliers of a fit are frames by number: folders may share names, and each picture shows its own frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.models.fit.contamination import HeldOutScore, outliers_of
from edge.models.fit.fit import Fit, FitRun, fit
from edge.models.fit.fit_plan import FitRequest
from edge.models.fit.outlier_pictures import write_outlier_pictures
from edge.models.frame_sequence import FrameSequence
from edge.models.good_frames import good_frames
from edge.models.robust_outliers import Outlier

UNASKED = FitRun(leave_out=0.05)


def write_frames(folder: Path, count: int, spots: dict[int, int], seed: int) -> Path:
    """Noise, on some frames a spot of a grey level."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for number in range(count):
        picture = rng.normal(100, 2, (48, 64))
        if number in spots:
            picture[8:14, 10:18] = spots[number]
        cv2.imwrite(str(folder / f"{number:03d}.png"), picture.clip(0, 255).astype(np.uint8))
    return folder


def fitted(*folders: Path, run: FitRun = UNASKED) -> tuple[Fit, FrameSequence]:
    frames = FrameSequence.of(*map(good_frames, folders))
    return fit(frames, FitRequest("x", method="pixel"), run), frames


def test_an_outlier_takes_no_good_frame_of_the_same_name_with_it(tmp_path: Path) -> None:
    a, b = write_frames(tmp_path / "a", 20, {3: 250}, 0), write_frames(tmp_path / "b", 20, {}, 1)
    made, frames = fitted(b, a)
    assert made.gathered.statistics.frames == 39
    assert made.left_out == frozenset({23})
    assert made.left_out_names == (f"{a}/003.png",)
    (path,) = write_outlier_pictures(made, frames, tmp_path / "m").values()
    picture = cv2.imread(str(path))
    assert picture is not None
    zoom = picture.shape[1] / 64
    strip = picture.shape[0] - round(48 * zoom)
    at = (strip + round(11 * zoom), round(14 * zoom))
    assert picture[at[0] - 1 : at[0] + 2, at[1] - 1 : at[1] + 2].max() >= 245, "the spot is in the picture"


def test_two_outliers_of_one_name_are_two_with_a_picture_each(tmp_path: Path) -> None:
    a, b = write_frames(tmp_path / "a", 20, {3: 250}, 0), write_frames(tmp_path / "b", 20, {3: 240}, 1)
    made, frames = fitted(a, b)
    assert {outlier.index for outlier in made.outliers} == {3, 23}
    assert made.gathered.statistics.frames == 38
    pictures = write_outlier_pictures(made, frames, tmp_path / "m")
    assert set(pictures) == {3, 23}
    assert len(set(pictures.values())) == 2


def test_a_defect_that_a_worse_one_hid_is_left_out_too_while_both_are_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second look is at scores without the first outlier; here it finds another one, which the first look didn't."""
    looks: list[int] = []

    def one_at_a_time(found: Sequence[HeldOutScore]) -> tuple[Outlier, ...]:
        looks.append(len(found))
        return outliers_of(found)[:1]

    monkeypatch.setattr("edge.models.fit.fit.outliers_of", one_at_a_time)
    folder = write_frames(tmp_path / "a", 40, {3: 250, 9: 240}, 0)
    made, _ = fitted(folder)
    assert looks[:2] == [40, 39]
    assert [outlier.name for outlier in made.outliers] == ["003.png", "009.png"]
    assert (made.left_out, made.gathered.statistics.frames) == (frozenset({3, 9}), 38)
    few, _ = fitted(folder, run=FitRun(leave_out=0.03))  # one of 40, not two: somebody must look, and nothing is left out
    assert [outlier.name for outlier in few.outliers] == ["003.png", "009.png"]
    assert (few.left_out, few.gathered.statistics.frames) == (frozenset(), 40)


def test_where_each_look_finds_another_one_a_person_must_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.models.fit.fit.outliers_of", lambda found: outliers_of(found)[:1])
    folder = write_frames(tmp_path / "a", 80, {3: 250, 9: 240, 20: 230}, 0)
    unasked, _ = fitted(folder)
    assert [outlier.index for outlier in unasked.outliers] == [3, 9, 20]
    assert (unasked.left_out, unasked.gathered.statistics.frames) == (frozenset(), 80)
    asked, _ = fitted(folder, run=FitRun(leave_out=1.0))
    assert [outlier.index for outlier in asked.outliers] == [3, 9, 20], "the last one is listed, too"
    assert (asked.left_out, asked.gathered.statistics.frames) == (frozenset({3, 9}), 78)
