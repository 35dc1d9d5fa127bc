"""A search comes as the words of a query: times as people write them, numbers, names; empty ones count as not given."""

from __future__ import annotations

import time
from collections.abc import Mapping

from edge.errors import UserError
from edge.report.moments import moment_ns
from edge.web.logs.record_search import MOST_NUMBER, Wish


def wish_of(query: Mapping[str, str]) -> Wish:
    """Return the wish of ``since, until, verdict, reason, part, seq, instance, camera``; times without a zone are UTC.

    Raises:
        UserError: names the word, what was received and what was expected.
    """
    given = {name: text.strip() for name, text in query.items() if text.strip()}
    return Wish(
        camera=given.get("camera"),
        since_ns=_moment(given, "since"),
        until_ns=_moment(given, "until"),
        verdict=given.get("verdict"),
        reason=given.get("reason"),
        part=_whole(given, "part"),
        seq=_whole(given, "seq"),
        instance=given.get("instance"),
    )


def limit_of(query: Mapping[str, str], default: int) -> int:
    """Return ``limit`` of the query. Raises UserError: it is no whole number."""
    limit = _whole({name: text for name, text in query.items() if text}, "limit")
    return default if limit is None else limit


def _moment(given: Mapping[str, str], name: str) -> int | None:
    return None if name not in given else moment_ns(given[name], name, time.time_ns, in_utc=True)


def _whole(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not text.removeprefix("-").isdecimal() or len(text) > 20 or abs(int(text)) > MOST_NUMBER:
        raise UserError(name, received=text[:40], expected=f"a whole number, at most {MOST_NUMBER}")
    return int(text)
