"""Recorded frames go through the live code: same stages, same judge, nothing dropped, no live socket and no live log."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from edge.config.load import Loaded
from edge.engines.protocol import BuildProgress, untold
from edge.errors import ExitCode, UserError
from edge.line.line import Line
from edge.line.open_watch import open_watched
from edge.line.run import EachTurn, run_line
from edge.outputs.open import replay_outputs
from edge.outputs.replay_pictures import PictureSink, WantedPictures
from edge.report.compare import Outcomes
from edge.report.explain import Scale
from edge.sources.protocol import Source


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """These options say where a replay writes, and what it writes besides records."""

    out: Path
    overlays: bool = False
    masks: Literal["png", "rle"] | None = None
    publish: str | None = None
    explain: bool = False
    before: Outcomes | None = None
    """Outcomes of the frames in an earlier run; pictures are written of those that changed."""
    batch_size: int = 1
    """Number of frames that go through the model in one run, if it takes several, for a source with ``pace: max``, because
    they wait for each other. Their records are the same. See ``edge.engines.batch`` for the memory."""


def replay(
    loaded: Loaded,
    source: Source,
    options: ReplayOptions,
    stop: threading.Event,
    each_turn: EachTurn,
    tell: BuildProgress = untold,
) -> tuple[ExitCode, Line]:
    """Inspect all that ``source`` gives. Returns the exit code and the finished line with its counters.

    The deadline does not count: how long this machine takes says nothing about the line. Frames that were late when they
    were recorded are late again.

    Raises:
        UserError: model, calibration, source or output folder can't be opened.
    """
    engine, criteria, watch = open_watched(loaded, options.batch_size, replayed=True, tell=tell)
    _make(options.out)
    display = engine.bundle.spec.display.range
    smooth = criteria.regions.smooth
    scale = Scale(display, criteria.low, smooth, criteria.score_high) if options.explain else None
    wanted = WantedPictures(options.overlays, options.masks, scale, options.before)
    roi = loaded.config.regions.roi
    pictures = None if wanted == WantedPictures() else PictureSink(options.out, roi, wanted, criteria.mask)
    line = Line(
        loaded,
        source,
        engine,
        replace(criteria, deadline_ms=None, explain=options.explain),
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
