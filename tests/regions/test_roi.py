"""Which pixels take part: shapes by their centres, rectangles by what they touch, mask pictures, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.config.regions import RegionsConfig, RoiConfig
from edge.errors import UserError
from edge.regions.roi import Grid, roi_pixels, without_border

SAME = (1.0, 1.0, 0.0, 0.0)


def inside(
    roi: RoiConfig | None,
    map_shape: tuple[int, int],
    image_size: tuple[int, int] | None = None,
    map_to_image: tuple[float, float, float, float] | None = None,
    mask: NDArray[np.uint8] | None = None,
    border_px: int = 0,
) -> NDArray[np.bool_]:
    h, w = map_shape
    size = image_size or (w, h)
    grid = Grid(map_shape, size, map_to_image or (size[0] / w, size[1] / h, 0.0, 0.0))
    config = RegionsConfig(roi=roi, border_px=border_px)
    return without_border(roi_pixels(config, grid, mask), config)


def shown(pixels: NDArray[np.bool_]) -> list[str]:
    return ["".join("#" if pixel else "." for pixel in row) for row in pixels]


def refused(*args: Any, **keys: Any) -> str:
    with pytest.raises(UserError) as caught:
        inside(*args, **keys)
    return str(caught.value)


def test_without_a_roi_the_whole_map_takes_part() -> None:
    assert inside(None, (3, 4)).all()
    assert inside(RoiConfig(), (3, 4)).all()


def test_a_pixel_belongs_to_a_rectangle_in_px_by_its_centre_in_the_frame() -> None:
    roi = RoiConfig(units="image_px", include=((10, 6, 25, 16),))
    # the centres of columns 1 and 2 lie at 15 and 25, of rows 0 and 1 at 5 and 15
    assert shown(inside(roi, (4, 6), (60, 40))) == ["......", ".#....", "......", "......"]


@given(
    st.integers(1, 300),
    st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    st.sampled_from([1.0, 2.0, 3.7, 1000 / 224]),
)
def test_a_rectangle_in_norm_takes_every_pixel_that_it_touches(width: int, ends: list[float], scale: float) -> None:
    start, stop = ends
    first, last = int(np.floor(start * width)), int(np.ceil(stop * width))
    if start >= stop or first >= last:
        return
    roi = RoiConfig(include=((start, 0.0, stop, 1.0),))
    columns = np.flatnonzero(
        inside(roi, (1, width), (round(width * scale), 5), (round(width * scale) / width, 5.0, 0.0, 0.0))[0]
    )
    assert (columns[0], columns[-1] + 1) == (first, last)


def test_a_rectangle_in_norm_is_of_the_frame_where_the_map_covers_a_part_of_it() -> None:
    roi = RoiConfig(include=((0.5, 0.0, 1.0, 1.0),))
    # the map's 8 columns lie at 20 to 100 of a frame 100 wide
    assert shown(inside(roi, (1, 8), (100, 10), (10.0, 10.0, 20.0, 0.0))) == ["...#####"]


def test_pixels_beyond_the_frame_take_no_part() -> None:
    """A letterboxed map has columns of padding."""
    assert shown(inside(None, (2, 6), (40, 20), (10.0, 10.0, -10.0, 0.0))) == [".####."] * 2


def test_a_polygon_takes_pixels_by_their_centres() -> None:
    roi = RoiConfig(units="image_px", include=([(1, 1), (6, 1), (1, 6)],))
    # the centres on its slanted edge belong to what lies right of it
    assert shown(inside(roi, (7, 7))) == [".......", ".####..", ".###...", ".##....", ".#.....", ".......", "......."]


def test_a_polygon_that_crosses_itself_is_filled_by_the_even_odd_rule() -> None:
    roi = RoiConfig(units="image_px", include=([(0, 0), (6, 0), (6, 6), (2, 6), (2, 2), (8, 2), (8, 8), (0, 8)],))
    assert shown(inside(roi, (8, 8))) == ["######.."] * 2 + ["##....##"] * 4 + ["########"] * 2


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9)), min_size=3, max_size=7))
def test_a_polygon_equals_the_test_of_each_centre_by_itself(points: list[tuple[int, int]]) -> None:
    def odd(x: float, y: float) -> bool:
        crossings = 0
        for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
            if (y0 <= y) != (y1 <= y):
                crossings += x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x
        return crossings % 2 == 1

    expected = np.array([[odd(x + 0.5, y + 0.5) for x in range(12)] for y in range(9)])
    if expected.any():
        assert (inside(RoiConfig(units="image_px", include=(list(points),)), (9, 12)) == expected).all()


def test_include_is_a_union_and_exclude_wins() -> None:
    roi = RoiConfig(units="image_px", include=((0, 0, 3, 2), (5, 0, 8, 2)), exclude=((2, 0, 6, 1),))
    assert shown(inside(roi, (3, 8))) == ["##....##", "###..###", "........"]


def test_exclusions_alone_leave_the_rest() -> None:
    assert shown(inside(RoiConfig(exclude=((0.0, 0.0, 0.5, 1.0),)), (1, 4))) == ["..##"]


def test_a_mask_picture_is_sampled_at_the_pixels_centres() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 15:40] = 1
    mask[0:10, 15:40] = 255
    assert shown(inside(RoiConfig(mask=Path("roi.png")), (4, 6), (60, 40), mask=mask)) == [".###.."] * 4


def test_the_border_is_a_band_of_the_map_whatever_the_roi() -> None:
    roi = RoiConfig(include=((0.0, 0.0, 0.5, 1.0),))
    assert shown(inside(roi, (5, 8), border_px=1)) == ["........", ".###....", ".###....", ".###....", "........"]


def test_a_roi_that_leaves_nothing_is_refused() -> None:
    roi = RoiConfig(include=((0.2, 0.2, 0.4, 0.4),), exclude=((0.1, 0.1, 0.5, 0.5),))
    assert refused(roi, (20, 30)) == (
        "regions.roi: nothing is left to inspect\n"
        "  received: include, exclude and mask leave none of the map's 30 x 20 pixels\n"
        "  expected: at least one pixel whose centre is inside include and mask and outside exclude\n"
        "  fix: correct include, exclude or the mask picture"
    )


def test_a_map_beside_the_frame_is_refused() -> None:
    grid = Grid((4, 4), (8, 8), (2.0, 2.0, 100.0, 0.0))
    with pytest.raises(
        UserError, match=r"shows no pixel of the frame\n  received: \(2.0, 2.0, 100.0, 0.0\) for a map of 4 x 4"
    ):
        roi_pixels(RegionsConfig(), grid)


def test_a_shape_between_the_centres_is_refused() -> None:
    roi = RoiConfig(units="image_px", include=((0, 0, 10, 10), (10.1, 2, 10.4, 9)))
    assert refused(roi, (20, 30)) == (
        "regions.roi.include.1: holds no pixel of the map\n"
        "  received: [10.1, 2.0, 10.4, 9.0] in units image_px\n"
        "  expected: a shape around the centre of at least one of the map's 30 x 20 pixels\n"
        "  fix: make it larger or remove it"
    )


@pytest.mark.parametrize("key", ["include", "exclude"])
def test_a_shape_beyond_the_frame_is_refused(key: str) -> None:
    roi = RoiConfig(units="image_px", **{key: ([(0, 0), (1200, 0), (0, 500)],)})  # type: ignore[arg-type]
    assert refused(roi, (20, 30), (1000, 800)) == (
        f"regions.roi.{key}.0: outside the frame\n"
        "  received: reaches x = 1200, y = 500\n"
        "  expected: at most x = 1000, y = 800: the frame is 1000 x 800 pixels\n"
        "  fix: correct the shape, or give it in units norm"
    )


def test_the_frames_own_edges_are_inside() -> None:
    assert inside(RoiConfig(units="image_px", include=((0, 0, 1000, 800),)), (20, 30), (1000, 800)).all()


def test_a_mask_picture_of_another_size_is_refused() -> None:
    assert refused(RoiConfig(), (20, 30), (1000, 800), mask=np.ones((480, 640), np.uint8)) == (
        "regions.roi.mask: another size than the frame\n"
        "  received: 640 x 480 pixels\n"
        "  expected: 1000 x 800 pixels, grey\n"
        "  fix: draw it on a frame of this camera"
    )
    assert "received: 1000 x 800 x 3 pixels\n" in refused(
        RoiConfig(), (20, 30), (1000, 800), mask=np.ones((800, 1000, 3), np.uint8)
    )


def test_a_border_that_leaves_nothing_is_refused() -> None:
    assert refused(None, (20, 30), border_px=10) == (
        "regions.border_px: nothing is left to inspect\n"
        "  received: 10 on a map of 30 x 20 pixels\n"
        "  expected: a band that leaves pixels of the ROI; it is counted in map pixels, not the frame's\n"
        "  fix: make it smaller"
    )
    corner = RoiConfig(units="image_px", include=((0, 0, 2, 2),))
    assert "received: 2 on a map of 30 x 20 pixels with a ROI\n" in refused(corner, (20, 30), border_px=2)
