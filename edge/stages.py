"""The product in three loops: frames into the ring, frames to maps, maps to records.

    source.read -> ring | ring -> to_map -> maps (a queue of one, blocks) | to_inspection -> every output

Each loop runs in a thread of its own under ``supervise.Worker``, which restarts it if it raises. ``beat`` marks progress
and says whether to go on; a stage whose last beat is too old is hung.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from edge.engines import Engine
from edge.frames import AnomalyMap, Frame, Latency, Skip
from edge.inspect import Unmapped, to_inspection, to_map
from edge.outputs import Output
from edge.pixels import decode
from edge.preprocess import Workspace
from edge.ring import Ring, Slot, lost
from edge.rules import Rules
from edge.sources import Source
from edge.tally import Tally
from edge.verdict import invalid, timed
from edge.wire import Wire

log = structlog.get_logger()

WAIT_S = 0.1
"""Longest wait of an idle stage between two beats."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A frame and its map on the way to the judge, with the monotonic times of its stations."""

    slot: Slot
    frame: Frame
    amap: AnomalyMap | Unmapped
    taken_ns: int
    mapped_ns: int


class End:
    """The last item on the way to the judge."""


Maps = queue.Queue[Mapped | Skip | End]


def acquire_loop(source: Source, ring: Ring, beat: Callable[[], bool]) -> None:
    """Copy each payload once into the ring, and do nothing else. Returns when told to stop or at the source's end."""
    try:
        source.open()
        while beat():
            item = source.read(WAIT_S)
            if isinstance(item, Skip):
                ring.skip(item)
            elif item is not None:
                slot = ring.acquire(item.data.nbytes, item.meta, beat)
                if slot is not None:
                    slot.view[:] = item.data
                    ring.commit(slot)
    except EOFError:
        pass
    finally:
        source.close()
    ring.close()


def infer_loop(ring: Ring, engine: Engine, maps: Maps, beat: Callable[[], bool]) -> None:
    """Every frame leaves with a map or with the reason why it has none, every loss in its place."""
    workspace = Workspace()
    while True:
        beat()
        try:
            item = ring.take(WAIT_S)
        except EOFError:
            _hand_over(maps, End(), beat)
            return
        if isinstance(item, Skip):
            _hand_over(maps, item, beat)
        elif item is not None:
            taken_ns = time.monotonic_ns()
            frame = _decoded(item)
            if isinstance(frame, Skip):
                ring.release(item)
                _hand_over(maps, frame, beat)
                continue
            try:
                amap = to_map(frame, engine, workspace)
            except Exception as error:
                amap = Unmapped("engine_error", f"{type(error).__name__}: {error}")
                raise
            finally:
                _hand_over(maps, Mapped(item, frame, amap, taken_ns, time.monotonic_ns()), beat)


def tell_losses(ring: Ring, maps: Maps, beat: Callable[[], bool]) -> None:
    """In place of an infer_loop that was given up: every frame that still waits becomes a ``shutdown`` skip."""
    ring.abandon()
    while True:
        try:
            item = ring.take(0.0)
        except EOFError:
            _hand_over(maps, End(), beat)
            return
        if isinstance(item, Skip):
            _hand_over(maps, item, beat)


def judge_loop(
    maps: Maps,
    ring: Ring,
    rules: Rules,
    wire: Wire,
    outputs: Sequence[Output],
    tally: Tally,
    beat: Callable[[], bool],
) -> None:
    """Number, encode and hand out one record for every frame or loss; then give the frame's slot back."""
    while True:
        beat()
        try:
            item = maps.get(timeout=WAIT_S)
        except queue.Empty:
            continue
        if isinstance(item, End):
            return
        if isinstance(item, Skip):
            record = wire.skip(tally.next_seq(), item, time.time_ns())
            tally.skipped(item)
            for output in outputs:
                output.skip(record)
            continue
        try:
            _judge(item, rules, wire, outputs, tally)
        finally:
            ring.release(item.slot)


def _judge(item: Mapped, rules: Rules, wire: Wire, outputs: Sequence[Output], tally: Tally) -> None:
    began_ns = time.monotonic_ns()
    error: Exception | None = None
    try:
        inspection, found = to_inspection(item.frame, item.amap, rules)
    except Exception as raised:  # noqa: BLE001  (the frame still gets its record; then the worker hears of it)
        inspection, found, error = invalid(item.frame.meta, "engine_error", rules.high), None, raised
    ended_ns = time.monotonic_ns()
    received_ns = item.frame.meta.received_mono_ns
    latency = Latency(
        queue=(item.taken_ns - received_ns) / 1e6,
        infer=(item.mapped_ns - item.taken_ns) / 1e6,
        wait=(began_ns - item.mapped_ns) / 1e6,
        judge=(ended_ns - began_ns) / 1e6,
        total=(ended_ns - received_ns) / 1e6,
    )
    inspection = timed(inspection, latency, rules.deadline_ms)
    record = wire.inspection(tally.next_seq(), inspection, time.time_ns())
    tally.inspected(record, inspection)
    mask = found.mask if found else None
    for output in outputs:
        output.accept(record, item.frame, mask)
    if error is not None:
        raise error


def _decoded(slot: Slot) -> Frame | Skip:
    meta = slot.meta
    assert meta is not None
    try:
        return decode(meta, slot.view)
    except ValueError as error:
        log.warning("bad_payload", frame_id=meta.frame_id, pixel_format=meta.pixel_format, error=str(error))
        return lost("bad_payload", meta)


def _hand_over(maps: Maps, item: Mapped | Skip | End, beat: Callable[[], bool]) -> None:
    while True:
        try:
            maps.put(item, timeout=WAIT_S)
        except queue.Full:  # a slow judge is the judge's matter: this stage is alive
            beat()
        else:
            return
