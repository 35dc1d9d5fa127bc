"""Sets between which nothing can be compared are refused, and both are named."""

import numpy as np
import pytest
from support.sets import as_frame, picture

from edge.errors import UserError
from edge.shift.comparable import check_comparable, common_size, picture_kind


def kinds(*pixels):
    return [picture_kind(as_frame(one)) for one in pixels]


def pictures(count, size=(24, 32), first=0):
    return [picture(first + number, size) for number in range(count)]


def test_sets_of_other_sizes_are_refused_and_both_named():
    a, b = kinds(*pictures(4)), kinds(*pictures(4, (48, 64)))
    with pytest.raises(
        UserError, match=r"lab and line are of different size.*\n  received: lab: 32x24 px; line: 64x48 px\n"
    ):
        check_comparable(("lab", "line"), (a, b))


def test_grey_and_colour_are_refused():
    colour = [np.stack([one] * 3, axis=2) for one in pictures(3)]
    with pytest.raises(UserError, match=r"of different colour.*\n  received: a: grey; b: RGB\n"):
        check_comparable(("a", "b"), (kinds(*pictures(3)), kinds(*colour)))


def test_pictures_with_sizes_of_their_own_are_compared():
    a = kinds(*(picture(n, (24 + n, 30 + 3 * n)) for n in range(6)))
    assert common_size(a) is None
    check_comparable(("a", "b"), (a, kinds(*pictures(4))))


def test_frames_of_one_even_level_and_copies_of_one_picture_are_refused():
    even = kinds(*(np.full((24, 32), 3 + n % 2, np.uint8) for n in range(5)))
    with pytest.raises(
        UserError, match=r"b: no frame shows anything but one even level\n  received: 5 frames, level 3 of 255"
    ):
        check_comparable(("a", "b"), (kinds(*pictures(3)), even))
    with pytest.raises(UserError, match=r"a: all frames are the same picture\n  received: 4 copies of one"):
        check_comparable(("a", "b"), (kinds(*([picture(1)] * 4)), kinds(*pictures(3))))
