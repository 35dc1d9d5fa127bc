"""The doctor finds what keeps a machine or a config from inspecting well before the line runs, and says how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding is one answer. ``fail``: the line can't run, or not as its config says. ``warn``: it runs, but may fail one
    day.
    """

    level: Severity
    what: str
    text: str
    fix: str | None = None
