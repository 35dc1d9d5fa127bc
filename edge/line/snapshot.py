"""A snapshot is one look at a running line; /live, /ready, /metrics and the heartbeat show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.frames import Heartbeat
from edge.line.drift_watch import WatchStatus
from edge.line.ring import Ring
from edge.line.supervise import StageHealth
from edge.line.tally import Tally
from edge.outputs.protocol import OutputStatus
from edge.sources.protocol import SourceStatus


@dataclass(frozen=True, slots=True)
class LineSnapshot:
    """Everything that /live, /ready and /metrics show is held here, at one moment."""

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
    drift: WatchStatus | None = None
    """None if the config has no ``drift``."""


def snapshot(
    camera: str,
    health: StageHealth,
    source: SourceStatus,
    outputs: Mapping[str, OutputStatus],
    *,
    running: bool,
    restarts: Mapping[str, int],
    faults: tuple[str, ...],
    drift: WatchStatus | None = None,
) -> LineSnapshot:
    """Put together what the parts of a line report. It is live while no stage hangs, and ready while frames come, too."""
    live = health.hung is None and health.failed is None
    streams = source.state in ("streaming", "waiting_for_trigger") and source.problem is None
    trouble = health.hung or (health.failed and health.failed[0])
    detail = source.problem or source.detail
    text = f"{source.state}{': ' + detail if detail else ''}"
    if drift is not None and drift.words:
        text += f"; drift: {drift.words}"
    return LineSnapshot(
        camera=camera,
        live=live,
        ready=live and running and streams,
        text=text if live else f"stage {trouble} is not well",
        source=source,
        outputs=outputs,
        progress_age_s=health.progress_age_s,
        restarts=restarts,
        faults=faults,
        drift=drift,
    )


def heartbeat(
    tally: Tally,
    ring: Ring,
    source: SourceStatus,
    outputs: Mapping[str, OutputStatus],
    health: StageHealth,
    drift: WatchStatus | None = None,
) -> Heartbeat:
    """Count everything once: verdicts, losses by reason, and what source and outputs count."""
    counters = {
        **published_verdicts(tally, outputs),
        **{f"skipped_{reason}": count for reason, count in tally.skipped_frames.items()},
        **{f"source_{name}": count for name, count in source.counters.items()},
        "sum_checks": tally.sum_checks,
        "output_lost": sum(status.lost for status in outputs.values()),
        **({} if drift is None else {f"drift_{name}": count for name, count in drift.counters.items()}),
    }
    return Heartbeat(tally.last_seq, counters, ring.fill, round(health.progress_age_s * 1e3, 1))


def published_verdicts(tally: Tally, outputs: Mapping[str, OutputStatus]) -> dict[str, int]:
    """Count verdicts as they were published.

    A log that must have every record has made some ``invalid`` after they were judged.
    """
    verdicts = dict(tally.verdicts)
    for status in outputs.values():
        for verdict in ("pass", "fail"):
            count = status.counters.get(f"overruled_{verdict}", 0)
            verdicts[verdict] -= count
            verdicts["invalid"] += count
    return verdicts
