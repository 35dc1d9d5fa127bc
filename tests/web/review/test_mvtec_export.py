"""An export is what the commands take: no part on two sides, masks beside defects, nothing that is disputed."""

from __future__ import annotations

import gc
import io
import tarfile
import weakref
from dataclasses import replace

import numpy as np
import orjson
import pytest
from support.reviewed import START, picture, write_frames

from edge.errors import UserError
from edge.models.golden_folders import golden_folders
from edge.models.good_frames import good_frames
from edge.models.sets.frame_set import FrameSet, SetFrame, add_labels, read_set, write_set
from edge.models.sets.manifest import MANIFEST, LabelLine, now
from edge.models.sets.open import open_set
from edge.storage.pictures import write_png
from edge.storage.recording_writer import RecordingWriter
from edge.web.review import mvtec_export
from edge.web.review.exports import as_tar, delete_export, export_folder, exports_of, is_being_written
from edge.web.review.label_book import LabelBook
from edge.web.review.label_table import LabelTable
from edge.web.review.mvtec_export import MvtecExport, placed
from edge.web.review.worker import ReviewWorker
from edge.web.tuning.recordings import kept_name


@pytest.fixture
def labelled(tmp_path):
    """Twelve good frames of six parts, two cracks with a mask, a dent, a frame that two dispute, and one unsure."""
    write_frames(tmp_path / "evidence", range(18))
    (tmp_path / "page").mkdir()
    table = LabelTable(tmp_path / "page")
    book = LabelBook(tmp_path / "page", "cam1", table)
    for number in range(12):
        book.say(frame(tmp_path, number), {"label": "good"}, "ann")
    for number, kind in ((12, "crack"), (13, "crack"), (14, "dent")):
        shapes = [[2, 3, 12, 13]] if kind == "crack" else None
        book.say(frame(tmp_path, number), {"label": "defect", "kinds": [kind], "shapes": shapes}, "ann")
    for label, who in (("good", "ann"), ("defect", "bob")):
        book.say(frame(tmp_path, 15), {"label": label}, who)
    book.say(frame(tmp_path, 16), {"label": "unsure"}, "ann")
    yield tmp_path / "page", book
    table.close()


