"""The stream of one open camera brings buffers out of the producer, and back into it.

Nothing here waits inside the binding: it holds Python's interpreter lock while it does, which slows every other
thread 200 to 400 times (https://github.com/genicam/harvesters/issues/508).
"""

from __future__ import annotations

import time
from typing import Any, Final

from genicam import gentl

from edge.config.sources import GenicamConfig
from edge.sources.arrival import ForeignQueue
from edge.sources.genicam.buffer import BufferReader, RawFrame, measured
from edge.sources.genicam.camera_clock import CameraClock
from edge.sources.genicam.camera_errors import FetchError
from edge.sources.genicam.features import BINDING_ERRORS, reason

_EAGER_POLL: Final = 64
"""Number of polls after which a producer is asked for a buffer all the same, because it may say that nothing waits and be
wrong."""


class Stream:
    """A stream lives from start to stop. One thread uses it."""

    def __init__(self, config: GenicamConfig, camera: Any, clock: CameraClock) -> None:
        """Announce the buffers and let ``camera`` (the library's acquirer) run; raises whatever the library does."""
        self._clock = clock
        camera.start()
        self._stream = camera.data_streams[0].module
        # try_fetch gives an incomplete buffer back before its frame id can be read: the event itself is read here
        self._monitor = next(iter(camera._new_buffer_event_monitor_dict.values()))  # noqa: SLF001
        adapter, node_map = camera._chunk_adapter, camera.remote_device.node_map  # noqa: SLF001
        self._reader = BufferReader(config, self._stream, clock, node_map, adapter)
        self._polls = 0
        self._counts_waiting = True
        self._queue = ForeignQueue()

    def fetch(self) -> RawFrame | None:
        """Return the oldest filled buffer, or None, at once. ``release`` it before or after the next fetch.

        Raises:
            FetchError: the producer reports an error; ask ``alive``.
        """
        if self._reader.stamped and time.monotonic() >= self._clock.next_s:
            self._clock.sample()
        looking = self._queue.looking()
        try:
            if self._nothing_waits():
                self._queue.seen_empty(looking)
                return None
            self._monitor.update_event_data(0)
        except gentl.TimeoutException:
            self._queue.seen_empty(looking)
            return None
        except BINDING_ERRORS as error:
            raise FetchError(reason(error)) from None
        return self._reader.read(self._monitor.buffer, time.time_ns(), time.monotonic_ns(), self._queue.earliest())

    def release(self, frame: RawFrame) -> None:
        """Queue the buffer again: ``frame.data`` is dead from here on, the camera writes over it.

        It goes back as it is. The binding's default is to zero it first with the interpreter lock held (10 MB: 0.6 ms,
        instead of 0.01). GenTL asks for no such thing: IS_INCOMPLETE and SIZE_FILLED tell what of it a frame has filled.
        Of a producer that doesn't tell the latter it is zeroed: rows of the part before must not stand in a later frame.

        Raises:
            FetchError: the producer didn't take it.
        """
        try:
            self._stream.queue_buffer(frame.buffer, clear_buffer=not measured(frame.buffer))
        except BINDING_ERRORS as error:
            raise FetchError(reason(error)) from None

    def _nothing_waits(self) -> bool:
        if not self._counts_waiting:
            return False
        self._polls += 1
        if self._polls % _EAGER_POLL == 0:
            return False
        try:
            return not self._stream.num_awaiting_delivery
        except BINDING_ERRORS:
            self._counts_waiting = False  # a 0 ms wait for the event instead
            return False
