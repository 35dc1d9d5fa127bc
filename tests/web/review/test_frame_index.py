"""The frame index follows evidence as it grows, is deleted from and is written anew; labelled frames stay in it."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from dataclasses import replace

import orjson
import pytest
from structlog.testing import capture_logs
from support.reviewed import START, line_of, record, write_frames

from edge.errors import UserError
from edge.models.sets.manifest import LabelLine, now
from edge.storage.recording_writer import RecordingWriter
from edge.web.review import frame_index
from edge.web.review.frame_index import FrameIndex
from edge.web.review.frame_search import FrameWish, choices, frame_details, frame_ids
from edge.web.review.label_book import LabelBook
from edge.web.review.label_table import LabelTable


@pytest.fixture
def line(tmp_path):
    (tmp_path / "page").mkdir()
    index = FrameIndex(tmp_path / "page")
    LabelTable(tmp_path / "page").close()
    write_frames(tmp_path / "line" / "evidence", range(10))
    yield tmp_path / "page", index, [line_of(tmp_path / "line")]
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


def label(folder, seq: int, camera: str = "cam1") -> None:
    ids, _ = frame_ids(folder, camera, FrameWish(seq=seq))
    (found,) = frame_details(folder, camera, ids)
    table = LabelTable(folder)
    table.take(camera, [(LabelLine(file=found.kept, label="good", by="ann", at=now()), 0)], (1, 1))
    table.close()


def test_frames_whose_recording_comes_back_are_all_there_again(line, tmp_path) -> None:
    folder, index, lines = line
    index.follow(lines, ())
    label(folder, 3)
    (tmp_path / "line" / "evidence").rename(tmp_path / "away")
    index.follow(lines, ())
    assert seqs(folder) == [3]
    (tmp_path / "away").rename(tmp_path / "line" / "evidence")
    index.follow(lines, ())
    assert seqs(folder) == list(range(9, -1, -1))


def test_a_config_that_is_mistyped_for_a_moment_takes_no_frames(line, tmp_path) -> None:
    folder, index, lines = line
    index.follow(lines, ())
    before, _ = frame_ids(folder, "cam1", FrameWish())
    text = lines[0].config.read_text()
    lines[0].config.write_text(text + "outputz: [")
    assert index.follow(lines, ()) == 0
    assert frame_ids(folder, "cam1", FrameWish())[0] == before
    lines[0].config.write_text(text.replace(str(tmp_path / "line" / "evidence"), str(tmp_path / "elsewhere")))
    index.follow(lines, ())
    assert seqs(folder) == []  # the config says so


def test_a_disk_that_is_not_mounted_takes_no_frames(line, tmp_path, monkeypatch) -> None:
    folder, index, lines = line
    index.follow(lines, ())
    before, _ = frame_ids(folder, "cam1", FrameWish())
    mounted, evidence = tmp_path / "mounted", tmp_path / "line" / "evidence"
    evidence.rename(mounted)
    evidence.mkdir()
    with monkeypatch.context() as other:
        other.setattr("edge.web.last_disk._nearest_device", lambda path: path.stat().st_dev + 1)
        index.follow(lines, ())
        assert frame_ids(folder, "cam1", FrameWish())[0] == before
    evidence.rmdir()
    mounted.rename(evidence)
    assert index.follow(lines, ()) == 0
    assert frame_ids(folder, "cam1", FrameWish())[0] == before


def test_two_instances_of_one_camera_keep_their_frames_beside_each_other(line, tmp_path) -> None:
    folder, index, lines = line
    write_frames(tmp_path / "second" / "evidence", range(20, 23))
    both = [*lines, line_of(tmp_path / "second")]
    assert index.follow(both, ()) == 13
    before, _ = frame_ids(folder, "cam1", FrameWish())
    assert (index.follow(both, ()), frame_ids(folder, "cam1", FrameWish())[0]) == (0, before)


ODD = (
    *[{"part_id": part} for part in ("A12", 1.5, [], True)],
    *[{"width": None}, {"height": 1.5}, {"bits": [8]}, {"received_ns": 1 << 63}],
    *[{"number": number} for number in ("7", True, None)],
    *[{"file": file} for file in (7, None, {})],
    *[{"why": {"a": 1}}, {"frame_ref": 4}],
)


def test_lines_of_odd_values_are_passed_over_and_the_others_are_read(line, tmp_path) -> None:
    folder, index, lines = line
    path = tmp_path / "line" / "evidence" / "frames.jsonl"
    first, *others = path.read_bytes().splitlines(keepends=True)
    odd = [orjson.dumps(orjson.loads(first) | one) + b"\n" for one in ODD]
    path.write_bytes(b"".join([*odd, *others]))
    assert index.follow(lines, ()) == 9
    assert seqs(folder) == list(range(9, 0, -1))


@pytest.mark.parametrize("span", [b"[-1e300,-2]", b"[1e300,2e300]", b"[-1e999,1e999]", b"[9,1]"])
def test_a_deletion_of_numbers_that_no_frame_has_deletes_none(line, tmp_path, span) -> None:
    folder, index, lines = line
    with (tmp_path / "line" / "evidence" / "frames.jsonl").open("ab") as file:
        file.write(b'{"kind":"deleted","frames":[%s]}\n' % span)
    assert index.follow(lines, ()) == 10
    assert seqs(folder) == list(range(9, -1, -1))


def test_a_line_beyond_all_length_is_passed_over(line, tmp_path, monkeypatch) -> None:
    folder, index, lines = line
    monkeypatch.setattr("edge.storage.lines_until_torn.LONGEST_LINE", 1 << 12)
    path = tmp_path / "line" / "evidence" / "frames.jsonl"
    path.write_bytes(b"x" * (3 << 12) + b"\n" + path.read_bytes())
    assert index.follow(lines, ()) == 10
    assert seqs(folder) == list(range(9, -1, -1))


def test_one_recordings_trouble_does_not_keep_another_from_being_read(line, tmp_path, monkeypatch) -> None:
    folder, index, lines = line
    write_frames(tmp_path / "more" / "a", range(20, 23))
    read = frame_index.entry_of

    def broken(text: bytes):
        if b'"seq":1,' in text:
            raise RuntimeError("a fault of our own")
        return read(text)

    monkeypatch.setattr(frame_index, "entry_of", broken)
    with capture_logs() as said:
        assert [index.follow(lines, [tmp_path / "more"]) for _ in range(2)] == [3, 0]
    assert [(one["event"], one["error"]) for one in said] == [("recording_not_indexed", "RuntimeError: a fault of our own")]
    assert seqs(folder) == [22, 21, 20]


def test_a_folder_that_another_camera_takes_over_shows_it_no_frame_of_the_first(line, tmp_path) -> None:
    folder, index, lines = line
    index.follow(lines, ())
    label(folder, 3)
    head = tmp_path / "line" / "evidence" / "recording.json"
    head.write_bytes(head.read_bytes().replace(b'"cam1"', b'"cam2"'))
    second = [replace(lines[0], camera="cam2")]
    index.follow(second, ())
    assert seqs(folder) == [3]  # labelled: its picture lies in the page's own folder
    ids, _ = frame_ids(folder, "cam2", FrameWish())
    assert [one.shown["seq"] for one in frame_details(folder, "cam2", ids)] == list(range(9, -1, -1))
    index.follow(lines, ())
    index.follow(second, ())
    assert (seqs(folder), frame_ids(folder, "cam2", FrameWish())[0]) == ([3], ids)


def test_an_index_of_the_first_layout_keeps_its_frames(line, tmp_path) -> None:
    folder, index, lines = line
    index.follow(lines, ())
    label(folder, 3)
    before, _ = frame_ids(folder, "cam1", FrameWish())
    index.close()
    with contextlib.closing(sqlite3.connect(folder / "frames.sqlite", isolation_level=None)) as database:
        database.execute("alter table recordings rename to newer")
        database.execute(
            "create table recordings (key integer primary key, id text unique not null, camera text not null, "
            "folder text not null, name text not null, inode integer not null, done integer not null)"
        )
        database.execute("insert into recordings select key, id, camera, folder, name, inode, done from newer")
        database.execute("delete from frames where number > 7")  # as a disk that was away left it
        database.execute("drop table newer")
        database.execute("pragma user_version = 1")
    again = FrameIndex(folder)
    assert again.follow(lines, ()) == 2
    assert frame_ids(folder, "cam1", FrameWish())[0][2:] == before[2:]
    shutil.rmtree(tmp_path / "line" / "evidence")
    again.follow(lines, ())
    again.close()
    assert seqs(folder) == [3]


@pytest.mark.parametrize("damage", ["begun anew", "unreadable", "none there"])
def test_a_labelled_frame_stays_whatever_became_of_the_table(line, tmp_path, damage) -> None:
    folder, index, lines = line
    index.follow(lines, ())
    (found,) = frame_details(folder, "cam1", frame_ids(folder, "cam1", FrameWish(seq=1))[0])
    table = LabelTable(folder)
    LabelBook(folder, "cam1", table).say(found.as_message(), {"label": "good"}, "ann")
    table.forget("cam1")
    table.close()
    if damage == "unreadable":
        (folder / "labels.sqlite").write_bytes(b"torn by a power cut")
    elif damage == "none there":
        (folder / "labels.sqlite").unlink()
    writer = RecordingWriter(tmp_path / "line" / "evidence", camera="cam1", source="evidence", append=True)
    writer.forget([0, 1, 2])
    writer.close()
    index.follow(lines, ())
    assert seqs(folder) == [9, 8, 7, 6, 5, 4, 3, 1]


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
