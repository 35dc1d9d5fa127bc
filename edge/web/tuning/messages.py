"""Front and worker speak over two pipes: lengths of a JSON head and of a body of bytes, then both."""

from __future__ import annotations

import struct
from typing import Any, BinaryIO, Final

import orjson

LENGTHS: Final = struct.Struct("!II")


def packed_message(head: dict[str, Any], body: bytes = b"") -> bytes:
    """Return one message."""
    encoded = orjson.dumps(head)
    return LENGTHS.pack(len(encoded), len(body)) + encoded + body


def understood(head: bytes) -> dict[str, Any]:
    """Return a head's JSON object."""
    encoded: dict[str, Any] = orjson.loads(head)
    return encoded


def read_message(pipe: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """Read one message; None at the end."""
    lengths = pipe.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    of_head, of_body = LENGTHS.unpack(lengths)
    head = pipe.read(of_head)
    body = pipe.read(of_body)
    if len(head) < of_head or len(body) < of_body:
        return None
    return understood(head), body
