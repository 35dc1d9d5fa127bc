"""The daemon makes lock, model, outputs and health server from the config, and handles signals, systemd and exit codes."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

import structlog

from edge.config.load import Loaded
from edge.engines.protocol import BuildProgress, Engine, say_nothing
from edge.errors import ExitCode, UserError, text_of
from edge.line.drift_watch import DriftWatch
from edge.line.line import Line
from edge.line.open_watch import open_watched
from edge.line.run import EachTurn, run_line
from edge.line.stop_sign import StopFlag, StopSign
from edge.line.supervise import StageHealth
from edge.outputs.open import live_outputs
from edge.regions.criteria import Criteria
from edge.service.endpoints_file import EndpointsFile
from edge.service.health_server import HealthServer, Metrics
from edge.service.instance_lock import InstanceLock
from edge.service.logs import drain_logs
from edge.service.reload import Reloader
from edge.service.runtime_folder import runtime_folder, write_ended, write_instance, write_reload
from edge.service.sd_notify import START_EXTEND_S, StartProgress, notify, watchdog_interval_s
from edge.service.signals import signals
from edge.service.trial import try_model
from edge.sources.open import open_source
from edge.sources.protocol import Source

log = structlog.get_logger()

ShowBuild: TypeAlias = Callable[[], AbstractContextManager[BuildProgress]]
"""Opens what shows a build that takes minutes, and closes it when the model is there."""
LATER_S = 1.0
"""Time in s between two looks for what isn't there yet."""
Made = TypeVar("Made")


def _show_nothing() -> AbstractContextManager[BuildProgress]:
    return nullcontext(say_nothing)


def run_daemon(
    loaded: Loaded,
    *,
    source: Source | None = None,
    each_turn: EachTurn | None = None,
    show_build: ShowBuild = _show_nothing,
) -> ExitCode:
    """Inspect until SIGTERM, SIGINT or the source's end. Returns the exit code.

    ``source`` replaces the config's own. ``each_turn`` is called about every 0.1 s, for a live display. ``show_build`` is
    for whoever watches, while the model is opened.

    Raises:
        UserError: whatever keeps the line from starting that a person must mend.
    """
    stop = StopFlag()
    reloader = Reloader(loaded, open_watched, try_model)
    with signals(stop, reloader.ask):
        held = when_there(lambda: _take(loaded), stop)
        if held is None:
            return ExitCode.OK
        folder, lock = held
        try:
            try:
                write_instance(folder, loaded)
            except OSError as error:  # a full disk: no reason not to inspect
                log.warning("instance_not_written", error=text_of(error))
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
    stop: StopFlag,
    reloader: Reloader,
    each_turn: EachTurn,
    show_build: ShowBuild,
) -> ExitCode:
    config = loaded.config
    model = _model_when_there(loaded, stop, show_build)
    if model is None:
        return ExitCode.OK
    engine, criteria, watch = model
    source = source or open_source(config.source, config.camera, loaded.path.parent)
    line = Line(
        loaded,
        source,
        engine,
        criteria,
        lambda i: live_outputs(loaded.resolved, folder, i, loaded.texts),
        drops=config.source.paced,
        waits=True,
        watch=watch,
    )
    server = None
    log.info("starting", camera=config.camera, engine=engine.name, bundle=engine.bundle.spec.name, high=criteria.high)
    try:
        server = HealthServer(config.health.bind, Metrics(line.tally, line.ring, line.snapshot), line.snapshot)
        line.start(stop)
        endpoints = EndpointsFile(folder, server)
        if line.started:
            endpoints.turn(line)
            log.info("ready", health=server.address)
            notify("READY=1")
        watchdog = _Watchdog(config.supervise.limit_s)

        def turn(line: Line, health: StageHealth) -> None:
            if health.hung is not None:
                faulthandler.dump_traceback(all_threads=True)  # before anything else: the call may yet return
            watchdog.turn(line, health)
            reloader.turn(line)
            endpoints.turn(line)
            each_turn(line, health)

        code = run_line(line, stop, turn)
        notify("STOPPING=1")
    except BaseException:
        line.stop()
        raise
    finally:
        if server is not None:
            server.close()
    _tell_exit(code, line, folder)
    if all(w.done for w in line.workers):
        line.recipes.close()
    else:  # a call that doesn't return can't be cancelled from here, and would hold up the interpreter's own exit
        drain_logs()
        os._exit(code)
    return code


def _model_when_there(
    loaded: Loaded, stop: StopFlag, show_build: ShowBuild
) -> tuple[Engine, Criteria, DriftWatch | None] | None:
    """Open the model, and wait for what isn't there yet; return None if asked to stop meanwhile."""
    notify(f"STATUS=loading the model {loaded.config.model.bundle}")
    start = StartProgress()
    with show_build() as show:

        def tell(share: float, text: str) -> None:
            start(share, text)
            show(share, text)

        return when_there(lambda: open_watched(loaded, tell=tell), stop)


def _tell_exit(code: ExitCode, line: Line, folder: Path) -> None:
    """Log why the line ends if nobody asked for it; leave word for ``edge fleet`` if it ended in peace."""
    if code == ExitCode.OK:
        with contextlib.suppress(OSError):  # systemd may have taken the folder, or the disk is full
            write_ended(folder, time.time_ns())
    if code == ExitCode.HUNG:
        log.error("exit", code=int(code), reason="a stage hangs")
    if code == ExitCode.STAGE:
        mistakes = [str(w.failed) for w in line.workers if isinstance(w.failed, UserError)]
        reason = mistakes[0] if mistakes else "a stage failed more often than its budget allows"
        log.error("exit", code=int(code), reason=reason)
    if code == ExitCode.RECONNECTS:
        log.warning("exit", code=int(code), reason="the camera is gone again after source.max_reconnects reconnections")


class _Watchdog:
    """The watchdog is fed with WATCHDOG=1 while every stage answers, and STATUS when it changes.

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


def _take(loaded: Loaded) -> tuple[Path, InstanceLock]:
    folder = runtime_folder(loaded)
    return folder, InstanceLock(folder, loaded.config.camera)


def when_there(make: Callable[[], Made], stop: StopSign) -> Made | None:
    """Return what ``make`` makes, once it can: a disk may be mounted, and a share answer, later than we start. None after
    ``stop``.

    Raises:
        UserError: what doesn't pass by itself.
    """
    logged = ""
    while True:
        try:
            return make()
        except UserError as error:
            if not error.passes:
                raise
            if str(error) != logged:
                log.warning("waiting", error=str(error))
                logged = str(error)
            notify(f"EXTEND_TIMEOUT_USEC={int(START_EXTEND_S * 1e6)}\nSTATUS=waiting: {error.what}")
        if stop.wait(LATER_S):
            return None


def _nothing(_line: Line, _health: StageHealth) -> None:
    pass
