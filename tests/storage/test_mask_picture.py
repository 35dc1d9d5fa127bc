"""A mask picture is data, not looks: whatever is above 0, in any channel and at any depth, is inspected."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs
from support.tiffs import tiff

from edge.config.regions import RoiConfig
from edge.errors import UserError
from edge.storage.mask_picture import read_mask

LEFT = np.zeros((6, 8), np.uint8)
LEFT[:, :4] = 1


def mask(folder: Path, pixels: np.ndarray, suffix: str = ".png") -> np.ndarray:
    path = folder / f"mask{suffix}"
    assert cv2.imwrite(str(path), pixels)
    picture, data = read_mask(RoiConfig(mask=path))
    assert data == path.read_bytes()
    assert picture is not None
    return picture


@pytest.mark.parametrize(
    "pixels",
    [
        LEFT,
        LEFT * 255,
        LEFT.astype(np.uint16),  # a label of 1 of 65535
        LEFT.astype(np.uint16) * 300,
        np.stack([LEFT * 4, LEFT * 0, LEFT * 0], axis=2),  # a blue so dark that it is grey 0
        np.stack([LEFT * 0, LEFT * 0, LEFT.astype(np.uint16)], axis=2).astype(np.uint16),
    ],
    ids=["1", "255", "1 of 16 bits", "300", "dark blue", "red of 16 bits"],
)
def test_whatever_is_above_0_is_inspected(tmp_path: Path, pixels: np.ndarray) -> None:
    with capture_logs() as logs:
        np.testing.assert_array_equal(mask(tmp_path, pixels), LEFT * 255)
    assert logs == []


def test_a_label_picture_of_several_values_is_told(tmp_path: Path) -> None:
    labels = LEFT.astype(np.uint16)
    labels[:, 4:] = 300
    labels[0] = 0
    with capture_logs() as logs:
        picture = mask(tmp_path, labels, ".tif")
    assert np.unique(picture[1:]).tolist() == [255]
    assert [(line["event"], line["values"]) for line in logs] == [("mask_of_many_values", 3)]


def test_a_mask_with_an_alpha_channel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        mask(tmp_path, np.dstack([LEFT, LEFT, LEFT, LEFT]))
    assert str(caught.value) == (
        f"regions.roi.mask: {tmp_path}/mask.png has an alpha channel\n  expected: grey or colour, above 0 where inspected\n"
        "  fix: save it without transparency"
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_note_of_orientation_turns_no_mask_as_it_turns_no_frame(tmp_path: Path, orientation: int) -> None:
    (tmp_path / "mask.tif").write_bytes(tiff((LEFT * 255, {274: orientation})))
    picture, _ = read_mask(RoiConfig(mask=tmp_path / "mask.tif"))
    np.testing.assert_array_equal(picture, LEFT * 255)


def test_a_mask_of_several_pages_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mask.tif").write_bytes(tiff((LEFT * 255, {}), (LEFT, {})))
    with pytest.raises(UserError, match=r"mask.tif is no picture that can be read: TIFF: .*pages"):
        read_mask(RoiConfig(mask=tmp_path / "mask.tif"))
