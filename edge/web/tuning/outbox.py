"""An outbox holds what a browser has not taken yet; where it is slow, older messages of a kind give way to newer ones."""

from __future__ import annotations

import asyncio
from typing import Any, Final

MOST_WAITING: Final = 32
"""Messages that may wait; beyond it the oldest of the kind that comes gives way."""


class Outbox:
    """Messages wait here in their order, each with its head. Everything here runs in the event loop.

    The reply to an ``n`` never gives way: its browser sends no later change before it has it. Of every other kind the
    newest is always kept, so that the last ``verdicts`` arrive.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[dict[str, Any], bytes]] = []
        self._filled = asyncio.Event()

    def put(self, head: dict[str, Any], message: bytes) -> None:
        """Add a message, in place of the oldest of its kind where too many wait."""
        if len(self._waiting) >= MOST_WAITING and not _must_arrive(head):
            self._leave_out(head["op"])
        self._waiting.append((head, message))
        self._filled.set()

    async def take(self) -> bytes:
        """Return the oldest message; wait for one if there is none."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        return self._waiting.pop(0)[1]

    def _leave_out(self, op: str) -> None:
        for number, (head, _) in enumerate(self._waiting):
            if head["op"] == op and not _must_arrive(head):
                del self._waiting[number]
                return


def _must_arrive(head: dict[str, Any]) -> bool:
    is_reply = head.get("n") is not None and (head["op"] == "look" or "error" in head)
    return is_reply or head["op"] in ("died", "stopped")
