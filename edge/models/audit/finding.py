"""What an audit finds, in a form for tables, JSON and exit codes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Weight: TypeAlias = Literal["forbids", "warns", "notes"]
"""``forbids``: figures of one set say nothing about the other. ``warns``: they may mislead. ``notes``: worth knowing."""


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One thing that was found. ``code``: for programs. ``sets``: the names of the sets it is about.

    ``text``: for people, with its numbers. ``frames``: those that it is about, each with what belongs to it.
    """

    code: str
    weight: Weight
    sets: tuple[str, ...]
    text: str
    frames: tuple[dict[str, Any], ...] = ()
    values: dict[str, Any] = field(default_factory=dict)

    def message(self) -> dict[str, Any]:
        """The finding as JSON has it."""
        return {
            "code": self.code,
            "weight": self.weight,
            "sets": list(self.sets),
            "text": self.text,
            "values": self.values,
            "frames": list(self.frames),
        }


def is_forbidden(findings: list[AuditFinding]) -> bool:
    """Whether any finding forbids the comparison."""
    return any(finding.weight == "forbids" for finding in findings)
