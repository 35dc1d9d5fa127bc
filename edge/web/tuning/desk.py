"""The front's side of tuning: worker processes, who has which session, and messages handed on. It computes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edge.config.web import WorkersConfig
from edge.errors import UserError
from edge.web.tuning import messages

MOST_SESSIONS: Final = 8
_FORGOTTEN_S: Final = 900.0
"""A session that nobody asks anything for so long is closed."""
_ALONE_S: Final = 5.0
"""A page that opened a session listens to it, and one that lost its connection has it again, long before that."""
_ANSWER_S: Final = 60.0

SeatListener = Callable[[dict[str, Any], bytes], None]


@dataclass(slots=True, eq=False)
class Seat:
    """A seat is one session: whose it is, for which camera, and who listens to what its worker says by itself."""

    name: str
    owner: str
    camera: str
    worker: WorkerProcess
    listeners: set[SeatListener] = field(default_factory=set)
    asked_at: float = field(default_factory=time.monotonic)
    asking: int = 0

    def is_idle_for(self, seconds: float) -> bool:
        """Say whether nobody has listened to it, or asked and waited, for so long."""
        return not self.listeners and not self.asking and time.monotonic() - self.asked_at > seconds

    async def ask(self, op: str, **more: Any) -> tuple[dict[str, Any], bytes]:
        """Ask the worker, and wait for its answer. Raises UserError as it did there, or if the worker ended."""
        self.asking += 1
        try:
            return await self.worker.ask({"op": op, "session": self.name, **more})
        finally:
            self.asking -= 1
            self.asked_at = time.monotonic()

    async def send(self, message: dict[str, Any]) -> None:
        """Hand on a message whose answers come to the listeners."""
        self.asked_at = time.monotonic()
        await self.worker.send({**message, "session": self.name, "id": None})


class WorkerProcess:
    """One worker process is started at the first use, and anew after it ended."""

    def __init__(self, memory_mb: int, module: str = "edge.web.tuning.worker", *arguments: str) -> None:
        """``module`` is run with ``memory_mb`` and these arguments; it speaks by messages over its pipes."""
        self._command = (sys.executable, "-m", module, str(memory_mb), *arguments)
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: dict[int, asyncio.Future[tuple[dict[str, Any], bytes]]] = {}
        self._numbers = itertools.count(1)
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self.seats: dict[str, Seat] = {}

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def ask(self, message: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        number = next(self._numbers)
        answer: asyncio.Future[tuple[dict[str, Any], bytes]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await self.send({**message, "id": number})
            head, body = await asyncio.wait_for(answer, _ANSWER_S)
        except TimeoutError:
            raise UserError(
                "the worker has not answered for a minute", fix="the lines take all cores: try later", passes=True
            ) from None
        finally:
            self._waiting.pop(number, None)
        if (error := head.get("error")) is not None:
            raise UserError(
                error["what"],
                received=error.get("received"),
                expected=error.get("expected"),
                fix=error.get("fix"),
                passes=bool(error.get("passes")),
                code=error.get("code"),
            )
        return head, body

    async def start(self) -> None:
        """Start the process where it doesn't run."""
        await self._running()

    async def send(self, message: dict[str, Any]) -> None:
        process = await self._running()
        assert process.stdin is not None
        process.stdin.write(messages.packed_message(message))
        with contextlib.suppress(ConnectionError):
            await process.stdin.drain()

    async def close(self) -> None:
        """End the process; one that is killed has nothing to lose."""
        process, self._process = self._process, None
        if process is None or self._reading is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.wait([self._reading])
        if process.stdin is not None:
            process.stdin.close()
            with contextlib.suppress(ConnectionError):
                await process.stdin.wait_closed()

    async def _running(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    env=_one_thread(os.environ),
                )
                self._reading = asyncio.create_task(self._read(self._process))
            return self._process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        pipe = process.stdout
        assert pipe is not None
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                of_head, of_body = messages.LENGTHS.unpack(await pipe.readexactly(messages.LENGTHS.size))
                head, body = messages.understood(await pipe.readexactly(of_head)), await pipe.readexactly(of_body)
                self._deliver(head, body)
        await process.wait()
        self._ended()

    def _deliver(self, head: dict[str, Any], body: bytes) -> None:
        waiting = self._waiting.get(head.get("re") or 0)
        if waiting is not None and not waiting.done():
            waiting.set_result((head, body))
            return
        seat = self.seats.get(head.get("session", ""))
        for listener in tuple(seat.listeners) if seat is not None else ():
            listener(head, body)

    def _ended(self) -> None:
        error = {"what": "the worker that computes for this page has ended", "fix": "open the recording again"}
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(({"op": "died", "error": error}, b""))
        for seat in self.seats.values():
            for listener in tuple(seat.listeners):
                listener({"op": "died", "session": seat.name, "error": error}, b"")
        self.seats.clear()


