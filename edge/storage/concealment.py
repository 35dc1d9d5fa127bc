"""Damage in a predicted video spreads from frame to frame until a key frame ends it; this finds the frames to believe.

H.264 and its kin send frames in another order than they show them: a packet's time stamp is its place in the order of
showing. Groups begin with key frames; what is decoded after one and shown before it belongs to the group before, from which
it may be predicted. Once one frame of a group is damaged, all that are decoded after it in that group are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MISSING: Final = "data are missing, here or in a frame that it is predicted from"
FILLED_IN: Final = "the decoder filled in what is missing, here or in a frame that it is predicted from"
LOST: Final = "the decoder gave no frame for its data"
MOST_WAITING: Final = 64
"""Most packets whose frames the decoder holds back to bring them into order: 16 in H.264."""


@dataclass(frozen=True, slots=True)
class LostPacket:
    """A packet's frame never came, or came to nothing. ``pts`` is its time stamp, in the stream's own unit."""

    pts: int | None
    why: str


class Concealment:
    """Packets are followed into the decoder and frames out of it, so that each is reported once: believed, or damaged."""

    def __init__(self) -> None:
        self._group = 0
        self._key_pts: int | None = None
        self._damaged: dict[int, str] = {}
        """Why the latest two groups are damaged, if they are."""
        self._waiting: dict[int, tuple[int, str | None]] = {}
        """Group and damage known when the packet was sent, by time stamp, in the order of decoding."""
        self._shown: int | None = None

    def sent(self, pts: int | None, *, key: bool, whole: bool) -> list[LostPacket]:
        """Note that a packet goes to the decoder, ``whole`` if the container misses nothing of it. Returns what is given up
        for it.
        """
        lost: list[LostPacket] = []
        if key:
            if pts is not None and self._shown is not None and pts <= self._shown:  # the stream's clock began anew
                lost, self._shown = self.rest(), None
            self._group += 1
            self._key_pts = pts
            self._damaged.pop(self._group - 2, None)
        group = self._group_of(pts)
        if not whole:
            self._damaged.setdefault(group, MISSING)
        if pts is None:
            return lost
        self._waiting[pts] = group, self._damaged.get(group)
        if len(self._waiting) > MOST_WAITING:
            lost += self._before(sorted(self._waiting)[1])
        return lost

    def failed(self, pts: int | None, why: str) -> list[LostPacket]:
        """Note that the decoder raised with the packet that was sent last. Its frame may still come out later."""
        group = self._group_of(pts)
        self._damaged.setdefault(group, why)
        if pts is None:
            return [LostPacket(None, why)]
        if pts in self._waiting:
            self._waiting[pts] = group, why
        return []

    def came(self, pts: int | None, *, whole: bool) -> tuple[list[LostPacket], str | None] | None:
        """Take a frame that came out; return what is lost before it, and why it is damaged, or None.

        The result is None if the frame has been reported already. ``whole`` is True if the decoder says that it filled
        nothing in.
        """
        if pts is None:
            return [], self._doubt(self._group, self._damaged.get(self._group), whole=whole)
        if self._shown is not None and pts <= self._shown:
            return None
        lost = self._before(pts)
        group, why = self._waiting.pop(pts, (self._group, self._damaged.get(self._group)))
        self._shown = pts
        return lost, self._doubt(group, why, whole=whole)

    def rest(self) -> list[LostPacket]:
        """Return the packets without a frame when there are no more."""
        return self._before(None)

    def _doubt(self, group: int, why: str | None, *, whole: bool) -> str | None:
        if whole or why is not None:
            return why
        why = self._damaged.setdefault(group, FILLED_IN)
        for pts, (of, known) in self._waiting.items():  # decoded after it, before it was seen
            if of == group:
                self._waiting[pts] = of, known or why
        return why

    def _before(self, pts: int | None) -> list[LostPacket]:
        """Return the packets that should have been shown before this one."""
        early = sorted(waiting for waiting in self._waiting if pts is None or waiting < pts)
        lost = [LostPacket(waiting, self._waiting.pop(waiting)[1] or LOST) for waiting in early]
        if early:
            self._shown = early[-1]
        return lost

    def _group_of(self, pts: int | None) -> int:
        leading = pts is not None and self._key_pts is not None and pts < self._key_pts
        return self._group - 1 if leading else self._group
