"""Gathering: nothing twice, everything balanced, all that is known comes along."""

import fcntl
import os
from pathlib import Path

import pytest
from support.recordings import recorded
from support.sets import AT, mvtec, picture, save, vote

from edge.errors import UserError
from edge.models.sets.frame_set import FrameSet, SetFrame, add_labels, read_set
from edge.models.sets.gather import _Candidate, balanced, gather
from edge.models.sets.manifest import MANIFEST, HeadLine, begin_manifest


def test_frames_are_copied_with_labels_masks_tags_and_hashes(tmp_path):
    result = gather([mvtec(tmp_path / "data")], tmp_path / "set")
    again = read_set(tmp_path / "set" / MANIFEST)
    assert again.frames == result.frames.frames
    assert result.taken == 10
    crack = next(f for f in again.frames if f.kind == "crack")
    assert again.read_mask(crack).sum() == 12
    assert crack.file.startswith("frames/")
    assert crack.source == "data/test/crack/000.png"
    assert crack.tags["source"] == "data"


def test_a_picture_that_is_there_already_is_not_taken_twice_and_a_set_grows(tmp_path):
    for index in range(3):
        save(tmp_path / "a" / f"{index}.png", picture(index))
        save(tmp_path / "b" / f"{index}.png", picture(index + 2))
    first = gather([tmp_path / "a"], tmp_path / "set")
    add_labels(first.frames, [vote("frames/00000001.png")])
    second = gather([tmp_path / "b"], tmp_path / "set")
    assert (second.taken, second.twice) == (2, 1)
    again = read_set(tmp_path / "set" / MANIFEST)
    assert [f.file for f in again.frames] == [f"frames/{n:08d}.png" for n in range(5)]
    assert again.frames[1].label == "good"


def test_evidence_brings_camera_day_and_cause(tmp_path):
    result = gather([recorded(tmp_path / "evidence")], tmp_path / "set")
    assert {f.tags["cause"] for f in result.frames.frames} == {"fail", "invalid"}
    assert {f.bits for f in result.frames.frames} == {12}
    assert len(result.groups) == 2


def candidates(*groups):
    source = FrameSet(None, None, ())
    return [
        _Candidate(source, SetFrame(f"{day}{part}_{k}.png", part=f"{day}{part}", tags={"day": day}))
        for day, parts, repeats in groups
        for part in range(parts)
        for k in range(repeats)
    ]


def test_a_small_day_is_taken_whole_and_large_ones_share_the_rest():
    chosen = balanced(candidates(("mon", 100, 1), ("tue", 3, 1), ("wed", 50, 1)), 23, ["day"])
    days = [c.frame.tags["day"] for c in chosen]
    assert (days.count("mon"), days.count("tue"), days.count("wed")) == (10, 3, 10)


def test_every_part_comes_once_before_any_comes_twice_and_they_are_spread():
    chosen = balanced(candidates(("mon", 8, 5)), 10, ["day"])
    parts = [c.frame.part for c in chosen]
    assert len(set(parts)) == 8
    few = [int(c.frame.part[3:]) for c in balanced(candidates(("mon", 100, 1)), 3, ["day"])]
    assert few == [25, 50, 75]


def test_damaged_pictures_are_named_and_a_folder_of_something_else_is_left_alone(tmp_path):
    save(tmp_path / "a" / "0.png", picture(0))
    (tmp_path / "a" / "1.png").write_bytes(b"damaged")
    result = gather([tmp_path / "a"], tmp_path / "set")
    assert [name for name, _ in result.unreadable] == [f"{tmp_path / 'a'}/1.png"]
    with pytest.raises(UserError, match="exists and is no set, so nothing is written there"):
        gather([tmp_path / "a"], tmp_path / "a")
    with pytest.raises(UserError, match="no such file or folder"):
        gather([tmp_path / "none"], tmp_path / "new")


def test_a_set_grows_by_one_gathering_at_a_time(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / name / "0.png", picture(ord(name)))
    told = []

    def second(_: int) -> None:
        with pytest.raises(
            UserError, match=r"set: another process gathers frames into it\n  fix: wait for its end"
        ) as refused:
            gather([tmp_path / "b"], tmp_path / "set")
        told.append(refused)

    gather([tmp_path / "a"], tmp_path / "set", seen=second)
    assert len(told) == 1
    assert gather([tmp_path / "b"], tmp_path / "set").taken == 1
    with pytest.raises(UserError, match="no such file or folder"):
        gather([tmp_path / "none"], tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_one_gathering_that_is_refused_takes_no_folder_away(tmp_path, monkeypatch):
    """It had seen none there yet, as one that begins in the same moment does."""
    save(tmp_path / "a" / "0.png", picture(1))
    seen = Path.exists
    (tmp_path / "set").mkdir()
    fd = os.open(tmp_path / "set", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    monkeypatch.setattr(Path, "exists", lambda path: path.name != "set" and seen(path))
    with pytest.raises(UserError, match="another process gathers frames into it"):
        gather([tmp_path / "a"], tmp_path / "set")
    assert (tmp_path / "set").is_dir()
    os.close(fd)


def test_a_set_that_another_program_begins_meanwhile_keeps_its_words(tmp_path):
    save(tmp_path / "a" / "0.png", picture(1))
    manifest = tmp_path / "set" / MANIFEST

    def first_word(_: int) -> None:
        begin_manifest(manifest, HeadLine(created=AT))
        begin_manifest(manifest, HeadLine(created="2026-01-03T03:04:05Z"))  # the first one stands

    with pytest.raises(UserError, match=r"set.jsonl: another program began a set there\n  fix: run the command again"):
        gather([tmp_path / "a"], tmp_path / "set", seen=first_word)
    assert manifest.read_text().count('"kind":"set"') == 1
    assert [path.name for path in (tmp_path / "set").glob(".*")] == []


def test_frames_of_a_video_are_unpacked(tmp_path):
    import cv2

    path = str(tmp_path / "film.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for index in range(3):
        writer.write(cv2.cvtColor(picture(index, (48, 64)), cv2.COLOR_GRAY2BGR))
    writer.release()
    result = gather([tmp_path / "film.avi"], tmp_path / "set")
    assert result.taken == 3
    assert not (tmp_path / "set" / "unpacked").exists()
    assert [f.tags["frame_id"] for f in result.frames.frames] == ["0", "1", "2"]
