"""Whatever becomes of the page, a line's records are those of a line that nobody looks at."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from support.browsers import RunningPage
from support.lines import loaded, make_line, records, run, stable_lines
from support.waits import PATIENCE_S, until

from edge.config.web import SessionsConfig
from edge.frames import Payload, Skip
from edge.line.line import Line
from edge.line.tally import Tally
from edge.service.instance_lock import InstanceLock
from edge.sources.in_memory import MemorySource
from edge.web.doors.account_book import AccountBook
from edge.web.doors.roles import Role

connect = pytest.importorskip("websockets.sync.client", reason="the extra 'web' is not installed").connect
BATCH, BATCHES = 60, 5


class Gated(MemorySource):
    """A source that gives one batch of frames after the other, each when its gate is opened."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        pictures = [rng.integers(0, 100, (64, 64), np.uint8) for _ in range(7)]
        pictures[3][20:30, 20:30] = 250  # one in seven is a fail
        super().__init__(pictures, BATCH * BATCHES)
        self.open_gates = 0

    def read(self, timeout_s: float) -> Payload | Skip | None:
        if self._next >= self.open_gates * BATCH and self._next != self.total:
            threading.Event().wait(min(timeout_s, 0.01))
            return None
        return super().read(timeout_s)


def inspected(folder: Path, between: Callable[[Line], Iterator[None]]) -> tuple[list[bytes], Tally]:
    """Run a line of all batches; ``between`` goes on before each. Returns its records without times, and its tally."""
    folder.mkdir(exist_ok=True)
    config = loaded(folder, f"outputs.zmq={{preview: 'ipc://{folder.parent / 'preview'}'}}", "regions.threshold.high=0.9")
    source = Gated()
    line = make_line(config, source=source)
    steps = between(line)
    worker = threading.Thread(target=run, args=(line,))
    worker.start()
    try:
        for number in range(BATCHES):
            next(steps)
            source.open_gates = number + 1
            until(lambda wanted=(number + 1) * BATCH: line.tally.accounted >= wanted)
    finally:
        source.open_gates = BATCHES
        worker.join()
    return stable_lines(records(folder / "log")), line.tally


def peace(_line: Line) -> Iterator[None]:
    """Nobody looks."""
    yield from [None] * BATCHES


def trouble(page: RunningPage, looking: Any, line: Line) -> Iterator[None]:
    """The page listens and looks, then gets no memory, hangs, goes on, and is killed."""
    looking.send('{"subscribe": ["state/cam1", "records/cam1", "preview/cam1"]}')
    (preview,) = (output for output in line.outputs if output.name == "preview")
    until(lambda: preview._sink.subscribers)
    yield
    head = next(message for message in iter(looking.recv, None) if isinstance(message, bytes))
    assert b'"verdict"' in head[:2000]  # it was heard and a picture of it shown
    resource.prlimit(page.process.pid, resource.RLIMIT_AS, (1 << 20, 1 << 20))
    yield
    os.kill(page.process.pid, signal.SIGSTOP)
    yield
    os.kill(page.process.pid, signal.SIGCONT)
    yield
    page.process.kill()
    page.process.wait(PATIENCE_S)
    yield


def test_a_page_without_memory_hung_or_killed_changes_no_record_and_loses_none(tmp_path: Path) -> None:
    alone, _ = inspected(tmp_path / "alone", peace)
    folder = tmp_path / "watched"
    run_folder = folder / "run"
    run_folder.mkdir(parents=True)
    lock = InstanceLock(run_folder, "cam1")
    (run_folder / "instance.json").write_bytes(orjson.dumps({"camera": "cam1"}))
    endpoints = {"zmq": f"ipc://{run_folder / 'pub'}", "preview": f"ipc://{tmp_path / 'preview'}"}
    (run_folder / "endpoints.json").write_bytes(orjson.dumps(endpoints))
    page = RunningPage(tmp_path / "web", [run_folder], ["cam1"])
    book = AccountBook(page.folder / "state", SessionsConfig())
    token = book.add_token("test", Role.VIEWER)
    book.close()
    try:
        address = page.url.replace("http", "ws") + "/api/v1/ws"
        with connect(address, additional_headers={"authorization": f"Bearer {token}"}) as looking:
            watched, tally = inspected(folder, partial(trouble, page, looking))
    finally:
        page.process.kill()
        page.close()
        lock.release()
    assert watched == alone
    assert len(watched) == BATCH * BATCHES
    assert (tally.accounted, tally.inspections, tally.sum_fault) == (BATCH * BATCHES, BATCH * BATCHES, None)
