"""A whole evaluation: figures of a model that sees every planted defect, the same for any number of workers."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from support.judged import fitted, parts_folder
from support.sets import save, vote

from edge.errors import UserError
from edge.models.evaluate.contest import Contestant, EvaluateOptions
from edge.models.evaluate.evaluation import chosen_frames, evaluate, without_times
from edge.models.sets.frame_set import hashed
from edge.models.sets.metadata import described
from edge.models.sets.open import open_set
from edge.models.sets.used import KEY, UsedFrames, refuse_used_parts

NAMES = r"part(?P<part>\d+)_day(?P<day>\d)"
OPTIONS = EvaluateOptions(replicates=100, tags=("day",))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A set and a bundle."""
    root = tmp_path_factory.mktemp("judged")
    source = hashed(described(open_set(parts_folder(root / "set", good=24, bad=16)), NAMES), pytest.fail)
    return source, fitted(root / "model")


@pytest.fixture(scope="module")
def report(made):
    source, bundle = made
    return evaluate(source, [Contestant("easy", bundle)], OPTIONS)[0]


def test_a_model_that_sees_every_defect_gets_figures_that_say_so_with_their_doubt(report):
    (model,) = report["models"]
    assert report["set"]["good"] == 24
    assert report["set"]["defective"] == 16
    auroc = model["image"]["auroc"]
    assert auroc["value"] == 1.0
    assert auroc["low"] == pytest.approx(0.025 ** (1 / 16), abs=1e-6)  # 16 defective parts can't promise more
    assert model["verdicts"]["recall"]["value"] == 1.0
    assert model["pixel"]["auroc"]["value"] > 0.95
    assert 0 < model["pixel"]["au_pro_30"]["low"] <= model["pixel"]["au_pro_30"]["value"]
    assert model["pixel"]["regions"] == sum(len(frame["defects"]) for frame in model["frames"])


def test_every_defect_stands_in_one_class_of_size_contrast_and_place(report):
    (model,) = report["models"]
    for rows in model["by_defect"].values():
        assert sum(row["recall"]["count"] for row in rows) == model["pixel"]["regions"]
    assert sum(row["recall"]["count"] for row in model["by_kind"]) == 16


def test_the_matrix_tells_each_row_s_threshold_on_each_column(report):
    (told,) = report["models"][0]["matrix"]
    assert told["values"] == ["1", "2"]
    assert [(c["row"], c["column"]) for c in told["cells"]] == [("1", "1"), ("1", "2"), ("2", "1"), ("2", "2")]
    assert all(c["recall"]["value"] == 1.0 for c in told["cells"])
    assert told["average_relative_drop"] == 0.0


def test_a_threshold_from_the_judged_frames_is_called_optimistic(report):
    assert "optimistic" in report["models"][0]["threshold"]["from"]
    assert report["models"][0]["verdicts"]["false_rejects"]["value"] == 0.0


def test_workers_change_no_byte(made, report):
    source, bundle = made
    options = replace(OPTIONS, workers=2)
    again = evaluate(source, [Contestant("easy", bundle)], options)[0]
    assert orjson.dumps(without_times(again)) == orjson.dumps(without_times(report))


def test_an_evaluation_that_was_stopped_goes_on_from_its_finished_shards(made, report, tmp_path):
    source, bundle = made
    kept = tmp_path / "parts"
    options = replace(OPTIONS, kept_in=kept)

    def stop(what, done, _total):
        if what.startswith("judging") and done >= 32:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(source, [Contestant("easy", bundle)], options, stop)
    first = {part.name: part.stat().st_mtime_ns for part in kept.iterdir()}
    assert first
    again = evaluate(source, [Contestant("easy", bundle)], options)[0]
    assert orjson.dumps(without_times(again)) == orjson.dumps(without_times(report))
    assert {name: (kept / name).stat().st_mtime_ns for name in first} == first
    assert len(list(kept.iterdir())) > len(first)


def test_a_finished_shard_that_is_none_is_refused_and_runs_no_code(made, tmp_path):
    """Whoever may write to the folder of --resume must not be able to have code run by it."""
    source, bundle = made
    kept = tmp_path / "parts"
    options = replace(OPTIONS, kept_in=kept)
    evaluate(source, [Contestant("easy", bundle)], options)
    for part in kept.iterdir():
        part.write_bytes(pickle.dumps(Path.touch) if part.name.endswith("32.part") else b"torn")
    with pytest.raises(UserError) as caught:
        evaluate(source, [Contestant("easy", bundle)], options)
    assert str(caught.value).startswith("a finished shard can't be read\n  received: it names ")
    assert "\n  fix: delete the folder of finished shards, OUT.parts, and start again" in str(caught.value)


def test_two_models_are_compared_on_the_same_frames(made, tmp_path):
    source, bundle = made
    worse = fitted(tmp_path, seed=9, preset="hard")  # of another part
    report, _ = evaluate(source, [Contestant("right", bundle), Contestant("wrong", worse)], replace(OPTIONS, tags=()))
    told = report["comparison"]
    assert told["names"] == ["right", "wrong"]
    (auroc,) = [row for row in told["metrics"] if row["metric"] == "auroc"]
    assert auroc["difference"] < 0
    assert auroc["low"] <= auroc["difference"] <= auroc["high"]
    verdicts = told["verdicts"]
    total = verdicts["both_right"] + verdicts["both_wrong"]
    assert total + len(verdicts["only_first_right"]) + len(verdicts["only_second_right"]) == 40


