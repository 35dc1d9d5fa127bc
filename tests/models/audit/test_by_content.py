"""Parts told by content alone."""

import numpy as np
import pytest
from support.sets import picture, save

from edge.models.audit.by_content import parts_by_content
from edge.models.sets.open import open_set


def test_frames_of_one_part_share_it_and_all_others_stand_alone(tmp_path):
    for index in range(30):
        pixels = picture(index, (48, 64))
        save(tmp_path / f"{index:02d}.png", pixels)
        if index % 10 == 0:
            save(tmp_path / f"{index:02d}_again.png", np.clip(0.8 * pixels + 10, 0, 255).astype(np.uint8))
    frames = parts_by_content(open_set(tmp_path), pytest.fail).frames
    by_part = {}
    for frame in frames:
        by_part.setdefault(frame.part, []).append(frame.file)
    assert len(by_part) == 30
    assert sorted(files for files in by_part.values() if len(files) > 1) == [
        ["00.png", "00_again.png"],
        ["10.png", "10_again.png"],
        ["20.png", "20_again.png"],
    ]


def test_few_pictures_stand_alone(tmp_path):
    for index in range(3):
        save(tmp_path / f"{index}.png", picture(index))
    assert len({f.part for f in parts_by_content(open_set(tmp_path), pytest.fail).frames}) == 3
