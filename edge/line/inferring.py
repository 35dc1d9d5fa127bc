"""The infer stage sends one item from the ring through the engine, or behind what is in it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from edge.frames import Skip, Unmapped
from edge.line.decoding import Decoder
from edge.line.in_flight import Inferred, InFlight
from edge.line.passage import End, Passage
from edge.line.recipe import Recipes
from edge.line.ring import Checkpoint, Slot


def through_engine(
    item: Slot | Skip | Checkpoint | End | None, passage: Passage, in_flight: InFlight, decoder: Decoder
) -> Sequence[Inferred | Skip | Checkpoint | End]:
    """Return what can be handed over now that ``item`` came, or None in time. After an engine's error that is
    everything.
    """
    done: list[Inferred | Skip | Checkpoint | End]
    if isinstance(item, Slot):
        taken_ns = time.monotonic_ns()
        frame = decoder.decode(item)
        if isinstance(frame, Skip):
            passage.unreadable(item, frame)
            done = [*in_flight.behind(frame)]
        else:
            done = [*in_flight.put(item, frame, taken_ns)]
    elif isinstance(item, End):
        done = [*in_flight.drain(), item]
    else:  # a loss or a checkpoint, or nothing: it comes behind the frames that are in the engine's hands
        done = [*in_flight.behind(item)]
    if in_flight.error is not None:
        done += in_flight.drain()
    return done


def without_map(
    held: Slot | Skip | Checkpoint, passage: Passage, recipes: Recipes, decoder: Decoder
) -> Inferred | Skip | Checkpoint:
    """Pass on without a map what was in the stage's hands when it raised."""
    if not isinstance(held, Slot):
        return held
    frame = decoder.decode(held)
    if isinstance(frame, Skip):
        passage.unreadable(held, frame)
        return frame
    now = time.monotonic_ns()
    return Inferred(held, frame, recipes.current, Unmapped("engine_error", "the stage raised with it"), now, now)
