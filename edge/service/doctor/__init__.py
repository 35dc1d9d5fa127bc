"""What keeps a machine or a config from inspecting well, found before the line runs, each with how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer. ``fail``: the line can't run, or not as its config says. ``warn``: it runs, and will be sorry one day."""

    level: Severity
    what: str
    text: str
    fix: str | None = None
