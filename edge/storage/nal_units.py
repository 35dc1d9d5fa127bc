"""Bytes that H.264, H.265 and H.266 forbid inside a NAL unit show damage that a decoder may fill in without a word.

An encoder writes 00 00 03 in place of any 00 00 00, 00 00 01 or 00 00 02 (ITU-T H.264 and H.265, 7.4.1 and 7.4.2), so
that a start code is never data. What was zeroed by a failing disk or a lost page has them.
"""

from __future__ import annotations

import re
from typing import Final

CODECS: Final = frozenset({"h264", "hevc", "vvc"})
_IN_A_UNIT: Final = re.compile(rb"\x00\x00[\x00\x01\x02]")
_IN_A_STREAM: Final = re.compile(rb"\x00\x00(?:\x00+[^\x00\x01]|\x02)")


def length_bytes(codec: str, head: bytes | None) -> int | None:
    """Return how many bytes in front of each unit hold its length, by the stream's head (avcC, hvcC).

    None if units stand between start codes, as in MPEG-TS.
    """
    at = {"h264": 4, "hevc": 21}.get(codec)
    if at is None or not head or head[0] != 1 or len(head) <= at:
        return None
    return (head[at] & 3) + 1


def is_spoilt(packet: bytes, length_size: int | None) -> bool:
    """Return True if the packet holds what no encoder writes, or if the lengths of its units don't add up."""
    if length_size is None:
        return _IN_A_STREAM.search(packet) is not None
    at = 0
    while at < len(packet):
        begin = at + length_size
        at = begin + int.from_bytes(packet[at:begin], "big")
        if begin >= at or at > len(packet) or _IN_A_UNIT.search(packet, begin, at):
            return True
    return False
