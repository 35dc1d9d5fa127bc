"""Buffers for copies of frames are made once and used again."""

from __future__ import annotations

import errno
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.frames import AnomalyMap, Frame
from edge.outputs.evidence.packed_mask import PackedMask


@dataclass(slots=True)
class KeptFrame:
    """A frame was copied; the tickets give its buffers back. ``why`` is None while it waits for a fail.

    ``amap`` is a copy of its map, where maps are kept and there is one; ``mask`` that of its regions, for a fail whose
    overlay is drawn.
    """

    ticket: int
    frame: Frame
    why: str | None
    amap: AnomalyMap | None = None
    map_ticket: int = 0
    mask: PackedMask | None = None


class Pool:
    """A pool has ``count`` buffers that grow to the frames' size. One thread copies, another one gives back."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free: deque[NDArray[np.uint8]] = deque(np.empty(0, np.uint8) for _ in range(count))
        self._tickets = 0
        self._lent: dict[int, NDArray[np.uint8]] = {}

    def copy(self, pixels: NDArray[Any], *, leave: int = 0) -> tuple[int, NDArray[Any]] | None:
        """Return a copy of ``pixels`` and the ticket to give it back with; None if no more than ``leave`` buffers are
        free.
        """
        if len(self._free) <= leave:
            return None
        buffer = self._free.popleft()
        if buffer.nbytes < pixels.nbytes:
            buffer = np.empty(pixels.nbytes, np.uint8)
        copy: Any = buffer[: pixels.nbytes].view(pixels.dtype).reshape(pixels.shape)
        np.copyto(copy, pixels)
        self._tickets += 1
        self._lent[self._tickets] = buffer
        return self._tickets, copy

    def give_back(self, ticket: int) -> None:
        """Give back a copy that isn't used any more. A ticket may be given back twice."""
        buffer = self._lent.pop(ticket, None)
        if buffer is not None:
            self._free.append(buffer)


class Copies:
    """Frames are copied here, and their maps with them where maps are kept.

    Args:
        buffers: number of frames that may wait to be written.
        before_fail: number of frames that wait for a fail besides.
        maps: whether maps are kept.
    """

    def __init__(self, buffers: int, before_fail: int, *, maps: bool) -> None:
        self._buffers = buffers
        self._frames = Pool(buffers + 2 * before_fail)
        self._maps = Pool(self._frames.count) if maps else None

    def take(self, frame: Frame, why: str | None, amap: AnomalyMap | None) -> KeptFrame | None:
        """Copy a frame; None if no buffer is free. One that only waits for a fail leaves ``buffers`` of them free.

        Raises:
            OSError: no buffer is free, and the frame is wanted.
        """
        copied = self._frames.copy(frame.pixels, leave=0 if why else self._buffers)
        if copied is None:
            if why is None:
                return None
            text = f"frames come faster than they are written: {self._buffers} wait already"
            raise OSError(errno.ENOBUFS, text)
        kept = KeptFrame(copied[0], replace(frame, pixels=copied[1]), why)
        of_map = self._maps.copy(amap.values) if self._maps is not None and amap is not None else None
        if of_map is not None and amap is not None:
            kept.map_ticket, kept.amap = of_map[0], replace(amap, values=of_map[1], embedding=None)
        return kept

    def give_back(self, kept: KeptFrame) -> None:
        """Give back the buffers of a frame that isn't used any more, which may be done twice."""
        self._frames.give_back(kept.ticket)
        if self._maps is not None:
            self._maps.give_back(kept.map_ticket)
