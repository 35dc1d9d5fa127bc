"""The score's threshold is measured on good frames alone: one that is unlike the others is refused, left out or kept."""

from __future__ import annotations

import pytest

from edge.errors import UserError
from edge.models.calibrate.score import calibrate_score

GOOD = [(f"{k}.png", 0.2 + 0.01 * (k % 5)) for k in range(40)]
ODD = [*GOOD, ("odd.png", 0.9)]


def test_a_score_unlike_the_others_that_would_set_the_threshold_is_refused_with_the_way_out() -> None:
    with pytest.raises(UserError) as caught:
        calibrate_score(ODD)
    what, received, expected, fix = str(caught.value).split("\n")
    assert what == "odd.png: its score is unlike the other good frames', and sets score.high"
    assert received.startswith("  received: 0.9")
    assert received.endswith("times the usual spread")
    assert expected == "  expected: good frames alone: a defect among them would pass from then on"
    assert fix == "  fix: look at it, then say --leave-out-outliers, or --keep-outliers if it is good"


def test_left_out_it_sets_nothing_and_is_named() -> None:
    result, without = calibrate_score(ODD, outliers="leave_out"), calibrate_score(GOOD)
    assert result is not None
    assert without is not None
    assert (result.high, result.frames, result.left_out) == (without.high, 40, ("odd.png",))
    assert without.left_out == ()
    assert [outlier.name for outlier in result.outliers] == ["odd.png"]


def test_kept_it_counts_like_the_others() -> None:
    result = calibrate_score(ODD, outliers="keep")
    assert result is not None
    assert result.high > 0.9
    assert (result.frames, result.left_out) == (41, ())


def test_what_the_maps_left_out_counts_for_the_score_neither() -> None:
    result = calibrate_score(ODD, left_out=("odd.png",))
    assert result is not None
    assert (result.frames, result.outliers) == (40, ())


@pytest.mark.parametrize(("highest", "reach"), [(1.0, None), (None, 1.0)])
def test_a_score_that_good_frames_fill_to_its_bound_gives_no_threshold(highest: float | None, reach: float | None) -> None:
    """A sigmoid in saturation: a threshold just above 1 is never reached, and the rule would never fire."""
    full = [(f"{k}.png", 1.0 if k % 3 else 0.999) for k in range(40)]
    with pytest.raises(UserError) as caught:
        calibrate_score(full, highest=highest, reach=None if reach is None else lambda: 1.0)
    assert str(caught.value) == (
        "the score is cut off at 1, which 26 of 40 good frames reach\n"
        "  received: no higher value on noise or shapes either\n"
        "  expected: a score in which a defect stands out: no threshold above that value is ever reached, and one at it "
        "rejects good frames\n"
        "  fix: build the bundle from a model that gives its score in front of what bounds it: a sigmoid or softmax, a "
        "scale from each picture's lowest to its highest value, a comparison"
    )


def test_a_threshold_stays_below_what_the_score_can_have() -> None:
    near = [(f"{k}.png", 0.98 + 0.0001 * k) for k in range(40)]
    result = calibrate_score(near, highest=1.0)
    assert result is not None
    assert 0.98 + 0.0001 * 39 < result.high < 1.0


def test_the_table_says_how_many_good_frames_each_threshold_rejects() -> None:
    result = calibrate_score(GOOD)
    assert result is not None
    rows = {candidate.why: candidate.rejected for candidate in result.table}
    assert rows["high"] == 0
    assert [c.threshold for c in result.table] == sorted((c.threshold for c in result.table), reverse=True)


@pytest.mark.parametrize("scores", [[("a", None)], [], [("a", 0.0), ("b", 0.0)], [("a", float("nan")), ("b", 1.0)]])
def test_nothing_is_measured_where_there_is_no_score(scores: list[tuple[str, float | None]]) -> None:
    assert calibrate_score(scores) is None
