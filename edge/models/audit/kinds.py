"""What the labels of two sets allow to be compared (pure): kinds that one lacks, shares that differ, kinds too rare to
judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge.models.audit.finding import AuditFinding
from edge.models.evaluate.intervals import share_interval
from edge.models.sets.frame_set import SetFrame

FEW: Final = 20
"""Parts of a kind below which its recall is given with a warning: all caught would mean 0.83 to 1."""


def audit_kinds(name: str, frames: Sequence[SetFrame]) -> list[AuditFinding]:
    """Findings on the labels of one set."""
    findings = []
    parts = _parts_by_kind(frames)
    disputed = [frame for frame in frames if frame.label == "disputed"]
    if disputed:
        text = f"{len(disputed)} frames of {name} whose labels disagree: {_who(disputed[0])}"
        files = tuple({"file": f.file, "votes": {v.by: v.label for v in f.votes}} for f in disputed)
        findings.append(AuditFinding("labels_disagree", "warns", (name,), text, files))
    for kind, members in sorted(parts.items()):
        if kind in ("good", "unlabelled", "disputed") or len(members) >= FEW:
            continue
        low, high = share_interval(len(members), len(members))
        text = (
            f"{len(members)} parts with {kind} in {name}: recall {low:.2f} to {high:.2f} can't be told apart, even if "
            "all are caught"
        )
        findings.append(AuditFinding("few_of_a_kind", "notes", (name,), text, (), {"kind": kind, "parts": len(members)}))
    return findings


def compare_kinds(names: tuple[str, str], left: Sequence[SetFrame], right: Sequence[SetFrame]) -> list[AuditFinding]:
    """Findings on what the labels of two sets have in common. Sets without any label say nothing."""
    parts = [_parts_by_kind(frames) for frames in (left, right)]
    known = [{k: v for k, v in side.items() if k not in ("good", "unlabelled", "disputed")} for side in parts]
    findings = []
    if all(known):
        for mine, other, name, elsewhere in ((0, 1, names[0], names[1]), (1, 0, names[1], names[0])):
            for kind in sorted(known[mine].keys() - known[other].keys()):
                count = len(known[mine][kind])
                text = f"{kind}: {count} parts in {name}, none in {elsewhere}; nothing is known about it there"
                findings.append(AuditFinding("kind_missing", "warns", names, text, (), {"kind": kind, "only_in": name}))
        findings += _shares(names, known)
    return findings


def _shares(names: tuple[str, str], known: Sequence[dict[str, set[str]]]) -> list[AuditFinding]:
    findings = []
    totals = [sum(len(parts) for parts in side.values()) for side in known]
    for kind in sorted(known[0].keys() & known[1].keys()):
        counts = [len(side[kind]) for side in known]
        intervals = [share_interval(c, t) for c, t in zip(counts, totals, strict=True)]
        if intervals[0][1] < intervals[1][0] or intervals[1][1] < intervals[0][0]:
            shares = [c / t for c, t in zip(counts, totals, strict=True)]
            text = (
                f"{kind}: {100 * shares[0]:.0f} % of the defective parts of {names[0]}, {100 * shares[1]:.0f} % of those "
                f"of {names[1]}; weigh recalls by kind, not by picture"
            )
            values = {"kind": kind, "shares": shares, "intervals": [list(i) for i in intervals]}
            findings.append(AuditFinding("kind_share_differs", "warns", names, text, (), values))
    return findings


def _parts_by_kind(frames: Sequence[SetFrame]) -> dict[str, set[str]]:
    parts: dict[str, set[str]] = {}
    for frame in frames:
        for kind in frame.kind.split("+"):
            parts.setdefault(kind, set()).add(frame.part or frame.file)
    return parts


def _who(frame: SetFrame) -> str:
    return f"{frame.file}: " + ", ".join(f"{vote.by} says {vote.label}" for vote in frame.votes)
