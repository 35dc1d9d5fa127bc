"""Splits: disjoint by part, balanced, repeatable."""

from dataclasses import replace

import pytest
from support.sets import frame, vote

from edge.errors import UserError
from edge.models.sets.manifest import SIDES
from edge.models.sets.split import split


def tiles(parts=60):
    """Parts under three lightings; every third has defects of one of three kinds in some of its pictures."""
    frames = []
    for part in range(parts):
        for light in "123":
            kind = ("crack", "fray", "stain")[part // 3 % 3] if part % 3 == 0 and light != "2" else "good"
            frames.append(frame(f"{part:03d}_{light}.png", kind, str(part), lighting=light))
    return frames


def sides_of(result):
    return {file: side for side, files in result.sides.items() for file in files}


def test_no_part_stands_on_two_sides_and_every_frame_on_one():
    frames = tiles()
    result = split(frames)
    side = sides_of(result)
    assert set(side) == {f.file for f in frames}
    for part in {f.part for f in frames}:
        assert len({side[f.file] for f in frames if f.part == part}) == 1
    assert set(result.sides) == set(SIDES)
    assert sum(result.parts.values()) == 60


def test_defects_are_kept_from_the_sides_that_must_be_good():
    frames = {f.file: f for f in tiles()}
    result = split(list(frames.values()))
    for side in ("fit", "adapt", "calibrate"):
        assert {frames[file].kind for file in result.sides[side]} == {"good"}


def test_kinds_and_lightings_are_within_ten_percent_of_the_whole():
    frames = {f.file: f for f in tiles(120)}
    result = split(list(frames.values()))
    for files in result.sides.values():
        for light in "123":
            share = sum(frames[file].tags["lighting"] == light for file in files) / len(files)
            assert abs(share - 1 / 3) < 0.1
    for side in ("validation", "test"):
        bad = [frames[file].kind for file in result.sides[side] if frames[file].kind != "good"]
        for kind in ("crack", "fray", "stain"):
            assert abs(bad.count(kind) / len(bad) - 1 / 3) < 0.1


def test_the_same_seed_gives_the_same_split_in_whatever_order_frames_come():
    frames = tiles()
    first = split(frames, seed=4)
    assert split(frames[::-1], seed=4).sides == first.sides
    assert split(frames, seed=5).sides != first.sides


def test_parts_that_share_a_picture_count_as_one():
    frames = [replace(f, sha256=f"{i:064x}") for i, f in enumerate(tiles(30))]
    frames[3] = replace(frames[3], sha256=frames[0].sha256)
    side = sides_of(split(frames))
    assert side[frames[0].file] == side[frames[3].file]


def test_disputed_frames_are_left_out_and_unlabelled_parts_go_to_adapt():
    frames = tiles(30)
    file = frames[5].file
    frames[5] = replace(frames[5], votes=(vote(file), vote(file, "defect", by="ben")))
    frames.append(frame("new.png", None, "new"))
    result = split(frames)
    assert result.left_out == (file,)
    assert result.notes == ("1 frames whose labels disagree are left out",)
    assert "new.png" in result.sides["adapt"]


def test_without_any_label_all_frames_count_as_good_and_it_is_said():
    result = split([frame(f"{i}.png", None) for i in range(20)])
    assert "no frame has a label: all count as good" in result.notes
    assert all(result.sides.values())


def test_fewer_sides_on_request():
    result = split(tiles(), shares={"fit": 1, "test": 1})
    assert set(result.sides) == {"fit", "test"}
    good = {f.file for f in tiles() if f.kind == "good"}
    counts = [len(good.intersection(files)) for files in result.sides.values()]
    assert abs(counts[0] - counts[1]) <= 3


def test_too_few_parts_frames_without_a_part_and_bad_shares_are_refused():
    with pytest.raises(
        UserError, match=r"3 good parts can't be split into 5 disjoint sides\n  received: 3 frames of 3 parts"
    ):
        split([frame(f"{i}.png") for i in range(3)])
    with pytest.raises(UserError, match=r"1 of 1 frames have no part"):
        split([replace(frame("a.png"), part=None)])
    for shares in ({"fit": 0.0}, {"train": 1.0}, {}):
        with pytest.raises(UserError, match="--share"):
            split(tiles(), shares=shares)
