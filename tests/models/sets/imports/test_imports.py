"""Labels that other tools wrote."""

from itertools import pairwise

import numpy as np
import orjson
import pytest
from support.sets import mvtec, picture, save

from edge.errors import UserError
from edge.models.sets.frame_set import hashed, read_set, write_set
from edge.models.sets.imports.coco import _decoded, from_column_runs
from edge.models.sets.imports.label_studio import from_brush
from edge.models.sets.imports.open import import_labels, read_labels
from edge.models.sets.manifest import MANIFEST
from edge.models.sets.open import open_set


@pytest.fixture
def small(tmp_path):
    """Three frames of 24x32 px without a label."""
    for name in "abc":
        save(tmp_path / "set" / "frames" / f"{name}.png", picture(ord(name)))
    frames = hashed(open_set(tmp_path / "set"), pytest.fail)
    write_set(frames, tmp_path / "set" / MANIFEST)
    return open_set(tmp_path / "set")


def after(frames):
    again = read_set(frames.manifest)
    return again, {f.file.rpartition("/")[2]: f for f in again.frames}


def square(y0=4, y1=8, x0=10, x1=15):
    mask = np.zeros((24, 32), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_a_table_gives_words_kinds_masks_who_and_when(small, tmp_path):
    save(tmp_path / "m.png", np.where(square(), 255, 0).astype(np.uint8))
    table = tmp_path / "labels.csv"
    table.write_text(
        "file,label,kind,mask,by,at\n"
        "a.png,ok,,,,\n"
        "frames/b.png,NG,crack+dent,m.png,anna,2026-01-02T03:04:05Z\n"
        "c.png,stain,,,,\n"
    )
    assert import_labels(small, table, "ben").masks == 1
    again, found = after(small)
    assert [found[f"{n}.png"].kind for n in "abc"] == ["good", "crack+dent", "stain"]
    assert (again.read_mask(found["b.png"]) == square()).all()
    assert [(v.by, v.at) for v in found["b.png"].votes] == [("anna", "2026-01-02T03:04:05Z")]
    assert found["a.png"].votes[0].by == "ben"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,label\n", "has no column file"),
        ("file,label\na.png,\n", "labels.csv:2: a row without a file or a label"),
        ("file,label,kind\na.png,good,crack\n", "labels.csv:2: good, and of a kind of defect"),
        ("file,label,mask\na.png,bad,none.png\n", "labels.csv:2: the mask none.png can't be read"),
        ("file,label\nz.png,good\n", "1 of 1 labels are of no frame of the set, or could be of several\n  received: z.png"),
    ],
)
def test_tables_that_cannot_be_used_are_named_by_row(small, tmp_path, text, said):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        import_labels(small, tmp_path / "labels.csv", "ben")
    assert said in str(caught.value)


def test_labels_of_other_frames_are_passed_over_on_request(small, tmp_path):
    (tmp_path / "labels.csv").write_text("file,label\nz.png,good\na.png,good\n")
    result = import_labels(small, tmp_path / "labels.csv", "ben", partly=True)
    assert (result.taken, result.unknown) == (1, ("z.png",))


def test_a_mask_of_another_size_is_refused(small, tmp_path):
    save(tmp_path / "m.png", np.full((9, 9), 255, np.uint8))
    (tmp_path / "labels.csv").write_text("file,label,mask\na.png,bad,m.png\n")
    with pytest.raises(UserError, match=r"the mask of a.png is of another size\n  received: 9x9\n  expected: 32x24"):
        import_labels(small, tmp_path / "labels.csv", "ben")


def test_mvtec_folders_bring_masks_and_good_ones(tmp_path):
    root = mvtec(tmp_path / "data")
    whole = open_set(root)
    bare = whole.with_frames([type(f)(f.file) for f in whole.frames])
    write_set(hashed(bare, pytest.fail), tmp_path / "set.jsonl")
    frames = open_set(tmp_path / "set.jsonl")
    result = import_labels(frames, root, "ben")
    assert (result.taken, result.masks) == (10, 3)
    again, _ = after(frames)
    assert sorted(f.kind for f in again.frames) == ["crack"] * 2 + ["good"] * 7 + ["stain"]
    assert all(again.read_mask(f).sum() == 12 for f in again.frames if f.label == "defect")
    with pytest.raises(UserError, match="holds no masks"):
        read_labels(root / "train")


def coco(**more):
    return {
        "images": [{"id": n, "file_name": f"{c}.png", "width": 32, "height": 24} for n, c in enumerate("abc")],
        "categories": [{"id": 7, "name": "crack"}, {"id": 8, "name": "dent"}],
        "annotations": [],
        **more,
    }


def written(tmp_path, data):
    (tmp_path / "labels.json").write_bytes(orjson.dumps(data))
    return tmp_path / "labels.json"


