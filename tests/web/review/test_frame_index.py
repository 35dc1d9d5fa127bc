"""The frame index follows evidence as it grows, is deleted from and is written anew; labelled frames stay in it."""

from __future__ import annotations

import shutil

import pytest
from support.reviewed import START, line_of, record, write_frames

from edge.errors import UserError
from edge.models.sets.manifest import LabelLine, now
from edge.storage.recording_writer import RecordingWriter
from edge.web.review.frame_index import FrameIndex
from edge.web.review.frame_search import FrameWish, choices, frame_details, frame_ids
from edge.web.review.label_table import LabelTable


@pytest.fixture
def line(tmp_path):
    (tmp_path / "page").mkdir()
    index = FrameIndex(tmp_path / "page")
    LabelTable(tmp_path / "page").close()
    write_frames(tmp_path / "line" / "evidence", range(10))
    yield tmp_path / "page", index, line_of(tmp_path / "line")
    index.close()


def seqs(folder, **wish) -> list[int]:
    ids, _ = frame_ids(folder, "cam1", FrameWish(**wish))
    return [one.shown["seq"] for one in frame_details(folder, "cam1", ids)]


def test_what_is_new_is_read_once_newest_first(line, tmp_path) -> None:
    folder, index, instance = line
    assert (index.follow(instance, ()), index.follow(instance, ())) == (10, 0)
    write_frames(tmp_path / "line" / "evidence", range(10, 12))
    assert index.follow(instance, ()) == 2
    assert seqs(folder) == list(range(11, -1, -1))


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"verdict": "fail"}, [9, 4]),
        ({"part": 2}, [5, 4]),
        ({"seq": 7}, [7]),
        ({"dropped": "min_area_px"}, [8, 4, 0]),
        ({"dropped": "min_solidity"}, []),
        ({"dropped": "min_area"}, []),
        ({"near": 0.17}, [8]),
        ({"since_ns": START + 8_000_000_000}, [9, 8]),
        ({"until_ns": START + 2_000_000_000}, [1, 0]),
        ({"numbers": (1, 6, 99)}, [6, 1]),
        ({"label": "none", "verdict": "fail"}, [9, 4]),
        ({"label": "good"}, []),
        ({"reason": "late"}, []),
        ({"recording": "nowhere"}, []),
    ],
)
def test_frames_are_found_by_what_their_records_say(line, wish, expected) -> None:
    folder, index, instance = line
    index.follow(instance, ())
    assert seqs(folder, **wish) == expected


def test_frames_are_found_by_what_people_say_and_where_that_is_not_the_verdict(line) -> None:
    folder, index, instance = line
    index.follow(instance, ())
    ids, _ = frame_ids(folder, "cam1", FrameWish())
    kept = {one.shown["seq"]: one.kept for one in frame_details(folder, "cam1", ids)}
    table = LabelTable(folder)
    said = [(9, "good", "ann"), (8, "good", "ann"), (7, "defect", "ann"), (6, "unsure", "bob"), (5, "good", "ann")]
    said += [(5, "defect", "bob"), (4, "defect", "bob")]
    words = [LabelLine(file=kept[seq], label=label, by=who, at=now()) for seq, label, who in said]
    table.take("cam1", [(word, place) for place, word in enumerate(words)], (7, 1))
    table.close()
    assert seqs(folder, label="good") == [9, 8]
    assert seqs(folder, label="disputed") == [5]
    assert seqs(folder, label="unsure") == [6]
    assert seqs(folder, disagree=True) == [9, 7]
    assert seqs(folder, without="bob", label="any") == [9, 8, 7, 3, 2, 1, 0]


def test_a_frame_that_a_quota_took_is_gone_and_a_labelled_one_stays(line, tmp_path) -> None:
    folder, index, instance = line
    index.follow(instance, ())
    ids, _ = frame_ids(folder, "cam1", FrameWish(seq=1))
    (labelled,) = frame_details(folder, "cam1", ids)
    table = LabelTable(folder)
    table.take("cam1", [(LabelLine(file=labelled.kept, label="good", by="ann", at=now()), 0)], (1, 1))
    table.close()
    writer = RecordingWriter(tmp_path / "line" / "evidence", camera="cam1", source="evidence", append=True)
    writer.forget([0, 1, 2])
    writer.close()
    index.follow(instance, ())
    assert seqs(folder) == [9, 8, 7, 6, 5, 4, 3, 1]


def test_an_evidence_folder_that_was_emptied_begins_anew(line, tmp_path) -> None:
    folder, index, instance = line
    index.follow(instance, ())
    shutil.rmtree(tmp_path / "line" / "evidence")
    write_frames(tmp_path / "line" / "evidence", range(20, 23))
    index.follow(instance, ())
    assert seqs(folder) == [22, 21, 20]
    shutil.rmtree(tmp_path / "line" / "evidence")
    index.follow(instance, ())
    assert seqs(folder) == []


def test_a_torn_last_line_waits_and_a_damaged_one_is_passed_over(line, tmp_path) -> None:
    folder, index, instance = line
    path = tmp_path / "line" / "evidence" / "frames.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert index.follow(instance, ()) == 9
    with path.open("ab") as file:
        file.write(whole[-40:] + b"no json\n")
    assert index.follow(instance, ()) == 1
    assert seqs(folder)[0] == 9


def test_a_record_of_odd_values_is_shown_without_them(line, tmp_path) -> None:
    folder, index, instance = line
    odd = {"seq": "<img src=x onerror=alert(1)>", "map_max": "high", "regions": [{"bbox_xyxy": "all"}, 3], "verdict": "ok"}
    write_frames(tmp_path / "line" / "evidence", range(10, 11), **odd)
    index.follow(instance, ())
    ids, _ = frame_ids(folder, "cam1", FrameWish(numbers=(10,)))
    (shown,) = [one.shown for one in frame_details(folder, "cam1", ids)]
    assert (shown["seq"], shown["map_max"], shown["boxes"], shown["verdict"]) == (None, None, [], None)
    assert b'"seq":11' in record(11)


def test_what_frames_can_be_searched_by(line) -> None:
    folder, index, instance = line
    index.follow(instance, ())
    told = choices(folder, "cam1")
    assert (told["frames"], told["reasons"], told["filters"]) == (10, [], ["min_area_px"])
    assert [one["name"] for one in told["recordings"]] == ["evidence of this line"]


def test_without_an_index_the_answer_says_that_it_comes(tmp_path) -> None:
    with pytest.raises(UserError, match="the index of frames isn't there yet") as told:
        frame_ids(tmp_path, "cam1", FrameWish())
    assert told.value.passes
