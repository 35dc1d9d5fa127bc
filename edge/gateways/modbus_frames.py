"""Modbus TCP as bytes: what a request asks for, and how it is answered. Pure.

MODBUS Application Protocol V1.1b3 and MODBUS Messaging on TCP/IP Implementation Guide V1.0b, https://modbus.org/specs.php
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

HEAD_BYTES: Final = 7
"""Transaction, protocol and length of 16 bits each, then the unit."""
MOST_AT_ONCE: Final = 125
"""Registers that one request may read."""
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
"""Exception codes."""
_READ: Final = (3, 4)
"""Function codes: holding registers, input registers."""
_LENGTH: Final = range(2, 255)


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request. ``following`` is the number of bytes that come after it."""

    transaction: int
    unit: int
    following: int


def request_head(data: bytes) -> Head:
    """Read the first seven bytes of a request.

    Raises:
        ValueError: this is not Modbus TCP, or the length is none; where the next request begins can't be known.
    """
    transaction, protocol, length, unit = struct.unpack(">HHHB", data)
    if protocol != 0 or length not in _LENGTH:
        raise ValueError(f"protocol {protocol}, length {length}: not Modbus TCP")
    return Head(transaction, unit, length - 1)


def answer(head: Head, body: bytes, registers: Callable[[], list[int]]) -> bytes:
    """Return the whole answer to a request, whose ``body`` begins with the function code.

    ``registers`` is called only for a request that may be answered with values.
    """
    return _framed(head, _read(body, registers))


def _read(body: bytes, registers: Callable[[], list[int]]) -> bytes:
    function = body[0]
    if function not in _READ:
        return _refused(function, ILLEGAL_FUNCTION)
    if len(body) != 5:
        return _refused(function, ILLEGAL_VALUE)
    first, count = struct.unpack(">HH", body[1:])
    if not 1 <= count <= MOST_AT_ONCE:
        return _refused(function, ILLEGAL_VALUE)
    values = registers()
    if first + count > len(values):
        return _refused(function, ILLEGAL_ADDRESS)
    return struct.pack(f">BB{count}H", function, 2 * count, *values[first : first + count])


def _refused(function: int, code: int) -> bytes:
    return bytes((function | 0x80, code))


def _framed(head: Head, body: bytes) -> bytes:
    return struct.pack(">HHHB", head.transaction, 0, len(body) + 1, head.unit) + body
