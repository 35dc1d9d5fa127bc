"""A thread of its own fetches one item ahead, because a share or a camera's server may hold a call for long."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

HELD_S: Final = 20.0
"""Time in s after which a call that fetches counts as held."""


class Wait:
    """A wait sleeps, and wakes at once when all is to end."""

    def __init__(self) -> None:
        self._ends = threading.Event()

    def sleep(self, seconds: float) -> bool:
        """Sleep; return True if all is to end."""
        return self._ends.wait(max(0.0, seconds))

    @property
    def ends(self) -> bool:
        """Return True if all is to end."""
        return self._ends.is_set()

    def end(self) -> None:
        self._ends.set()


class Ahead(Generic[T]):
    """One item at a time is fetched and waits; the next one is fetched when it was taken. What is not fetched stays where
    it is: with the camera, in the folder.
    """

    def __init__(self, fetch: Callable[[Wait], T | None], name: str) -> None:
        """Take ``fetch``, called again and again; it returns None if nothing is there, having slept a little."""
        self._fetch = fetch
        self._wait = Wait()
        self._items: queue.SimpleQueue[T | Exception] = queue.SimpleQueue()
        self._room = threading.Semaphore(1)
        self._began_s: float | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def take(self, timeout_s: float) -> T | None:
        """Return the item that waits, or None if there is none within ``timeout_s``. Raises what ``fetch`` raised."""
        try:
            item = self._items.get(timeout=timeout_s)
        except queue.Empty:
            return None
        self._room.release()
        if isinstance(item, Exception):
            raise item
        return item

    def held_s(self) -> float:
        """Return how long, in s, the call in progress has been taking, its sleep included; 0 if there is none."""
        began = self._began_s
        return 0.0 if began is None else time.monotonic() - began

    def stop(self, timeout_s: float) -> bool:
        """End; return False if the call in progress doesn't within ``timeout_s``. It ends by itself then, when it can."""
        self._wait.end()
        self._room.release()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self._room.acquire()
            item: T | Exception | None = None
            while item is None and not self._wait.ends:
                self._began_s = time.monotonic()
                try:
                    item = self._fetch(self._wait)
                except Exception as error:  # noqa: BLE001  (raised where it is taken; the next call may do better)
                    item = error
                finally:
                    self._began_s = None
            if item is None:
                return
            self._items.put(item)
