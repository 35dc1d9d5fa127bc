"""Two folders of generated parts: what edge shift says, writes, and refuses."""

import numpy as np
import orjson
import pytest
from support.judged import fitted
from support.sets import save
from typer.testing import CliRunner

from edge.cli import app
from edge.disturb.corruptions import CORRUPTIONS
from edge.models.fit.fit import FitRun, fit_to_bundle
from edge.models.sets.open import open_set
from edge.report.scatter import ScatterView
from edge.shift import diagnose
from edge.shift import shift as shift_room
from edge.shift.coverage import read_measured
from edge.shift.points import FramePoints
from edge.shift.shift import compare_sets, report_of
from edge.shift.shift_judge import ShiftJudge
from edge.shift.subject import open_subject
from edge.shift.told_apart import Separability
from edge.sources.synthetic.parts import part_scene
from edge.storage.frames_on_disk import read_frames
from edge.storage.pictures import read_picture

pytest.importorskip("sklearn", reason="the extra 'report' is not installed")
SIDE = 96


@pytest.fixture(autouse=True)
def few_signatures(monkeypatch):
    """So many are enough where one cause is far from all others."""
    monkeypatch.setattr(diagnose, "ROWS", 420)
    monkeypatch.setattr(diagnose, "_FEWEST_ROWS", 420)


def folder(root, first, count=24, how=lambda pixels: pixels, preset="hard"):
    scene, pixels = part_scene(preset, 0, SIDE, SIDE), np.empty((SIDE, SIDE), np.uint8)
    for index in range(count):
        scene.render(first + 2 * index, 0.0, pixels)
        save(root / f"{index:03d}.png", how(pixels.copy()))
    return root


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("shift") / "lab", 0)


@pytest.fixture(scope="module")
def blurred(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("shift") / "line", 500, how=CORRUPTIONS["defocus"].steady(2.0, 1))


