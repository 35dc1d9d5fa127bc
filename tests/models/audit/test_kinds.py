"""What labels allow to be said."""

from dataclasses import replace

from support.sets import frame, vote

from edge.models.audit.kinds import audit_kinds, compare_kinds


def of_kind(kind, parts, repeats=1):
    return [frame(f"{kind}{p}_{r}.png", kind, f"{kind}{p}") for p in range(parts) for r in range(repeats)]


def test_three_cracks_can_say_hardly_anything():
    findings = audit_kinds("test", of_kind("good", 40) + of_kind("crack", 3, repeats=5) + of_kind("stain", 25))
    assert [f.text for f in findings] == [
        "3 parts with crack in test: recall 0.29 to 1.00 can't be told apart, even if all are caught"
    ]


def test_people_who_disagree_are_named():
    disputed = replace(frame("a.png"), votes=(vote("a.png"), vote("a.png", "defect", by="ben")))
    (finding,) = audit_kinds("set", [disputed, frame("b.png")])
    assert finding.text == "1 frames of set whose labels disagree: a.png: anna says good, ben says defect"
    assert finding.frames == ({"file": "a.png", "votes": {"anna": "good", "ben": "defect"}},)


def test_a_kind_that_only_one_set_has_is_named_from_both_sides():
    findings = compare_kinds(
        ("lab", "line"), of_kind("crack", 30) + of_kind("dent", 5), of_kind("crack", 30) + of_kind("fray", 7)
    )
    texts = [f.text for f in findings if f.code == "kind_missing"]
    assert texts == [
        "dent: 5 parts in lab, none in line; nothing is known about it there",
        "fray: 7 parts in line, none in lab; nothing is known about it there",
    ]


def test_shares_that_differ_beyond_chance_are_named_and_others_are_not():
    lab, line = of_kind("crack", 45) + of_kind("dent", 5), of_kind("crack", 20) + of_kind("dent", 30)
    texts = [f.text for f in compare_kinds(("lab", "line"), lab, line)]
    assert texts[0].startswith("crack: 90 % of the defective parts of lab, 40 % of those of line")
    assert (
        compare_kinds(("a", "b"), of_kind("crack", 5) + of_kind("dent", 4), of_kind("crack", 4) + of_kind("dent", 5)) == []
    )


def test_unlabelled_sets_say_nothing_about_kinds():
    assert compare_kinds(("a", "b"), of_kind("crack", 5), [frame("x.png", None)]) == []
