"""The manifest's lines: what is written is read, and damage is named with its line."""

import os

import pytest
from support.sets import AT, vote

from edge.errors import UserError
from edge.models.sets.manifest import (
    FrameLine,
    HeadLine,
    SplitLine,
    append_lines,
    begin_manifest,
    read_manifest,
    read_so_far,
    write_manifest,
)

SHA = "0" * 64


def written(path, *more):
    write_manifest(path, [HeadLine(created=AT), FrameLine(file="a.png", sha256=SHA, width=4, height=3), *more])
    return path


def test_what_is_written_is_read(tmp_path):
    lines = [
        vote("a.png", "defect", defects=["crack"], mask="m.png"),
        SplitLine(at=AT, seed=3, by="names", sides={"fit": ("a.png",)}),
    ]
    path = written(tmp_path / "set.jsonl", *lines)
    assert list(read_manifest(path))[2:] == lines


def test_appended_lines_come_last_and_a_torn_line_is_closed_off_first(tmp_path):
    path = written(tmp_path / "set.jsonl")
    with path.open("ab") as file:
        file.write(b'{"kind":"label","fi')
    assert len(list(read_manifest(path))) == 2
    append_lines(path, [vote("a.png")])
    assert list(read_manifest(path))[-1] == vote("a.png")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"{}", "set.jsonl:3: not a line of a set's manifest"),
        (b'{"kind":"frame","file":"b.png","sha256":"12","width":1,"height":1}', "sha256"),
        (b'{"kind":"label","file":"a.png","label":"fine","by":"x","at":"2026-01-02T03:04:05Z"}', "label"),
        (
            b'{"kind":"label","file":"a.png","label":"good","mask":"m.png","by":"x","at":"2026-01-02T03:04:05Z"}',
            "a frame that is good has neither kinds of defect nor a mask",
        ),
        (b'{"kind":"set","created":"2026-01-02T03:04:05Z"}', "begins with its one line of kind set"),
    ],
)
def test_a_damaged_line_is_named_with_its_number(tmp_path, line, text):
    path = written(tmp_path / "set.jsonl")
    with path.open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(UserError) as caught:
        list(read_manifest(path))
    assert "set.jsonl:3" in str(caught.value)
    assert text in str(caught.value)


def test_a_newer_version_and_an_empty_file_are_told_apart_from_damage(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_bytes(b'{"kind":"set","schema":2,"created":"2026-01-02T03:04:05Z"}\n')
    with pytest.raises(UserError, match=r"written by a newer version\n  received: schema 2\n  expected: schema 1"):
        list(read_manifest(path))
    path.write_bytes(b"")
    with pytest.raises(UserError) as caught:
        list(read_manifest(path))
    assert str(caught.value) == (
        f"{path}: nothing stands in it yet, not even the first line of a set\n"
        "  received: an empty file, as a power cut may leave it\n"
        "  fix: delete it, no frame and no word is lost with it; edge gather writes a new one"
    )
    path.write_bytes(b'{"kind":"se')
    for read in (lambda: list(read_manifest(path)), lambda: read_so_far(path)):
        with pytest.raises(UserError) as caught:
            read()
        assert str(caught.value) == (
            f"{path}: not the manifest of a set: no line of it has an end\n"
            "  received: 11 bytes\n"
            "  expected: a set.jsonl, as edge gather writes it; a power cut may have left its first line torn\n"
            "  fix: look at it: if no word stands in it that is yours, move it away, and edge gather writes a new one"
        )
    with pytest.raises(UserError, match=r"cannot be read: No such file or directory"):
        list(read_manifest(tmp_path / "none.jsonl"))


@pytest.mark.parametrize("there", [None, b"", b'{"kind":"set","created":"2026-01-02T03:04:05Z"}\n'])
def test_a_set_is_begun_where_none_was_or_an_empty_file_and_one_that_was_begun_stays(tmp_path, there):
    path = tmp_path / "set.jsonl"
    if there is not None:
        path.write_bytes(there)
    begin_manifest(path, HeadLine(created="2026-05-05T05:05:05Z"))
    [head] = read_manifest(path)
    assert head.created == ("2026-01-02T03:04:05Z" if there else "2026-05-05T05:05:05Z")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"set.jsonl: cannot be written"):
        written(tmp_path / "file" / "set.jsonl")
    assert os.listdir(tmp_path) == ["file"]
