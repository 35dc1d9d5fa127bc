"""A label book is a set as ``edge label`` writes it; a full disk loses nothing, and what others append is taken."""

from __future__ import annotations

import errno
import io
import os
import sqlite3
from collections import Counter

import numpy as np
import orjson
import pytest
from support.disks import small_disk
from support.reviewed import SIZE, START, picture, write_frames

from edge.cli._labelling import word_of
from edge.errors import UserError
from edge.models.sets.frame_set import SetFrame, add_labels, pixels_sha256, read_set
from edge.models.sets.last_words import last_words
from edge.models.sets.manifest import MANIFEST, LabelLine, append_lines
from edge.storage.pictures import read_picture
from edge.web.review import label_book
from edge.web.review.label_book import LabelBook
from edge.web.review.label_table import LabelTable, summary, votes_on
from edge.web.review.worker import ReviewWorker
from edge.web.tuning import messages
from edge.web.tuning.recordings import kept_name


@pytest.fixture
def evidence(tmp_path):
    write_frames(tmp_path / "evidence", range(3))
    return tmp_path / "evidence"


@pytest.fixture
def book(tmp_path, evidence):
    (tmp_path / "page").mkdir()
    table = LabelTable(tmp_path / "page")
    yield LabelBook(tmp_path / "page", "cam1", table)
    table.close()


