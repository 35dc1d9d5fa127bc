"""Which answer is taken (pure): the one that does the least harm on frames it never saw, and none where none is better.

A model that holds is kept: an answer measured on twenty frames looks better or worse than it is by chance, and a change
that buys nothing is a risk.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge.shift.answers.protocol import AnswerRow, Proposal
from edge.shift.bundle_trial import Trial

ALIKE: Final = 0.06
"""Difference in harm below which two answers are alike, and the gentler one is taken: one frame of twenty is 0.05."""
GAIN: Final = 0.05
"""By how much an answer must be better than the model as it is."""
LEAST_SEEN: Final = 0.5
"""Share of the pasted defects that an answer must see to be taken. Where it sees fewer, they don't stand for what the
model is there to see: out of focus on magnetic tiles one that saw fewer won a good frame back and lost seven real defects
of eight.
"""
RECALL_LOSS: Final = 0.10
"""How far recall may lie below the lab's before the model counts as broken."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One answer: its figures, or why there are none."""

    row: AnswerRow
    proposal: Proposal | None = None
    trial: Trial | None = None
    why_not: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerChoice:
    """``taken`` None: keep the model. ``why``: in words."""

    taken: Tried | None
    why: str


def ranked(tried: Sequence[Tried]) -> list[Tried]:
    """Answers whose false rejects and recall are known, the least harm first; of those alike the gentler first."""
    measured = [one for one in tried if one.trial is not None and not math.isnan(one.trial.recall)]
    order = {id(one): number for number, one in enumerate(measured)}
    left, found = sorted(measured, key=_harm), list[Tried]()
    while left:
        best = _harm(left[0])
        chosen = min((one for one in left if _harm(one) <= best + ALIKE), key=lambda one: order[id(one)])
        found.append(chosen)
        left.remove(chosen)
    return found


def choose(frozen: Trial, tried: Sequence[Tried], *, limit: float, lab_recall: float | None) -> AnswerChoice:
    """Keep the model where its false rejects and recall hold, or no answer is clearly better; else the best answer.

    ``limit``: false rejects that the line can live with. ``lab_recall``: of the same pasted defects in the lab's frames.
    """
    sentence = f"false rejects {frozen.rejected} of {frozen.frames}, recall {frozen.recall:.2f}"
    holds = frozen.interval[0] <= limit
    sees = lab_recall is None or not frozen.recall < lab_recall - RECALL_LOSS
    if holds and sees:
        return AnswerChoice(None, f"keep: the model holds on these frames ({sentence})")
    order = ranked(tried)
    if not order:
        return AnswerChoice(None, f"keep: no answer can be given here; the model does not hold ({sentence})")
    seeing = [one for one in order if one.trial is not None and one.trial.recall >= LEAST_SEEN]
    if not seeing:
        passes = "would let more than half of the pasted defects pass, so that these can't say what it costs"
        return AnswerChoice(None, f"keep: {order[0].row.name} {passes} ({sentence})")
    best = seeing[0]
    assert best.trial is not None
    if not best.trial.harm <= frozen.harm - GAIN:
        return AnswerChoice(None, f"keep: no answer does clearly better than the model as it is ({sentence})")
    after = f"false rejects {best.trial.rejected} of {best.trial.frames}, recall {best.trial.recall:.2f}"
    left = "" if best.trial.interval[0] <= limit else f"; still above the limit of {limit:.0%}"
    return AnswerChoice(best, f"{best.row.name}: {sentence} before, {after} after{left}")


def _harm(one: Tried) -> float:
    assert one.trial is not None
    return one.trial.harm
