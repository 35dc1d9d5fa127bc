"""Sets as commands use them: whose word counts, what is refused, and what a hash stands for."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from support.sets import AT, mvtec, picture, save, vote

from edge.errors import UserError
from edge.models.sets.frame_set import FrameSet, SetFrame, add_labels, hashed, pixels_sha256, read_set, write_set
from edge.models.sets.last_words import last_words
from edge.models.sets.manifest import MANIFEST, LabelLine, SplitLine, append_lines
from edge.models.sets.open import open_set
from edge.web.review.label_table import LabelTable, votes_on


@pytest.fixture
def small(tmp_path):
    """A set of three pictures with its manifest."""
    for index in range(3):
        save(tmp_path / f"{index}.png", picture(index))
    frames = hashed(open_set(tmp_path), pytest.fail)
    write_set(frames, tmp_path / MANIFEST)
    return open_set(tmp_path)


def test_each_person_has_one_word_and_the_last_one_counts():
    said = last_words([vote("a", "good"), vote("a", "defect", defects=["crack"]), vote("a", "good", by="ben")])
    frame = SetFrame("a", votes=said["a"])
    assert frame.label == "disputed"
    assert frame.kind == "disputed"
    assert {v.by: v.label for v in frame.votes} == {"anna": "defect", "ben": "good"}


def test_a_deciding_word_ends_the_disagreement_and_a_withdrawn_one_is_gone():
    said = last_words([vote("a"), vote("a", "defect", by="ben"), vote("a", "good", by="eva", decides=True)])
    assert [v.by for v in said["a"]] == ["eva"]
    assert last_words([vote("a"), vote("a", "withdrawn")]) == {}


def test_a_deciding_word_that_is_taken_back_brings_the_others_back():
    lines = [vote("a"), vote("a", "defect", by="ben"), vote("a", "good", by="eva", decides=True)]
    closer = [*lines, vote("a", "defect", by="eva", defects=["crack"])]
    assert [v.by for v in last_words(closer)["a"]] == ["eva"]  # her next word goes on deciding
    assert SetFrame("a", votes=last_words([*closer, vote("a", "withdrawn", by="eva")])["a"]).label == "disputed"
    later = [*lines, vote("a", "defect", by="ben")]  # said after the decision
    assert [v.by for v in last_words(later)["a"]] == ["eva", "ben"]
    assert [v.by for v in last_words([*later, vote("a", "withdrawn", by="eva")])["a"]] == ["anna", "ben"]


def test_a_set_that_is_written_anew_keeps_what_a_withdrawn_word_would_bring_back(small, tmp_path):
    said = [vote("0.png"), vote("0.png", "defect", by="ben"), vote("0.png", "good", by="eva", decides=True)]
    add_labels(small, [*said, vote("0.png", "defect", by="carl"), vote("0.png", "good", by="eva")])
    once = read_set(small.manifest)
    write_set(once, small.manifest)  # as edge split and edge gather do
    again = read_set(small.manifest)
    assert {v.by for v in again.frames[0].votes} == {v.by for v in once.frames[0].votes} == {"eva", "carl"}
    add_labels(again, [vote("0.png", "withdrawn", by="eva"), vote("0.png", "withdrawn", by="carl")])
    assert [v.by for v in read_set(small.manifest).frames[0].votes] == ["anna", "ben"]
    assert read_set(small.manifest).frames[0].label == "disputed"


def test_a_decision_that_went_on_stands_again_in_a_set_that_was_written_anew(small):
    deciding = [vote("0.png", "defect", by="a", decides=True), vote("0.png", "defect", by="a")]
    add_labels(small, [vote("0.png", by="c"), *deciding, vote("0.png", by="b", decides=True)])
    write_set(read_set(small.manifest), small.manifest)
    add_labels(small, [vote("0.png", "withdrawn", by="b")])
    assert {v.by: v.label for v in read_set(small.manifest).frames[0].votes} == {"a": "defect"}


def test_a_set_that_is_written_anew_counts_the_same_words_whatever_is_said_before_and_after(tmp_path):
    rng = np.random.default_rng(5)
    files = [f"{number}.png" for number in range(40)]

    def some(count: int) -> list[LabelLine]:
        labels, names = ("good", "defect", "unsure", "withdrawn"), ("a", "b", "c", "d")
        words = [(str(rng.choice(files)), str(rng.choice(labels)), str(rng.choice(names))) for _ in range(count)]
        return [vote(file, label, by=by, decides=label != "withdrawn" and rng.random() < 0.4) for file, label, by in words]

    kept, anew, table = tmp_path / "kept" / MANIFEST, tmp_path / "anew" / MANIFEST, LabelTable(tmp_path)
    frames = tuple(SetFrame(file, sha256="0" * 64, size=(4, 4)) for file in files)
    for manifest in (kept, anew):
        manifest.parent.mkdir()
        write_set(FrameSet(manifest, manifest.parent, frames), manifest)
    voices = lambda manifest: {one.file: {v.by: v.label for v in one.votes} for one in read_set(manifest).frames}  # noqa: E731
    done = 0
    for _ in range(30):
        lines = some(20)
        for manifest in (kept, anew):
            append_lines(manifest, lines)
        write_set(read_set(anew), anew)  # as edge split and edge gather do
        table.take("cam1", [(line, done + place) for place, line in enumerate(lines)], (done + 20, 1))
        done += 20
        assert voices(anew) == voices(kept)
        shown = votes_on(tmp_path, "cam1", files)
        assert voices(kept) == {file: {one["by"]: one["label"] for one in shown.get(file, ())} for file in files}
    assert sum(len(one.aside) for one in read_set(anew).frames) > 40
    table.close()


def test_a_word_said_while_a_set_is_written_anew_is_in_it(small):
    add_labels(small, [vote("0.png")])
    read = read_set(small.manifest)
    with small.manifest.open("ab") as file:
        file.write(b'{"kind":"label","fi')  # torn: the next one closes it off
    append_lines(small.manifest, [vote("0.png", "defect", by="ben"), vote("1.png")])
    write_set(read, small.manifest, SplitLine(at=AT, seed=0, by="names", sides={"fit": ("0.png",)}))
    again = read_set(small.manifest)
    assert [[v.by for v in frame.votes] for frame in again.frames[:2]] == [["anna", "ben"], ["anna"]]
    assert again.frames[0].side == "fit"


def test_words_of_a_second_person_outlive_whoever_writes_the_set_anew(small):
    names = [f"person{number}" for number in range(60)]

    def label():
        for name in names:
            append_lines(small.manifest, [vote("0.png", by=name)])

    person = threading.Thread(target=label)
    person.start()
    while person.is_alive():
        write_set(read_set(small.manifest), small.manifest)
    person.join()
    assert [v.by for v in read_set(small.manifest).frames[0].votes] == names


def test_a_set_that_another_program_wrote_anew_is_not_written_over(small):
    first, second = read_set(small.manifest), read_set(small.manifest)
    write_set(first.with_frames(reversed(first.frames)), small.manifest)
    with pytest.raises(
        UserError, match=r"set.jsonl: another program wrote the set anew since it was read\n  fix: run the"
    ) as told:
        write_set(second, small.manifest)
    assert told.value.passes
    assert read_set(small.manifest).frames[0].file == first.frames[-1].file
    write_set(second, small.manifest.with_name("other.jsonl"))  # another place is nobody's


def test_kinds_of_all_who_agree_are_joined():
    votes = (vote("a", "defect", defects=["crack"]), vote("a", "defect", by="ben", defects=["stain"], mask="m.png"))
    frame = SetFrame("a", votes=votes)
    assert (frame.label, frame.kind, frame.mask) == ("defect", "crack+stain", "m.png")
    assert SetFrame("a", votes=(vote("a", "defect"),)).kind == "defect"
    assert SetFrame("a").kind == "unlabelled"


def test_labels_and_splits_come_back_from_the_file(small):
    add_labels(small, [vote("0.png"), vote("1.png", "defect", defects=["dent"])])
    append_lines(
        small.manifest, [SplitLine(at=AT, seed=1, by="names", sides={"fit": ("0.png",), "test": ("1.png", "2.png")})]
    )
    again = read_set(small.manifest)
    assert [(f.kind, f.side) for f in again.frames] == [("good", "fit"), ("dent", "test"), ("unlabelled", "test")]
    assert again.sides == ("fit", "test")
    assert [f.file for f in again.of("test")] == ["1.png", "2.png"]


def test_a_label_of_a_frame_that_isnt_there_is_refused(small):
    with pytest.raises(UserError) as caught:
        add_labels(small, [vote("7.png")])
    assert str(caught.value) == (
        f"{small.path}: 1 labels are of frames that aren't in the set\n"
        "  received: 7.png\n"
        "  expected: names as the set has them, such as 0.png"
    )
    append_lines(small.manifest, [vote("7.png")])
    with pytest.raises(UserError, match=r"set.jsonl:5: a label of a frame that isn't in the set\n  received: 7.png"):
        read_set(small.manifest)


def test_overlapping_sides_are_refused(small):
    append_lines(small.manifest, [SplitLine(at=AT, seed=1, by="x", sides={"fit": ("0.png",), "test": ("0.png",)})])
    with pytest.raises(UserError, match=r"the sides of the split overlap\n  received: 0.png in fit and in test"):
        read_set(small.manifest)


def test_a_folder_without_a_manifest_takes_no_labels(tmp_path):
    save(tmp_path / "a.png", picture(0))
    with pytest.raises(UserError, match=r"has no set.jsonl, so there is nowhere to write labels"):
        add_labels(open_set(tmp_path), [vote("a.png")])


def test_the_hash_is_of_the_pixels_not_of_the_file(tmp_path):
    import cv2

    pixels = picture(1)
    save(tmp_path / "a.png", pixels)
    cv2.imwrite(str(tmp_path / "b.tif"), pixels)
    frames = hashed(open_set(tmp_path), pytest.fail).frames
    assert frames[0].sha256 == frames[1].sha256 == pixels_sha256(pixels)
    assert pixels_sha256(pixels.astype(np.uint16)) != pixels_sha256(pixels)
    assert pixels_sha256(pixels.reshape(-1, 8)) != pixels_sha256(pixels)


def test_an_unreadable_picture_is_told_and_left_out(tmp_path):
    save(tmp_path / "a.png", picture(1))
    (tmp_path / "b.png").write_bytes(b"no picture")
    told = []
    frames = hashed(open_set(tmp_path), lambda frame, why: told.append((frame.file, why)))
    assert [f.file for f in frames.frames] == ["a.png"]
    assert told[0][0] == "b.png"


def test_a_set_may_lie_elsewhere_than_its_pictures(tmp_path):
    root = mvtec(tmp_path / "data")
    frames = hashed(open_set(root), pytest.fail)
    write_set(frames, tmp_path / "sets" / "mine.jsonl")
    again = open_set(tmp_path / "sets" / "mine.jsonl")
    assert [replace(f, side=None) for f in again.frames] == [replace(f, side=None) for f in frames.frames]
    assert (again.read(again.frames[0]).pixels == frames.read(frames.frames[0]).pixels).all()
    assert again.read_mask(next(f for f in again.frames if f.kind == "crack")).sum() == 12


def test_fit_takes_the_good_frames_of_a_split_and_calibrate_those_of_its_own_side(tmp_path):
    from edge.models.good_frames import good_frames
    from edge.models.sets.split import split

    save_all = [(f"{i:02d}.png", "good" if i < 24 else "crack") for i in range(30)]
    for index, (name, _) in enumerate(save_all):
        save(tmp_path / name, picture(index))
    frames = hashed(open_set(tmp_path), pytest.fail)
    named = [
        replace(f, part=f.file, votes=(vote(f.file, "good" if k == "good" else "defect"),))
        for f, (_, k) in zip(frames.frames, save_all, strict=True)
    ]
    result = split(named)
    write_set(frames.with_frames(named), tmp_path / MANIFEST, SplitLine(at=AT, seed=0, by="names", sides=result.sides))
    fit, calibrate = (good_frames(tmp_path, side=side) for side in ("fit", "calibrate"))
    assert fit.names == result.sides["fit"]
    assert calibrate.names == result.sides["calibrate"]
    assert len(list(fit)) == len(result.sides["fit"])
    assert "are taken: the side fit of the split" in fit.notes[0]
    with pytest.raises(UserError, match="no good frame is in its side train"):
        good_frames(tmp_path, side="train")
