"""Every file under a folder is a picture, a file that is none, or told as left out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.storage.find_pictures import AGAIN, BROKEN, CLOSED, NOT_READ, SPECIAL, find_pictures, natural_key

PNG_HEAD = b"\x89PNG\r\n\x1a\n"


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).touch()
    return folder


def test_pictures_are_found_in_natural_order_folder_by_folder(tmp_path: Path) -> None:
    names = ["b/img10.png", "b/img9.PNG", "b/IMG11.jpg", "a2/x.bmp", "a10/x.tif", "z1.png", "notes.txt", ".hidden.png"]
    found = find_pictures(touched(tmp_path, *names, "b/.t/y.png", "z2.jfif", "z3.jpe"))
    assert found.names == (
        *("a2/x.bmp", "a10/x.tif", "b/img9.PNG", "b/img10.png", "b/IMG11.jpg"),
        *("z1.png", "z2.jfif", "z3.jpe"),
    )
    assert (found.left_out, found.other_files, found.left_out_text) == ({}, 1, "")


def test_what_systems_keep_beside_pictures_and_thumbnails_of_them_are_no_frames(tmp_path: Path) -> None:
    systems = (
        "@eaDir/1.png/SYNOPHOTO_THUMB_XL.jpg",
        "__MACOSX/._1.png",
        "$RECYCLE.BIN/x.png",
        ".thumbnails/1.png",
        "._1.png",
    )
    small = ("thumbs/1.jpg", "good/Thumbnails/2.png")
    found = find_pictures(touched(tmp_path, "1.png", "good/2.png", "Thumbs.db", ".DS_Store", *systems, *small))
    assert (found.names, found.left_out) == (("1.png", "good/2.png"), {})
    alone = find_pictures(tmp_path / "thumbs")
    assert alone.names == ("1.jpg",)
    touched(tmp_path, "thumbs/of_nothing.png")
    assert "thumbs/of_nothing.png" in find_pictures(tmp_path).names


def test_natural_order_takes_any_name_and_is_total() -> None:
    names = ["²", "1", "01", "a1b2", "a1b10", "A1b3", "", "1a"]
    expected = ["", "01", "1", "1a", "a1b2", "A1b3", "a1b10", "²"]
    for order in (names, names[::-1]):
        assert sorted(order, key=natural_key) == expected


def test_links_to_folders_and_to_pictures_are_followed(tmp_path: Path) -> None:
    """Curated sets are made of links: a golden check must not pass because it never looked."""
    touched(tmp_path / "store", "1.png", "deep/2.png")
    golden = touched(tmp_path / "golden", "bad/0.png")
    (golden / "bad" / "line2").symlink_to(tmp_path / "store")
    (golden / "bad" / "one.png").symlink_to(tmp_path / "store" / "1.png")
    found = find_pictures(golden)
    assert found.names == ("bad/0.png", "bad/line2/1.png", "bad/line2/deep/2.png", "bad/one.png")
    assert found.left_out == {}


def test_a_link_into_a_folder_above_is_told_and_ends(tmp_path: Path) -> None:
    touched(tmp_path, "a/1.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    found = find_pictures(tmp_path)
    assert found.names == ("a/1.png",)
    assert found.left_out == {AGAIN: ("a/up",)}


def test_links_that_point_nowhere_or_in_a_circle_and_pipes_are_told(tmp_path: Path) -> None:
    touched(tmp_path, "1.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing")
    (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert find_pictures(tmp_path).left_out == {BROKEN: ("gone.png", "round.png"), SPECIAL: ("pipe.png",)}


def test_a_folder_that_cannot_be_opened_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched(tmp_path, "1.png", "closed/2.png")
    real = os.scandir

    def refusing(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = find_pictures(tmp_path)
    assert found.names == ("1.png",)
    assert found.left_out == {CLOSED: ("closed",)}
    assert found.left_out_text == "1 that cannot be opened: closed"


def test_pictures_by_other_names_are_told_by_name_or_first_bytes_and_notes_are_not(tmp_path: Path) -> None:
    touched(tmp_path, "1.png", *(f"{k}.webp" for k in range(7)), "clip.mp4", "notes.txt", "labels.json", "Thumbs.db")
    (tmp_path / "part1.png.1").write_bytes(PNG_HEAD)
    (tmp_path / "IMG_0001").write_bytes(b"\xff\xd8\xff\xe0")
    found = find_pictures(tmp_path)
    assert found.left_out == {NOT_READ: (*(f"{k}.webp" for k in range(7)), "clip.mp4", "IMG_0001", "part1.png.1")}
    assert found.count_left_out == 10
    assert found.other_files == 3
    assert found.left_out_text == "10 of a kind that is not read: 0.webp, 1.webp, 2.webp, 3.webp, 4.webp and 5 more"