def frame(folder, number: int) -> dict[str, object]:
    file, at = f"frames/{number:08d}.png", START + number * 1_000_000_000
    kept = kept_name("0123456789abcdef", at, number, file)
    names = {"number": number, "part": number // 2, "instance": "run1", "seq": number, "why": "pass", "ref": None}
    return {"folder": str(folder / "evidence"), "file": file, "kept": kept, "at": str(at), "bits": 8, **names}


def exported(folder) -> tuple[dict[str, object], object]:
    export = MvtecExport(folder, "cam1", "ann")
    for _ in export.steps():
        pass
    return export.progress, folder / "exports" / export.name


def test_the_folders_are_what_the_commands_take(labelled) -> None:
    progress, root = exported(labelled[0])
    assert (progress["state"], progress["done"], progress["total"], progress["error"]) == ("done", 15, 15, None)
    assert progress["counts"] == {"test/crack": 2, "test/dent": 1, "test/good": 6, "train/good": 6}
    assert (progress["masks"], progress["left_out"]) == (2, {"disputed": 1, "unsure": 1})
    assert len(good_frames(root).names) == 6
    golden = {one.folder.name: one.expected for one in golden_folders(root)}
    assert golden == {"good": "pass", "crack": "fail", "dent": "fail"}
    found = open_set(root)
    assert sorted((one.side, one.kind, one.mask is not None) for one in found.frames if one.kind != "good") == [
        ("test", "crack", True),
        ("test", "crack", True),
        ("test", "dent", False),
    ]
    assert found.orphans == ()
    crack = next(one for one in found.frames if one.kind == "crack")
    assert np.count_nonzero(found.read_mask(crack)) == 100
    assert np.array_equal(found.read(crack).pixels, picture(12).pixels)


def test_no_part_has_good_frames_on_both_sides_and_the_names_say_the_part(labelled) -> None:
    _, root = exported(labelled[0])
    parts = {side: {path.name.split("-")[0] for path in (root / side).glob("good/*.png")} for side in ("train", "test")}
    assert not parts["train"] & parts["test"]
    assert parts["train"] | parts["test"] == {f"part20261130_{part}" for part in range(6)}


def test_parts_that_are_labelled_later_move_no_other_to_the_other_side() -> None:
    def sides(count: int) -> dict[str, str]:
        parts = [f"cam1/2026-11-30/{number}" for number in range(count)]
        votes = [LabelLine(file=part, label="good", by="ann", at=now()) for part in parts]
        frames = [SetFrame(part, part=part, votes=(vote,)) for part, vote in zip(parts, votes, strict=True)]
        return {str(one.source.part): one.folder for one in placed(frames)}

    whole = sides(300)
    assert 70 <= list(whole.values()).count("test/good") <= 110
    for count in range(20, 300):
        assert sides(count).items() <= whole.items()
    assert [set(sides(count).values()) for count in (1, 2)] == [{"train/good"}, {"train/good", "test/good"}]


def test_the_same_labels_give_the_same_sides(labelled) -> None:
    first, second = exported(labelled[0]), exported(labelled[0])
    names = [sorted(p.relative_to(root).as_posix() for p in root.rglob("*.png")) for _, root in (first, second)]
    assert names[0] == names[1]
    assert first[1] != second[1]
    assert {progress["name"] for progress in exports_of(labelled[0], "cam1")} == {first[1].name, second[1].name}


def test_pictures_take_no_room_twice_and_nobody_changes_one_by_the_other(labelled) -> None:
    _, root = exported(labelled[0])
    path = next((root / "train" / "good").glob("*.png"))
    assert path.stat().st_nlink == 2
    assert path.stat().st_mode & 0o222 == 0


def test_masks_are_copies_that_nobody_changes_the_labels_by(labelled) -> None:
    _, root = exported(labelled[0])
    masks = list((root / "ground_truth").rglob("*.png"))
    assert (len(masks), {path.stat().st_nlink for path in masks}) == (2, {1})


def test_two_frames_of_one_name_are_said_and_neither_is_written_over(tmp_path) -> None:
    root = tmp_path / "labels" / "cam1"
    frames = []
    for number, folder in enumerate("ab"):
        (root / folder).mkdir(parents=True)
        write_png(root / folder / "1.png", picture(number).pixels)
        vote = LabelLine(file=f"{folder}/1.png", label="defect", by="ann", at=now())
        frames.append(SetFrame(f"{folder}/1.png", "0" * 64, (64, 48), 8, votes=(vote,)))
    write_set(FrameSet(root, root, tuple(frames)), root / MANIFEST)
    progress, folder = exported(tmp_path)
    assert progress["error"] == "two frames or masks would have one name in the export: test/defect/1.png"
    assert not folder.exists()


def test_an_export_has_its_name_when_it_is_whole_and_is_neither_sent_nor_deleted_before(labelled) -> None:
    folder = labelled[0]
    export = MvtecExport(folder, "cam1", "ann")
    steps = export.steps()
    next(steps)
    assert is_being_written(folder, "cam1", export.name)
    assert not is_being_written(folder, "cam2", export.name)
    assert export_folder(folder, "cam1", export.name) is None
    assert not delete_export(folder, "cam1", export.name)
    list(steps)
    assert (export.progress["state"], export.progress["done"]) == ("done", 15)
    assert len(list((folder / "exports" / export.name).rglob("*.png"))) == 17
    assert not is_being_written(folder, "cam1", export.name)
    assert delete_export(folder, "cam1", export.name)


def test_what_a_process_that_ended_left_of_an_export_is_swept_away_and_whole_ones_stay(labelled) -> None:
    folder = labelled[0]
    progress, root = exported(folder)
    cut = MvtecExport(folder, "cam1", "ann")
    next(cut.steps())
    (folder / "exports" / "cam1-20261130T000000Z" / "train").mkdir(parents=True)  # of a version that wrote without .part
    worker = ReviewWorker(io.BytesIO(), io.BytesIO(), folder)
    assert {path.name for path in (folder / "exports").iterdir()} == {root.name, f"{root.name}.json"}
    assert worker._exports_of("cam1") == [progress]


def test_the_worker_keeps_nothing_of_an_export_that_ended(labelled) -> None:
    worker = ReviewWorker(io.BytesIO(), io.BytesIO(), labelled[0])
    name = worker._export("cam1", "ann")
    frames = weakref.ref(worker._writing[0][0])
    assert [progress["state"] for progress in worker._exports_of("cam1")] == ["running"]
    while worker._writing:
        worker._go_on()
    assert [(progress["name"], progress["state"]) for progress in worker._exports_of("cam1")] == [(name, "done")]
    gc.collect()
    assert frames() is None


def test_frames_of_12_bits_say_so_in_the_export(tmp_path, labelled) -> None:
    folder = labelled[0]
    frames = [replace(picture(n), pixels=picture(n).pixels.astype(np.uint16) * 15 + 3, bits=12) for n in range(2)]
    writer = RecordingWriter(tmp_path / "deep", camera="cam2", source="evidence", append=True)
    for one in frames:
        writer.frame(one)
    writer.close()
    table = LabelTable(folder)
    deep = LabelBook(folder, "cam2", table)
    for number in range(2):
        deep_frame = frame(tmp_path, number) | {"folder": str(tmp_path / "deep"), "bits": 12}
        deep.say(deep_frame, {"label": "good"}, "ann")
    table.close()
    export = MvtecExport(folder, "cam2", "ann")
    list(export.steps())
    root = folder / "exports" / export.name
    read, _ = good_frames(root)
    assert (read.bits, np.array_equal(read.pixels, frames[0].pixels)) == (12, True)
    found = open_set(root)
    assert {found.read(one).bits for one in found.frames} == {12}


def test_nothing_labelled_is_said(tmp_path, labelled) -> None:
    with pytest.raises(UserError, match=r"cam2: no frame is labelled yet\n  fix: label frames first"):
        MvtecExport(tmp_path / "page", "cam2", "ann")


def test_kinds_that_edge_label_named_lead_out_of_no_folder(labelled) -> None:
    folder, book = labelled
    found = read_set(book.root / MANIFEST)
    word = {"label": "defect", "defects": ("../../up",), "by": "bob", "at": now(), "decides": True}
    add_labels(found, [LabelLine(file=found.frames[14].file, **word)])
    progress, root = exported(folder)
    assert progress["counts"] == {"test/_._.._up": 1, "test/crack": 2, "test/good": 6, "train/good": 6}
    assert all(path.resolve().is_relative_to(root.resolve()) for path in root.rglob("*"))
    assert {path.name for path in (folder / "exports").iterdir()} == {root.name, f"{root.name}.json"}


def test_a_full_disk_ends_an_export_with_words_and_leaves_nothing(labelled, monkeypatch) -> None:
    monkeypatch.setattr(mvtec_export, "KEEP_FREE_BYTES", 1 << 60)
    progress, root = exported(labelled[0])
    assert progress["state"] == "failed"
    assert progress["error"] == (
        "the export can't be written: less than 1 GB is free on this disk, which stays free for the lines"
    )
    assert not root.exists()
    assert exports_of(labelled[0], "cam1")[0]["state"] == "failed"


def test_a_tar_holds_the_same_bytes(labelled) -> None:
    _, root = exported(labelled[0])
    with tarfile.open(fileobj=io.BytesIO(b"".join(as_tar(root)))) as tar:
        held = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}
    wanted = {f"{root.name}/{p.relative_to(root).as_posix()}": p.read_bytes() for p in root.rglob("*") if p.is_file()}
    assert held == wanted


@pytest.mark.parametrize("name", ["..", "cam1-20261130T000000Z/..", "cam2-20261130T000000Z", "cam1-x", ""])
def test_a_name_that_is_none_leads_nowhere(labelled, name) -> None:
    assert export_folder(labelled[0], "cam1", name) is None
    assert not delete_export(labelled[0], "cam1", name)


def test_an_export_is_deleted_and_the_labels_stay(labelled) -> None:
    folder, book = labelled
    progress, root = exported(folder)
    assert delete_export(folder, "cam1", str(progress["name"]))
    assert (root.exists(), exports_of(folder, "cam1")) == (False, [])
    assert len(read_set(book.root / MANIFEST).frames) == 17
    assert all((book.root / one.file).is_file() for one in read_set(book.root / MANIFEST).frames)
    assert orjson.loads((book.root / MANIFEST).read_bytes().splitlines()[0])["kind"] == "set"
