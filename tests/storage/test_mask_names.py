"""Which pictures are masks of others: none of them is judged as a frame, and no frame is taken for one."""

from __future__ import annotations

import pytest

from edge.storage.mask_names import masks_among, masks_beside

MVTEC = ("train/good/000.png", "test/good/000.png", "test/crack/000.png", "test/crack/001.png")


@pytest.mark.parametrize(
    ("frames", "masks"),
    [
        (MVTEC, ("ground_truth/crack/000_mask.png", "ground_truth/crack/001_mask.png")),  # MVTec AD
        (MVTEC, ("ground_truth/crack/777_mask.png",)),  # whose picture somebody removed
        (("test/good/1.png", "test/ko/2.bmp"), ("ground_truth/ko/2.png",)),  # BTAD
        (("Data/Images/Normal/0.JPG", "Data/Images/Anomaly/1.JPG"), ("Data/Masks/Anomaly/1.png",)),  # VisA
        (("kos01/Part0.jpg", "kos01/Part1.jpg"), ("kos01/Part0_label.bmp", "kos01/Part1_label.bmp")),  # KolektorSDD
        (("train/10000.png", "train/10001.png"), ("train/10000_GT.png", "train/10001_GT.png")),  # KolektorSDD2
        (("images/a.png", "images/b.png"), ("annotations/a.png", "labels/b.png")),
        (("a.png", "b.png"), ("mask_a.png", "b-mask.png", "gt_masks/a.png", "Ground Truth/b.png")),
    ],
)
def test_masks_of_data_sets_are_told_from_their_frames(frames: tuple[str, ...], masks: tuple[str, ...]) -> None:
    assert masks_beside([*frames, *masks], masks.__contains__) == set(masks)


@pytest.mark.parametrize(
    "frames",
    [
        ("bottle_label.png", "bottle_cap.png"),  # a view of the label, of which there is no other
        ("label/001.png", "cap/002.png"),  # a product that is called so
        ("a.jpg", "a.png"),  # the same picture twice, or a mask: nobody can tell
        ("face_masks_line/1.png",),  # the product itself
        ("ground_truth/crack/000_mask.png",),  # asked for by name: nothing else is there
        ("unmasked/1.png", "masked/1.png"),
        ("cap/0001.png", "label/0001.png"),  # two views of a bottle
        ("0001.png", "0001_label.png"),
        ("face_masks_line/1.png", "caps/1.png"),
        ("GT-500/1.png", "GT-500/2.png", "RS-200/1.png"),  # products
        ("gt3/1.png", "good/GT 40/1.png", "good/RS 40/1.png"),
    ],
)
def test_a_frame_is_never_taken_for_a_mask(frames: tuple[str, ...]) -> None:
    assert masks_beside(frames, lambda name: name == "a.png") == frozenset()


def test_what_surely_is_a_mask_is_none_to_learn_from_either() -> None:
    names = [*MVTEC, "ground_truth/crack/000_mask.png", "masks/1.png"]
    assert masks_beside(names, lambda _: True) <= masks_among(names)
