"""A camera as its producer lists it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera is described as its producer lists it. ``access`` is free, in use, read-only, no access, or unknown."""

    serial: str
    vendor: str
    model: str
    name: str
    """User-defined name, empty if none was given."""
    id: str
    transport: str
    """Transport layer: GEV, U3V, CL, CXP ... or Custom."""
    access: str
    producer: str
