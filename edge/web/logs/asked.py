"""A search comes as the words of a query: times as people write them, numbers, names; empty ones count as not given."""

from __future__ import annotations

from collections.abc import Mapping

from edge.web.logs.record_search import Wish
from edge.web.query_words import given_words, moment_of, whole_number_of


def wish_of(query: Mapping[str, str]) -> Wish:
    """Return the wish of ``since, until, verdict, reason, part, seq, instance, camera``; times without a zone are UTC.

    Raises:
        UserError: names the word, what was received and what was expected.
    """
    given = given_words(query)
    return Wish(
        camera=given.get("camera"),
        since_ns=moment_of(given, "since"),
        until_ns=moment_of(given, "until"),
        verdict=given.get("verdict"),
        reason=given.get("reason"),
        part=whole_number_of(given, "part"),
        seq=whole_number_of(given, "seq"),
        instance=given.get("instance"),
    )


def limit_of(query: Mapping[str, str], default: int) -> int:
    """Return ``limit`` of the query. Raises UserError: it is no whole number."""
    limit = whole_number_of(given_words(query), "limit")
    return default if limit is None else limit
