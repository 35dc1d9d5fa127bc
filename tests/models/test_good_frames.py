"""One gate for folders of good frames: the root of a data set means its good training frames, and the rest is told."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import UserError
from edge.frames import Frame
from edge.models.good_frames import good_frames

MVTEC = ("train/good/000.png", "train/good/001.png", "test/good/000.png", "test/spot/000.png")
MASKS = ("ground_truth/spot/000_mask.png",)


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / name), np.full((4, 6), 9, np.uint8))
    return folder


def refs(path: Path) -> list[str]:
    return [frame.meta.frame_ref or "" for frame in good_frames(path) if isinstance(frame, Frame)]


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ((*MVTEC, *MASKS), ["train/good/000.png", "train/good/001.png"]),
        (("train/ok/a.png", "test/ok/b.png", "test/ko/c.png", "ground_truth/ko/c.png"), ["train/ok/a.png"]),
        (
            ("Data/Images/Normal/1.JPG", "Data/Images/Anomaly/2.JPG", "Data/Masks/Anomaly/2.png"),
            ["Data/Images/Normal/1.JPG"],
        ),
        (("train/good/1.png", "validation/good/2.png", "test/logical_anomalies/3.png"), ["train/good/1.png"]),
        (("good/a.png", "bad/b.png"), ["good/a.png"]),
        (("good/a.png", "scratch/b.png", "c.png"), ["good/a.png"]),
        (("good/day1/a.png", "good/day2/b.png", "bad/c.png"), ["good/day1/a.png", "good/day2/b.png"]),
        (("a.png", "a_mask.png", "b.png", "b-gt.png", "masks/a.png"), ["a.png", "b.png"]),
        (("a.png", "defects/b.png", "NG/c.png"), ["a.png"]),
        (("a.png", "day2/b.png", "unmasked.png", "mask_holder.png"), None),
        (("good/a.png", "good/b.png"), None),
        (("1.png", "mask_1.png", "gt-1.png", "mask_7.png"), ["1.png", "mask_7.png"]),
        (("a/1.png", "ground-truth/1.png", "gt_masks/1.png", "Ground Truth/2.png", "segmentation/3.png"), ["a/1.png"]),
        (("Imgs/a.jpg", "Imgs/a.png", "Imgs/b.jpg", "c.png"), ["Imgs/a.jpg", "Imgs/b.jpg", "c.png"]),
        (("ok1/1.png", "bad_parts/2.png", "not_good/3.png", "no-good/4.png", "1_NG/5.png"), ["ok1/1.png"]),
        (("no_defect_1.png", "defect-free/2.png", "failsafe/3.png", "ngc/4.png"), None),
        (("line_ng_1.png", "line_ng_2.png"), None),
    ],
    ids=[
        "mvtec",
        "btad",
        "visa",
        "loco",
        "two_folders",
        "loose_ones",
        "days",
        "masks_beside",
        "defects_below",
        "plain",
        "all",
        "masks_by_what_stands_before",
        "folders_of_masks",
        "masks_as_png_beside_jpeg",
        "folders_that_say_bad",
        "words_that_only_look_bad",
        "a_word_that_all_have",
    ],
)
def test_good_frames_are_taken_and_nothing_else(tmp_path: Path, names: tuple[str, ...], taken: list[str] | None) -> None:
    folder = tree(tmp_path / "set", *names)
    found = good_frames(folder)
    assert sorted(refs(folder)) == sorted(taken or names)
    assert found.count() == len(taken or names)
    assert bool(found.notes) == (taken is not None), "what is left out is told, and nothing else"


def test_files_whose_names_say_bad_are_told_and_left_to_the_outliers(tmp_path: Path) -> None:
    """A folder that somebody calls good may hold parts that a camera's software called otherwise."""
    found = good_frames(tree(tmp_path / "set", "p1_ok.png", "p2_ng.png", "p3-NOK.png", "bad 4.png"))
    assert found.count() == 4
    assert found.notes == ("taken as good though the name says otherwise: bad 4.png, p2_ng.png, p3-NOK.png",)


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    folder = tree(tmp_path / "set", *MVTEC, *MASKS)
    assert good_frames(folder).notes == (
        f"{folder} is a data set: its train/good is taken, 2 pictures",
        "left out as masks: 1 picture (ground_truth/spot)",
        "left out as no good frames to learn from: test/good, test/spot",
    )


def test_a_folder_that_is_named_itself_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    """A person may mean the good frames of the test set, or a product that is a mask."""
    tree(tmp_path / "set", *MVTEC)
    assert refs(tmp_path / "set/test/good") == ["000.png"]
    assert refs(tmp_path / "set/test") == ["good/000.png"]
    assert refs(tree(tmp_path / "masks", "1.png", "2.png")) == ["1.png", "2.png"]
    assert refs(tmp_path / "set/test/good/000.png") == ["000.png"]


def test_several_products_are_refused(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "bottle/train/good/0.png", "bottle/test/bad/0.png", "cable/train/good/0.png")
    with pytest.raises(UserError) as caught:
        good_frames(root)
    assert str(caught.value) == (
        f"{root}: holds the good frames of several products or cameras\n"
        "  received: bottle/train/good, cable/train/good\n"
        "  expected: those of one, which lie alike\n"
        f"  fix: name one of them, for example {root}/bottle/train/good"
    )


def test_nothing_but_masks_and_defects_is_refused(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "ground_truth/a_mask.png", "bad/b.png", "c_mask.png")
    with pytest.raises(UserError) as caught:
        good_frames(root)
    assert str(caught.value) == (
        f"{root}: no good frame is in it\n"
        "  received: bad, c_mask.png, ground_truth\n"
        "  expected: pictures of good parts; folders and files of masks and of defects are left out\n"
        "  fix: name the folder that holds them"
    )


def test_frames_can_be_passed_over_by_name(tmp_path: Path) -> None:
    some = good_frames(tree(tmp_path / "set", "a.png", "b.png", "c.png")).leave_out(["b.png"])
    assert [f.meta.frame_ref for f in some if isinstance(f, Frame)] == ["a.png", "c.png"]
    assert [f.meta.frame_ref for f in some.leave_out(["a.png"]) if isinstance(f, Frame)] == ["c.png"]


def test_the_train_folder_of_a_data_set_with_a_table_of_labels_is_its_side_to_fit_on(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", *MVTEC, *MASKS)
    (root / "labels.csv").write_text("file,label\ntrain/good/001.png,bad\n")
    assert refs(root) == ["train/good/000.png"]
    assert good_frames(root).notes == (f"{root}: 1 of 4 frames are taken: the side train of the split",)
    with pytest.raises(UserError, match="no good frame is in its side calibrate"):
        good_frames(root, side="calibrate")
