"""The product in three loops: frames into the ring, frames to maps, maps to records.

    source.read -> ring | ring -> to_map -> maps (a queue of one, blocks) | to_inspection -> every output

Each loop runs in a thread of its own under ``supervise.Worker``, which restarts it if it raises. ``beat`` marks progress
and says whether to go on; a stage whose last beat is too old is hung.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog

from edge.frames import AnomalyMap, Frame, Latency, Skip
from edge.handoff import Handoff
from edge.inspect import to_inspection
from edge.mapping import Mapped, Mapper
from edge.outputs import Judged, Output
from edge.pixels import Depth, Window, decode
from edge.ring import Checkpoint, Ring, Slot, lost
from edge.setup import Swap
from edge.sources import Source
from edge.tally import Tally
from edge.verdict import invalid, timed

log = structlog.get_logger()

WAIT_S = 0.1
"""Longest wait of an idle stage between two beats."""
CHECK_S = 1.0
"""Time between two checks of the sum rule. A checkpoint takes the frames' own way, so that at the judge the numbers must
be equal, whatever is in flight behind it."""


class End:
    """The last item on the way to the judge."""


Maps = Handoff[Mapped | Skip | Checkpoint | End]


def acquire_loop(source: Source, ring: Ring, beat: Callable[[], bool]) -> None:
    """Copy each payload once into the ring, and do nothing else. Returns when told to stop or at the source's end."""
    next_check = 0.0
    try:
        source.open()
        while beat():
            if (now := time.monotonic()) >= next_check:
                next_check = now + CHECK_S
                ring.mark(source.status().announced)
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
    ring.mark(source.status().announced)
    ring.close()


def infer_loop(ring: Ring, swap: Swap, maps: Maps, levels: tuple[Depth, Window | None], beat: Callable[[], bool]) -> None:
    """Every frame leaves with a map or with the reason why it has none, every loss in its place.

    ``levels``: what ``decode`` makes of more than 8 bits.
    """
    mapper = Mapper(swap)
    while True:
        beat()
        item: Slot | Skip | Checkpoint | End | None
        try:
            item = ring.take(0.0 if mapper.pending else WAIT_S)
        except EOFError:
            item = End()
        out: list[Mapped | Skip | Checkpoint | End] = []
        if isinstance(item, Slot):
            taken_ns = time.monotonic_ns()
            frame = _decoded(item, levels)
            if isinstance(frame, Frame):
                out += mapper.put(item, frame, taken_ns)
            else:
                ring.release(item)
                out += [*mapper.drain(), frame]
        else:  # whatever it is, or nothing: it comes behind the frames that are in the engine's hands
            out += mapper.drain()
            if item is not None:
                out.append(item)
        if mapper.error is not None:
            out += mapper.drain()
        for one in out:
            _hand_over(maps, one, beat)
        if mapper.error is not None:
            raise mapper.error
        if isinstance(item, End):
            return


def tell_losses(ring: Ring, maps: Maps, go_on: Callable[[], bool]) -> None:
    """In place of an infer_loop that was given up: every frame that still waits becomes a ``shutdown`` skip.

    ``go_on``: asked while the judge does not take; where it says no, there is nobody left to tell.
    """
    ring.abandon()
    item: Slot | Skip | Checkpoint | End | None = None
    while not isinstance(item, End):
        try:
            item = ring.take(0.0)
        except EOFError:
            item = End()
        if isinstance(item, (Skip, Checkpoint, End)):
            while not maps.put(item, WAIT_S):
                if not go_on():
                    return


def judge_loop(
    maps: Maps, ring: Ring, swap: Swap, outputs: Sequence[Output], tally: Tally, beat: Callable[[], bool]
) -> None:
    """Number, encode and hand out one record for every frame or loss; then give the frame's slot back."""
    while True:
        beat()
        item = maps.get(WAIT_S)
        if item is None:
            continue
        if isinstance(item, End):
            return
        if isinstance(item, Checkpoint):
            tally.check(item.announced)
            continue
        if isinstance(item, Skip):
            record = swap.judging.wire.skip(tally.next_seq(), item, time.time_ns())
            tally.skipped(item)
            for output in outputs:
                output.skip(record)
            continue
        swap.judge(item.setup)
        try:
            _judge(item, outputs, tally)
        finally:
            ring.release(item.slot)


def _judge(item: Mapped, outputs: Sequence[Output], tally: Tally) -> None:
    rules = item.setup.rules
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
    inspection = timed(inspection, latency, rules.deadline_ms, log_lost=any(output.log_lost for output in outputs))
    record = item.setup.wire.inspection(tally.next_seq(), inspection, time.time_ns())
    judged = Judged(item.amap, found) if found and isinstance(item.amap, AnomalyMap) else None
    try:
        for output in outputs:
            output.accept(record, item.frame, judged)
    finally:
        tally.inspected(record, inspection)  # the record is numbered, whatever an output did with it
    if error is not None:
        raise error


def _decoded(slot: Slot, levels: tuple[Depth, Window | None]) -> Frame | Skip:
    meta = slot.meta
    assert meta is not None
    try:
        return decode(meta, slot.view, *levels)
    except Exception as error:  # noqa: BLE001  (no memory, say: the frame still gets its record)
        log.warning("bad_payload", frame_id=meta.frame_id, pixel_format=meta.pixel_format, error=str(error))
        return lost("bad_payload", meta)


def _hand_over(maps: Maps, item: Mapped | Skip | Checkpoint | End, beat: Callable[[], bool]) -> None:
    while not maps.put(item, WAIT_S):
        beat()  # a slow judge is the judge's matter: this stage is alive
