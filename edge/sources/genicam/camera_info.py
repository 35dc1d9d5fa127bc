"""A camera as its producer lists it, and how a config says which one is meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Mark: TypeAlias = Literal["serial", "device_user_id", "mac", "ip"]
MARKS: Final[dict[Mark, str]] = {
    "serial": "serial",
    "device_user_id": "DeviceUserID",
    "mac": "MAC",
    "ip": "IP",
}
"""The config's keys that choose a camera, each with the word for it in messages."""


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera is described as its producer lists it. ``access`` is free, in use, read-only, no access, or unknown."""

    serial: str
    vendor: str
    model: str
    device_user_id: str
    """Name that a person gave the camera, empty if nobody did."""
    id: str
    transport: str
    """Transport layer: GEV, U3V, CL, CXP ... or Custom."""
    access: str
    producer: str
    mac: str = ""
    """MAC address, ``00:30:53:1a:2b:3c``; empty if it wasn't asked for, or the producer doesn't say."""
    ip: str = ""
    """IPv4 address; empty as ``mac``."""


@dataclass(frozen=True, slots=True)
class CameraChoice:
    """A choice names one camera by one mark; without ``mark`` it means the only camera there is."""

    mark: Mark | None = None
    value: str | None = None

    @property
    def needs_addresses(self) -> bool:
        """Return True if MAC or IP decide, which a producer's interface must be asked for."""
        return self.mark in ("mac", "ip")

    def fits(self, camera: CameraInfo) -> bool:
        """Return True if this camera may be the one."""
        return self.mark is None or getattr(camera, self.mark) == self.value

    def __str__(self) -> str:
        return "any" if self.mark is None else f"{MARKS[self.mark]} {self.value}"


ANY_CAMERA: Final = CameraChoice()
