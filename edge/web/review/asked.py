"""A search for frames comes as the words of a query; empty ones count as not given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from edge.errors import UserError
from edge.web.query_words import given_words, moment_of, whole_number_of
from edge.web.review.frame_search import MOST_DETAILS, FrameWish

_MOST_NUMBERS: Final = 2000


def frame_wish(query: Mapping[str, str], who: str) -> FrameWish:
    """Return the wish of ``since, until, verdict, reason, part, seq, near, dropped, recording, label, kind, disagree`` and
    ``mine``; ``numbers`` are frames of a recording, 2,000 at most.

    Times without a zone are UTC; ``near`` is in percent of the threshold; ``mine=no`` leaves out frames that have ``who``'s
    word.

    Raises:
        UserError: names the word, what was received and what was expected.
    """
    given = given_words(query)
    return FrameWish(
        since_ns=moment_of(given, "since"),
        until_ns=moment_of(given, "until"),
        verdict=given.get("verdict"),
        reason=given.get("reason"),
        part=whole_number_of(given, "part"),
        seq=whole_number_of(given, "seq"),
        near=_share(given, "near"),
        dropped=given.get("dropped"),
        recording=given.get("recording"),
        numbers=tuple(listed_numbers(given.get("numbers", ""), "numbers", _MOST_NUMBERS)),
        label=given.get("label"),
        kind=given.get("kind"),
        without=who if given.get("mine") == "no" else None,
        disagree=given.get("disagree") in ("1", "yes", "true", "on"),
    )


def listed_numbers(text: str, name: str = "ids", most: int = MOST_DETAILS) -> list[int]:
    """Return the numbers of ``1,2,3``. Raises UserError: another text, or more than ``most``."""
    words = [word for word in text.split(",") if word]
    if len(words) > most or not all(word.isascii() and word.isdecimal() and len(word) < 19 for word in words):
        raise UserError(name, received=text[:60], expected=f"at most {most} whole numbers between commas")
    return [int(word) for word in words]


def _share(given: Mapping[str, str], name: str) -> float | None:
    text = given.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1e6:
        raise UserError(name, received=text[:40], expected="percent of the threshold, 0 or more")
    return value / 100
