"""Answers are tried on frames that they never saw; the best is written beside the old version, and the way back is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.factories import factory_set, frames_in, lab_bundle, parts

from edge.config.bundle import SPEC_NAME, Bundle, load_bundle
from edge.disturb.corruptions import CORRUPTIONS
from edge.errors import UserError
from edge.models.evaluate.intervals import share_interval
from edge.models.sets.open import open_set
from edge.models.sets.used import content_id, fitted_on
from edge.shift.adaptation import Adaptation, adapt
from edge.shift.answers.table import answers_of
from edge.shift.subject import open_subject
from edge.shift.version import ADAPTED, copy_bundle, report, undo, write_version

BLURRED = CORRUPTIONS["defocus"].steady(1.2, 1)
SOME = ("threshold", "moments", "add-3", "coral", "tent")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return lab_bundle(tmp_path_factory.mktemp("lab"), frames=24)


@pytest.fixture(scope="module")
def blurred(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Adaptation:
    source = factory_set(tmp_path_factory.mktemp("factory"), BLURRED, count=18)
    return adapt(open_subject(bundle.folder), source, answers_of(SOME))


def test_a_blurred_line_gets_an_answer_that_wins_its_good_frames_back(blurred: Adaptation) -> None:
    assert blurred.frozen.false_rejects == 1.0
    taken = blurred.choice.taken
    assert taken is not None
    assert taken.row.name in ("moments", "add-3")
    assert taken.trial is not None
    assert taken.trial.false_rejects <= 1 / 6
    assert taken.trial.recall >= 0.85
    assert taken.trial.interval == share_interval(taken.trial.rejected, 12)
    rows = {one.row.name: one for one in blurred.tried}
    threshold = rows["threshold"].trial
    assert threshold is not None
    assert threshold.recall < taken.trial.recall - 0.1  # a threshold above the blurred edges lies above defects, too
    assert rows["coral"].why_not is not None
    assert rows["tent"].why_not is not None
    assert "one-class score" in rows["tent"].why_not


def test_the_report_says_what_was_measured_before_and_after(blurred: Adaptation) -> None:
    told = report(blurred)
    assert told["kind"] == "adaptation"
    assert told["frames"] == {"adapt": 6, "threshold": 12, "judged": 0}
    assert told["before"]["false_rejects"] == 1.0
    assert [row["answer"] for row in told["answers"]] == list(SOME)
    assert told["taken"] == blurred.choice.taken.row.name if blurred.choice.taken else None
    assert told["why"].startswith(f"{told['taken']}: false rejects 12 of 12")


def test_the_new_version_tells_where_it_comes_from_and_the_old_one_is_untouched(
    blurred: Adaptation, bundle: Bundle, tmp_path: Path
) -> None:
    before = {name: (bundle.folder / name).read_bytes() for name in (*bundle.spec.files, SPEC_NAME)}
    new = write_version(tmp_path / "v2", blurred)
    assert {name: (bundle.folder / name).read_bytes() for name in before} == before
    made = new.spec.provenance[ADAPTED]
    assert made["from"]["sha256"] == bundle.sha256
    assert made["before"]["false_rejects"] == 1.0
    assert made["after"]["recall"] >= 0.85
    assert new.spec.display.threshold == made["after"]["threshold"]
    assert new.sha256 != bundle.sha256
    assert "self_test.json" in new.spec.files
    assert open_subject(new.folder).threshold == pytest.approx(made["after"]["threshold"])
    adapted = {blurred.factory.ids[frame.file] for frame in blurred.factory.adapt}
    assert adapted <= fitted_on(new)  # edge evaluate refuses to judge it on these
    assert not adapted & set(made["threshold_on"].split())


def test_undo_gives_the_old_hash_and_copies_it_byte_for_byte(blurred: Adaptation, bundle: Bundle, tmp_path: Path) -> None:
    new = write_version(tmp_path / "v2", blurred)
    old = undo(load_bundle(new.folder))
    assert old.sha256 == bundle.sha256
    again = copy_bundle(old, tmp_path / "live")
    assert again.sha256 == bundle.sha256
    for name in (*bundle.spec.files, SPEC_NAME):
        assert (again.folder / name).read_bytes() == (bundle.folder / name).read_bytes()
    copy_bundle(new, tmp_path / "live", force=True)
    assert load_bundle(tmp_path / "live").sha256 == new.sha256
    with pytest.raises(UserError, match="there is a bundle already"):
        copy_bundle(old, tmp_path / "live")


def test_a_bundle_that_was_not_adapted_has_no_way_back(bundle: Bundle) -> None:
    with pytest.raises(UserError, match="not adapted, so there is nothing to undo"):
        undo(bundle)


def test_undo_refuses_another_bundle_in_the_old_ones_place(blurred: Adaptation, bundle: Bundle, tmp_path: Path) -> None:
    moved = copy_bundle(bundle, tmp_path / "v1")
    subject = replace(blurred.subject, bundle=moved)
    new = write_version(tmp_path / "v2", replace(blurred, subject=subject))
    assert undo(new).folder == moved.folder
    spec = (moved.folder / SPEC_NAME).read_text()
    (moved.folder / SPEC_NAME).write_text(spec.replace("map_times_gain: true", "map_times_gain: false"))
    with pytest.raises(UserError, match=rf"isn't there\n.*\n  expected: .* with hash {bundle.sha256[:12]}"):
        undo(new)


def test_the_old_bundle_is_never_written_over(blurred: Adaptation, bundle: Bundle) -> None:
    with pytest.raises(UserError, match="the way back would be lost"):
        write_version(bundle.folder, blurred, force=True)


def test_without_a_shift_the_model_is_kept(bundle: Bundle, tmp_path: Path) -> None:
    done = adapt(open_subject(bundle.folder), factory_set(tmp_path, count=18), answers_of(["threshold", "add-1"]))
    assert done.choice.taken is None
    assert done.choice.why.startswith("keep: the model holds on these frames (false rejects ")


def test_defective_frames_among_the_confirmed_ones_are_left_out_and_named(bundle: Bundle, tmp_path: Path) -> None:
    source = factory_set(tmp_path, count=18, bad=2)
    done = adapt(open_subject(bundle.folder), source, answers_of(["threshold"]))
    assert {int(name[:5]) for name in done.suspects} == {7000, 7001}
    assert done.choice.taken is None


def test_a_set_of_which_most_look_defective_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    parts(tmp_path, 12, 5000)
    parts(tmp_path, 6, 7000, rate=1.0)
    with pytest.raises(UserError, match=r"contaminated: too many of the good frames look defective\n  received: \d of 18"):
        adapt(open_subject(bundle.folder), open_set(tmp_path), answers_of(["threshold"]))


def test_parts_out_of_place_are_said(bundle: Bundle, tmp_path: Path) -> None:
    def away(picture: Any) -> Any:
        return CORRUPTIONS["shift"].apply(picture, 40, np.random.default_rng(0))

    with pytest.raises(UserError, match="the parts lie out of place in the frames to adapt by"):
        adapt(open_subject(bundle.folder), factory_set(tmp_path, away, count=16), answers_of(["threshold"]))


def test_frames_adapted_to_once_are_not_taken_again(blurred: Adaptation, tmp_path: Path) -> None:
    new = write_version(tmp_path / "v2", blurred)
    source = blurred.factory.source
    with pytest.raises(UserError, match=r"6 of 18 frames were used before: .*v2 was made from them"):
        adapt(open_subject(new.folder), source, answers_of(["threshold"]))
    assert content_id(frames_in(source.root)[0].pixels) in fitted_on(new)
