"""The judge stage gives one frame a verdict and a numbered record, and hands the record to every output."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from edge.frames import AnomalyMap, Judged, Latency, Skip, Unmapped
from edge.line.in_flight import Inferred
from edge.line.recipe import Recipes
from edge.line.ring import Ring
from edge.line.tally import Tally
from edge.outputs.protocol import Output
from edge.regions.to_inspection import to_inspection
from edge.regions.verdict import invalid, timed, under_drift


@dataclass(slots=True)
class Desk:
    """The desk holds everything that the judge works with.

    ``item`` is what the judge has taken and not yet made a record of; it outlives a judge that raises.
    """

    ring: Ring
    recipes: Recipes
    outputs: Sequence[Output]
    tally: Tally
    item: Inferred | Skip | None = None


def judge_frame(item: Inferred, desk: Desk, *, again: bool) -> None:
    """Judge one frame, hand its record to every output, give its slot back.

    ``again`` is True if a judge before this one raised with the same frame. What judging raised is raised once the frame
    has its record.
    """
    criteria, outputs, tally = item.recipe.criteria, desk.outputs, desk.tally
    began_ns = time.monotonic_ns()
    error: Exception | None = None
    amap = Unmapped("engine_error", "the stage raised with it") if again else item.amap
    try:
        inspection, found = to_inspection(item.frame, amap, criteria)
    except Exception as raised:  # noqa: BLE001  (the frame still gets its record; then the worker hears of it)
        inspection, found, error = invalid(item.frame.meta, "engine_error", criteria.high), None, raised
    ended_ns = time.monotonic_ns()
    received_ns = item.frame.meta.received_mono_ns
    latency = Latency(
        queue=(item.taken_ns - received_ns) / 1e6,
        infer=(item.mapped_ns - item.taken_ns) / 1e6,
        wait=(began_ns - item.mapped_ns) / 1e6,
        judge=(ended_ns - began_ns) / 1e6,
        total=(ended_ns - received_ns) / 1e6,
    )
    watch = item.recipe.watch
    if watch is not None:
        inspection = under_drift(inspection, *watch.of(item.frame.meta))
    inspection = timed(inspection, latency, criteria.deadline_ms, log_lost=any(output.log_lost for output in outputs))
    record = item.recipe.wire.inspection(tally.next_seq, inspection, time.time_ns(), time.monotonic_ns())
    judged = Judged(amap, found) if found and isinstance(amap, AnomalyMap) else None
    desk.item = None
    try:
        for output in outputs:
            output.accept(record, item.frame, judged)
    finally:
        tally.inspected(record, inspection)  # the record is numbered, whatever an output did with it
        if watch is not None:
            watch.see(item.frame)  # what it finds counts from the next frame on: this one's record has left
        desk.ring.release(item.slot)
    if error is not None:
        raise error
