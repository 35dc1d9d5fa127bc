"""A filled GenTL buffer holds one plain picture, given as a view and its description, or else words say why not."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np
from genicam import gentl
from numpy.typing import NDArray

from edge.config.sources import GenicamConfig
from edge.frames import SkipReason, TimestampSource
from edge.preprocess.pixel_formats import FORMATS, format_name, payload_bytes
from edge.sources.genicam.camera_clock import CameraClock
from edge.sources.genicam.features import BINDING_ERRORS, reason

_IMAGE_TYPES: Final = (gentl.PAYLOADTYPE_INFO_IDS.PAYLOAD_TYPE_IMAGE, gentl.PAYLOADTYPE_INFO_IDS.PAYLOAD_TYPE_CHUNK_DATA)
_PFNC_NAMESPACES: Final = (0, 1, 4)
"""Namespaces unknown, GigE Vision 1.x (same codes) and PFNC 32 bit; the others number their formats in another way."""
_BIG_ENDIAN: Final = 2
_ASK_AGAIN_S: Final = 1.0
"""Time in s before a buffer is asked for its time stamp again: one without it costs an exception (20 us)."""
_PAYLOADS: Final = {0: "unknown", 2: "raw data", 3: "file", 5: "JPEG", 6: "JPEG 2000", 7: "H.264", 8: "chunks only"} | {
    9: "device-specific",
    10: "multi-part",
    11: "GenDC",
}


Chunks: TypeAlias = tuple[tuple[str, int | float | None], ...]
"""Pairs of name and value; the value is None if the buffer came without it."""


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A raw frame is one filled buffer. ``data`` is a view that dies when the buffer is queued again.

    Without ``data``, ``reason`` says what the loss counts as (incomplete, bad_payload) and ``problem`` why, in words.
    """

    buffer: Any
    frame_id: int | None
    received_ns: int
    received_mono_ns: int
    data: NDArray[np.uint8] | None = None
    width: int = 0
    height: int = 0
    pixel_format: str = ""
    camera_ns: int | None = None
    """UTC in ns by the clock that ``timestamp_source`` names; None if that is ``host``."""
    timestamp_source: TimestampSource = "host"
    part_id: int | None = None
    chunks: Chunks = ()
    reason: SkipReason | None = None
    problem: str = ""


class ShortError(ValueError):
    """The producer calls a buffer whole that it didn't fill: the rest is what an earlier frame left there."""


class BufferReader:
    """A reader reads the filled buffers of one stream, in the acquisition thread. No method raises."""

    def __init__(self, config: GenicamConfig, stream: Any, clock: CameraClock, node_map: Any, chunk_adapter: Any) -> None:
        self._config = config
        self._stream = stream
        self._clock = clock
        self._node_map = node_map
        self._chunk_adapter = chunk_adapter
        self.stamped = True
        """True if the camera stamps its frames, as far as is known: its clock is worth a sample."""
        self._ask_again_s = 0.0

    def read(self, buffer: Any, now_ns: int, now_mono_ns: int, earliest: tuple[int, int] | None = None) -> RawFrame:
        """Return what the buffer holds. Chunks of a buffer with anything missing are not read: they may be an earlier
        frame's.

        ``earliest`` is UTC and monotonic time at which the producer's queue was last seen empty; None: now. The frame came
        then, or at its own stamp if that is later and the camera's clock can be followed: latencies count from there.
        """
        frame_id = item(buffer, "frame_id")
        received_ns, received_mono_ns = earliest or (now_ns, now_mono_ns)
        lost = partial(RawFrame, buffer, frame_id, received_ns, received_mono_ns)
        try:
            complete = buffer.is_complete()
        except BINDING_ERRORS:
            complete = False
        if not complete:
            return lost(reason="incomplete", problem="bytes are missing")
        try:
            data, width, height, pixel_format = image_of(buffer)
        except ShortError as error:
            return lost(reason="bad_payload", problem=str(error))
        except (ValueError, *BINDING_ERRORS) as error:
            part_id, _ = self._chunks(buffer)
            return lost(part_id=part_id, reason="bad_payload", problem=reason(error))
        part_id, chunks = self._chunks(buffer)
        if self._config.bayer is not None and pixel_format.startswith("Bayer"):
            pixel_format = f"Bayer{self._config.bayer}{pixel_format[7:]}"
        camera_ns: int | None = None
        source: TimestampSource = "host"
        if (stamp := self._stamp(buffer)) is not None:
            camera_ns, source = self._clock.utc(stamp, now_ns, now_mono_ns)
        if source == "camera" and camera_ns is not None and received_ns < camera_ns <= now_ns:
            received_ns, received_mono_ns = camera_ns, now_mono_ns - (now_ns - camera_ns)
        return RawFrame(
            buffer=buffer,
            frame_id=frame_id,
            received_ns=received_ns,
            received_mono_ns=received_mono_ns,
            data=data,
            width=width,
            height=height,
            pixel_format=pixel_format,
            camera_ns=camera_ns,
            timestamp_source=source,
            part_id=part_id,
            chunks=chunks,
        )

    def _chunks(self, buffer: Any) -> tuple[int | None, Chunks]:
        part_id, names = self._config.part_id, self._config.chunks
        if part_id is None and not names:
            return None, ()
        return chunks_of(buffer, self._chunk_adapter, self._node_map, part_id, names)

    def _stamp(self, buffer: Any) -> int | None:
        """Return the camera's own time of the frame in ns; None if it gives none. 0 counts as none: some begin with it,
        some stay.
        """
        if not self.stamped and time.monotonic() < self._ask_again_s:
            return None
        stamp: int | None = item(buffer, "timestamp_ns")
        ticks: int | None = None
        if not stamp:
            ticks, rate = item(buffer, "timestamp"), item(self._stream.parent, "timestamp_frequency")
        self.stamped = stamp is not None or ticks is not None
        self._ask_again_s = time.monotonic() + _ASK_AGAIN_S
        if stamp:
            return stamp
        return ticks * 1_000_000_000 // rate if ticks and rate else None


