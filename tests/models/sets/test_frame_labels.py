"""Labels reach a replay by the names of its records, whatever said them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.recordings import recorded
from support.sets import mvtec, picture, save

from edge.errors import UserError
from edge.models.good_frames import good_frames
from edge.models.sets.frame_labels import FrameLabels, frame_labels
from edge.models.sets.open import open_set


def test_names_are_those_under_the_replayed_folder_wherever_the_data_set_begins(tmp_path: Path) -> None:
    mvtec(tmp_path, train=0, good=1)
    kinds = {"good/000.png": "good", "crack/000.png": "crack", "crack/001.png": "crack", "stain/000.png": "stain"}
    assert frame_labels(tmp_path / "test") == FrameLabels(kinds, "the folders", 0)
    whole = {f"test/{name}": kind for name, kind in kinds.items()}
    assert frame_labels(tmp_path) == FrameLabels(whole, "the folders", 0)


@pytest.mark.parametrize(("good", "bad"), [("good", "bad"), ("ok", "NG"), ("normal", "anomaly")])
def test_two_folders_are_classes_and_pictures_beside_them_have_none(tmp_path: Path, good: str, bad: str) -> None:
    save(tmp_path / good / "a.png", picture(0))
    save(tmp_path / bad / "b.png", picture(1))
    save(tmp_path / bad / "scratch" / "c.png", picture(2))
    save(tmp_path / "d.png", picture(3))
    kinds = {f"{good}/a.png": "good", f"{bad}/b.png": "defect", f"{bad}/scratch/c.png": "scratch"}
    assert frame_labels(tmp_path) == FrameLabels(kinds, "the folders", 1)


def test_a_table_has_the_last_word(tmp_path: Path) -> None:
    for index, name in enumerate(("a.png", "b.png", "good/c.png", "d.png")):
        save(tmp_path / name, picture(index))
    (tmp_path / "labels.csv").write_text("file,label,kind\na.png,ok,\nb.png,ng,crack\nc.png,scratch,\ngone.png,ok,\n")
    assert frame_labels(tmp_path) == FrameLabels(
        {"a.png": "good", "b.png": "crack", "good/c.png": "scratch"}, "labels.csv", 1
    )
    assert good_frames(tmp_path).names == ("a.png",)


def test_a_mask_of_the_table_lies_beside_it(tmp_path: Path) -> None:
    save(tmp_path / "a.png", picture(0))
    save(tmp_path / "elsewhere" / "m.png", picture(1) // 201 + 255)
    (tmp_path / "labels.csv").write_text("file,label,mask\na.png,crack,elsewhere/m.png\n")
    found = open_set(tmp_path)
    (frame,) = (frame for frame in found.frames if frame.file == "a.png")
    mask = found.read_mask(frame)
    assert mask is not None
    assert mask.all()


def test_a_table_that_says_nothing_of_the_pictures_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.png", picture(0))
    (tmp_path / "labels.csv").write_text("file,label\nx.png,ok\n")
    with pytest.raises(UserError) as told:
        frame_labels(tmp_path)
    assert str(told.value) == (
        f"{tmp_path}/labels.csv: names none of the pictures\n  received: x.png\n"
        "  expected: names as the folder has them, such as a.png"
    )
    (tmp_path / "labels.csv").write_text("name,x\n")
    with pytest.raises(UserError, match="has no column file"):
        frame_labels(tmp_path)


def test_plain_pictures_recordings_and_files_have_no_labels(tmp_path: Path) -> None:
    save(tmp_path / "plain" / "a.png", picture(0))
    assert frame_labels(tmp_path / "plain") is None
    assert frame_labels(tmp_path / "plain" / "a.png") is None
    assert frame_labels(recorded(tmp_path / "evidence")) is None
