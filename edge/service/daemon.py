"""The daemon: lock, model, outputs and health server from the config; signals, systemd, exit codes."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TypeAlias

import structlog

from edge.config.load import Loaded
from edge.engines.protocol import BuildProgress, untold
from edge.errors import ExitCode
from edge.line.line import Line
from edge.line.recipe import open_model
from edge.line.run import EachTurn, run_line
from edge.line.supervise import StageHealth
from edge.outputs.open import live_outputs
from edge.service.health_server import HealthServer, Metrics
from edge.service.instance_lock import InstanceLock
from edge.service.reload import Reloader
from edge.service.runtime_folder import runtime_folder, write_endpoints, write_instance, write_reload
from edge.service.sd_notify import StartProgress, notify, watchdog_interval_s
from edge.sources.open import open_source
from edge.sources.protocol import Source

log = structlog.get_logger()

ShowBuild: TypeAlias = Callable[[], AbstractContextManager[BuildProgress]]
"""Opens what shows a build that takes minutes, and closes it when the model is there."""
AGAIN_S = 1.0
"""Another SIGTERM so soon is the same wish again."""


def _show_nothing() -> AbstractContextManager[BuildProgress]:
    return nullcontext(untold)


def run_daemon(
    loaded: Loaded,
    *,
    source: Source | None = None,
    each_turn: EachTurn | None = None,
    show_build: ShowBuild = _show_nothing,
) -> ExitCode:
    """Inspect until SIGTERM, SIGINT or the source's end. Returns the exit code.

    ``source``: instead of the config's own. ``each_turn``: called about every 0.1 s, for a live display.
    ``show_build``: for whoever watches, while the model is opened.

    Raises:
        UserError: whatever keeps the line from starting that a person must mend.
    """
    stop = threading.Event()
    reloader = Reloader(loaded, open_model)
    with _signals(stop, reloader):
        folder = runtime_folder(loaded)
        lock = InstanceLock(folder, loaded.config.camera)
        try:
            write_instance(folder, loaded)
            reloader.report = partial(write_reload, folder)
            return _run_locked(
                loaded,
                folder,
                source=source,
                stop=stop,
                reloader=reloader,
                each_turn=each_turn or _nothing,
                show_build=show_build,
            )
        finally:
            lock.release()


def _run_locked(
    loaded: Loaded,
    folder: Path,
    source: Source | None,
    stop: threading.Event,
    reloader: Reloader,
    each_turn: EachTurn,
    show_build: ShowBuild,
) -> ExitCode:
    config = loaded.config
    notify(f"STATUS=loading the model {config.model.bundle}")
    start = StartProgress()
    with show_build() as show:

        def tell(share: float, text: str) -> None:
            start(share, text)
            show(share, text)

        engine, criteria = open_model(loaded, tell=tell)
    source = source or open_source(config.source, config.camera, loaded.path.parent)
    line = Line(loaded, source, engine, criteria, lambda i: live_outputs(loaded, folder, i), drops=config.source.paced)
    server = None
    log.info("starting", camera=config.camera, engine=engine.name, bundle=engine.bundle.spec.name, high=criteria.high)
    try:
        server = HealthServer(config.health.bind, Metrics(line.tally, line.ring, line.snapshot), line.snapshot)
        line.start(stop)
        if line.started:
            endpoints = {n: str(s.detail["endpoint"]) for n, s in line.output_statuses().items() if "endpoint" in s.detail}
            write_endpoints(folder, {**endpoints, "health": f"http://{server.address}"})
            log.info("ready", health=server.address, **endpoints)
            notify("READY=1")
        watchdog = _Watchdog(config.supervise.limit_s)

        def turn(line: Line, health: StageHealth) -> None:
            if health.hung is not None:
                faulthandler.dump_traceback(all_threads=True)  # before anything else: the call may yet return
            watchdog.turn(line, health)
            reloader.turn(line)
            each_turn(line, health)

        code = run_line(line, stop, turn)
        notify("STOPPING=1")
    except BaseException:
        line.stop()
        raise
    finally:
        if server is not None:
            server.close()
    if code == ExitCode.HUNG:
        log.error("exit", code=int(code), reason="a stage hangs")
    if code == ExitCode.STAGE:
        log.error("exit", code=int(code), reason="a stage failed more often than its budget allows")
    if code == ExitCode.RECONNECTS:
        log.warning("exit", code=int(code), reason="the camera is gone again after source.max_reconnects reconnections")
    if all(w.done for w in line.workers):
        line.recipes.close()
    else:  # a call that doesn't return can't be cancelled from here, and would hold up the interpreter's own exit
        os._exit(code)
    return code


class _Watchdog:
    """WATCHDOG=1 while every stage answers; STATUS when it changes.

    Every stage must have made progress since the last feed, and within ``limit_s``: a stage that froze is covered by one
    more feed at the most.
    """

    def __init__(self, limit_s: float) -> None:
        interval = watchdog_interval_s()
        self._every_s = interval / 4 if interval else None
        self._limit_s = limit_s
        self._fed = float("-inf")
        self._status = ""

    def turn(self, line: Line, health: StageHealth) -> None:
        now = time.monotonic()
        since = now - self._fed
        well = health.failed is None and health.progress_age_s < min(self._limit_s, since)
        if self._every_s is not None and since >= self._every_s and well:
            self._fed = now
            notify("WATCHDOG=1")
        source = line.source.status()
        status = f"{source.state}{': ' + source.detail if source.detail else ''}"
        if status != self._status:
            self._status = status
            notify(f"STATUS={status}")


@contextmanager
def _signals(stop: threading.Event, reloader: Reloader) -> Iterator[None]:
    """SIGTERM and SIGINT set ``stop``; another one a second later ends the process at once. SIGHUP asks for a reload.

    Sooner it is the same wish again: ``timeout`` and process supervisors signal a process and its group. Handlers are put
    back afterwards.
    """
    told_at = 0.0

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal told_at
        if not stop.is_set():
            told_at = time.monotonic()
        elif time.monotonic() - told_at >= AGAIN_S:
            os._exit(128 + number)
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: reloader.ask())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _nothing(_line: Line, _health: StageHealth) -> None:
    pass
