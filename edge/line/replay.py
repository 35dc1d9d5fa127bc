"""Recorded frames go through the live code: same stages, same judge, nothing dropped, no live socket and no live log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from edge.config.load import Loaded
from edge.engines.protocol import BuildProgress, say_nothing
from edge.errors import ExitCode, UserError
from edge.line.line import Line
from edge.line.model_view import ModelViews
from edge.line.open_watch import open_watched
from edge.line.run import EachTurn, run_line
from edge.line.stop_sign import StopSign
from edge.outputs.open import replay_outputs
from edge.outputs.replay_pictures import NO_PICTURES, PictureSink, WantedPictures
from edge.sources.protocol import Source

log = structlog.get_logger()


def _log_stale(why: str) -> None:
    log.warning("replayed_with_old_thresholds", why=why)


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """These options say where a replay writes, and what it writes besides records."""

    out: Path
    pictures: WantedPictures = NO_PICTURES
    publish: str | None = None
    batch_size: int = 1
    """Number of frames that go through the model in one run, if it takes several, for a source with ``pace: max``, because
    they wait for each other. Their records are the same. See ``edge.engines.batch`` for the memory."""
    warn: Callable[[str], object] = _log_stale
    """Called once with what differs between the line and the calibration, where thresholds are taken all the same."""


def replay(
    loaded: Loaded,
    source: Source,
    options: ReplayOptions,
    stop: StopSign,
    each_turn: EachTurn,
    tell: BuildProgress = say_nothing,
) -> tuple[ExitCode, Line]:
    """Inspect all that ``source`` gives. Returns the exit code and the finished line with its counters.

    The deadline does not count: how long this machine takes says nothing about the line. Frames that were late when they
    were recorded are late again. Thresholds that were measured with another ROI, border, smoothing or zones are taken all
    the same, and ``options.warn`` is called with what differs: people tune a line so.

    Raises:
        UserError: model, calibration, source or output folder can't be opened.
    """
    engine, criteria, watch = open_watched(loaded, options.batch_size, replayed=True, tuning=True, tell=tell)
    _make(options.out)
    if criteria.stale:
        options.warn(criteria.stale)
    wanted = options.pictures
    judging = replace(criteria, deadline_ms=None, explain=wanted.explain or wanted.before is not None)
    pictures = None
    if wanted.any:
        views = ModelViews(engine.bundle).of if wanted.explain else None
        pictures = PictureSink(options.out, judging, wanted, loaded.config.camera, views)
    line = Line(
        loaded,
        source,
        engine,
        judging,
        lambda identity: replay_outputs(options.out, identity, pictures=pictures, publish=options.publish),
        drops=False,
        watch=watch,
    )
    try:
        line.start(stop)
        code = run_line(line, stop, each_turn)
    except BaseException:
        line.stop()
        raise
    finally:
        engine.close()
    return code, line


def _make(folder: Path) -> None:
    if (folder / "records.jsonl").exists():
        raise UserError(f"{folder}: there is a replay in it already", fix="choose another --out, or delete that folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be made: {error.strerror}") from None
