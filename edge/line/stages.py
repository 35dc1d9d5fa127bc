"""The product stands here in three loops: frames into the ring, frames to maps, maps to records.

    source.read -> ring | ring -> to_map -> maps (a queue of one, blocks) | to_inspection -> every output

Each loop runs in a thread of its own under ``supervise.Worker``, which restarts it if it raises. ``beat`` marks progress
and says whether to go on; a stage whose last beat is too old is hung.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.frames import Skip
from edge.line.decoding import Decoder, Levels
from edge.line.in_flight import InFlight, OneKind
from edge.line.inferring import through_engine, without_map
from edge.line.judging import Desk, judge_frame
from edge.line.passage import WAIT_S, End, Maps, Passage
from edge.line.recipe import Recipes
from edge.line.ring import Checkpoint, Ring
from edge.sources.protocol import Source

CHECK_S = 1.0
"""Time between two checks of the sum rule, in s. A checkpoint takes the frames' own way, so that the numbers must be equal
at the judge, whatever is in flight behind it."""


def acquire_loop(source: Source, ring: Ring, beat: Callable[[], bool]) -> None:
    """Copy each payload once into the ring, and do nothing else. Return when asked to stop or at the source's end."""
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
    passage: Passage, recipes: Recipes, levels: Levels, one_kind: OneKind | None, beat: Callable[[], bool]
) -> None:
    """Send every frame on with a map or with the reason why it has none, and every loss in its place.

    ``levels`` says what ``decode`` makes of more than 8 bits. ``one_kind`` is as in ``InFlight``.
    """
    in_flight, decoder = InFlight(recipes, one_kind), Decoder(levels)
    for left in passage.left:  # what this stage held when it raised
        passage.hand_over(without_map(left, passage, recipes, decoder), beat)
    while True:
        beat()
        item = passage.take(0.0 if in_flight.hurries else WAIT_S)
        for done in through_engine(item, passage, in_flight, decoder):
            passage.hand_over(done, beat)
        if in_flight.error is not None:
            raise in_flight.error
        if isinstance(item, End):
            return


def judge_loop(maps: Maps, desk: Desk, beat: Callable[[], bool]) -> None:
    """Number, encode and hand out one record for every frame or loss; then give the frame's slot back.

    If a frame's record could not be made, the frame gets an ``invalid`` one when the stage is started again.
    """
    recipes, outputs, tally = desk.recipes, desk.outputs, desk.tally
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
            judge_frame(item, desk, again=again)
        again = False
