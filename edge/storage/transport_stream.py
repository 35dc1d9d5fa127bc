"""Continuity counters show which packets an MPEG transport stream lost: FFmpeg's demuxer passes over most of them.

ISO/IEC 13818-1, 2.4.3: packets of 188 bytes (192 with a time stamp in front), each with a 13-bit PID and a 4-bit counter
that rises with each packet of the PID that carries data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

_SYNC: Final = 0x47
_LAYOUTS: Final = ((188, 0), (192, 4))
_LOOKED_AT: Final = 16
"""Number of packets whose sync bytes show the layout."""


class SpoiltPackets:
    """Spoilt are the elementary packets of one PID that lost some of their data; they are known by where they begin in the
    file.
    """

    def __init__(self, path: Path, pid: int) -> None:
        """Read four bytes out of each 188. A file of another kind, or one that can't be read, has no spoilt packets."""
        self._starts = np.empty(0, np.int64)
        self._spoilt = np.empty(0, bool)
        try:
            data = np.memmap(path, np.uint8, "r")
        except (OSError, ValueError):
            return
        for size, offset in _LAYOUTS:
            count = len(data) // size
            heads = data[: count * size].reshape(count, size)[:, offset : offset + 4]
            if count and (heads[:_LOOKED_AT, 0] == _SYNC).all():
                self._read(heads, pid, size, offset)
                return

    def holds(self, position: int | None) -> bool:
        """Return True if the packet that begins at this byte of the file, or in the one around it, lost some data."""
        if position is None or position < 0 or not len(self._starts):
            return False
        index = int(np.searchsorted(self._starts, position, side="right")) - 1
        return bool(self._spoilt[max(index, 0)])

    def _read(self, heads: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], pid: int, size: int, offset: int) -> None:
        of_pid = (heads[:, 1].astype(np.uint16) & 0x1F) << 8 | heads[:, 2]
        ours = np.flatnonzero((of_pid == pid) & (heads[:, 0] == _SYNC))
        if not len(ours):
            return
        flags, last = heads[ours, 1], heads[ours, 3]
        counter, carries, begins = last & 15, last & 0x10 > 0, flags & 0x40 > 0
        step = np.diff(counter.astype(np.int8), prepend=counter[:1].astype(np.int8)) % 16
        # one that carries nothing repeats the counter; a packet may be sent twice
        gap = (step != 1) & (step != 0) | (flags & 0x80 > 0)
        gap[0] = not begins[0]
        starts = np.flatnonzero(begins & carries)
        if not len(starts):
            return
        self._starts = ours[starts].astype(np.int64) * size + offset
        self._spoilt = np.zeros(len(starts), bool)
        # what is lost in front of a packet's beginning is the end of the one before it, or a whole one between them
        before = np.searchsorted(starts, np.flatnonzero(gap), side="left") - 1
        self._spoilt[np.maximum(before, 0)] = True
