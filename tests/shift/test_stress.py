"""What a model stands: the figures follow from the outcomes, limits break where they say, and the seed decides all."""

from __future__ import annotations

import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.judged import fitted, parts_folder
from support.sets import save

from edge.disturb.corruptions import CORRUPTIONS
from edge.errors import UserError
from edge.models.sets.open import open_set
from edge.shift.stress import LineLimits, Stress, StressCurve, StressPoint, StressRun, first_breach, point, run_stress
from edge.shift.stress_task import Outcome, ways_of
from edge.shift.subject import open_subject

LIMITS = LineLimits(false_rejects=0.05, recall_loss=0.10)


def at(strength: float, false_rejects: float, recall: float) -> StressPoint:
    return StressPoint(strength, false_rejects, (0.0, 1.0), recall, 0.9, 0.0)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(0, 0.0, 1.0), (1, 0.02, 1.0), (2, 0.05, 0.9)], None),
        ([(0, 0.0, 1.0), (1, 0.0, 1.0), (2, 0.10, 1.0)], (1.5, "false rejects")),
        ([(0, 0.0, 0.9), (4, 0.0, 0.7)], (2.0, "recall")),
        ([(0, 0.0, 1.0), (2, 0.5, 0.6)], (0.2, "false rejects")),
        ([(0, 0.2, 1.0), (1, 0.0, 1.0)], (0.0, "false rejects")),
        ([(0, 0.0, math.nan), (1, 0.0, math.nan)], None),
    ],
)
def test_a_limit_breaks_between_the_steps_where_it_is_crossed(
    points: list[tuple[float, float, float]], expected: tuple[float, str] | None
) -> None:
    breach = first_breach([at(*values) for values in points], LIMITS)
    assert (None if breach is None else (pytest.approx(breach.strength), breach.what)) == expected


def test_a_frame_without_a_verdict_counts_as_rejected_and_has_no_rank() -> None:
    good = [Outcome(0.1, True), Outcome(0.2, True), Outcome(None, False), Outcome(0.9, False)]
    bad = [Outcome(0.8, False), Outcome(0.15, True)]
    figures = point(1.0, good, bad)
    assert figures.false_rejects == 0.5
    assert figures.recall == 0.5
    assert figures.auroc == pytest.approx(0.5)
    assert figures.invalid == pytest.approx(1 / 6)
    assert figures.false_rejects_interval[0] < 0.5 < figures.false_rejects_interval[1]


def test_light_has_two_directions_and_a_turn_is_drawn() -> None:
    ways = ways_of(["brightness", "rotation", "motion blur"])
    assert [way.name for way in ways] == ["brightness +", "brightness -", "rotation", "motion blur"]
    assert ways[1].words(18) == "darker by 18 %"
    assert [ways[2].signed(1.0, index) for index in (0, 1)] == [-1.0, 1.0]
    assert [ways[3].signed(4.0, index) for index in (0, 1)] == [4.0, 4.0]
    assert {way.corruption.name for way in ways_of()} == set(CORRUPTIONS)


def test_an_unknown_corruption_is_refused_with_those_that_are_there() -> None:
    with pytest.raises(UserError, match=r"--only\n  received: fog\n  expected: some of brightness"):
        ways_of(["fog"])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return parts_folder(tmp_path_factory.mktemp("set"), good=12, bad=8)


def test_a_model_is_stressed_on_a_sets_own_defects_and_the_seed_decides(bundle: Path, folder: Path) -> None:
    subject, source = open_subject(bundle, threshold=9.0), open_set(folder)
    ways = ways_of(["brightness", "noise"])
    results = [run_stress(subject, source, source.frames, ways, limits=LIMITS, seed=3) for _ in range(2)]
    first, again = (result.to_json(subject, LIMITS, 3) for result in results)
    assert first == again
    result = results[0]
    assert (result.good, result.defective, result.defects_source) == (12, 8, "the set's own")
    assert [curve.way.name for curve in result.curves] == ["brightness +", "brightness -", "noise"]
    brighter = result.curves[0].points
    assert [p.strength for p in brighter] == [0, 5, 10, 18, 25, 35]
    rejects = [p.false_rejects for p in brighter]
    assert rejects[0] < rejects[-1] == 1.0  # every pixel is 35 % off, and the pixel model allows a few levels
    assert result.curves[0].breach is not None
    assert result.curves[0].breach.what == "false rejects"
    assert 0 < result.curves[0].breach.strength < 35
    assert result.curves[0].verdict.startswith("false rejects at brighter by ")


def test_a_model_that_sees_no_defect_is_not_said_to_stand_all() -> None:
    way = ways_of(["noise"])[0]
    blind = Stress((StressCurve(way, tuple(at(s, 0.0, 0.05) for s in range(6)), None),), 20, 20, "the set's own", ())
    assert blind.notes(LIMITS) == [
        "as they are it sees 5% of the defects, so recall can't fall any more: false rejects alone count"
    ]
    assert (
        replace(blind, known=3)
        .notes(LIMITS)[0]
        .startswith("3 of the 20 good frames are those that the model was fitted on")
    )
    seeing = Stress((StressCurve(way, tuple(at(s, 0.0, 0.9) for s in range(6)), None),), 20, 20, "the set's own", ())
    assert seeing.notes(LIMITS) == []


