"""Worker processes of this machine, by the standard library alone; a worker that dies costs one shard once more."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any

from edge.errors import UserError
from edge.spread.shards import LostFrame, Progress, Shard, Task
from edge.spread.throughput import Throughput

_TURN_S = 0.2
"""Between two looks at how far the workers are."""
_NAME_BYTES = 512
_TRIES = 2
"""A shard that killed so many workers at the same frame is worked on without it."""


def run_in_processes(
    task: Task,
    shards: Sequence[Shard],
    workers: int,
    before: int,
    finished: Callable[[Shard, bytes], None],
    progress: Callable[[Progress], None],
) -> tuple[list[LostFrame], int]:
    """Work through the shards with so many processes; returns the lost frames and how often a shard was begun again.

    Raises:
        UserError: the task raised it; the other workers are stopped.
    """
    total = before + sum(shard.stop - shard.start for shard in shards)
    pace = Throughput(total, before)
    waiting, deaths, lost, retries = deque(shards), dict[int, int](), list[LostFrame](), 0
    done = before
    crew: list[_Worker] = []
    try:
        crew = [_Worker(task) for _ in range(workers)]
        while waiting or any(worker.shard for worker in crew):
            for worker in crew:
                if worker.shard is None and waiting:
                    worker.give(waiting.popleft())
            wait([worker.pipe for worker in crew] + [worker.process.sentinel for worker in crew], _TURN_S)
            for place, worker in enumerate(crew):
                shard = worker.shard
                answer = worker.answer()
                if isinstance(answer, bytes):
                    assert shard is not None
                    finished(shard, answer)
                    done += shard.stop - shard.start
                elif isinstance(answer, Exception):
                    raise answer
                elif worker.gone:
                    worker.close()
                    crew[place] = _Worker(task)
                    if shard is not None:
                        deaths[shard.index] = deaths.get(shard.index, 0) + 1
                        retries += 1
                        waiting.appendleft(_again(shard, worker, deaths, lost))
            frames = done + sum(worker.frames for worker in crew if worker.shard)
            progress(pace.progress(frames, workers=workers, retries=retries))
    finally:
        for worker in crew:
            worker.close()
    return lost, retries


def _again(shard: Shard, worker: _Worker, deaths: dict[int, int], lost: list[LostFrame]) -> Shard:
    """The shard once more; the second time that it killed a worker, without the frame that the worker was at."""
    if deaths[shard.index] < _TRIES:
        return shard
    index, name = worker.at
    if index < 0:
        raise UserError(
            f"frames {shard.start} to {shard.stop - 1}: the worker dies before it reads one",
            received=worker.how,
            fix="run with --workers 1 to see why",
        )
    deaths[shard.index] = 0
    lost.append(LostFrame(index, name, worker.how))
    return replace(shard, skip=(*shard.skip, index))


class _Worker:
    """One process, the shard that it has, and the frame that it is at."""

    def __init__(self, task: Task) -> None:
        context = multiprocessing.get_context("spawn")  # threads of OpenCV and ONNX Runtime don't survive a fork
        self.pipe, theirs = context.Pipe()
        self._index = context.RawValue("q", -1)
        self._done = context.RawValue("q", 0)
        self._name = context.RawArray("c", _NAME_BYTES)
        arguments = (theirs, pickle.dumps(task), self._index, self._done, self._name)
        self.process = context.Process(target=_work, args=arguments, daemon=True)
        self.process.start()
        theirs.close()
        self.shard: Shard | None = None
        self.gone = False
        """The process ended: nothing more will come."""

    def give(self, shard: Shard) -> None:
        self._index.value, self._done.value = -1, 0
        self.shard = shard
        with contextlib.suppress(OSError):  # it died while it waited: that is seen at the next turn
            self.pipe.send(shard)

    def answer(self) -> bytes | Exception | None:
        """What it sent, if anything: the shard's result, or what the task raised."""
        try:
            if not self.pipe.poll():
                return None
            answer: bytes | Exception = self.pipe.recv()
        except (EOFError, OSError):
            self.gone = True
            return None
        self.shard = None
        return answer

    @property
    def frames(self) -> int:
        return int(self._done.value)

    @property
    def at(self) -> tuple[int, str]:
        return int(self._index.value), self._name.value.decode("utf-8", "replace")

    @property
    def how(self) -> str:
        code = self.process.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return signal.Signals(-code).name
        return f"exit code {code}"

    def close(self) -> None:
        self.pipe.close()
        if self.gone:
            self.process.join(2)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(2)
            if self.process.is_alive():
                self.process.kill()
        self.process.join()


def _work(pipe: Connection, pickled: bytes, index: Any, done: Any, name: Any) -> None:
    """The worker: a shard in, its result out, until the pipe is closed. Ctrl-C is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import cv2
    import structlog

    cv2.setNumThreads(1)
    # a new interpreter would print all that is logged to standard output, where the command's result goes
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("warning"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    task: Task = pickle.loads(pickled)  # noqa: S301  (our own parent's, over a pipe that nobody else has)

    def at(frame: int, called: str) -> None:
        name.value = called.encode("utf-8", "replace")[: _NAME_BYTES - 1]
        index.value = frame
        done.value += 1

    while True:
        try:
            shard = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer: bytes | Exception = task(shard, at)
        except UserError as error:
            answer = error
        except Exception as error:  # noqa: BLE001  (the parent tells it: a traceback of a worker helps nobody)
            answer = RuntimeError(f"{type(error).__name__}: {error}")
        try:
            pipe.send(answer)
        except (BrokenPipeError, OSError):
            return
