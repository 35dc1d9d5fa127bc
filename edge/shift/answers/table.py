"""The table of answers, the gentlest first: among answers that do equally well the earlier one is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge.errors import UserError
from edge.shift.answers.protocol import AnswerRow

ANSWERS: Final[tuple[AnswerRow, ...]] = (
    AnswerRow("threshold", "the same model at a threshold of the factory's own good frames", "threshold"),
    AnswerRow("normalise", "mean and spread of the pictures brought to the lab's, within bounds", "normalise"),
    AnswerRow("moments", "mean and spread of the features brought to the lab's", "feature_moments"),
    AnswerRow("add-1", "the factory's good frames added to the model", "add_normals", {"weight": 1}),
    AnswerRow("add-3", "the same, each counting three times", "add_normals", {"weight": 3}),
    AnswerRow("coral", "covariance of the features brought to the lab's, shrunk, behind a gate", "coral"),
    AnswerRow("refit", "a model of the factory's frames alone", "factory_alone"),
    AnswerRow("tta-mean", "mean of the maps over the flips and shifts that the part allows", "views", {"how": "mean"}),
    AnswerRow("tta-max", "their highest", "views", {"how": "max"}),
    AnswerRow("tent", "norm statistics of a trained network or head measured anew, then its entropy lowered", "tent"),
)


def answers_of(names: Sequence[str]) -> tuple[AnswerRow, ...]:
    """The rows of these names, all without any.

    Raises:
        UserError: there is no such answer.
    """
    known = {row.name: row for row in ANSWERS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError("--only", received=", ".join(unknown), expected=f"some of {', '.join(known)}")
    return tuple(row for row in ANSWERS if not names or row.name in names)
