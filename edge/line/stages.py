"""The product in three loops: frames into the ring, frames to maps, maps to records.

    source.read -> ring | ring -> to_map -> maps (a queue of one, blocks) | to_inspection -> every output

Each loop runs in a thread of its own under ``supervise.Worker``, which restarts it if it raises. ``beat`` marks progress
and says whether to go on; a stage whose last beat is too old is hung.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog

from edge.frames import AnomalyMap, Frame, Judged, Latency, Skip, Unmapped
from edge.line.in_flight import MOST_TOLD, Inferred, InFlight, OneSize
from edge.line.passage import WAIT_S, End, Maps, Passage
from edge.line.recipe import Recipes
from edge.line.ring import Checkpoint, Ring, Slot, lost, meta_of
from edge.line.tally import Tally
from edge.outputs.protocol import Output
from edge.preprocess.pixel_formats import Depth, LevelWindow, decode
from edge.regions.to_inspection import to_inspection
from edge.regions.verdict import invalid, timed
from edge.sources.protocol import Source

log = structlog.get_logger()

CHECK_S = 1.0
"""Time between two checks of the sum rule. A checkpoint takes the frames' own way, so that at the judge the numbers must
be equal, whatever is in flight behind it."""


Levels = tuple[Depth, LevelWindow | None]


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


def infer_loop(
    passage: Passage, recipes: Recipes, levels: Levels, one_size: OneSize | None, beat: Callable[[], bool]
) -> None:
    """Every frame leaves with a map or with the reason why it has none, every loss in its place.

    ``levels``: what ``decode`` makes of more than 8 bits. ``one_size``: as ``Mapper``'s.
    """
    mapper = InFlight(recipes, one_size)
    named: set[str] = set()
    for held in passage.left:
        told = _unmapped(held, recipes, levels, named) if isinstance(held, Slot) else held
        if isinstance(held, Slot) and isinstance(told, Skip):
            passage.unreadable(held, told)
        passage.hand_over(told, beat)
    while True:
        beat()
        item = passage.take(0.0 if mapper.hurries else WAIT_S)
        out: Sequence[Inferred | Skip | Checkpoint | End]
        if isinstance(item, Slot):
            taken_ns = time.monotonic_ns()
            frame = _decoded(item, levels, named)
            if isinstance(frame, Frame):
                out = mapper.put(item, frame, taken_ns)
            else:
                passage.unreadable(item, frame)
                out = mapper.behind(frame)
        elif isinstance(item, End):
            out = [*mapper.drain(), item]
        else:  # a loss or a checkpoint, or nothing: it comes behind the frames that are in the engine's hands
            out = mapper.behind(item)
        if mapper.error is not None:
            out = [*out, *mapper.drain()]
        for one in out:
            passage.hand_over(one, beat)
        if mapper.error is not None:
            raise mapper.error
        if isinstance(item, End):
            return


class Desk:
    """What the judge has taken and not yet made a record of. It outlives a judge that raises."""

    def __init__(self) -> None:
        self.item: Inferred | Skip | None = None


def judge_loop(
    maps: Maps, desk: Desk, ring: Ring, recipes: Recipes, outputs: Sequence[Output], tally: Tally, beat: Callable[[], bool]
) -> None:
    """Number, encode and hand out one record for every frame or loss; then give the frame's slot back.

    A frame whose record could not be made is an ``invalid`` one when the stage is started again.
    """
    again = desk.item is not None
    while True:
        beat()
        item = desk.item if again else maps.get(WAIT_S)
        if item is None:
            continue
        if isinstance(item, End):
            return
        if isinstance(item, Checkpoint):
            tally.check(item.announced)
            continue
        desk.item = item
        if isinstance(item, Skip):
            record = recipes.judging.wire.skip(tally.next_seq, item, time.time_ns(), time.monotonic_ns())
            tally.skipped(record, item)
            desk.item = None
            for output in outputs:
                output.skip(record)
        else:
            recipes.judge(item.recipe)
            _judge(item, desk, ring, outputs, tally, again=again)
        again = False


def _judge(item: Inferred, desk: Desk, ring: Ring, outputs: Sequence[Output], tally: Tally, *, again: bool) -> None:
    """``again``: a judge before this one raised with the frame."""
    criteria = item.recipe.criteria
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
    inspection = timed(inspection, latency, criteria.deadline_ms, log_lost=any(output.log_lost for output in outputs))
    record = item.recipe.wire.inspection(tally.next_seq, inspection, time.time_ns(), time.monotonic_ns())
    judged = Judged(amap, found) if found and isinstance(amap, AnomalyMap) else None
    desk.item = None
    try:
        for output in outputs:
            output.accept(record, item.frame, judged)
    finally:
        tally.inspected(record, inspection)  # the record is numbered, whatever an output did with it
        ring.release(item.slot)
    if error is not None:
        raise error


def _decoded(slot: Slot, levels: Levels, named: set[str]) -> Frame | Skip:
    """``named``: the problems that the log has already; one that lasts is logged at its first frame."""
    meta = meta_of(slot)
    try:
        return decode(meta, slot.view, *levels)
    except Exception as error:  # noqa: BLE001  (no memory, say: the frame still gets its record)
        if (problem := f"{type(error).__name__}: {error}") not in named and len(named) < MOST_TOLD:
            named.add(problem)
            log.warning("bad_payload", frame_id=meta.frame_id, pixel_format=meta.pixel_format, error=problem)
        return lost("bad_payload", meta)


def _unmapped(slot: Slot, recipes: Recipes, levels: Levels, named: set[str]) -> Inferred | Skip:
    """A frame that was in the stage's hands when it raised."""
    frame = _decoded(slot, levels, named)
    if isinstance(frame, Skip):
        return frame
    now = time.monotonic_ns()
    return Inferred(slot, frame, recipes.current, Unmapped("engine_error", "the stage raised with it"), now, now)
