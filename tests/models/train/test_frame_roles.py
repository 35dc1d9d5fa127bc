"""Parts stay whole, the sides that later steps need are never looked at, and what can't be trained on is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.sets import frame, vote

from edge.errors import UserError
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.train.frame_roles import Roles, roles_of


def a_set(*frames: SetFrame) -> FrameSet:
    return FrameSet(Path("line"), Path("line"), frames)


def good(parts: int = 10, each: int = 3, side: str | None = None, first: int = 0) -> list[SetFrame]:
    return [frame(f"g{p}_{k}", part=f"g{p}", side=side) for p in range(first, first + parts) for k in range(each)]


def bad(file: str, kind: str, part: str | None = None, side: str | None = None) -> SetFrame:
    label = vote(file, "defect", defects=(kind,), mask=f"{file}.png")
    return replace(frame(file, None, part or file, side), votes=(label,))


def parts_of(frames: tuple[SetFrame, ...]) -> set[str | None]:
    return {one.part for one in frames}


def expect_apart(roles: Roles) -> None:
    learned = parts_of(roles.good) | parts_of(roles.defects)
    assert not learned & (parts_of(roles.validated_good) | parts_of(roles.validated_defects))


def test_without_a_split_a_fifth_of_the_parts_is_validated_on_and_none_stands_on_both_sides() -> None:
    roles = roles_of(a_set(*good()), 0, labels=True)
    assert (len(roles.good), len(roles.validated_good)) == (24, 6)
    expect_apart(roles)
    assert roles.notes == (
        "the set has no split, so no frame is left to test on: edge split first, or test on another set",
    )


def test_a_split_is_kept_and_its_later_sides_are_never_seen() -> None:
    sides = ("fit", "validation", "adapt", "calibrate", "test")
    frames = [f for k, side in enumerate(sides) for f in good(4, 3, side, first=10 * k)]
    frames += [
        bad("b0", "crack", side="validation"),
        bad("b1", "crack", side="validation"),
        bad("b2", "crack", side="test"),
    ]
    roles = roles_of(a_set(*frames), 0, labels=True)
    assert parts_of(roles.good) == {"g0", "g1", "g2", "g3"}
    assert parts_of(roles.validated_good) == {"g10", "g11", "g12", "g13"}
    assert parts_of(roles.defects) | parts_of(roles.validated_defects) == {"b0", "b1"}
    expect_apart(roles)


def test_every_second_part_of_a_kind_is_learned_from() -> None:
    frames = [bad(f"{kind}{k}", kind) for kind, count in (("crack", 4), ("dent", 3)) for k in range(count)]
    roles = roles_of(a_set(*good(), *frames), 0, labels=True)
    count = {kind: sum(f.kind == kind for f in roles.defects) for kind in ("crack", "dent")}
    assert count == {"crack": 2, "dent": 2}
    assert len(roles.validated_defects) == 3
    expect_apart(roles)


def test_a_part_with_a_defect_takes_its_good_frames_along() -> None:
    frames = [bad(f"b{k}", "crack", part=f"both{k}") for k in range(4)]
    frames += [frame(f"also{k}", part=f"both{k}") for k in range(4)]
    expect_apart(roles_of(a_set(*good(), *frames), 0, labels=True))


def test_without_labels_defects_are_only_validated_on() -> None:
    roles = roles_of(a_set(*good(), bad("b0", "crack"), bad("b1", "crack")), 0, labels=False)
    assert roles.defects == ()
    assert len(roles.validated_defects) == 2


def test_what_a_line_rejected_and_a_person_calls_good_is_a_known_false_positive() -> None:
    rejected = [replace(one, tags={"cause": "fail"}) for one in good()]
    roles = roles_of(a_set(*rejected), 0, labels=True)
    assert roles.false_positives == {one.file for one in roles.good}
    assert roles_of(a_set(*rejected), 0, labels=False).false_positives == frozenset()
    assert roles_of(a_set(*good()), 0, labels=True).false_positives == frozenset()


def test_the_same_seed_gives_the_same_roles_and_another_seed_others() -> None:
    frames = a_set(*good(20))
    assert roles_of(frames, 3, labels=True) == roles_of(frames, 3, labels=True)
    assert roles_of(frames, 3, labels=True).good != roles_of(frames, 4, labels=True).good


def test_frames_without_parts_are_refused() -> None:
    frames = a_set(*good(), SetFrame("a.png"), SetFrame("b.png"))
    with pytest.raises(UserError) as caught:
        roles_of(frames, 0, labels=True)
    assert str(caught.value) == (
        "line: 2 of 32 frames have no part, so one could be learned and validated on\n"
        "  received: a.png, b.png\n"
        "  expected: the part of every frame: a split by part is the only one that training takes\n"
        "  fix: give --by EXPRESSION, --by TABLE.csv, --by content or --part-gap; "
        "--by frame makes each picture a part of its own"
    )


def test_a_split_that_is_not_by_part_is_refused() -> None:
    frames = a_set(*good(10, 2, "train"), frame("x0", part="g3", side="test"), frame("x1", part="g7", side="test"))
    with pytest.raises(UserError) as caught:
        roles_of(frames, 0, labels=True)
    assert str(caught.value) == (
        "line: 2 parts stand on two sides, so figures would be of parts that were learned\n"
        "  received: part g3 in test and train, part g7 in test and train\n"
        "  expected: a split by part\n"
        "  fix: split it anew: edge split line"
    )


def test_a_part_of_a_side_and_of_frames_without_one_is_refused() -> None:
    tested = [frame(f"t{k}", part="T", side="test") for k in range(3)]
    frames = a_set(*good(10, 3, "fit"), *tested, frame("new", part="T"))
    with pytest.raises(UserError) as caught:
        roles_of(frames, 0, labels=True)
    assert str(caught.value) == (
        "line: 1 parts stand on two sides, so figures would be of parts that were learned\n"
        "  received: part T in no side and test\n"
        "  expected: a split by part\n"
        "  fix: split it anew: edge split line"
    )


def test_disputed_frames_that_a_split_left_out_do_not_part_their_part() -> None:
    left_out = replace(frame("d", part="g0"), votes=(vote("d"), vote("d", "defect", by="ben", defects=("crack",))))
    new = frame("new", part="N")
    roles = roles_of(a_set(*good(10, 3, "fit"), left_out, new), 0, labels=True)
    used = {one.file for one in (*roles.good, *roles.validated_good)}
    assert "d" not in used
    assert "new" in used, "of a part of its own"


def test_too_few_good_frames_are_refused_with_how_many_are_enough() -> None:
    with pytest.raises(UserError) as caught:
        roles_of(a_set(*good(3, 2)), 0, labels=True)
    assert str(caught.value) == (
        "line: too few good frames to train on\n"
        "  received: 4 to learn from and 2 of other parts to validate on, of 3 parts\n"
        "  expected: at least 8 and 2; 100 to 500 of 20 parts or more make a steady model\n"
        "  fix: gather more: edge gather; edge fit needs fewer"
    )


def test_defects_without_masks_are_refused_with_the_way_round() -> None:
    frames = a_set(*good(), frame("b0", "crack"), bad("b1", "dent"))
    with pytest.raises(UserError) as caught:
        roles_of(frames, 1, labels=True)
    assert str(caught.value) == (
        "line: 1 of 2 labelled defects to learn from have no mask\n"
        "  received: b0\n"
        "  expected: a mask of each, so that it shows which pixels are the defect\n"
        "  fix: import masks (edge label --import), or learn from synthetic defects alone: --no-labels"
    )
    assert len(roles_of(frames, 1, labels=False).validated_defects) == 2
