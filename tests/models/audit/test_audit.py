"""The audit of whole sets on a disk."""

import numpy as np
import pytest
from support.sets import picture, save

from edge.errors import UserError
from edge.models.audit.audit import NamedSet, audit, distinctly_named, sides_of
from edge.models.audit.finding import is_forbidden
from edge.models.sets.metadata import described
from edge.models.sets.open import open_set
from edge.storage.pictures import read_picture


def folder(root, seeds):
    for seed in seeds:
        save(root / f"{seed:03d}.png", picture(seed, (48, 64)))
    return root


def named(*paths, by=None):
    return [NamedSet(p.name, (s := described(open_set(p), by)), s.frames) for p in paths]


def test_sets_without_a_common_part_are_not_forbidden(tmp_path):
    findings = audit(named(folder(tmp_path / "a", range(20)), folder(tmp_path / "b", range(100, 120))))
    assert not is_forbidden(findings)


def test_a_copy_is_found_whatever_its_name_and_one_that_was_changed_by_its_looks(tmp_path):
    a, b = folder(tmp_path / "a", range(20)), folder(tmp_path / "b", range(100, 120))
    save(b / "copy.png", read_picture(a / "003.png"))
    changed = np.clip(0.8 * read_picture(a / "007.png") + 9, 0, 255).astype(np.uint8)
    save(b / "changed.png", changed)
    findings = {f.code: f for f in audit(named(a, b)) if f.weight == "forbids"}
    assert findings["same_picture"].frames == ({"file": "copy.png", "kind": "unlabelled", "like": "003.png", "part": None},)
    assert {(f["file"], f["like"]) for f in findings["same_part"].frames} == {
        ("copy.png", "003.png"),
        ("changed.png", "007.png"),
    }


def test_known_parts_on_both_sides_are_all_named(tmp_path):
    a, b = folder(tmp_path / "a", range(10)), folder(tmp_path / "b", range(5, 15))
    for path in list(b.iterdir()):
        save(path, picture(1000 + int(path.stem), (48, 64)))  # other pictures of the same parts
    findings = {f.code: f for f in audit(named(a, b, by=r"(?P<part>\d+)"))}
    assert findings["same_part_id"].text == "5 pictures of b show 5 parts that a shows, too, by their part ids"
    assert is_forbidden(list(findings.values()))


def test_damaged_pictures_are_counted_and_named_and_the_rest_is_compared(tmp_path):
    a, b = folder(tmp_path / "a", range(20)), folder(tmp_path / "b", range(100, 120))
    (b / "broken.png").write_bytes(b"\x89PNG no more")
    findings = {f.code: f for f in audit(named(a, b))}
    assert findings["unreadable"].text == "1 pictures of b can't be read: broken.png"
    assert not is_forbidden(list(findings.values()))


def test_three_frames_are_too_few_to_tell(tmp_path):
    findings = {f.code: f for f in audit(named(folder(tmp_path / "a", range(3)), folder(tmp_path / "b", range(5, 8))))}
    assert findings["few_pairs"].text == "3 and 3 pictures are too few to tell by content whether a and b share parts"


def test_a_set_of_damaged_pictures_alone_is_refused(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"a, b: no frame can be read"):
        audit(named(tmp_path / "a", tmp_path / "b"))


def test_sides_are_audited_against_each_other_and_names_are_made_distinct(tmp_path):
    folder(tmp_path / "train" / "good", range(4))
    folder(tmp_path / "test" / "good", range(10, 14))
    sides = sides_of("tiles", open_set(tmp_path))
    assert [(s.name, len(s.frames)) for s in sides] == [("tiles/train", 4), ("tiles/test", 4)]
    twice = [NamedSet("x", sides[0].source, ()), NamedSet("x", sides[0].source, ())]
    assert [s.name for s in distinctly_named(twice)] == ["x 1", "x 2"]
