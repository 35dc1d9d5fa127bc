"""What one output does with records: the protocol of the sinks that run behind a ``Queued``."""

from __future__ import annotations

from typing import Any, Protocol

from edge.frames import Heartbeat, Record, State


class Sink(Protocol):
    """What one output does with records. Every method is called in the output's own thread, ``keep`` excepted.

    A method that raises breaks no more than the call: the error becomes the output's fault and the record counts as lost.

    A sink may also have, and is then asked for them:

    - ``keep(record, frame, judged) -> object | None``: called in the judge's thread inside ``accept``, so it mustn't block;
      copies what the sink needs of the frame. Its result is handed to ``write``.
    - ``discard(kept)``: takes back what ``keep`` gave for a record that will not be written.
    - ``idle()`` and ``idle_s``: called whenever the queue is empty, and at least every ``idle_s`` seconds, which is asked
      for before each wait.
    - ``recover()``: reopen after a failure. The record that failed is then written again; should that fail too, records
      are lost until ``recover`` and ``write`` succeed, tried every second.
    - ``trouble`` and ``lost``: fault and losses that the sink looks after by itself, beside those that are told by raising.
    - ``detail``: a small mapping for ``state`` that changes seldom. ``counters``, ``free_bytes``,
      ``subscribers``: see ``OutputStatus``.
      Read from any thread.
    - ``made_by(identity, archive)``: see ``Output``. Called by the supervisor, so it mustn't block.
    - ``required``: True where a verdict counts only once the sink has its record: while it fails ``log_lost`` says so, and
      a record that it did not take reaches the output after it as ``invalid: log_lost``.
    """

    name: str

    def open(self) -> None:
        """Bind, open, lock. ``UserError`` for what a person must mend; it reaches the caller of ``start``."""

    def write(self, record: Record, kept: Any) -> None:
        """One record, in order. ``kept``: what ``keep`` returned for it; None for skips."""

    def state(self, state: State) -> None: ...

    def tick(self, heartbeat: Heartbeat) -> None: ...

    def close(self) -> None:
        """Give everything back; called once, also after ``open`` raised."""
