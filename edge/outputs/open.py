"""A table lists all outputs, and the ones that a config asks for are opened by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from edge.config.line import Config
from edge.config.load import ConfigTexts
from edge.config.outputs import JsonlConfig, ZmqConfig
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
REPLAY_QUEUE = 64
"""Number of records that wait for a slow output before a replay waits for it."""


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


def live_outputs(config: Config, folder: Path, identity: RunIdentity, texts: ConfigTexts) -> list[Output]:
    """Make the config's outputs, each behind a queue that drops rather than blocks.

    ``config``: with its paths resolved. ``folder``: the runtime folder. The outputs are closed in the order of the list, so
    one that waits for a leading sink stands behind it.
    """
    run, sections = Run(config, identity, folder, texts), config.outputs.sections
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


def replay_outputs(
    folder: Path, identity: RunIdentity, *, pictures: Sink | None = None, publish: str | None = None
) -> list[Output]:
    """Make a replay's outputs, each behind a queue that blocks rather than drops.

    Records go to ``records.jsonl`` in ``folder``; then to ``pictures``, and to subscribers at the endpoint ``publish``.
    """
    log = JsonlConfig(dir=folder, sync="none")
    sinks: list[Sink] = [JsonlSink(log, folder, identity, path=folder / "records.jsonl")]
    if pictures is not None:
        sinks.append(pictures)
    if publish is not None:
        sinks.append(ZmqSink(ZmqConfig(bind=publish), identity, folder, key="--publish"))
    return [Queued(sink, REPLAY_QUEUE, "wait") for sink in sinks]