def test_coco_polygons_and_runs_become_masks_and_images_without_marks_are_good(small, tmp_path):
    runs = np.flatnonzero(np.diff(np.concatenate(([0], square().T.ravel(), [1 - square()[-1, -1]]))))
    counts = np.diff(np.concatenate(([0], runs, [24 * 32]))).tolist()
    marks = [
        {"image_id": 0, "category_id": 7, "segmentation": [[10, 4, 15, 4, 15, 8, 10, 8]]},
        {
            "image_id": 1,
            "category_id": 8,
            "segmentation": {"size": [24, 32], "counts": counts[:-1] if counts[-1] == 0 else counts},
        },
    ]
    import_labels(small, written(tmp_path, coco(annotations=marks)), "ben")
    again, found = after(small)
    assert [found[f"{n}.png"].kind for n in "abc"] == ["crack", "dent", "good"]
    assert (again.read_mask(found["b.png"]) == square()).all()
    polygon = again.read_mask(found["a.png"])
    assert polygon[4:8, 10:15].all()
    assert polygon.sum() <= 30


def test_coco_runs_go_down_the_columns_and_compressed_ones_are_read():
    assert from_column_runs([1, 2, 3], 2, 3).tolist() == [[False, True, False], [True, False, False]]
    assert _decoded("52203") == [
        5,
        2,
        2,
        2,
        5,
    ]  # a run from the fourth on is told as the difference to the one before the last
    with pytest.raises(ValueError, match="sum up to 5, not to 2x3"):
        from_column_runs([2, 3], 2, 3)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (coco(annotations=[{"image_id": 9, "category_id": 7}]), "an annotation of an image that isn't in the file"),
        (coco(annotations=[{"image_id": 0, "category_id": 1}]), "an annotation of a category that isn't in the file"),
        (coco(annotations=[{"image_id": 0}]), "not a COCO file"),
        (
            coco(annotations=[{"image_id": 0, "category_id": 7, "segmentation": {"counts": [3]}}]),
            "its segmentation can't be read: its runs sum up to 3",
        ),
        ({"some": "thing"}, "no form of labels that is known"),
        (
            [{"data": {"image": "a.png"}, "annotations": [{"result": [{"type": "brushlabels", "value": {}}]}]}],
            "task 1 can't be read",
        ),
        ([{"data": {"text": "a"}, "annotations": []}], "its data name no picture"),
    ],
)
def test_damaged_files_are_named(small, tmp_path, data, said):
    with pytest.raises(UserError) as caught:
        import_labels(small, written(tmp_path, data), "ben")
    assert said in str(caught.value)


def studio(image, *results, **more):
    fixed = {"original_width": 32, "original_height": 24}
    return {"data": {"image": image}, "annotations": [{"result": [{**fixed, **r} for r in results], **more}]}


def test_label_studio_brings_choices_shapes_who_and_when(small, tmp_path):
    box = {"x": 100 * 10 / 32, "y": 100 * 4 / 24, "width": 100 * 5 / 32, "height": 100 * 4 / 24}
    tasks = [
        studio("/data/upload/1/0123abcd-a.png", completed_by={"email": "anna@site"}, updated_at="2026-03-04T05:06:07.8Z"),
        studio(
            "/data/local-files/?d=frames/b.png",
            {"type": "rectanglelabels", "value": {**box, "rectanglelabels": ["crack"]}},
            completed_by=3,
        ),
        studio("c.png", {"type": "choices", "value": {"choices": ["defect"]}}),
    ]
    tasks[2]["annotations"].append({"was_cancelled": True, "result": []})
    import_labels(small, written(tmp_path, tasks), "ben")
    again, found = after(small)
    assert [found[f"{n}.png"].kind for n in "abc"] == ["good", "crack", "defect"]
    assert (again.read_mask(found["b.png"]) == square()).all()
    assert [(v.by, v.at) for v in found["a.png"].votes] == [("anna@site", "2026-03-04T05:06:07Z")]
    assert found["b.png"].votes[0].by == "label studio user 3"


def brush(mask):
    """Label Studio's run lengths: words of 8 bits, one size of runs."""
    flat = np.where(np.repeat(mask.ravel(), 4), 255, 0)
    bits = f"{flat.size:032b}{7:05b}{15:04b}{15:04b}{15:04b}{15:04b}"
    edges = np.concatenate(([0], np.flatnonzero(np.diff(flat)) + 1, [flat.size]))
    for start, stop in pairwise(edges):
        bits += f"1{0:02b}{stop - start - 1:016b}{flat[start]:08b}"
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def test_brush_strokes_are_read_and_cut_off_ones_refused():
    assert (from_brush(brush(square()), 24, 32) == square()).all()
    with pytest.raises(ValueError, match="end early"):
        from_brush(brush(square())[:12], 24, 32)
    with pytest.raises(ValueError, match="not 10x10x4"):
        from_brush(brush(square()), 10, 10)


def test_a_name_that_could_be_of_two_frames_is_not_guessed(tmp_path):
    for folder in ("mon", "tue"):
        save(tmp_path / "set" / folder / "a.png", picture(len(folder) + ord(folder[0])))
    write_set(hashed(open_set(tmp_path / "set"), pytest.fail), tmp_path / "set" / MANIFEST)
    frames = open_set(tmp_path / "set")
    (tmp_path / "x.csv").write_text("file,label\na.png,good\n")
    with pytest.raises(UserError, match="could be of several"):
        import_labels(frames, tmp_path / "x.csv", "ben")
    (tmp_path / "x.csv").write_text("file,label\nC:\\pictures\\tue\\a.png,good\n")
    import_labels(frames, tmp_path / "x.csv", "ben")
    assert [f.kind for f in read_set(frames.manifest).frames] == ["unlabelled", "good"]
