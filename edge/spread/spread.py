"""``spread``: every shard through the task, here or in worker processes; finished ones are kept for ``resume``."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from edge.errors import UserError
from edge.spread.processes import run_in_processes
from edge.spread.shards import LostFrame, Progress, Shard, Spread, Task
from edge.storage.disk import write_whole

_LEAST_SHARDS = 2
"""Fewer are worked on here: starting a process takes as long as 50 frames."""


def default_workers(shards: int) -> int:
    """Return as many workers as there are cores for this process, and no more than shards."""
    cores = len(os.sched_getaffinity(0))
    return 1 if shards < _LEAST_SHARDS else max(1, min(cores, shards))


def spread(
    task: Task,
    shards: Sequence[Shard],
    *,
    workers: int = 1,
    kept_in: Path | None = None,
    key: str = "",
    cluster: str | None = None,
    seen: Callable[[], str] | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    taken: Callable[[bytes], None] | None = None,
) -> Spread:
    """Work through all shards; the results are the same bytes for any number of workers.

    A worker that dies has its shard worked on once more. Where the same shard kills a second one, the frame that it was at
    is lost, named in ``Spread.lost``, and the rest of the shard is worked on without it.

    ``workers``: 1 works in this process, where a frame that kills it can't be survived. ``kept_in``: folder for the results
    of finished shards, so that a run that was stopped is resumed by the same call. ``key``: what the results depend on
    beside the frames; results of another key aren't taken. ``cluster``: address of a Ray cluster, on whose nodes the work
    is done instead (``edge.spread.cluster``); ``seen`` is then what must be the same on every node as here. ``taken`` gets
    each result in the order of the shards, as soon as it and those before it are there; ``Spread.results`` is then empty,
    and only results that came before their turn are held.

    Raises:
        UserError: the task raised it, ``workers`` isn't at least 1, or ``kept_in`` can't be written.
    """
    if workers < 1:
        raise UserError("--workers", received=workers, expected="a number from 1 up")
    kept = _Kept(kept_in, key)
    done: dict[int, bytes | None] = {shard.index: None for shard in shards if kept.has(shard)}
    todo = [shard for shard in shards if shard.index not in done]
    lost: list[LostFrame] = []
    retries = 0

    turn = _Turn(shards, kept, taken)

    def finished(shard: Shard, result: bytes) -> None:
        done[shard.index] = result
        turn.hand_over(done)
        if not shard.skip:  # a shard that lacks a frame is worked on again when resumed: the frame may be mended
            kept.put(shard, result)

    before = sum(shard.stop - shard.start for shard in shards) - sum(shard.stop - shard.start for shard in todo)
    if cluster is not None and todo:
        from edge.spread.cluster import run_on_cluster

        lost, retries = run_on_cluster(
            task=task, shards=todo, address=cluster, before=before, finished=finished, progress=progress, seen=seen
        )
    elif workers == 1 and todo:
        _run_here(task, todo, before, finished, progress)
    elif todo:
        lost, retries = run_in_processes(task, todo, min(workers, len(todo)), before, finished, progress)
    turn.hand_over(done)
    results = tuple(kept.whole(shard, done[shard.index]) for shard in shards) if taken is None else ()
    return Spread(results, tuple(sorted(lost, key=lambda frame: frame.index)), retries)


def _run_here(
    task: Task,
    shards: Sequence[Shard],
    before: int,
    finished: Callable[[Shard, bytes], None],
    progress: Callable[[Progress], None],
) -> None:
    from edge.spread.throughput import Throughput

    pace = Throughput(before + sum(shard.stop - shard.start for shard in shards), before)
    frames = before

    def at(_index: int, _name: str) -> None:
        nonlocal frames
        progress(pace.progress(frames, workers=1, retries=0))
        frames += 1

    for shard in shards:
        finished(shard, task(shard, at))
        frames = before = before + shard.stop - shard.start
    progress(pace.progress(frames, workers=1, retries=0))


class _Turn:
    """Hands results over in the order of their shards, each once, and lets go of them."""

    def __init__(self, shards: Sequence[Shard], kept: _Kept, taken: Callable[[bytes], None] | None) -> None:
        self._coming = deque(shards)
        self._kept = kept
        self._taken = taken

    def hand_over(self, done: dict[int, bytes | None]) -> None:
        while self._taken is not None and self._coming and self._coming[0].index in done:
            shard = self._coming.popleft()
            self._taken(self._kept.whole(shard, done.pop(shard.index)))


class _Kept:
    """Results of finished shards as files, each written whole."""

    def __init__(self, folder: Path | None, key: str) -> None:
        self._folder = folder
        self._key = sha256(key.encode()).hexdigest()[:16]

    def has(self, shard: Shard) -> bool:
        return self._folder is not None and self._path(self._folder, shard).is_file()

    def whole(self, shard: Shard, result: bytes | None) -> bytes:
        """The result, read from its file where ``result`` is None: many together may be larger than the memory."""
        if result is not None:
            return result
        assert self._folder is not None
        try:
            return self._path(self._folder, shard).read_bytes()
        except OSError as error:
            raise UserError(f"{self._folder}: a finished shard cannot be read: {error.strerror}") from None

    def put(self, shard: Shard, result: bytes) -> None:
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._path(self._folder, shard), result)
        except OSError as error:
            raise UserError(f"{self._folder}: finished shards cannot be kept: {error.strerror}") from None

    def _path(self, folder: Path, shard: Shard) -> Path:
        return folder / f"{self._key}-{shard.start:08d}-{shard.stop:08d}.part"