def frame(evidence, number: int) -> dict[str, object]:
    file, at = f"frames/{number:08d}.png", START + number * 1_000_000_000
    kept = kept_name("0123456789abcdef", at, number, file)
    told = {"number": number, "part": number // 2, "instance": "run1", "seq": number, "why": "pass", "ref": None}
    return {"folder": str(evidence), "file": file, "kept": kept, "at": str(at), "bits": 8, **told}


def test_the_labels_are_a_set_that_every_command_takes(book, evidence) -> None:
    book.say(frame(evidence, 0), {"label": "good"}, "ann")
    book.say(frame(evidence, 1), {"label": "defect", "kinds": ["crack", "dent"]}, "ann")
    book.say(frame(evidence, 2), {"label": "unsure"}, "ann")
    book.say(frame(evidence, 2), {"label": "defect"}, "bob")
    found = read_set(book.root / MANIFEST)
    assert [(one.kind, one.part) for one in found.frames] == [
        ("good", "cam1/2026-11-30/0"),
        ("crack+dent", "cam1/2026-11-30/0"),
        ("defect", "cam1/2026-11-30/1"),
    ]
    assert found.frames[0].sha256 == pixels_sha256(picture(0).pixels)
    assert np.array_equal(found.read(found.frames[1]).pixels, picture(1).pixels)
    assert found.frames[0].tags == {"camera": "cam1", "day": "2026-11-30", "cause": "pass", "seq": "0", "run": "run1"}


def test_an_empty_set_as_a_power_cut_may_leave_it_is_begun_by_the_next_word(book, evidence) -> None:
    book.root.mkdir(parents=True)
    book.manifest.write_bytes(b"")
    book.follow()
    book.say(frame(evidence, 0), {"label": "good"}, "ann")
    assert [one.kind for one in read_set(book.manifest).frames] == ["good"]


def test_a_box_and_a_polygon_become_the_mask_of_the_frame_by_the_pixels_centres(book, evidence) -> None:
    shapes = [[2.0, 3.0, 6.0, 5.0], [[10, 10], [20, 10], [20, 20], [10, 20]]]
    book.say(frame(evidence, 0), {"label": "defect", "shapes": shapes}, "ann")
    (one,) = read_set(book.root / MANIFEST).frames
    mask = read_set(book.root / MANIFEST).read_mask(one)
    expected = np.zeros(SIZE, bool)
    expected[3:5, 2:6] = expected[10:20, 10:20] = True
    assert np.array_equal(mask, expected)
    assert book.shapes(one.file, "ann") == shapes
    book.say(frame(evidence, 0), {"label": "defect", "kinds": ["crack"]}, "ann")  # the mask of before stays
    assert read_set(book.root / MANIFEST).frames[0].mask == one.mask
    book.say(frame(evidence, 0), {"label": "good"}, "ann")
    assert read_set(book.root / MANIFEST).frames[0].mask is None


def test_a_mask_of_another_tool_is_shown_as_its_outline(book, evidence) -> None:
    book.say(frame(evidence, 0), {"label": "defect", "shapes": [[2, 3, 12, 13]]}, "ann")
    (one,) = read_set(book.root / MANIFEST).frames
    (book.root / str(one.mask)).with_suffix(".json").unlink()
    (outline,) = book.shapes(one.file, "ann")
    assert sorted(map(tuple, outline)) == [(2.5, 3.5), (2.5, 12.5), (11.5, 3.5), (11.5, 12.5)]


def test_a_shape_beyond_the_frame_is_refused_and_nothing_is_written(book, evidence) -> None:
    with pytest.raises(UserError, match=r"shapes.0: outside the frame\n  received: reaches x = 70, y = 10"):
        book.say(frame(evidence, 0), {"label": "defect", "shapes": [[1, 1, 70, 10]]}, "ann")
    assert not (book.root / MANIFEST).exists()


def test_a_word_is_taken_back_and_a_deciding_one_ends_a_disagreement(book, evidence, tmp_path) -> None:
    of = frame(evidence, 0)
    for label, who in (("good", "ann"), ("defect", "bob")):
        book.say(of, {"label": label}, who)
    assert summary(tmp_path / "page", "cam1")["counts"] == {"disputed": 1}
    book.say(of, {"label": "good", "decides": True}, "cleo")
    assert [vote["by"] for vote in votes_on(tmp_path / "page", "cam1", [of["kept"]])[of["kept"]]] == ["cleo"]
    assert summary(tmp_path / "page", "cam1")["counts"] == {"good": 1}
    book.say(of, {"label": "withdrawn"}, "cleo")
    assert summary(tmp_path / "page", "cam1")["counts"] == {"disputed": 1}
    assert read_set(book.root / MANIFEST).frames[0].kind == "disputed"
    for who in ("ann", "bob"):
        book.say(of, {"label": "withdrawn"}, who)
    assert summary(tmp_path / "page", "cam1")["counts"] == {}
    assert read_set(book.root / MANIFEST).frames[0].kind == "unlabelled"


def test_a_word_that_is_undone_to_one_that_decided_nothing_opens_the_disagreement_again(book, evidence, tmp_path) -> None:
    of = frame(evidence, 0)
    for word, who in (
        ({"label": "good"}, "ann"),
        ({"label": "defect"}, "bob"),
        ({"label": "defect", "decides": True}, "ann"),
    ):
        book.say(of, word, who)
    book.say(of, {"label": "defect", "kinds": ["crack"]}, "ann")  # says it closer, and goes on deciding
    assert [one.kind for one in read_set(book.root / MANIFEST).frames] == ["crack"]
    book.say(of, {"label": "good", "decides": False}, "ann")
    assert [one.kind for one in read_set(book.root / MANIFEST).frames] == ["disputed"]
    assert summary(tmp_path / "page", "cam1")["counts"] == {"disputed": 1}


def test_the_page_and_every_command_count_the_same_words_whatever_people_said(tmp_path) -> None:
    rng = np.random.default_rng(3)
    words = ("good", "defect", "unsure", "withdrawn")
    lines = []
    for number in range(60):
        for _ in range(1 + number % 12):
            label, by = str(rng.choice(words)), str(rng.choice(["ann", "bob", "cleo"]))
            decides = bool(rng.random() < 0.3)
            lines.append(LabelLine(file=f"{number}", label=label, by=by, at="2026-11-30T00:00:00Z", decides=decides))
    table = LabelTable(tmp_path)
    for place, line in enumerate(lines):  # word by word, as people say them
        table.take("cam1", [(line, place)], (place + 1, 1))
    table.close()
    files = {line.file for line in lines}
    shown = {file: [(one["by"], one["label"]) for one in said] for file, said in votes_on(tmp_path, "cam1", files).items()}
    read = {file: [(one.by, one.label) for one in said] for file, said in last_words(lines).items()}
    assert shown == read
    states = [SetFrame(file, votes=said).label or "unsure" for file, said in last_words(lines).items()]
    assert summary(tmp_path, "cam1")["counts"] == dict(Counter(states))
    assert len(set(states)) == 4


def test_what_edge_label_appends_is_taken_and_its_kinds_with_it(book, evidence, tmp_path) -> None:
    book.say(frame(evidence, 0), {"label": "good"}, "ann")
    found = read_set(book.root / MANIFEST)
    add_labels(found, [word_of(found.frames[0].file, "blowhole", "bob")])
    book.follow()
    assert summary(tmp_path / "page", "cam1") == {"counts": {"disputed": 1}, "kinds": ["blowhole"]}
    again = LabelTable(tmp_path / "page")
    LabelBook(tmp_path / "page", "cam1", again).say(frame(evidence, 1), {"label": "good"}, "ann")
    again.close()
    assert [len(one.votes) for one in read_set(book.root / MANIFEST).frames] == [2, 1]


def test_a_set_that_was_written_anew_is_read_anew(book, evidence, tmp_path) -> None:
    for number in range(3):
        book.say(frame(evidence, number), {"label": "good"}, "ann")
    lines = (book.root / MANIFEST).read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if b"-00000001.png" not in line]
    (tmp_path / "anew").write_bytes(b"".join(kept) * 1)
    (tmp_path / "anew").replace(book.root / MANIFEST)
    book.follow()
    assert summary(tmp_path / "page", "cam1")["counts"] == {"good": 2}
    book.say(frame(evidence, 1), {"label": "defect"}, "ann")
    assert len(read_set(book.root / MANIFEST).frames) == 3


