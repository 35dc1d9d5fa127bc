"""The reference: what is usual, from how many independent looks, and what is wrong with it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from support.baselines import still

from edge.drift.detector import Detector
from edge.drift.floors import FLOORS
from edge.drift.reference import make_reference, time_constants
from edge.drift.statistics import INDEX, NAMES
from edge.errors import UserError


def slow(frames: int, tau: float, seed: int) -> NDArray[np.float64]:
    """Variation of this time constant, one standard deviation of ten floors on all statistics."""
    rng = np.random.default_rng(seed)
    keep = np.exp(-1 / tau)
    values = np.empty((frames, len(NAMES)))
    values[0] = rng.standard_normal(len(NAMES))
    steps = rng.standard_normal((frames, len(NAMES))) * np.sqrt(1 - keep**2)
    for number in range(1, frames):
        values[number] = keep * values[number - 1] + steps[number]
    return values * 10 * FLOORS


def test_independent_frames_have_the_shortest_time_constant_and_no_note() -> None:
    reference = make_reference([still(2000)])
    assert reference.tau.max() < 2
    assert reference.looks.min() == 40  # as many as blocks
    assert reference.notes == ()
    assert reference.widening.max() == pytest.approx(np.sqrt(41 / 40 * 39 / 37))
    assert reference.block_sigma == pytest.approx(1.75 * FLOORS, rel=0.5)


def test_the_time_constant_of_slow_variation_is_about_right() -> None:
    tau = make_reference([slow(20_000, 500, 1)]).tau
    assert 300 < np.median(tau) < 1200  # never below the upper tenth of the statistics' own


def test_the_longest_correlation_counts_in_short_series() -> None:
    rng = np.random.default_rng(0)
    assert time_constants(rng.standard_normal((400, 2))).max() < 1.5


def test_a_reference_below_20_time_constants_is_warned_of() -> None:
    (note, *_) = make_reference([slow(3000, 500, 2)]).notes
    assert note.startswith("the reference spans ")
    assert " time constants of " in note
    assert "20 are enough: limits are widened " in note


def test_a_reference_that_drifts_itself_is_said_with_the_picture() -> None:
    values = still(1000)
    values[600:, INDEX["log_gain"]] += 20 * FLOORS[INDEX["log_gain"]]
    names = [f"rec/{number:05d}.png" for number in range(1000)]
    notes = [note for note in make_reference([values], [names]).notes if "itself drifts" in note]
    assert len(notes) == 1
    assert "the reference itself drifts: log_gain goes from " in notes[0]
    assert " around rec/00600.png; look at that picture, and calibrate on frames from after the change" in notes[0]


def test_a_ramp_through_the_reference_is_a_drift_too() -> None:
    values = still(1000)
    values[:, INDEX["offset"]] += np.linspace(0, 40, 1000) * FLOORS[INDEX["offset"]]
    assert any("itself drifts: offset" in note for note in make_reference([values]).notes)


def test_slow_variation_is_no_drift_of_the_reference() -> None:
    notes = [note for seed in range(5) for note in make_reference([slow(10_000, 500, seed)]).notes]
    assert [note for note in notes if "itself drifts" in note] == []


@pytest.mark.parametrize(("lengths", "blocks"), [((199,), 3), ((30,), 0), ((49, 49, 49, 120), 2), ((0,), 0)])
def test_too_few_frames_are_refused(lengths: tuple[int, ...], blocks: int) -> None:
    with pytest.raises(UserError) as error:
        make_reference([still(length) for length in lengths])
    first, received, expected, _ = str(error.value).splitlines()
    assert first == "too few frames for a reference of what is usual"
    assert received == f"  received: {sum(lengths)} measured frames, {blocks} whole blocks of 50"
    assert expected.startswith(
        "  expected: at least 200 of one recording, better 20 times as many as the line's light and "
    )


def test_the_same_picture_over_and_over_is_refused() -> None:
    with pytest.raises(UserError) as error:
        make_reference([np.repeat(still(1), 400, axis=0)])
    assert str(error.value).splitlines()[:2] == [
        "all frames are the same picture",
        "  received: 400 frames without any difference",
    ]


def test_blocks_of_several_recordings_stay_apart() -> None:
    day, night = still(275, 1), still(275, 2)
    night[:, INDEX["log_gain"]] += 15 * FLOORS[INDEX["log_gain"]]
    both = make_reference([day, night])
    assert both.frames == 550
    # the difference between day and night is usual on this line
    assert both.block_sigma[INDEX["log_gain"]] > 6 * FLOORS[INDEX["log_gain"]]


def test_slow_variation_is_no_false_warning() -> None:
    """Four runs of 8,000 frames, all statistics with a time constant of 500; scripts/eval_drift.py has the long form."""
    for seed in range(4):
        values = slow(20_000, 500, 10 + seed)
        detector = Detector(make_reference([values[:10_000]]))
        blocks = [detector.add(row, 0) for row in values[12_000:]]
        assert not any(block is not None and block.warns(3) for block in blocks)