def test_two_workers_find_the_same(bundle: Path, folder: Path) -> None:
    subject, source = open_subject(bundle, threshold=9.0), open_set(folder)
    ways = ways_of(["noise"])
    results = [run_stress(subject, source, source.frames, ways, run=StressRun(workers)) for workers in (1, 2)]
    assert results[0].to_json(subject, LIMITS, 0) == results[1].to_json(subject, LIMITS, 0)


def test_a_stress_that_was_stopped_goes_on_from_its_finished_shards(bundle: Path, folder: Path, tmp_path: Path) -> None:
    subject, source, kept = open_subject(bundle, threshold=9.0), open_set(folder), tmp_path / "parts"

    def stressed(names: list[str], most: int = 1000) -> dict[str, Any]:
        def say(done: int, _total: int) -> None:
            if done > most:
                raise KeyboardInterrupt

        run = StressRun(kept_in=kept)
        result = run_stress(subject, source, source.frames, ways_of(names), run=run, say=say)
        return result.to_json(subject, LIMITS, 0)

    with pytest.raises(KeyboardInterrupt):
        stressed(["noise"], most=10)
    first = {part.name: part.stat().st_mtime_ns for part in kept.iterdir()}
    assert len(first) == 2
    again = stressed(["noise"])
    assert len(list(kept.iterdir())) == 5
    assert {name: (kept / name).stat().st_mtime_ns for name in first} == first
    plain = run_stress(subject, source, source.frames, ways_of(["noise"])).to_json(subject, LIMITS, 0)
    assert again == plain
    stressed(["defocus"])  # another question: none of them is an answer
    assert len(list(kept.iterdir())) == 10


def test_a_set_without_defects_gets_planted_ones_which_the_model_sees(bundle: Path, folder: Path) -> None:
    subject, source = open_subject(bundle, threshold=9.0), open_set(folder / "test" / "good")
    result = run_stress(subject, source, source.frames, ways_of(["stray_light"]), seed=1)
    assert (result.good, result.defective) == (12, 12)
    assert result.defects_source.startswith("planted defects of 15 % contrast")
    first = result.curves[0].points[0]
    assert first.recall >= 0.75 > first.false_rejects


def test_too_few_good_frames_are_refused(bundle: Path, folder: Path) -> None:
    source = open_set(folder / "test" / "good")
    with pytest.raises(UserError, match=r"too few good frames .*\n  received: 9 that can be read\n  expected: at least 10"):
        run_stress(open_subject(bundle, 9.0), source, source.frames[:9], ways_of(["noise"]))


def test_defective_frames_of_another_size_are_refused_too(bundle: Path, folder: Path, tmp_path: Path) -> None:
    """They are judged invalid, which counted as found: recall 1.00 of good pictures that were cut smaller."""
    place = shutil.copytree(folder / "test", tmp_path / "test")
    save(next(path for path in place.iterdir() if path.name != "good") / "x.png", np.full((48, 64), 90, np.uint8))
    source = open_set(place)
    with pytest.raises(UserError, match=r"frames of another size than .*\n  received: 64x48 grey .*x.png"):
        run_stress(open_subject(bundle, 9.0), source, source.frames, ways_of(["noise"]), limits=LIMITS)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (
            np.random.default_rng(0).integers(0, 255, (48, 64), np.uint8),
            r"another size than .*bundle .*64x48 grey .*96x96, as",
        ),
        (np.full((96, 96), 90, np.uint8), r"x.png shows one level alone.*1 of 13 frames are even"),
    ],
)
def test_frames_that_say_nothing_of_the_model_are_refused(
    bundle: Path, folder: Path, tmp_path: Path, picture: Any, expected: str
) -> None:
    """Another size gave a table of 100 % false rejects, as if the model were to blame."""
    place = shutil.copytree(folder / "test" / "good", tmp_path / "good")
    save(place / "x.png", picture)
    with pytest.raises(UserError) as caught:
        run_stress(open_subject(bundle, 9.0), (source := open_set(place)), source.frames, ways_of(["noise"]), limits=LIMITS)
    assert re.search(expected, str(caught.value), re.DOTALL)


def test_the_threshold_of_a_bare_bundle_is_told_where_it_comes_from(bundle: Path) -> None:
    assert open_subject(bundle, 2.0).threshold_from == "--threshold"
    subject = open_subject(bundle)
    assert "display threshold" in subject.threshold_from  # this fit made no self-test
    assert subject.threshold == subject.bundle.spec.display.threshold


def test_corruption_comes_after_the_defect_and_keeps_bits(bundle: Path, folder: Path) -> None:
    source = open_set(folder)
    frame = source.read(source.frames[0])
    rng = np.random.default_rng(0)
    assert CORRUPTIONS["noise"].apply(frame.pixels, 2, rng, frame.bits).dtype == frame.pixels.dtype
