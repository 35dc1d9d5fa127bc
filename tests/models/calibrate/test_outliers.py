"""Each outlier of a calibration has a picture with the place of its maximum, and only those of this calibration."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.lines import loaded

from edge.config.load import Loaded
from edge.errors import UserError
from edge.models.calibrate.measure import measure
from edge.models.calibrate.outliers import calibration_outlier_folder, draw_outlier, write_outliers
from edge.models.calibrate.thresholds import CalibrationResult
from edge.models.robust_outliers import Outlier
from edge.report.marks import DEFECT
from edge.storage.frames_on_disk import read_frames
from edge.storage.pictures import read_picture


def frames(folder: Path, *, hot: bool = True) -> Path:
    """Thirty noisy good pictures; 7.png has a bright pixel at (50, 20), 9.png a brighter one at (3, 60)."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for k in range(30):
        pixels = rng.integers(90, 110, (64, 64), np.uint8)
        if hot and k == 7:
            pixels[20, 50] = 200
        if hot and k == 9:
            pixels[60, 3] = 250
        assert cv2.imwrite(str(folder / f"{k}.png"), pixels)
    return folder


def calibrated(config: Loaded, folder: Path) -> CalibrationResult:
    return measure(config.resolved, lambda: read_frames(folder), source="good", false_rejects=0.05, outliers="keep")[1]


def test_each_outlier_has_a_picture_highest_first(tmp_path: Path) -> None:
    config, folder = loaded(tmp_path), frames(tmp_path / "good")
    result = calibrated(config, folder)
    assert [o.name for o in result.outliers] == ["9.png", "7.png"]
    out = calibration_outlier_folder(tmp_path / "cam1.calibration.yaml")
    assert out == tmp_path / "cam1.calibration.yaml.outliers"
    written = write_outliers(config.resolved, read_frames(folder), result, out)
    assert written == (out / "outlier-001-9.png", out / "outlier-002-7.png")
    for path, (x, y) in zip(written, ((3, 60), (50, 20)), strict=True):
        picture = read_picture(path)
        zoom = picture.shape[1] // 64
        body = picture[-64 * zoom :]
        ys, xs = np.nonzero((body == DEFECT).all(axis=2))
        assert abs((xs.min() + xs.max()) / 2 / zoom - x) < 7  # the label widens it
        near = body[y * zoom : (y + 1) * zoom, x * zoom : (x + 1) * zoom]
        assert (near == (250 if (x, y) == (3, 60) else 200)).all()
        assert ys.min() < y * zoom < ys.max() or y == 60


def test_pictures_of_an_earlier_calibration_are_deleted(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    out = tmp_path / "c.outliers"
    folder = frames(tmp_path / "good")
    assert len(write_outliers(config.resolved, read_frames(folder), calibrated(config, folder), out)) == 2
    (out / "mine.png").write_bytes(b"kept")
    folder = frames(folder, hot=False)
    assert write_outliers(config.resolved, read_frames(folder), calibrated(config, folder), out) == ()
    assert [p.name for p in out.iterdir()] == ["mine.png"]


def test_without_outliers_no_folder_is_made(tmp_path: Path) -> None:
    config, folder = loaded(tmp_path), frames(tmp_path / "good", hot=False)
    assert write_outliers(config.resolved, read_frames(folder), calibrated(config, folder), tmp_path / "x") == ()
    assert not (tmp_path / "x").exists()


def test_the_maximum_that_is_marked_is_the_one_that_was_measured(tmp_path: Path) -> None:
    """Inside the ROI and after smoothing: the brighter pixel outside counts for nothing."""
    roi = "regions={threshold: {high: 1.0}, roi: {units: image_px, include: [[20, 0, 64, 64]]}}"
    config, folder = loaded(tmp_path, roi), frames(tmp_path / "good")
    result = calibrated(config, folder)
    assert [o.name for o in result.outliers] == ["7.png"]
    assert [p.name for p in write_outliers(config.resolved, read_frames(folder), result, tmp_path / "o")] == [
        "outlier-001-7.png"
    ]


@pytest.mark.parametrize("size", [(20, 16), (640, 480), (3000, 2000)])
def test_the_mark_is_large_enough_to_be_seen(size: tuple[int, int]) -> None:
    from edge.frames import Frame, FrameMeta

    meta = FrameMeta(1, "counted", *size, "Mono8", 0, 0)
    frame = Frame(meta, np.full((size[1], size[0]), 40, np.uint8))
    drawn = draw_outlier(frame, Outlier("a.png", 3.25, 9.1), (10, 8, 11, 9))
    assert tuple(drawn[0, 0]) == (215, 130, 0)
    assert int((drawn == DEFECT).all(axis=2).sum()) > 100


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    config, folder = loaded(tmp_path), frames(tmp_path / "good")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        write_outliers(config.resolved, read_frames(folder), calibrated(config, folder), tmp_path / "file" / "o")
    assert str(caught.value) == f"{tmp_path}/file/o: cannot be written: Not a directory"