def test_a_picture_that_is_gone_can_not_be_labelled_and_a_labelled_one_still_can(book, evidence) -> None:
    book.say(frame(evidence, 0), {"label": "good"}, "ann")
    for number in (0, 1):
        (evidence / f"frames/{number:08d}.png").unlink()
    book.say(frame(evidence, 0), {"label": "defect", "shapes": [[1, 1, 5, 5]]}, "ann")
    with pytest.raises(UserError, match="the frame can't be labelled: its picture can't be read") as told:
        book.say(frame(evidence, 1), {"label": "good"}, "ann")
    assert not told.value.passes


def test_a_copy_that_is_gone_is_made_again_and_one_that_can_not_be_holds_up_no_other_word(book, evidence) -> None:
    shaped = {"label": "defect", "shapes": [[1, 1, 5, 5]]}
    for number in (0, 1):
        book.say(frame(evidence, number), {"label": "good"}, "ann")
    copies = [book.root / str(frame(evidence, number)["kept"]) for number in (0, 1)]
    copies[0].unlink()
    book.say(frame(evidence, 0), shaped, "ann")
    assert np.array_equal(read_picture(copies[0]), picture(0).pixels)
    copies[1].chmod(0o644)
    copies[1].write_bytes(b"a sector of its disk is bad")
    (evidence / "frames" / "00000002.png").replace(evidence / "frames" / "00000001.png")
    with pytest.raises(UserError, match=r"its copy can't be read, and frames/00000001.png is another picture now") as other:
        book.say(frame(evidence, 1), shaped, "ann")
    (evidence / "frames" / "00000001.png").unlink()
    with pytest.raises(UserError, match="the frame can't be labelled: its picture can't be read") as gone:
        book.say(frame(evidence, 1), shaped, "ann")
    assert not other.value.passes
    assert not gone.value.passes
    book.say(frame(evidence, 1), {"label": "unsure"}, "ann")  # a word without shapes needs no picture
    assert [vote.label for one in read_set(book.root / MANIFEST).frames for vote in one.votes] == ["defect", "unsure"]


