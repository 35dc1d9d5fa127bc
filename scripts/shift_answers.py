"""Whether an answer to a shift helps is counted here, by what it rejects and finds on frames that had no part in it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.config.bundle import Bundle
from edge.config.line import ModelConfig
from edge.engines.open import open_engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.errors import UserError
from edge.frames import AnomalyMap, Frame
from edge.models.sets.frame_set import FrameSet
from edge.shift.adaptation import Adaptation, adapt, write_proposal
from edge.shift.answers.protocol import AnswerRow
from edge.shift.answers.table import ANSWERS
from edge.shift.subject import open_subject
from edge.storage.frames_on_disk import read_frames


def run(
    bundle: Bundle,
    threshold: float,
    source: FrameSet,
    tested: Sequence[list[Frame]],
    answers: Sequence[AnswerRow],
    place: Path,
    *,
    taken_alone: bool = False,
) -> dict[str, Any]:
    """Adapt, and count on frames that took part in nothing; ``taken_alone``: only as it was, and by the answer taken."""
    truth = {"frozen": counted(bundle, threshold, tested)}
    try:
        done: Adaptation = adapt(open_subject(bundle.folder, threshold), source, answers)
    except UserError as error:
        return {"truth": truth, "refused": str(error), "taken": None, "why_not": {}}
    why_not = {}
    for one in done.tried:
        if one.trial is None or one.proposal is None:
            why_not[one.row.name] = one.why_not
            continue
        if taken_alone and one is not done.choice.taken:
            continue
        made = write_proposal(place / f"answer-{one.row.name}", one.proposal, bundle)
        truth[one.row.name] = counted(made, one.trial.threshold, tested)
    taken = None if done.choice.taken is None else done.choice.taken.row.name
    truth["taken"] = truth[taken or "frozen"]
    return {
        "truth": truth,
        "taken": taken or "keep",
        "why": done.choice.why,
        "why_not": why_not,
        "left_out": sorted(done.suspects),
    }


def frames_of(folder: Path) -> list[Frame]:
    return [frame for frame in read_frames(folder) if isinstance(frame, Frame)]


def maxima_of(bundle: Bundle, frames: Sequence[Frame]) -> list[float | None]:
    """Highest values of the frames' maps; None where the part lies out of place."""
    engine, workspace = open_engine(ModelConfig(bundle=bundle.folder), bundle), ready_workspace(bundle)
    found: list[float | None] = []
    try:
        for frame in frames:
            amap = to_map(frame, engine, workspace)
            found.append(float(amap.values.max()) if isinstance(amap, AnomalyMap) else None)
    finally:
        engine.close()
    return found


def counted(bundle: Bundle, threshold: float, tested: Sequence[list[Frame]]) -> tuple[float, float]:
    """False rejects and recall as shares; a frame without a map is rejected."""
    shares = []
    for frames in tested:
        maxima = maxima_of(bundle, frames)
        shares.append(sum(value is None or value >= threshold for value in maxima) / len(maxima))
    return shares[0], shares[1]


def answers_table(name: str, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Print one cause's rows, and return them: for each answer false rejects and recall, mean and each run's."""
    print(f"\n{name}: taken {', '.join(str(run['taken'] or 'refused') for run in runs)}")
    rows: dict[str, Any] = {"taken": [run["taken"] for run in runs]}
    for answer in ("frozen", *(row.name for row in ANSWERS), "taken"):
        values = [run["truth"][answer] for run in runs if answer in run["truth"]]
        if values:
            rejects, recalls = zip(*values, strict=True)
            print(f"  {answer:10} false rejects {shown(rejects)}  recall {shown(recalls)}")
            rows.setdefault("answers", {})[answer] = {"false_rejects": list(rejects), "recall": list(recalls)}
    why_not = {answer: why for run in runs for answer, why in run["why_not"].items()}
    refused = [run["refused"] for run in runs if "refused" in run]
    for text in [*(f"{answer}: {why}" for answer, why in why_not.items()), *refused[:1]]:
        print("  " + text.replace("\n", "\n  "))
    return rows | {"why_not": why_not, "refused": refused, "left_out": [run.get("left_out", []) for run in runs]}


def shown(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"
