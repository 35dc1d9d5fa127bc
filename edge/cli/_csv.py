"""Rows go to standard output as CSV, for spreadsheets and scripts."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any


def print_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> int:
    """Print a head and the rows; return their number. Times are ISO 8601 in UTC, what is unknown is empty."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(columns)
    count = 0
    for row in rows:
        out.writerow([_plain(row[name]) for name in columns])
        count += 1
    return count


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value[:1] in "=+-@\t\r":  # a spreadsheet would run it
        return "'" + value
    return value
