"""What an evaluation is asked for, the models that take part, and what came of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edge.config.bundle import Bundle
from edge.config.load import Loaded
from edge.models.evaluate.judge import Inspector, ShardResult
from edge.models.evaluate.scored import Scored


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """What was asked for. ``side``: None takes ``test`` where the set has sides. ``threshold``: None: see
    ``_threshold``.
    """

    side: str | None = None
    threshold: float | None = None
    false_rejects: float = 0.01
    tags: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    workers: int = 1
    cluster: str | None = None
    """Address of a Ray cluster whose nodes do the work instead, and see the set and the bundles by the same paths."""
    kept_in: Path | None = None
    """Folder for finished shards, from which an evaluation that was stopped goes on."""
    replicates: int = 1000
    seed: int = 0
    pixels: bool = True
    seen_before: bool = False
    """Judge frames that the model was fitted on all the same."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One model: its bundle, or a line's whole config with its calibration, ROI and filters."""

    name: str
    bundle: Path
    line: Loaded | None = None


@dataclass(slots=True)
class JudgedModel:
    """One model's frames, and what is needed to look at them again."""

    contestant: Contestant
    bundle: Bundle
    inspector: Inspector
    threshold_from: str
    result: ShardResult
    calibrated_on: list[Scored] = field(default_factory=list)