def test_a_word_that_another_one_put_aside_keeps_its_mask_when_it_is_said_again(book, evidence) -> None:
    of = frame(evidence, 0)
    book.say(of, {"label": "defect", "shapes": [[2, 3, 6, 5]]}, "ann")
    mask = read_set(book.root / MANIFEST).frames[0].mask
    book.say(of, {"label": "good", "decides": True}, "cleo")
    assert read_set(book.root / MANIFEST).frames[0].mask is None
    book.say(of, {"label": "defect", "kinds": ["crack"], "shapes": None}, "ann")
    assert mask is not None
    assert read_set(book.root / MANIFEST).frames[0].mask == mask


def test_a_table_that_is_damaged_while_the_worker_runs_is_begun_anew_and_the_word_is_taken(
    evidence, tmp_path, monkeypatch
) -> None:
    def full(_: object) -> LabelTable:
        raise sqlite3.OperationalError("database or disk is full")

    (tmp_path / "page").mkdir()
    told = io.BytesIO()
    worker = ReviewWorker(io.BytesIO(), told, tmp_path / "page")

    def say(number: int, label: str) -> dict[str, object]:
        told.seek(told.truncate(0))
        word = {"op": "say", "camera": "cam1", "frame": frame(evidence, number), "word": {"label": label}, "by": "ann"}
        worker._answer(word)
        told.seek(0)
        return messages.read_message(told)[0]

    assert say(0, "good") == {"re": None, "op": "say"}
    worker._table._database.execute("pragma wal_checkpoint(truncate)")
    path = tmp_path / "page" / "labels.sqlite"
    path.write_bytes(b"a sector of its disk is bad" * (path.stat().st_size // 27))
    worker._table._database.execute("pragma shrink_memory")  # forgets the pages that it knows
    with monkeypatch.context() as other:
        other.setattr("edge.web.review.worker.LabelTable", full)
        assert "database or disk is full" in str(say(1, "defect"))
    assert say(1, "defect") == {"re": None, "op": "say"}
    worker._table.close()
    assert summary(tmp_path / "page", "cam1")["counts"] == {"good": 1, "defect": 1}


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"x" * path.stat().st_size), lambda path: path.unlink()])
def test_a_table_that_only_its_writer_still_reads_is_begun_anew_when_it_is_looked_at(evidence, tmp_path, damage) -> None:
    (tmp_path / "page").mkdir()
    told = io.BytesIO()
    worker = ReviewWorker(io.BytesIO(), told, tmp_path / "page")
    word = {"op": "say", "camera": "cam1", "frame": frame(evidence, 0), "word": {"label": "good"}, "by": "ann"}
    worker._answer(word)
    worker._table._database.execute("pragma wal_checkpoint(truncate)")
    damage(tmp_path / "page" / "labels.sqlite")
    assert summary(tmp_path / "page", "cam1")["counts"] == {}
    told.seek(told.truncate(0))
    worker._answer({"op": "follow", "camera": "cam1"})  # as the page asks where it finds no set in the table
    told.seek(0)
    assert messages.read_message(told)[0] == {"re": None, "op": "follow"}
    assert summary(tmp_path / "page", "cam1")["counts"] == {"good": 1}
    worker._table.close()