def test_frames_that_the_model_was_fitted_on_are_refused_and_named(made, monkeypatch):
    source, bundle = made
    used = UsedFrames()
    used.add(source.read(source.frames[0]).pixels)
    from edge.models.evaluate import evaluation

    load = evaluation.load_bundle

    def with_provenance(folder):
        found = load(folder)
        spec = found.spec.model_copy(update={"provenance": {KEY: used.text}})
        return replace(found, spec=spec)

    monkeypatch.setattr(evaluation, "load_bundle", with_provenance)
    with pytest.raises(UserError) as caught:
        evaluate(source, [Contestant("easy", bundle)], OPTIONS)
    text = str(caught.value)
    assert "1 of 40 frames are among those that easy was fitted on, so figures on them say nothing" in text
    assert source.frames[0].file in text
    assert "--seen-before" in text
    evaluate(source, [Contestant("easy", bundle)], EvaluateOptions(replicates=10, pixels=False, seen_before=True))


def test_frames_of_a_part_that_the_model_was_fitted_on_are_refused_with_the_part(made):
    source, _ = made
    first, second, *rest = source.frames
    used = UsedFrames()
    used.add(source.read(first).pixels)
    twin = replace(second, part=first.part)
    whole = source.with_frames([first, twin, *rest])
    with pytest.raises(UserError) as caught:
        refuse_used_parts(frozenset(used.ids), whole, [twin, *rest], "m was fitted on", "split the set")
    text = str(caught.value)
    assert "1 of 39 frames show parts that m was fitted on, so figures on them say little" in text
    assert f"{second.file} (part {first.part}, as {first.file})" in text
    refuse_used_parts(frozenset(used.ids), whole, rest, "m was fitted on", "split the set")


def test_masks_that_cannot_be_used_and_damaged_pictures_are_named_and_the_rest_is_judged(tmp_path, made):
    _, bundle = made
    root = parts_folder(tmp_path / "set", good=6, bad=4)
    masks = sorted((root / "ground_truth").rglob("*.png"))
    save(masks[0], np.full((9, 9), 255, np.uint8))
    save(masks[1], np.zeros((96, 96), np.uint8))
    masks[2].unlink()
    broken = root / "test" / "good" / "part000_day1.png"
    broken.write_bytes(broken.read_bytes()[:200])
    report, _ = evaluate(open_set(root), [Contestant("easy", bundle)], EvaluateOptions(replicates=20))
    notes = "\n".join(report["notes"])
    assert "1 pictures can't be read: test/good/part000_day1.png" in notes
    assert "its mask has 9x9 px, the frame 96x96: 1 frames" in notes
    assert "its mask marks no pixel: 1 frames" in notes
    assert "no mask: 1 frames" in notes
    assert "parts are unknown" in notes
    assert report["models"][0]["pixel"]["regions"] >= 1


def test_one_class_alone_and_no_label_at_all_are_refused(tmp_path, made):
    _, bundle = made
    root = parts_folder(tmp_path / "set", good=3, bad=0)
    with pytest.raises(UserError, match=r"only good frames, so nothing can be told apart\n  received: 3 good, 0 defective"):
        evaluate(open_set(root), [Contestant("easy", bundle)], EvaluateOptions())
    with pytest.raises(UserError, match=r"no frame has a label, so nothing can be judged"):
        evaluate(
            open_set(root / "test" / "good" / ".." / "good").with_frames([]),
            [Contestant("easy", bundle)],
            EvaluateOptions(),
        )


def test_frames_that_people_disagree_on_are_left_out_and_named(made):
    source, bundle = made
    first = source.frames[0]
    disputed = replace(first, votes=(vote(first.file), vote(first.file, "defect", by="ben")))
    report, _ = evaluate(
        source.with_frames([disputed, *source.frames[1:]]),
        [Contestant("easy", bundle)],
        EvaluateOptions(replicates=10, pixels=False),
    )
    assert report["set"]["frames"] == 39
    assert f"1 frames whose labels disagree are left out: {first.file}" in report["notes"]


def test_a_side_that_isnt_there_is_refused(made):
    with pytest.raises(UserError, match=r"--side\n  received: calibrate\n  expected: one of test"):
        chosen_frames(made[0], EvaluateOptions(side="calibrate"))


def test_three_frames_are_judged_and_their_doubt_is_total(tmp_path, made):
    _, bundle = made
    root = parts_folder(tmp_path / "set", good=2, bad=1)
    (model,) = evaluate(open_set(root), [Contestant("easy", bundle)], EvaluateOptions(replicates=50))[0]["models"]
    assert model["verdicts"]["recall"]["low"] == pytest.approx(0.025)


def test_models_named_after_conditions_make_a_matrix_with_a_model_to_a_row(made, tmp_path):
    source, bundle = made
    other = fitted(tmp_path, seed=9, preset="hard")
    report, _ = evaluate(source, [Contestant("1", bundle), Contestant("2", other)], replace(OPTIONS, pixels=False))
    cells = {(c["row"], c["column"]): c["auroc"]["value"] for c in report["matrix"]["cells"]}
    assert cells["1", "1"] == cells["1", "2"] == 1.0
    assert cells["2", "1"] < 0.9
    assert (
        "matrix"
        not in evaluate(source, [Contestant("a", bundle), Contestant("b", other)], replace(OPTIONS, pixels=False))[0]
    )