class TuningDesk:
    """The desk gives out seats. Everything here runs in the event loop."""

    def __init__(self, config: WorkersConfig, folder: Path) -> None:
        """Compute in so many workers as ``config`` says; keep computed maps under ``folder``."""
        self._workers = [WorkerProcess(config.memory_mb) for _ in range(config.processes)]
        self._cache = folder / "maps"
        self._seats: dict[str, Seat] = {}

    async def open(self, owner: str, camera: str, wish: dict[str, Any]) -> tuple[Seat, dict[str, Any]]:
        """Open a session for a visitor; ``wish`` is what ``TuningSession`` takes. Return what the page begins with, too.

        Where all sessions are taken, the one that nobody has listened to or asked for longest is closed.

        Raises:
            UserError: what keeps it from being opened, or too many are.
        """
        await self._forget()
        if len(self._seats) >= MOST_SESSIONS and not await self._close_idlest():
            raise UserError(
                f"{MOST_SESSIONS} recordings are open for tuning already",
                fix="close a tab of Tuning: its recording is closed a quarter of an hour later at most",
                passes=True,
            )
        worker = min(self._workers, key=lambda one: len(one.seats))
        seat = Seat(secrets.token_urlsafe(12), owner, camera, worker)
        self._seats[seat.name] = worker.seats[seat.name] = seat
        try:
            opened, _ = await seat.ask("open", **wish, cache=str(self._cache))
        except BaseException:
            await self.close_seat(seat)
            raise
        return seat, opened

    def seat(self, name: str, owner: str) -> Seat | None:
        """Return a visitor's own session; None for other names, and for one whose worker ended."""
        seat = self._seats.get(name)
        if seat is None or seat.owner != owner or name not in seat.worker.seats:
            return None
        return seat

    def seats(self) -> list[Seat]:
        """Return the sessions that are open."""
        return [seat for seat in self._seats.values() if seat.name in seat.worker.seats]

    async def close_seat(self, seat: Seat) -> None:
        """Close a session."""
        self._seats.pop(seat.name, None)
        if seat.worker.seats.pop(seat.name, None) is not None:
            await seat.worker.send({"op": "close", "session": seat.name})

    @property
    def pids(self) -> list[int]:
        """Return the process ids of the workers that run."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    async def close(self) -> None:
        """End the workers."""
        self._seats.clear()
        for worker in self._workers:
            await worker.close()

    async def _close_idlest(self) -> bool:
        """Close the session whose page went away longest ago; False if every one has its page."""
        alone = [seat for seat in self._seats.values() if seat.is_idle_for(_ALONE_S)]
        if alone:
            await self.close_seat(min(alone, key=lambda seat: seat.asked_at))
        return bool(alone)

    async def _forget(self) -> None:
        for seat in list(self._seats.values()):
            ended = seat.name not in seat.worker.seats
            if ended or seat.is_idle_for(_FORGOTTEN_S):
                await self.close_seat(seat)


def _one_thread(environment: Any) -> dict[str, str]:
    """Return the environment with libraries on one thread: the workers have the cores that nobody else wants."""
    return {**environment, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NOTIFY_SOCKET": ""}
