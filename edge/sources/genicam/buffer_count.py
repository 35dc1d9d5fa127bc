"""How many buffers a producer gets, and what they take: most of the memory of a daemon with a large camera."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from edge.config.genicam_source import GenicamConfig
from edge.preprocess.pixel_formats import payload_bytes
from edge.sources.protocol import DeviceFinding

BUFFERS_MB: Final = 64
"""Memory in MB that buffers take where the config doesn't say how many they are."""
FEWEST, MOST = 4, 32
WARNED_MB: Final = 150
"""Buffers that take more are warned of: eight cameras of 270 MB fill a small box."""


def buffer_count(asked: int | None, payload_bytes: int | None) -> int:
    """Return the number of buffers: what was ``asked`` for, else as many as ``BUFFERS_MB`` hold, ``MOST`` of an unknown
    size.
    """
    if asked is not None:
        return asked
    if not payload_bytes:
        return MOST
    return min(max(BUFFERS_MB * 1_000_000 // payload_bytes, FEWEST), MOST)


def total_mb(count: int, payload_bytes: int) -> int:
    """Return what so many buffers take, in MB."""
    return round(count * payload_bytes / 1e6)


def payload_of(camera: Any) -> int | None:
    """Return the size of one buffer of an open camera (the library's acquirer), in bytes; None if it doesn't tell."""
    try:
        stream = camera.data_streams[0].module if hasattr(camera.data_streams[0], "module") else camera.data_streams[0]
        if stream.defines_payload_size():
            return int(stream.payload_size)
    except Exception:  # noqa: BLE001, S110  (not every producer does)
        pass
    try:
        return int(camera.remote_device.node_map.PayloadSize.value)
    except Exception:  # noqa: BLE001  (not every camera has it)
        return None


def buffer_findings(config: GenicamConfig) -> Iterator[DeviceFinding]:
    """Warn of buffers that take much, where the config says how many and how large the frames are."""
    features = dict(config.features)
    width, height = features.get("Width"), features.get("Height")
    if config.buffers is None or not (isinstance(width, int) and isinstance(height, int)):
        return
    try:
        payload = payload_bytes(str(features.get("PixelFormat", "Mono8")), width, height)
    except ValueError:  # a format of the camera's own
        return
    total, would_do = total_mb(config.buffers, payload), buffer_count(None, payload)
    if total > WARNED_MB and would_do < config.buffers:
        yield DeviceFinding(
            "warn",
            "buffers",
            f"source.buffers: {config.buffers} buffers of {payload / 1e6:.1f} MB take {total} MB of this daemon's memory",
            f"leave source.buffers out: there are {would_do} of them then, which take {total_mb(would_do, payload)} MB",
        )
