"""What the kernel answers about a webcam's controls: struct for struct, in place of ``ioctl``."""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass

from edge.sources.opencv import v4l2_controls as v4l2


@dataclass
class Control:
    """One control of the device, with its value now."""

    id: int
    name: str
    low: int
    high: int
    value: int
    step: int = 1
    kind: int = 1
    flags: int = 0
    holes: tuple[int, ...] = ()


class Webcam:
    """Controls as uvcvideo has them; ``sticky`` keeps its value whatever is written, ``busy`` refuses."""

    def __init__(self) -> None:
        self.controls = [
            Control(0x0098_0900, "Brightness", -64, 64, 0),
            Control(v4l2.WHITE_BALANCE_AUTO, "White Balance, Automatic", 0, 1, 1, kind=2),
            Control(0x0098_0913, "Gain", 0, 100, 0, step=2),
            Control(v4l2.WHITE_BALANCE_TEMPERATURE, "White Balance Temperature", 2800, 6500, 4600),
            Control(0x0098_0922, "Old one", 0, 9, 0, flags=0x1),
            Control(0x0098_0929, "A text", 0, 9, 0, kind=7),
            Control(v4l2.EXPOSURE_AUTO, "Auto Exposure", 0, 3, 3, kind=3, holes=(0, 2)),
            Control(v4l2.EXPOSURE_ABSOLUTE, "Exposure Time, Absolute", 1, 5000, 157),
            Control(v4l2.FOCUS_ABSOLUTE, "Focus, Absolute", 0, 250, 0, step=5),
            Control(v4l2.FOCUS_AUTO, "Focus, Automatic Continuous", 0, 1, 1, kind=2),
            Control(0x009A_0910, "Temperature", 0, 99, 31, flags=0x4),
        ]
        self.written: list[tuple[str, int]] = []
        self.sticky: set[str] = set()
        self.busy: set[str] = set()
        self.capabilities = 0x0420_0001

    def by_name(self, name: str) -> Control:
        return next(control for control in self.controls if control.name == name)

    def ioctl(self, _descriptor: int, request: int, raw: bytearray) -> int:
        if request == v4l2.QUERY_CAPABILITY:
            struct.pack_into("=16s32s32sIII", raw, 0, b"uvcvideo", b"HD Webcam", b"usb-1", 0x60000, 0, self.capabilities)
            return 0
        (number,) = struct.unpack_from("=I", raw)
        if request == v4l2.QUERY:
            return self._query(number, raw)
        control = next((c for c in self.controls if c.id == number), None)
        if control is None:
            raise OSError(errno.EINVAL, "Invalid argument")
        if request == v4l2.QUERY_MENU:
            if struct.unpack_from("=I", raw, 4)[0] in control.holes:
                raise OSError(errno.EINVAL, "Invalid argument")
        elif request == v4l2.GET:
            struct.pack_into("=Ii", raw, 0, number, control.value)
        elif request == v4l2.SET:
            self._set(control, struct.unpack_from("=i", raw, 4)[0])
        else:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        return 0

    def _query(self, number: int, raw: bytearray) -> int:
        after = number & 0x7FFF_FFFF
        ordered = sorted(self.controls, key=lambda c: c.id)
        control = next((c for c in ordered if c.id > after), None)
        if control is None:
            raise OSError(errno.EINVAL, "Invalid argument")
        values = (control.low, control.high, control.step, 0, control.flags)
        struct.pack_into("=II32siiiiI", raw, 0, control.id, control.kind, control.name.encode(), *values)
        return 0

    def _set(self, control: Control, value: int) -> None:
        if control.name in self.busy:
            raise OSError(errno.EBUSY, "Device or resource busy")
        self.written.append((control.name, value))
        if control.name not in self.sticky:
            control.value = value
