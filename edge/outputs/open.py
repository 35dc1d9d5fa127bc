"""A table lists all outputs, and the ones that a config asks for are opened by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from edge.config.load import Loaded
from edge.frames import RunIdentity
from edge.outputs.evidence.sink import EvidenceSink
from edge.outputs.jsonl.sink import JsonlSink
from edge.outputs.protocol import Output, Run
from edge.outputs.queued import Queued
from edge.outputs.sink import Sink
from edge.outputs.zmq.preview import PreviewSink
from edge.outputs.zmq.publisher import ZmqSink

QUEUE = 1000
"""Number of records that wait for a slow output before it loses some: 10 s at 100 frames per second."""


class OutputKind(NamedTuple):
    """A kind of output is one row of the table; a config may ask for it."""

    section: str
    """Key under ``outputs:`` of the section that declares the output, an ``OutputConfig``."""
    make: Callable[[Any, Run], Sink | None]
    """Makes the sink from that section; returns None if the section doesn't ask for this output."""
    acts: bool = False
    """True if people or machines act on what the output says; it then gets a record first, unless another sink
    ``leads``."""
    follows: bool = False
    """True if records reach the output only after a sink that ``leads`` has them."""


KINDS: Final = (  # in the order in which the judge hands a record to them
    OutputKind("zmq", ZmqSink.of, acts=True, follows=True),
    OutputKind("zmq", PreviewSink.of, acts=True),
    OutputKind("jsonl", JsonlSink.of),
    OutputKind("evidence", EvidenceSink.of),
)


def live_outputs(loaded: Loaded, folder: Path, identity: RunIdentity) -> list[Output]:
    """Make the config's outputs, each behind a queue that drops rather than blocks.

    They are closed in the order of the list, so an output that waits for a leading sink stands behind it.
    """
    run, sections = Run(loaded, identity, folder), loaded.config.outputs.sections
    asked = [(kind, kind.make(sections[kind.section], run)) for kind in KINDS if kind.section in sections]
    sinks = [(kind, sink) for kind, sink in asked if sink is not None]
    leader: Queued | None = None
    if any(sink.leads for _, sink in sinks):
        sinks.sort(key=lambda made: made[0].acts)  # those who keep a record come first then
    outputs: list[Output] = []
    for kind, sink in sinks:
        output = Queued(sink, QUEUE, "drop", after=leader if kind.follows else None)
        leader = output if leader is None and sink.leads else leader
        outputs.append(output)
    return outputs
