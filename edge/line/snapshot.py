"""One look at a running line: what /live, /ready and /metrics say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.outputs.protocol import OutputStatus
from edge.sources.protocol import SourceStatus


@dataclass(frozen=True, slots=True)
class LineSnapshot:
    """Everything that /live, /ready and /metrics tell, at one moment."""

    camera: str
    live: bool
    ready: bool
    text: str
    source: SourceStatus
    outputs: Mapping[str, OutputStatus]
    progress_age_s: float
    restarts: Mapping[str, int]
    faults: tuple[str, ...] = ()
    """Codes of what is wrong now."""
