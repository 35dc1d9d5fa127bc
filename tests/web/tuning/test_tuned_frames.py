"""What a recording lacks is said in words before anybody tunes on it; nothing of it ends the session."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.tuned import BUNDLE, evidence, index_lines, session_message

from edge.config.bundle import load_bundle
from edge.errors import UserError
from edge.storage.recording_index import RecordedFrame
from edge.storage.recording_writer import RecordingWriter
from edge.web.review.label_book import LabelBook
from edge.web.review.label_table import LabelTable
from edge.web.tuning.recordings import kept_name, recording_id
from edge.web.tuning.session import TuningSession
from edge.web.tuning.tables import outward
from edge.web.tuning.tuned_frames import open_tuned


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evidence(tmp_path_factory.mktemp("line"), frames=12)


@pytest.fixture
def folder(line: Path, tmp_path: Path) -> Path:
    """A copy of the evidence, for a test to damage."""
    shutil.copytree(line.parent / "evidence", tmp_path / "evidence")
    return tmp_path / "evidence"


def opened(config: Path, folder: Path, **more: Any) -> TuningSession:
    return TuningSession(session_message(config, folder, folder.parent / "cache", **more))


def settled(session: TuningSession) -> dict[str, Any]:
    while session.step():
        pass
    return session.verdicts()


def rewritten(folder: Path, lines: list[dict[str, Any]]) -> None:
    (folder / "frames.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))


def test_a_recording_that_is_being_written_says_that_later_frames_are_not_in_it(line: Path, folder: Path) -> None:
    bundle = load_bundle(BUNDLE)
    assert open_tuned(folder, bundle).notes == ()
    with (folder / "lock").open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        [note] = open_tuned(folder, bundle).notes
    assert note == "the recording is being written: frames that came after it was opened are not among these"
    with (folder / "frames.jsonl").open("ab") as index:
        index.write(b'{"kind":"frame","number":12,')  # half a line, as a reader may meet it
    session = opened(line, folder)
    assert session.subject.notes == (note,)
    assert settled(session)["left"] == 0
    assert len(session.subject.frames) == 12


def test_a_torn_map_is_computed_and_a_missing_picture_is_invalid_with_its_reason(line: Path, folder: Path) -> None:
    lines = index_lines(folder)
    (folder / lines[2]["map"]["file"]).write_bytes(b"half")
    (folder / lines[5]["map"]["file"]).unlink()
    (folder / lines[5]["file"]).unlink()
    session = opened(line, folder)
    told = settled(session)
    whole = settled(opened(line, line.parent / "evidence"))
    assert told["computed"] == 1
    assert told["new"][5] == "i"
    assert (told["new"][:5], told["new"][6:]) == (whole["new"][:5], whole["new"][6:])
    head, layers = session.look(5)
    assert (head["invalid"], layers) == ("unreadable", b"")
    assert session.picture(5, "frame", 100) == b""
    assert session.funnel(5) == {"steps": []}


def test_a_recording_of_another_model_leaves_its_maps_aside_and_says_so(line: Path, folder: Path) -> None:
    lines = index_lines(folder)
    for one in lines:
        one["record"]["model"]["sha256"] = "f" * 64
    rewritten(folder, lines)
    session = opened(line, folder)
    sha = load_bundle(BUNDLE).sha256[:12]
    assert session.subject.notes[0] == (
        f"the recording was judged by another model (ffffffffffff); the line has {sha}: maps of other models are left "
        "aside and computed with the line's"
    )
    assert session.opened["kept_maps"] == 0
    assert settled(session)["computed"] == 12


def test_damaged_lines_are_counted_and_deleted_frames_left_out(line: Path, folder: Path) -> None:
    with (folder / "frames.jsonl").open("ab") as index:
        index.write(b"\x00\x00\n" + orjson.dumps({"kind": "deleted", "frames": [[0, 3]]}) + b"\n")
    session = opened(line, folder)
    assert [frame.entry.number for frame in session.subject.frames] == list(range(4, 12))
    assert session.subject.notes == ("1 records are missing in the recording: it was damaged, or its disk was too slow",)


def test_no_recording_an_empty_one_and_an_empty_stretch_are_refused(line: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not a recording: it has no recording\.json"):
        opened(line, tmp_path)
    RecordingWriter(tmp_path / "empty", camera="cam1", source="test").close()
    with pytest.raises(UserError, match=r"no frame to tune on\n  received: a recording without frames"):
        opened(line, tmp_path / "empty")
    with pytest.raises(UserError, match=r"received: none in this stretch of time\n.*choose another recording"):
        opened(line, line.parent / "evidence", since_ns=1, until_ns=2)


def test_a_map_that_is_not_finite_is_invalid_as_on_the_line(line: Path, folder: Path) -> None:
    lines = index_lines(folder)
    path = folder / lines[1]["map"]["file"]
    path.write_bytes(b"\x00\x00\xc0\x7f" + path.read_bytes()[4:])
    session = opened(line, folder)
    assert settled(session)["new"][1] == "i"
    head, _ = session.look(1)
    assert (head["invalid"], head["verdict"]) == ("map_not_finite", "invalid")


def test_labels_come_from_the_folders_that_frames_were_recorded_from(line: Path, folder: Path) -> None:
    lines = index_lines(folder)
    for number, one in enumerate(lines):
        one["frame_ref"] = f"{'good' if number % 2 else 'bad'}/{number}.png"
    rewritten(folder, lines)
    session = opened(line, folder)
    told = settled(session)
    assert [frame.label for frame in session.subject.frames[:3]] == ["bad", "good", "bad"]
    new = told["new"]
    assert told["labels"] == {
        "good": 6,
        "bad": 6,
        "false_rejects": sum(verdict != "p" for verdict in new[1::2]),
        "misses": sum(verdict == "p" for verdict in new[::2]),
    }


def test_fifty_thousand_frames_are_opened_judged_around_the_view_and_told_without_waiting_for_the_rest(
    line: Path, folder: Path
) -> None:
    lines = index_lines(folder)
    many = [{**lines[n % 12], "number": n, "frame_id": n} for n in range(50_000)]
    rewritten(folder, many)
    session = opened(line, folder)
    assert len(session.subject.frames) == 50_000
    session.change({**session.regions.model_dump(mode="json"), "border_px": 3}, 30_000)
    for _ in range(25):
        session.step()
    told = session.verdicts()
    assert told["left"] == 49_975
    judged = [index for index, verdict in enumerate(told["new"]) if verdict != "?"]
    assert judged == list(range(29_988, 30_013))


def test_the_order_outward_names_every_frame_once() -> None:
    assert list(outward(3, 6)) == [3, 4, 2, 5, 1, 0]
    assert list(outward(0, 3)) == [0, 1, 2]
    assert sorted(outward(7, 50)) == list(range(50))


def test_words_of_review_count_in_the_table_before_all_others(line: Path, folder: Path, tmp_path: Path) -> None:
    before = settled(opened(line, folder))
    assert before["labels"] is None
    wanted = [("good", "f"), ("good", "f"), ("defect", "p"), ("good", "p"), ("unsure", "f")]
    (tmp_path / "page").mkdir()
    table = LabelTable(tmp_path / "page")
    book = LabelBook(tmp_path / "page", "cam1", table)
    free = list(enumerate(before["new"]))
    for label, verdict in wanted:
        number = next(n for n, found in free if found == verdict)
        free = [one for one in free if one[0] != number]
        entry = open_tuned(folder, load_bundle(BUNDLE)).frames[number].entry
        book.say(frame_of(folder, entry), {"label": label}, "ann")
    table.close()
    told = settled(opened(line, folder, reviewed=str(book.manifest)))
    assert told["labels"] == {"good": 3, "bad": 1, "false_rejects": 2, "misses": 1}
    assert told["labels_old"] == told["labels"]


def frame_of(folder: Path, entry: RecordedFrame) -> dict[str, Any]:
    at = entry.meta.received_ns
    kept = kept_name(recording_id(folder.resolve()), at, entry.number, entry.file)
    told = {"number": entry.number, "part": None, "instance": None, "seq": None, "why": None, "ref": None, "bits": 8}
    return {"folder": str(folder), "file": entry.file, "kept": kept, "at": str(at), **told}


def test_labels_of_review_that_are_damaged_are_said_and_the_recording_is_tuned_on(
    line: Path, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "set.jsonl").write_text("no set\n")
    [note] = open_tuned(folder, load_bundle(BUNDLE), reviewed=tmp_path / "set.jsonl").notes
    assert note == (f"what was labelled in Review can't be read: {tmp_path}/set.jsonl:1: not a line of a set's manifest")


def test_lines_of_odd_values_are_missing_records_and_the_others_are_tuned_on(line: Path, folder: Path) -> None:
    lines = index_lines(folder)
    for at, odd in enumerate(({"width": 0}, {"height": "x"}, {"frame_ref": 5}, {"number": []}, {"received_ns": None})):
        lines[at] |= odd
    lines[5]["record"] |= {"seq": 1e30, "verdict": [], "reason": {}, "map_max": "high", "threshold": None}
    lines[6]["record"]["model"] = {"sha256": ["a"]}
    lines[7]["map"]["map_to_image"] = [1.0, 1.0, 5000.0, 0.0]  # beside the frame
    rewritten(folder, lines)
    session = opened(line, folder)
    assert session.subject.notes == ("5 records are missing in the recording: it was damaged, or its disk was too slow",)
    told = settled(session)
    whole = settled(opened(line, line.parent / "evidence"))["new"][5:]
    assert (told["left"], told["new"]) == (0, f"{whole[:2]}i{whole[3:]}")
    assert "shows no pixel" in str(session.look(2)[0])
