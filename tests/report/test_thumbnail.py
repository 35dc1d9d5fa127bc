"""A frame at a glance."""

import numpy as np
from support.sets import as_frame

from edge.report.marks import DEFECT
from edge.report.thumbnail import TRUTH, heat, thumbnail


def test_the_frame_and_its_map_stand_side_by_side_with_truth_and_boxes():
    frame = as_frame(np.full((60, 90), 120, np.uint8))
    truth = np.zeros((60, 90), bool)
    truth[20:30, 20:30] = True
    picture = thumbnail(
        frame, np.zeros((60, 90), np.float32), 1.0, truth=truth, regions=[((50, 20, 60, 30), "2.1")], dropped=[]
    )
    assert picture.shape == (180, 2 * 270 + 4, 3)
    left = picture[:, :270].reshape(-1, 3)
    assert (left == TRUTH).all(axis=1).any()
    assert (left == DEFECT).all(axis=1).any()


def test_a_large_frame_is_shrunk():
    frame = as_frame(np.full((1000, 500), 120, np.uint8))
    assert thumbnail(frame, np.zeros((1000, 500), np.float32), 1.0).shape == (340, 2 * 170 + 4, 3)


def test_colours_turn_at_the_threshold():
    low, middle, high = heat(np.array([[0.0, 1.0, 2.0]], np.float32), 1.0)[0].tolist()
    assert low[2] > low[0]
    assert middle[1] > max(middle[0], middle[2])
    assert high[0] > high[2]
