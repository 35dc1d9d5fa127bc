"""The model is kept unless it broke and an answer is clearly better; of answers alike the gentler one is taken."""

from __future__ import annotations

import math

import pytest

from edge.errors import UserError
from edge.shift.answers.protocol import AnswerRow
from edge.shift.answers.table import ANSWERS, answers_of
from edge.shift.bundle_trial import Trial
from edge.shift.rank import AnswerChoice, Tried, choose, ranked


def trial(rejected: int, recall: float, frames: int = 20) -> Trial:
    return Trial(1.0, rejected, frames, recall, 5.0)


def tried(name: str, rejected: int, recall: float) -> Tried:
    return Tried(AnswerRow(name, "", name), trial=trial(rejected, recall))


def taken(choice: AnswerChoice) -> str | None:
    return None if choice.taken is None else choice.taken.row.name


GOOD = tried("add-3", 0, 0.97)


@pytest.mark.parametrize(
    ("rejected", "recall", "expected"),
    [
        (0, 0.97, None),  # it holds
        (3, 0.97, None),  # 15 % of 20 may be 3 % in truth
        (4, 0.97, "add-3"),  # 20 % of 20 is above 5 % for sure
        (20, 1.0, "add-3"),
        (0, 0.80, "add-3"),  # it no longer sees what it saw in the lab
    ],
)
def test_a_model_that_holds_is_kept(rejected: int, recall: float, expected: str | None) -> None:
    assert taken(choose(trial(rejected, recall), [GOOD], limit=0.05, lab_recall=0.98)) == expected


def test_no_answer_that_is_not_clearly_better_is_taken() -> None:
    frozen = trial(8, 0.97)
    assert taken(choose(frozen, [tried("threshold", 0, 0.60)], limit=0.05, lab_recall=None)) is None
    choice = choose(frozen, [tried("threshold", 6, 0.97)], limit=0.05, lab_recall=None)
    assert taken(choice) == "threshold"
    assert choice.why.endswith("still above the limit of 5%")
    assert choose(frozen, [], limit=0.05, lab_recall=None).why.startswith("keep: no answer can be given here")


def test_of_answers_alike_the_gentler_one_comes_first() -> None:
    rows = [tried("threshold", 1, 0.90), tried("moments", 0, 0.92), tried("refit", 0, 0.96), tried("tta-max", 9, 0.5)]
    assert [one.row.name for one in ranked(rows)] == ["moments", "refit", "threshold", "tta-max"]


def test_answers_without_figures_are_not_ranked() -> None:
    rows = [Tried(AnswerRow("coral", "", "coral"), why_not="20 frames"), GOOD]
    assert ranked(rows) == [GOOD]


def test_where_recall_cannot_be_measured_the_model_is_kept() -> None:
    choice = choose(trial(20, math.nan), [tried("threshold", 0, math.nan)], limit=0.05, lab_recall=None)
    assert taken(choice) is None


@pytest.mark.parametrize("recall", [0.01, 0.49])
def test_an_answer_by_which_most_defects_would_pass_is_not_taken(recall: float) -> None:
    choice = choose(trial(4, 0.5), [tried("threshold", 1, recall)], limit=0.05, lab_recall=0.7)
    assert taken(choice) is None
    assert choice.why == (
        "keep: threshold would let more than half of the pasted defects pass, so that these can't say what it costs "
        "(false rejects 4 of 20, recall 0.50)"
    )


def test_an_answer_that_sees_enough_is_taken_before_one_that_does_less_harm_and_sees_too_little() -> None:
    rows = [tried("threshold", 0, 0.45), tried("refit", 3, 0.52)]
    assert taken(choose(trial(19, 0.60), rows, limit=0.05, lab_recall=None)) == "refit"


def test_the_table_has_every_answer_once_and_the_gentlest_first() -> None:
    names = [row.name for row in ANSWERS]
    assert len(names) == len(set(names))
    assert names[0] == "threshold"
    assert [row.name for row in answers_of(["coral", "threshold"])] == ["threshold", "coral"]
    with pytest.raises(UserError, match=r"--only\n  received: magic\n  expected: some of threshold, normalise"):
        answers_of(["magic"])