def item(module: Any, name: str, default: Any = None) -> Any:
    """Return an item that a producer need not provide, or None."""
    try:
        return getattr(module, name)
    except BINDING_ERRORS:
        return default


def measured(buffer: Any) -> bool:
    """Return True if the producer says how much of the buffer was filled, so that an unfilled rest can't pass for a
    picture.
    """
    return item(buffer, "size_filled") is not None


def image_of(buffer: Any) -> tuple[NDArray[np.uint8], int, int, str]:
    """Return view, width, height and PFNC name of a buffer that holds one plain picture.

    Raises:
        ShortError: it is called whole, but not all of the picture came. Queued buffers are not blanked where the producer
            tells how much it filled, so that the rest would be the picture before.
        ValueError: why it holds something else.
    """
    kind = item(buffer, "payload_type", gentl.PAYLOADTYPE_INFO_IDS.PAYLOAD_TYPE_IMAGE)
    if kind not in _IMAGE_TYPES:
        raise ValueError(f"payload type {_PAYLOADS.get(int(kind), int(kind))}")
    namespace, code = item(buffer, "pixel_format_name_space", 4), buffer.pixel_format
    name = format_name(code) if namespace in _PFNC_NAMESPACES else None
    if name is None:
        raise ValueError(f"pixel format {_pfnc_name(code)} (0x{code:08X})")
    width, height = buffer.width, buffer.height
    lines = item(buffer, "delivered_image_height", height)
    if lines < height:
        raise ShortError(f"{lines} of {height} lines")
    padding = item(buffer, "padding_x", 0)
    if padding:
        raise ValueError(f"{padding} bytes of padding at the end of each line")
    if item(buffer, "pixel_endianness") == _BIG_ENDIAN and FORMATS[name].bits > 8:
        raise ValueError("big-endian pixels")
    need, offset = payload_bytes(name, width, height), item(buffer, "image_offset", 0)
    raw = np.frombuffer(buffer.raw_buffer, np.uint8)
    filled = min(item(buffer, "size_filled", raw.size), raw.size)
    if not need or filled < offset + need:
        raise ShortError(f"{max(0, filled - offset)} bytes, {need} needed for {name} {width}x{height}")
    return raw[offset : offset + need], width, height, name


def chunks_of(
    buffer: Any, adapter: Any, node_map: Any, part_id: str | None, names: tuple[str, ...]
) -> tuple[int | None, Chunks]:
    """Return part id and the other chunks of this buffer, read before it is queued again."""
    try:
        # the library's _update_chunk_data swallows a failed attach: nodes would answer with an earlier frame's values
        _attach_chunks(adapter, buffer)
    except _UNREADABLE:
        return None, tuple((name, None) for name in names)
    try:
        part = None if part_id is None else _chunk(node_map, part_id)
        return None if part is None else int(part), tuple((name, _chunk(node_map, name)) for name in names)
    finally:
        with suppress(*_UNREADABLE):
            adapter.detach_buffer()


def _chunk(node_map: Any, name: str) -> int | float | None:
    try:
        value: int | float = node_map.get_node(name).value
    except _UNREADABLE:
        return None
    return value


_UNREADABLE: Final = (ValueError, RuntimeError, *BINDING_ERRORS)


def _attach_chunks(adapter: Any, buffer: Any) -> None:
    """Let the node map read this buffer's chunks, until ``adapter.detach_buffer``.

    Raises:
        ValueError, BINDING_ERRORS: the buffer has none, or they can't be parsed.
    """
    if item(buffer, "is_containing_chunk_data", lambda: True)() is False:
        raise ValueError("the buffer has no chunks")
    if buffer.tl_type in ("GEV", "U3V"):
        raw = buffer.raw_buffer
        size = item(buffer, "delivered_chunk_payload_size") or item(buffer, "size_filled", len(raw))
        adapter.attach_buffer(raw, size)
    else:
        adapter.attach_buffer(buffer.raw_buffer, buffer.chunk_data_info_list)


def _pfnc_name(code: int) -> str:
    from harvesters.util._pfnc import symbolics  # only for the words of a refusal

    return str(symbolics.get(code, "unknown"))
