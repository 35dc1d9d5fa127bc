"""A preview made smaller, or with the boxes of its record: exact sizes and pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import simplejpeg
from support.records import REGION

from edge.client import Preview
from edge.errors import UserError
from edge.web.live.redrawn import AsAsked, redrawn

REGION_BOX = REGION.bbox_xyxy
GREY = np.full((80, 120, 3), 90, np.uint8)


def preview(pixels: Any = GREY, boxes: tuple[Any, ...] = ()) -> Preview:
    jpeg = simplejpeg.encode_jpeg(pixels, 95, "RGB", "444")
    return Preview({"regions": [{"bbox_xyxy": list(box)} for box in boxes]}, b"{}", jpeg)


def pixels_of(jpeg: bytes) -> Any:
    return simplejpeg.decode_jpeg(jpeg, "RGB").astype(int)


def is_red(pixel: Any) -> bool:
    return bool(pixel[0] > 180 and pixel[1] < 140)


def test_a_picture_of_which_nothing_is_asked_is_the_one_that_came() -> None:
    shown = preview()
    assert redrawn(shown, AsAsked()) is shown.jpeg


def test_a_picture_gets_the_height_that_is_asked_and_is_never_made_larger() -> None:
    checks = np.kron(np.indices((10, 15)).sum(0) % 2, np.ones((8, 8))).astype(np.uint8)[..., None].repeat(3, 2) * 200
    assert pixels_of(redrawn(preview(checks), AsAsked(height=31))).shape == (31, 46, 3)
    assert abs(pixels_of(redrawn(preview(checks), AsAsked(height=16))).mean() - checks.mean()) < 3
    assert pixels_of(redrawn(preview(), AsAsked(height=500))).shape == (80, 120, 3)


def test_boxes_lie_where_the_record_says_at_every_size() -> None:
    shown = preview(boxes=(REGION_BOX,))
    for asked, scale in ((AsAsked(boxes=True), 1.0), (AsAsked(boxes=True, height=40), 0.5)):
        drawn = pixels_of(redrawn(shown, asked))
        x0, y0, x1, y1 = (round(value * scale) for value in REGION_BOX)
        assert is_red(drawn[y0, (x0 + x1) // 2])
        assert is_red(drawn[(y0 + y1) // 2, x0])
        assert is_red(drawn[y1 - 1, (x0 + x1) // 2])
        assert not is_red(drawn[(y0 + y1) // 2, (x0 + x1) // 2])
        assert not is_red(drawn[y1 + 4, x1 + 4])


def test_a_box_beyond_the_picture_is_cut_off() -> None:
    drawn = pixels_of(redrawn(preview(boxes=((-20, -20, 500, 30), (200, 200, 300, 300))), AsAsked(boxes=True)))
    assert is_red(drawn[29, 60])


def test_a_lower_quality_is_fewer_bytes() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (80, 120, 3), np.uint8)
    assert len(redrawn(preview(noise), AsAsked(quality=20))) < len(redrawn(preview(noise), AsAsked(quality=90))) / 2


@pytest.mark.parametrize(("asked", "name"), [({"height": 0}, "h"), ({"height": 9999}, "h"), ({"quality": 101}, "q")])
def test_what_no_picture_can_be_is_refused(asked: dict[str, int], name: str) -> None:
    with pytest.raises(UserError, match=f"^{name}\n  received: {next(iter(asked.values()))}\n  expected: "):
        AsAsked(**asked)
