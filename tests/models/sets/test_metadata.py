"""What --by and --part-gap say about frames."""

import pytest
from support.sets import frame, picture, save

from edge.errors import UserError
from edge.models.sets.metadata import PartGap, by_gap, described, expression, parse_gap
from edge.models.sets.open import open_set


@pytest.fixture
def tiles(tmp_path):
    for name in ("exp1_num_100", "exp2_num_130", "exp1_num_900", "exp3_num_1399"):
        save(tmp_path / f"{name}.png", picture(len(name)))
    return open_set(tmp_path)


def test_named_groups_become_tags_and_close_numbers_one_part(tiles):
    found = described(tiles, r"exp(?P<lighting>\d)_num_(?P<n>\d+)", parse_gap("500"))
    assert {f.file: (f.part, f.tags["lighting"]) for f in found.frames} == {
        "exp1_num_100.png": ("n 100", "1"),
        "exp2_num_130.png": ("n 100", "2"),
        "exp1_num_900.png": ("n 900", "1"),
        "exp3_num_1399.png": ("n 900", "3"),
    }
    assert found.parts_by == r"exp(?P<lighting>\d)_num_(?P<n>\d+), n closer than 500"


def test_a_gap_of_exactly_the_number_begins_a_new_part():
    frames = [frame(str(n), n=str(n)) for n in (0, 499, 999, 1500)]
    assert [f.part for f in by_gap(frames, PartGap("n", 500))] == ["n 0", "n 0", "n 999", "n 1500"]


def test_a_group_called_part_is_the_part(tiles):
    found = described(tiles, r"_(?P<part>\d+)")
    assert [f.part for f in found.frames] == ["100", "900", "130", "1399"]


def test_every_picture_may_be_a_part_of_its_own(tiles):
    assert [f.part for f in described(tiles, "frame").frames] == [f.file for f in tiles.frames]


def test_a_table_gives_parts_and_tags(tiles, tmp_path):
    table = tmp_path / "parts.csv"
    names = [f.file for f in tiles.frames]
    table.write_text("file,part,day\n" + "".join(f"{name},p{i // 2},monday\n" for i, name in enumerate(names)))
    found = described(tiles, str(table))
    assert [(f.part, f.tags) for f in found.frames] == [(f"p{i // 2}", {"day": "monday"}) for i in range(4)]
    table.write_text("file,part\n" + f"{names[0]},p\n")
    with pytest.raises(UserError, match="has no row for 3 of 4 frames"):
        described(tiles, str(table))
    table.write_text("name,part\n")
    with pytest.raises(UserError, match=r"has no column file\n  received: name, part"):
        described(tiles, str(table))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exp", "the expression has no named group, so it says nothing about a frame"),
        ("(?P<n>", "not a regular expression"),
    ],
)
def test_an_expression_without_groups_or_sense_is_refused(text, said):
    with pytest.raises(UserError, match=said):
        expression(text)


def test_an_expression_that_misses_frames_names_them(tiles):
    with pytest.raises(UserError, match=r"doesn't match 2 of 4 frames\n  received: exp2_num_130.png, exp3_num_1399.png"):
        described(tiles, r"exp1_num_(?P<n>\d+)")


def test_a_gap_over_what_is_no_number_is_refused(tiles):
    with pytest.raises(UserError, match=r"exp1_num_100.png has no number n"):
        described(tiles, r"exp(?P<lighting>\d)", parse_gap("500"))
    for text in ("none", "n:", "-5", "n:0"):
        with pytest.raises(UserError, match="--part-gap"):
            parse_gap(text)
    assert parse_gap("k:2.5") == PartGap("k", 2.5)


def test_a_set_that_knows_no_parts_says_so_when_asked_for_them(tiles):
    with pytest.raises(UserError, match="nothing in the manifest says which part a frame shows"):
        described(tiles, "manifest")
