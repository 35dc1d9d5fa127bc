"""A sink says what it does and inherits the rest."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from support.records import FRAME, record

import edge.outputs
from edge.frames import Record
from edge.outputs.queued import Queued
from edge.outputs.sink import Sink

OWN = {"of", "endpoint"}
"""What sinks have beside the base class: how they are made, and where tests and the daemon find a socket."""


class Plain(Sink):
    name = "plain"

    def write(self, record: Record, kept: Any) -> None: ...


class Mending(Plain):
    def recover(self) -> None: ...


def test_a_sink_that_only_writes_has_nothing_to_tell() -> None:
    sink = Plain()
    assert (sink.lost, sink.trouble, sink.subscribers, sink.free_bytes) == (0, None, None, None)
    assert (dict(sink.detail), dict(sink.counters), sink.required, sink.leads) == ({}, {}, False, False)
    output = Queued(sink, 10, "drop")
    output.start()
    output.accept(record(0), FRAME, None)
    output.close(2.0)
    assert (output.status().accepted, output.status().lost, output.status().fault) == (1, 0, None)


def test_whether_a_sink_recovers_shows_by_its_own_method() -> None:
    assert (Plain().recovers, Mending().recovers) == (False, True)


def test_no_shipped_sink_has_a_public_method_that_nobody_would_call() -> None:
    """A misspelt ``recover`` would silently be none."""
    for module in pkgutil.walk_packages(edge.outputs.__path__, "edge.outputs."):
        importlib.import_module(module.name)
    shipped = [cls for cls in Sink.__subclasses__() if cls.__module__.startswith("edge.")]
    assert {cls.name for cls in shipped} == {"zmq", "preview", "jsonl", "evidence", "pictures"}
    for cls in shipped:
        assert {name for name in vars(cls) if name[0] != "_"} <= {*dir(Sink), "name", *OWN}, cls
