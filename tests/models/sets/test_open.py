"""Folders as they stand, opened as sets."""

import shutil

import pytest
from support.recordings import recorded
from support.sets import mvtec, picture, save

from edge.errors import UserError
from edge.models.sets.open import open_set, orphan_notes


def kinds(frames):
    return sorted((f.file, f.kind, f.mask is not None) for f in frames.frames)


def test_mvtec_folders_give_labels_masks_and_sides_and_masks_are_no_frames(tmp_path):
    frames = open_set(mvtec(tmp_path))
    assert len(frames) == 10
    assert frames.sides == ("train", "test")
    assert {(f.side, f.kind) for f in frames.frames} == {
        ("train", "good"),
        ("test", "good"),
        ("test", "crack"),
        ("test", "stain"),
    }
    assert all((f.mask is not None) == (f.label == "defect") for f in frames.frames)


def test_masks_whose_pictures_are_not_there_are_told_with_the_folder_that_is_missing(tmp_path):
    root = mvtec(tmp_path, kinds=(("crack", 3), ("stain", 2), ("chip", 1)))
    assert orphan_notes(open_set(root)) == []
    shutil.rmtree(root / "test" / "stain")
    (root / "test" / "crack" / "001.png").unlink()
    (root / "test" / "chip" / "000.png").unlink()
    assert orphan_notes(open_set(root)) == [
        f"1 mask of ground_truth/chip belongs to no picture: {root}/test/chip holds no picture",
        "1 mask of ground_truth/crack belongs to no picture",
        f"2 masks of ground_truth/stain belong to no picture: {root}/test/stain is not there",
    ]
    assert orphan_notes(open_set(root / "test")) == []


def test_a_part_of_mvtec_folders_finds_its_masks_one_level_up(tmp_path):
    mvtec(tmp_path)
    test = open_set(tmp_path / "test")
    assert sum(f.mask is not None for f in test.frames) == 3
    assert len(open_set(tmp_path / "train" / "good")) == 4
    crack = open_set(tmp_path / "test" / "crack")
    assert [f.kind for f in crack.frames] == ["unlabelled", "unlabelled"]  # a folder's name alone is no label


def test_good_and_bad_are_classes_and_a_folder_called_good_is_good(tmp_path):
    save(tmp_path / "good" / "a.png", picture(0))
    save(tmp_path / "bad" / "b.png", picture(1))
    assert kinds(open_set(tmp_path)) == [("bad/b.png", "defect", False), ("good/a.png", "good", False)]
    assert kinds(open_set(tmp_path / "good")) == [("good/a.png", "good", False)]


def test_plain_pictures_have_no_label(tmp_path):
    save(tmp_path / "monday" / "a.png", picture(0))
    save(tmp_path / "b.png", picture(1))
    assert {f.kind for f in open_set(tmp_path).frames} == {"unlabelled"}


def test_a_recording_brings_camera_day_part_and_cause(tmp_path):
    frames = open_set(recorded(tmp_path / "evidence"))
    assert len(frames) == 2
    assert frames.frames[0].tags["cause"] == "fail"
    assert frames.frames[1].tags["cause"] == "invalid"
    assert set(frames.frames[0].tags) == {"camera", "day", "frame_id", "cause"}
    assert frames.frames[0].bits == 12
    assert frames.read(frames.frames[0]).bits == 12


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda p: p / "none", "no such set"),
        (lambda p: p, "holds no pictures\n  received: an empty folder"),
    ],
)
def test_places_without_frames_are_named(tmp_path, make, text):
    with pytest.raises(UserError, match=text):
        open_set(make(tmp_path))
