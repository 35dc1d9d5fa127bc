"""Answers to a shift are commands that a person copies into a terminal: the page itself starts none of them (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, Final

from edge.shift.advice import ADVICE, advice_for

LAB: Final = "sets/lab"
"""Where commands expect the frames that the model was made of, until a report names another place."""


@dataclass(frozen=True, slots=True)
class LineFiles:
    """What commands name of a line: its config, and where it keeps evidence; None where that isn't known or isn't kept."""

    camera: str
    config: Path | None
    evidence: Path | None
    has_drift: bool
    reports: Path | None
    """Where the page looks for reports of ``edge shift``."""

    @property
    def yaml(self) -> str:
        return f"{self.camera}.yaml" if self.config is None else quote(str(self.config))


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer is one command and what it is for."""

    why: str
    command: str

    def as_json(self) -> dict[str, str]:
        return {"why": self.why, "command": self.command}


def advised(drift: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Return each cause of the drift in force, with its words and what a person does about it."""
    if drift is None:
        return []
    causes = drift.get("causes") or [drift]
    return [{"cause": one["cause"], "words": one["words"], "advice": advice_for(one["cause"])} for one in causes]


def to_begin(line: LineFiles) -> list[Answer]:
    """Return how a line without a reference learns what is usual on it."""
    camera = line.camera
    return [
        Answer("Record the running line, better over several shifts", _record(line, f"{camera}-usual", 20000)),
        Answer("Learn from it what is usual", f"edge calibrate {camera}-usual -c {line.yaml} --drift"),
        Answer("Then add this line to the config, and start the line anew", "drift: {}"),
    ]


def answers(line: LineFiles, drift: Mapping[str, Any] | None, lab: str | None = None) -> list[Answer]:
    """Return the way from a changed line to a model that fits it, in its order.

    Args:
        line: the files that commands name.
        drift: the drift in force as ``state`` has it; None without one.
        lab: the set that a report compared with; None while there is none.
    """
    now, usual = f"sets/{line.camera}-now", quote(lab or LAB)
    gather = (
        _record(line, now, 500) if line.evidence is None else f"edge gather {quote(str(line.evidence))} -o {now} --most 200"
    )
    causes = [one["cause"] for one in advised(drift) if one["cause"] in ADVICE and one["cause"] != "unknown"]
    only = "".join(f" --only {cause}" for cause in causes)
    out = quote(str(line.reports / f"{line.camera}-now.html")) if line.reports is not None else f"{line.camera}-now.html"
    return [
        Answer("Gather frames of the line as it is now", gather),
        Answer("Say which of them are good", f"edge label {now}"),
        Answer(
            "Why they differ, with the scatter for this page", f"edge shift lab={usual} line={now} -m {line.yaml} -o {out}"
        ),
        Answer("What the model stands", f"edge stress {usual} -m {line.yaml}{only}"),
        Answer(
            "Which answer wins back what, on frames that took part in nothing else",
            f"edge adapt -m {line.yaml} --frames {now} -o models/{line.camera}-adapted",
        ),
        Answer(
            "After model.bundle in the config: thresholds of the new model", f"edge calibrate sets/other -c {line.yaml}"
        ),
        Answer("Take it between two frames", f"edge reload {quote(line.camera)}"),
        Answer("And back", f"edge adapt --undo -m models/{line.camera}-adapted"),
    ]


def _record(line: LineFiles, out: str, frames: int) -> str:
    return f"edge record -c {line.yaml} --frames {frames} --out {out}"
