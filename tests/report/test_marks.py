"""Defects are marked so that they show on any part, and what isn't inspected shows everywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge.config.regions import RegionsConfig, RoiConfig
from edge.frames import Frame, FrameMeta, Inspection, Region
from edge.regions.criteria import Criteria
from edge.report.inspected_part import InspectedPart, MapGrid, dim_outside
from edge.report.lettering import WHITE, tag, write
from edge.report.marks import DEFECT, MaskOnFrame, frame_box, outline_mask
from edge.report.overlay import LABELS, draw_overlay

META = FrameMeta(12, "device", 640, 480, "Mono8", 0, 0)


def contrast(picture: np.ndarray, background: tuple[int, int, int]) -> int:
    """The largest difference of a channel between a changed pixel and the background."""
    return int(np.abs(picture.astype(int) - background).max())


@pytest.mark.parametrize("tone", [(0, 0, 0), (28, 28, 28), (215, 215, 215), (255, 255, 255), DEFECT])
@pytest.mark.parametrize("line", [1, 5])
def test_boxes_and_outlines_show_on_dark_bright_and_red_parts(tone: tuple[int, int, int], line: int) -> None:
    for mark in ("box", "outline"):
        picture = np.full((60, 60, 3), tone, np.uint8)
        mask = np.zeros((60, 60), np.uint8)
        mask[25:35, 25:35] = 255
        if mark == "box":
            frame_box(picture, (25, 25, 35, 35), line)
        else:
            outline_mask(picture, mask, line)
        assert contrast(picture, tone) > 180, mark
        assert (picture[25:35, 25:35] == tone).all()  # around its pixels, not on them


def test_a_mask_is_outlined_by_default_and_at_most_ten_regions_are_labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[str] = []
    monkeypatch.setattr(
        "edge.report.overlay.write_labels", lambda _picture, asked, *_: labels.extend(text for _, text in asked)
    )
    boxes = [(20 + 25 * k, 20, 30 + 25 * k, 30) for k in range(23)]
    regions = tuple(Region(k + 1, box, 9.0, (0.0, 0.0), 0.9, 0.8, 1.0, 1.0, 1.0) for k, box in enumerate(boxes))
    inspection = Inspection(meta=META, verdict="fail", map_max=0.9, threshold=0.6, regions=regions)
    mask = np.zeros((48, 64), np.uint8)
    mask[30:40, 20:40] = 255
    frame = Frame(META, np.full((480, 640), 90, np.uint8))
    drawn = draw_overlay(frame, inspection, mask=MaskOnFrame(mask, (10.0, 10.0, 0.0, 0.0)))[-480:]
    assert labels == [f"{k + 1}: 0.9" for k in range(LABELS)]
    assert LABELS == 10
    ys, xs = np.nonzero((drawn[250:] == DEFECT).all(axis=2))
    assert (xs.min(), xs.max(), ys.min() + 250, ys.max() + 250) == (198, 401, 298, 401)
    labels.clear()
    few = replace(inspection, regions=regions[:3])
    draw_overlay(frame, few)
    assert len(labels) == 3


def test_the_border_is_dimmed_and_its_edge_drawn() -> None:
    picture = np.full((480, 640, 3), 100, np.uint8)
    dim_outside(picture, InspectedPart(border_px=2), 1.0, 1, MapGrid(64, 48, (10.0, 10.0, 0.0, 0.0)))
    assert (picture[20:460, 20:620] == 100).all()
    assert (picture[5, :] == 40).all()
    assert ((picture[19] == (70, 160, 255)).all(axis=1)).sum() > 300
    untouched = np.full((480, 640, 3), 100, np.uint8)
    dim_outside(untouched, InspectedPart(border_px=2), 1.0, 1)  # nobody knows how the map lies
    assert (untouched == 100).all()


def test_the_part_of_a_line_is_that_of_its_criteria() -> None:
    roi = RoiConfig(include=((0.1, 0.1, 0.9, 0.9),))
    mask = np.ones((4, 4), np.uint8)
    assert InspectedPart.of(Criteria(RegionsConfig(roi=roi, border_px=3), 0.5, mask=mask)) == InspectedPart(roi, mask, 3)


def test_zeros_have_no_slash() -> None:
    """The middle of a zero is as empty as that of an O."""
    for text in "0O":
        picture = np.zeros((60, 60, 3), np.uint8)
        write(picture, text, 5, 50, 40.0)
        ys, xs = np.nonzero(picture[..., 0] > 128)
        middle = picture[(ys.min() + ys.max()) // 2, :, 0] > 128
        assert np.count_nonzero(np.diff(middle.astype(int)) == 1) == 2, text  # two strokes, left and right
        centre = picture[ys.min() + 12 : ys.max() - 11, xs.min() + 11 : xs.max() - 10, 0]
        assert centre.size > 0
        assert centre.max() == 0, text


def test_a_text_with_zeros_can_reach_out_of_a_picture() -> None:
    for x, y in ((-5, 4), (14, 30), (0, 0), (100, 100)):
        picture = np.zeros((20, 20, 3), np.uint8)
        write(picture, "0010", x, y, 13.0)
        tag(picture, "0010", x, y, 13.0, DEFECT, WHITE)