def edge(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"})


def test_a_defocus_is_named_with_its_size_and_ranges_that_edge_stress_reads(lab, blurred, tmp_path):
    report = report_of(compare_sets(("lab", "line"), (open_set(lab), open_set(blurred))))
    assert report["verdict"] == "different"
    assert report["causes"][0]["cause"] == "defocus"
    assert report["causes"][0]["size"] == pytest.approx(2.0, rel=0.3)
    assert report["causes"][0]["unit"] == "px"
    assert report["headline"].startswith("blur: defocus")
    assert "focus the lens" in report["headline"]
    assert report["separability"]["different"]
    (tmp_path / "shift.json").write_bytes(orjson.dumps(report))
    measured = read_measured(tmp_path / "shift.json")
    assert measured["defocus"].high == pytest.approx(2.0, rel=0.3)


def test_a_model_that_registers_judges_both_sets(tmp_path):
    """The model that edge fit makes by default ended in a traceback."""
    parts = folder(tmp_path / "good", 0, preset="pinned")
    bundle = fit_to_bundle(read_frames(parts), tmp_path / "model", run=FitRun(test=False))
    assert bundle.spec.register_ is not None
    judge = ShiftJudge(open_subject(tmp_path / "model"))
    folder(tmp_path / "blank", 0, 1, lambda pixels: np.full_like(pixels, 50))
    frame = next(iter(read_frames(parts)))
    judge.check_takes("good", frame)
    assert judge.judge(frame).score is not None
    (elsewhere,) = read_frames(tmp_path / "blank")
    assert (judge.judge(elsewhere).score, judge.judge(elsewhere).verdict) == (None, "invalid")
    assert judge.judge(frame).known
    assert not judge.judge(elsewhere).known
    judge.close()


def test_frames_that_the_model_was_fitted_on_are_counted(tmp_path, lab):
    model = fitted(tmp_path / "model")
    told = edge("shift", tmp_path / "model" / "good", lab, "-m", model).output
    assert (
        "good: 30 of 30 frames are among those that the model was fitted on, so what it says of this set flatters it"
        in told
    )
    assert "lab: 24 of" not in told


def test_other_parts_of_the_same_kind_are_not_different(lab, tmp_path):
    other = folder(tmp_path / "other", 1)  # the frames between: the scene's light drifts slowly
    assert report_of(compare_sets(("lab", "other"), (open_set(lab), open_set(other))))["verdict"] == "not different"


def test_frames_that_stand_in_both_sets_are_counted(lab):
    report = report_of(compare_sets(("lab", "line"), (open_set(lab), open_set(lab))))
    assert "24 of 24 frames of line are frames of lab, too: the sets look more alike than they are" in report["notes"]


def test_a_difference_that_is_not_sure_is_told_beside_the_verdict(lab, tmp_path, monkeypatch):
    unsure = Separability(0.83, (0.73, 0.91), 0.01, 0.035, 1.2)
    monkeypatch.setattr(shift_room, "separability", lambda *_args, **_more: unsure)
    other = folder(tmp_path / "other", 1)
    report = report_of(compare_sets(("lab", "other"), (open_set(lab), open_set(other))))
    assert report["verdict"] == "not different"
    assert report["notes"][-1].startswith(
        "the sets may differ all the same: AUROC 0.73 to 0.91, but p 0.035 is what chance"
    )


def test_the_page_is_offline_and_the_report_stands_beside_it(lab, blurred, tmp_path):
    pytest.importorskip("bokeh", reason="the extra 'report' is not installed")
    page = tmp_path / "shift.html"
    result = edge("shift", lab, blurred, "-m", fitted(tmp_path / "model"), "-o", page)
    assert result.exit_code == 0, result.output
    assert result.output[result.output.index("blur: defocus") :].startswith("blur: defocus")
    html = page.read_text()
    assert "<h2" in html
    assert "PCA" in html
    assert "its picture and name stand under the pointer" in html
    assert "rejected, and nobody said what they are" in html
    assert "https://" not in html[: html.index("<script")]
    report = orjson.loads((tmp_path / "shift.json").read_bytes())
    assert (report["schema"], report["kind"]) == (1, "edge.shift")
    assert report["model"]["rejected"]["line"] == 1.0
    points = report["points"]
    assert (points["side"], points["file"][24], report["cameras"]) == ([0] * 24 + [1] * 24, "000.png", [])
    assert report["without_camera"] == 48
    assert [view["name"] for view in points["views"]] == ["PCA", "t-SNE"]
    assert all(len(view[axis]) == 48 and None not in view[axis] for view in points["views"] for axis in "xy")
    assert points["values"]["verdict"][24:] == ["fail"] * 24
    pictures, ends = (tmp_path / points["pictures"]["file"]).read_bytes(), points["pictures"]["ends"]
    assert (len(ends), ends[-1], pictures[ends[0] : ends[0] + 2]) == (48, len(pictures), b"\xff\xd8")


def test_a_page_of_50_000_frames_has_at_most_5_mb_and_promises_no_pictures(lab, tmp_path):
    pytest.importorskip("bokeh", reason="the extra 'report' is not installed")
    from edge.shift.shift_page import page_of_shift  # needs bokeh

    many, rng = 50_000, np.random.default_rng(0)
    some = np.where(np.arange(many)[:, None] % 10, np.nan, rng.normal(size=(many, 2)))
    points = FramePoints(
        embedding="lite0 (ImageNet)",
        names=("lab", "line"),
        sides=tuple(int(n >= many // 2) for n in range(many)),
        files=tuple(f"frames/{n:08d}.png" for n in range(many)),
        views=(ScatterView("PCA", rng.normal(size=(many, 2))), ScatterView("t-SNE of 5000 frames", some)),
        values={"set": ["lab"] * (many // 2) + ["line"] * (many // 2), "verdict": ["pass", "fail"] * (many // 2)},
        pictures=(b"",) * many,
    )
    done = compare_sets(("lab", "line"), (open_set(lab), open_set(folder(tmp_path / "line", 1))))
    page = page_of_shift(done, report_of(done), points)
    assert len(page) <= 5_000_000
    assert b"its name stands under the pointer" in page
    assert b"frames/00049999.png" in page


def test_a_set_without_pictures_and_a_place_that_isnt_there_are_named(lab, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty: holds no pictures" in str(edge("shift", lab, tmp_path / "empty").exception)
    assert "none: no such set" in str(edge("shift", lab, tmp_path / "none").exception)
    assert "--out x.txt\n  received: .txt" in str(edge("shift", lab, lab, "-o", "x.txt").exception)


def test_a_model_of_other_frames_is_refused_and_both_are_named(tmp_path):
    small = [folder(tmp_path / name, first, 8) for name, first in (("a", 0), ("b", 100))]
    for path in (tmp_path / "a").parent.glob("[ab]/*.png"):
        save(path, np.ascontiguousarray(read_picture(path)[:40, :64]))
    subject = open_subject(fitted(tmp_path / "model"))
    with pytest.raises(
        Exception, match=r"a: the model bundle doesn't take its frames\n  received: a: 64x40 px, Mono8\n  expected: bundle"
    ):
        compare_sets(("a", "b"), (open_set(small[0]), open_set(small[1])), subject)


def test_five_frames_are_too_few_and_it_is_said(lab, tmp_path):
    few = folder(tmp_path / "few", 0, 5, CORRUPTIONS["defocus"].steady(2.0, 1))
    report = report_of(compare_sets(("lab", "few"), (open_set(lab), open_set(few))))
    assert report["verdict"] == "too few frames"
    assert report["headline"].startswith("too few frames for a claim: 5 in the smaller set")
    assert "few: 5 frames are too few for a claim; at least 8 are needed" in report["notes"]
    assert report["separability"] is None


def test_damaged_pictures_are_named_and_the_rest_is_compared(lab, tmp_path):
    other = folder(tmp_path / "other", 1, 12)
    (other / "999.png").write_bytes(b"no picture")
    report = report_of(compare_sets(("lab", "other"), (open_set(lab), open_set(other))))
    assert any("1 pictures can't be read and are left out: 999.png" in note for note in report["notes"])
    assert report["sets"][1]["frames"] == 12


def test_only_some_frames_by_their_tags(lab):
    result = edge("shift", lab, lab, "--by", r"(?P<n>\d+)", "--only", "A:n=000", "--only", "B:m=1")
    assert "has m 1\n  received: B:m=1\n  expected: a tag; the set has no m" in str(result.exception)
    assert "--only\n  received: n" in str(edge("shift", lab, lab, "--only", "n").exception)


@pytest.mark.parametrize(("gone", "extra"), [("sklearn", "report"), ("umap", "umap")])
def test_a_missing_extra_is_named(gone, extra, monkeypatch):
    import builtins

    from edge.errors import UserError
    from edge.shift.projections import tsne, umap

    real = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] == gone:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=rf"extra '{extra}'.*\n  fix: pip install 'edge-inspect\[{extra}\]'"):
        (tsne if gone == "sklearn" else umap)(np.zeros((8, 3)))


def test_two_halves_of_one_set_are_not_different_in_19_of_20_draws(tmp_path, monkeypatch):
    """By the statistics here; scripts/eval_shift_naming.py has larger sets with lite0's embeddings."""
    monkeypatch.setattr(shift_room, "lite0_embedder", lambda: None)
    whole = open_set(folder(tmp_path / "whole", 0, 36, preset="pinned"))
    different = 0
    for draw in range(20):
        order = np.random.default_rng(draw).permutation(36)
        halves = [whole.with_frames([whole.frames[i] for i in sorted(own)]) for own in (order[:18], order[18:])]
        done = compare_sets(("first", "second"), (halves[0], halves[1]), seed=draw)
        different += report_of(done)["verdict"] != "not different"
    assert different <= 1
