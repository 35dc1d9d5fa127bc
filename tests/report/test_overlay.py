"""An overlay shows the frame as it was, boxes around what they mean, and the verdict, at any size of frame."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge.config.regions import RoiConfig
from edge.frames import Frame, FrameMeta, Inspection, Region, Verdict
from edge.report.inspected_part import InspectedPart
from edge.report.marks import DEFECT
from edge.report.overlay import draw_overlay
from edge.report.picture_names import PictureOf

GREEN, RED, AMBER = (30, 140, 60), (200, 30, 40), (215, 130, 0)


def frame(width: int, height: int, *, bits: int = 8, colour: bool = False) -> Frame:
    shape = (height, width, 3) if colour else (height, width)
    low, high = 90 << (bits - 8), 160 << (bits - 8)
    pixels = np.random.default_rng(0).integers(low, high, shape).astype(np.uint8 if bits == 8 else np.uint16)
    return Frame(FrameMeta(12, "device", width, height, "Mono8", 0, 0, part_id=99), pixels, bits)


def inspection(
    of: Frame, verdict: Verdict = "pass", reason: str | None = None, *boxes: tuple[int, int, int, int]
) -> Inspection:
    regions = tuple(Region(k + 1, box, 9.0, (0.0, 0.0), 0.9, 0.8, 1.0, 1.0, 1.0) for k, box in enumerate(boxes))
    return Inspection(meta=of.meta, verdict=verdict, reason=reason, map_max=0.9, threshold=0.6, regions=regions)


def picture_part(drawn: np.ndarray, height: int) -> np.ndarray:
    """Below the strip."""
    return drawn[drawn.shape[0] - height :]


@pytest.mark.parametrize(("verdict", "colour"), [("pass", GREEN), ("fail", RED), ("invalid", AMBER)])
def test_the_strip_begins_with_the_verdicts_colour(verdict: Verdict, colour: tuple[int, int, int]) -> None:
    f = frame(640, 480)
    drawn = draw_overlay(f, inspection(f, verdict), of=PictureOf(seq=3))
    assert drawn.dtype == np.uint8
    assert drawn.shape[1:] == (640, 3)
    assert drawn.flags.c_contiguous
    assert tuple(drawn[0, 0]) == colour
    assert tuple(drawn[0, -1]) == (32, 34, 38)


def test_without_regions_and_roi_the_frame_is_shown_untouched() -> None:
    f = frame(640, 480)
    drawn = picture_part(draw_overlay(f, inspection(f)), 480)
    for channel in range(3):
        np.testing.assert_array_equal(drawn[..., channel], f.pixels)


def test_colour_stays_rgb_and_the_frame_itself_is_not_drawn_on() -> None:
    f = frame(640, 480, colour=True)
    before = f.pixels.copy()
    drawn = draw_overlay(f, inspection(f, "fail", None, (100, 100, 150, 140)))
    np.testing.assert_array_equal(f.pixels, before)
    np.testing.assert_array_equal(picture_part(drawn, 480)[300:], before[300:])


def test_twelve_bits_are_shown_by_their_high_eight() -> None:
    f = frame(640, 480, bits=12)
    drawn = picture_part(draw_overlay(f, inspection(f)), 480)
    np.testing.assert_array_equal(drawn[..., 0], f.pixels >> 4)


@pytest.mark.parametrize(("width", "height", "zoom"), [(640, 480, 1), (100, 100, 5), (4000, 300, 1), (1600, 1200, 1)])
def test_boxes_lie_around_their_pixels_not_on_them(width: int, height: int, zoom: int) -> None:
    f = frame(width, height)
    x0, y0, x1, y1 = box = (width // 2, height // 2, width // 2 + 14, height // 2 + 9)
    plain = picture_part(draw_overlay(f, inspection(f, "fail")), height * zoom)
    drawn = picture_part(draw_overlay(f, inspection(f, "fail", None, box)), height * zoom)
    changed = (drawn != plain).any(axis=2)
    assert changed.any()
    assert not changed[y0 * zoom : y1 * zoom, x0 * zoom : x1 * zoom].any()
    # each side is drawn, close by
    reach = 6 * max(zoom, round(width / 800)) + 4
    for side in (
        changed[y0 * zoom - reach : y0 * zoom, x0 * zoom : x1 * zoom],
        changed[y1 * zoom : y1 * zoom + reach, x0 * zoom : x1 * zoom],
        changed[y0 * zoom : y1 * zoom, x0 * zoom - reach : x0 * zoom],
        changed[y0 * zoom : y1 * zoom, x1 * zoom : x1 * zoom + reach],
    ):
        assert side.any(axis=0).all() or side.any(axis=1).all()


def test_a_tiny_frame_is_enlarged_by_a_whole_factor() -> None:
    f = frame(100, 80)
    drawn = draw_overlay(f, inspection(f))
    assert drawn.shape[1] == 500
    np.testing.assert_array_equal(picture_part(drawn, 400)[::5, ::5, 0], f.pixels)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (8, 3000), (32, 32), (4000, 3000), (9000, 20)])
def test_any_size_can_be_drawn_with_boxes_in_its_corners(width: int, height: int) -> None:
    f = frame(width, height)
    corners = [(0, 0, 1, 1), (width - 1, height - 1, width, height), (0, 0, width, height)]
    drawn = draw_overlay(f, inspection(f, "invalid", "map_not_finite", *corners), of=PictureOf(seq=10**9))
    assert drawn.shape[1] >= 320
    assert drawn.shape[0] > height


def test_the_strip_grows_by_lines_where_it_is_narrow() -> None:
    strips = {}
    for f in (frame(832, 400), frame(330, 2000)):  # the same size of text in both
        drawn = draw_overlay(f, inspection(f, "invalid", "drift_illumination"), of=PictureOf(seq=123456))
        strips[f.meta.width] = drawn.shape[0] - f.meta.height
    assert strips[330] > strips[832] + 2 * 13


def test_what_is_not_inspected_is_dimmed() -> None:
    f = frame(640, 480)
    corners = [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6]]
    roi = RoiConfig.model_validate_json(json.dumps({"include": [[0.25, 0.25, 0.75, 0.75]], "exclude": [corners]}))
    drawn = picture_part(draw_overlay(f, inspection(f), InspectedPart(roi)), 480)[..., 0]
    inside = np.s_[125:185, 165:475]
    np.testing.assert_array_equal(drawn[inside], f.pixels[inside])
    for outside in (np.s_[0:110, 0:640], np.s_[200:280, 262:378]):
        np.testing.assert_allclose(drawn[outside], 0.4 * f.pixels[outside], atol=0.51)


def test_image_pixels_are_another_unit_of_the_same_roi() -> None:
    f = frame(640, 480)
    norm = RoiConfig(include=((0.25, 0.25, 0.75, 0.75),))
    px = RoiConfig(units="image_px", include=((160.0, 120.0, 480.0, 360.0),))
    np.testing.assert_array_equal(
        draw_overlay(f, inspection(f), InspectedPart(norm)), draw_overlay(f, inspection(f), InspectedPart(px))
    )


def test_what_a_mask_picture_leaves_out_is_dimmed_and_its_edge_drawn() -> None:
    """Together with the shapes: a pixel is inspected where all of them say so."""
    f = frame(640, 480)
    mask = np.zeros((480, 640), np.uint8)
    mask[100:300, 200:500] = 1
    roi = RoiConfig(mask=Path("roi.png"), exclude=((0.5, 0.0, 1.0, 1.0),))
    drawn = picture_part(draw_overlay(f, inspection(f), InspectedPart(roi, mask)), 480)
    np.testing.assert_array_equal(drawn[103:297, 203:317, 0], f.pixels[103:297, 203:317])
    for outside in (np.s_[0:97, 0:317], np.s_[303:480, 0:317], np.s_[103:297, 323:497], np.s_[5:475, 503:635]):
        np.testing.assert_allclose(drawn[outside][..., 0], 0.4 * f.pixels[outside], atol=0.51)
    assert drawn[100, 210:310, 2].min() > 200 > drawn[105, 210:310, 2].max()
    alone = picture_part(draw_overlay(f, inspection(f), InspectedPart(RoiConfig(mask=Path("roi.png")), mask)), 480)
    np.testing.assert_array_equal(alone[103:297, 203:497, 0], f.pixels[103:297, 203:497])


@pytest.mark.parametrize(("width", "height"), [(100, 80), (1600, 1200)])
def test_a_mask_picture_is_drawn_at_any_zoom_and_left_out_where_it_is_of_another_size(width: int, height: int) -> None:
    f = frame(width, height)
    roi, mask = RoiConfig(mask=Path("roi.png")), np.zeros((height, width), np.uint8)
    mask[:, : width // 2] = 255
    zoom = 5 if width == 100 else 1
    drawn = picture_part(draw_overlay(f, inspection(f), InspectedPart(roi, mask)), height * zoom)[::zoom, ::zoom, 0]
    np.testing.assert_array_equal(drawn[5:-5, 5 : width // 2 - 5], f.pixels[5:-5, 5 : width // 2 - 5])
    np.testing.assert_allclose(drawn[:, width // 2 + 5 :], 0.4 * f.pixels[:, width // 2 + 5 :], atol=0.51)
    other = picture_part(draw_overlay(f, inspection(f), InspectedPart(roi, mask[:-2])), height * zoom)[::zoom, ::zoom, 0]
    np.testing.assert_array_equal(other, f.pixels)


def test_no_label_covers_another_or_a_region_that_has_room() -> None:
    """Of two regions one below the other, the lower one's label goes elsewhere than onto the upper one."""
    boxes = (300, 300, 316, 316), (300, 322, 316, 338)
    plain = frame(800, 640)
    drawn = picture_part(draw_overlay(plain, inspection(plain, "fail", None, *boxes)), 640)
    filled = (drawn == DEFECT).all(axis=2)
    for _, top, _, bottom in boxes:  # the regions' own pixels are as they were
        np.testing.assert_array_equal(drawn[top:bottom, 300:316, 0], plain.pixels[top:bottom, 300:316])
    above, below = filled[:297, 290:360].sum(), filled[341:, 290:360].sum()
    assert min(above, below) > 100