def test_a_full_disk_refuses_the_word_whole_and_takes_it_when_there_is_room(tmp_path, evidence, monkeypatch) -> None:
    with small_disk(tmp_path / "page", monkeypatch) as disk:
        monkeypatch.setattr(label_book, "KEEP_FREE_BYTES", 0)
        table = LabelTable(disk.folder)
        book = LabelBook(disk.folder, "cam1", table)
        book.say(frame(evidence, 0), {"label": "good"}, "ann")
        disk.fill()
        with pytest.raises(UserError, match=r"written: .*No space left") as told:
            book.say(frame(evidence, 1), {"label": "defect", "kinds": ["crack"], "shapes": [[1, 1, 9, 9]]}, "ann")
        assert told.value.passes
        assert [one.kind for one in read_set(book.root / MANIFEST).frames] == ["good"]
        disk.free()
        book.say(frame(evidence, 1), {"label": "defect", "kinds": ["crack"], "shapes": [[1, 1, 9, 9]]}, "ann")
        found = read_set(book.root / MANIFEST)
        assert [(one.kind, one.mask is not None) for one in found.frames] == [("good", False), ("crack", True)]
        assert read_picture(book.root / found.frames[1].file).shape == SIZE
        table.close()


def test_the_lines_keep_their_room_on_the_disk(book, evidence, monkeypatch) -> None:
    monkeypatch.setattr(label_book, "KEEP_FREE_BYTES", 1 << 60)
    words = "labels can't be written: .* GB are free on this disk, and 1 GB stays free for the lines"
    with pytest.raises(UserError, match=words) as told:
        book.say(frame(evidence, 0), {"label": "good"}, "ann")
    assert told.value.passes


def test_a_write_that_was_cut_short_leaves_the_set_as_it_was(book, evidence, monkeypatch) -> None:
    book.say(frame(evidence, 0), {"label": "good"}, "ann")
    before, write = (book.root / MANIFEST).read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[: len(data) // 2]))
    line = LabelLine(file=str(frame(evidence, 0)["kept"]), label="defect", by="ann", at="2026-11-30T00:00:00Z")
    with pytest.raises(UserError, match=f"cannot be written: {os.strerror(errno.ENOSPC)}") as told:
        append_lines(book.root / MANIFEST, [line])
    assert (told.value.passes, (book.root / MANIFEST).read_bytes()) == (True, before)
    assert orjson.loads(before.splitlines()[-1])["label"] == "good"


def test_a_table_that_a_power_cut_damaged_is_made_again_from_the_set(book, evidence, tmp_path) -> None:
    book.say(frame(evidence, 0), {"label": "defect", "kinds": ["crack"]}, "ann")
    (tmp_path / "page" / "labels.sqlite").write_bytes(b"torn by a power cut")
    table = LabelTable(tmp_path / "page")
    LabelBook(tmp_path / "page", "cam1", table).follow()
    table.close()
    assert summary(tmp_path / "page", "cam1") == {"counts": {"defect": 1}, "kinds": ["crack"]}


def test_a_set_that_was_written_anew_replaces_the_first_all_at_once(book, evidence, tmp_path, monkeypatch) -> None:
    for number in range(3):
        book.say(frame(evidence, number), {"label": "good"}, "ann")
    folder, seen = tmp_path / "page", []
    lines = (book.root / MANIFEST).read_bytes().splitlines(keepends=True)

    def replaced(data: bytes) -> None:
        (tmp_path / "anew").write_bytes(data)
        (tmp_path / "anew").replace(book.root / MANIFEST)

    replaced(b"".join([*lines[:-1], b"damaged\n"]))
    with pytest.raises(UserError):
        book.follow()
    assert summary(folder, "cam1")["counts"] == {"good": 3}  # until it is mended
    vote = LabelTable._vote
    monkeypatch.setattr(LabelTable, "_vote", lambda *words: (seen.append(summary(folder, "cam1")["counts"]), vote(*words)))
    replaced(b"".join(line for line in lines if b"-00000001.png" not in line))
    book.follow()
    assert seen == [{"good": 3}, {"good": 3}]
    assert summary(folder, "cam1")["counts"] == {"good": 2}
    (book.root / MANIFEST).unlink()
    book.follow()
    assert summary(folder, "cam1") == {"counts": {}, "kinds": []}
