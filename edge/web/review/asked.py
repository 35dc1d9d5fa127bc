"""A search for frames comes as the words of a query; empty ones count as not given."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Final

from edge.errors import UserError
from edge.report.moments import moment_ns
from edge.web.review.frame_search import MOST_DETAILS, FrameWish

_MOST: Final = (1 << 63) - 1
_MOST_NUMBERS: Final = 2000


def frame_wish(query: Mapping[str, str], who: str) -> FrameWish:
    """Return the wish of ``since, until, verdict, reason, part, seq, near, dropped, recording, label, kind, disagree`` and
    ``mine``; ``numbers`` are frames of a recording, 2,000 at most.

    Times without a zone are UTC; ``near`` is in percent of the threshold; ``mine=no`` leaves out frames that have ``who``'s
    word.

    Raises:
        UserError: names the word, what was received and what was expected.
    """
    given = {name: text.strip() for name, text in query.items() if text.strip()}
    return FrameWish(
        since_ns=_moment(given, "since"),
        until_ns=_moment(given, "until"),
        verdict=given.get("verdict"),
        reason=given.get("reason"),
        part=_whole(given, "part"),
        seq=_whole(given, "seq"),
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


def _moment(given: Mapping[str, str], name: str) -> int | None:
    return None if name not in given else moment_ns(given[name], name, time.time_ns, in_utc=True)


def _whole(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.removeprefix("-").isdecimal()) or len(text) > 20 or abs(int(text)) > _MOST:
        raise UserError(name, received=text[:40], expected=f"a whole number, at most {_MOST}")
    return int(text)


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
