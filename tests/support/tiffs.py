"""TIFF files with the tags that a test wants, and no others than must be there."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np


def tiff(*pages: tuple[np.ndarray[Any, Any] | bytes, dict[int, tuple[int, ...] | int]], big_endian: bool = False) -> bytes:
    """Pages of one strip each, uncompressed where it is an array; ``tags``: their values, over those that must be there."""
    order = ">" if big_endian else "<"
    out = bytearray((b"MM\0*" if big_endian else b"II*\0") + struct.pack(order + "I", 0))
    link = 4
    for strip, tags in pages:
        known: dict[int, tuple[int, ...] | int] = {259: 1, 262: 1, 277: 1}
        if isinstance(strip, np.ndarray):
            height, width = strip.shape[:2]
            samples = 1 if strip.ndim == 2 else strip.shape[2]
            known |= {256: width, 257: height, 258: (8 * strip.itemsize,) * samples, 277: samples, 278: height}
            known[262] = 2 if samples == 3 else 1
            strip = strip.astype(strip.dtype.newbyteorder(order)).tobytes()
        offset = len(out)
        out += strip + b"\0" * (len(strip) % 2)
        known |= {273: offset, 279: len(strip)} | tags
        entries = b""
        for tag in sorted(known):
            values = known[tag] if isinstance(known[tag], tuple) else (known[tag],)
            code = "I" if tag in (273, 279) else "H"
            packed = struct.pack(f"{order}{len(values)}{code}", *values)
            if len(packed) > 4:
                place, packed = len(out), struct.pack(order + "I", len(out))
                out += struct.pack(f"{order}{len(values)}{code}", *values)
                assert place % 2 == 0
            entries += struct.pack(order + "HHI", tag, 4 if code == "I" else 3, len(values)) + packed.ljust(4, b"\0")
        out[link : link + 4] = struct.pack(order + "I", len(out))
        out += struct.pack(order + "H", len(known)) + entries
        link = len(out)
        out += bytes(4)
    return bytes(out)
