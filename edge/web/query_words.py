"""A search comes as the words of a query: times as people write them, numbers, names; empty ones count as not given."""

from __future__ import annotations

import time
from collections.abc import Mapping

from edge.errors import UserError
from edge.report.moments import moment_ns
from edge.web.column_values import MOST_NUMBER


def given_words(query: Mapping[str, str]) -> dict[str, str]:
    """Return the words that are not empty, without spaces around them."""
    return {name: text.strip() for name, text in query.items() if text.strip()}


def moment_of(given: Mapping[str, str], name: str) -> int | None:
    """Return a time in ns since 1970, UTC if it names no zone; None if it isn't given. Raises UserError."""
    return None if name not in given else moment_ns(given[name], name, time.time_ns, in_utc=True)


def whole_number_of(given: Mapping[str, str], name: str) -> int | None:
    """Return a whole number that SQLite can hold; None if it isn't given.

    Raises:
        UserError: names the word, what was received and what was expected.
    """
    text = given.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.removeprefix("-").isdecimal()) or len(text) > 20 or abs(int(text)) > MOST_NUMBER:
        raise UserError(name, received=text[:40], expected=f"a whole number, at most {MOST_NUMBER}")
    return int(text)
