"""The bytes of a ring slot become a frame here, or a loss if they can't."""

from __future__ import annotations

from typing import TypeAlias

import structlog

from edge.frames import Frame, Skip
from edge.line.in_flight import MOST_LOGGED
from edge.line.ring import Slot, meta_of
from edge.preprocess.pixel_formats import Depth, LevelWindow, decode_payload

log = structlog.get_logger()

Levels: TypeAlias = tuple[Depth, LevelWindow | None]


class Decoder:
    """The decoder decodes one frame after the other, and logs a lasting problem at its first frame."""

    def __init__(self, levels: Levels) -> None:
        """Keep ``levels``, which says what becomes of more than 8 bits."""
        self._levels = levels
        self._logged: set[str] = set()

    def decode(self, slot: Slot) -> Frame | Skip:
        """Return the slot's frame, or ``Skip("bad_payload")``. The frame's pixels may be a view into the slot."""
        meta = meta_of(slot)
        try:
            return decode_payload(meta, slot.view, *self._levels)
        except Exception as error:  # noqa: BLE001  (no memory, say: the frame still gets its record)
            problem = f"{type(error).__name__}: {error}"
            if problem not in self._logged and len(self._logged) < MOST_LOGGED:
                self._logged.add(problem)
                log.warning("bad_payload", frame_id=meta.frame_id, pixel_format=meta.pixel_format, error=problem)
            return Skip.of(meta, "bad_payload")
