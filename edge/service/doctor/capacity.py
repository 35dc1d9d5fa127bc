"""The real line runs on generated frames to show how many a minute this machine inspects with a config, and how late."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.config.load import Loaded
from edge.engines.protocol import Engine
from edge.errors import ExitCode, UserError
from edge.line.line import Line
from edge.line.recipe import frame_size, open_model
from edge.line.run import run_line
from edge.outputs.open import live_outputs
from edge.regions.criteria import Criteria
from edge.service.doctor import Finding, Severity
from edge.sources.in_memory import MemorySource
from edge.sources.synthetic.parts import make_scene

LOADS: Final = (0.8, 0.6, 0.4)
"""Shares of the limit at which lateness is measured if the config doesn't say the camera's rate: the first at which nothing
is lost."""
_ASSUMED: Final = (1024, 1024)
_PICTURES: Final = 8


@dataclass(frozen=True, slots=True)
class Capacity:
    """The capacity is ``limit_fps``, the frames per second when they wait for us.

    ``p50_ms`` and ``p99_ms`` go from received to judged when frames come at ``fps``, in time or not; ``lost`` is the share
    of those that the ring dropped.
    """

    engine: str
    size: tuple[int, int]
    limit_fps: float
    fps: float
    p50_ms: float
    p99_ms: float
    lost: float


def capacity_findings(loaded: Loaded, seconds: float, size: tuple[int, int] | None) -> list[Finding]:
    """Check model and capacity; half of ``seconds`` goes without a pace, half at the camera's."""
    try:
        capacity = measure_capacity(loaded, seconds, size)
    except UserError as error:
        text, _, fix = str(error).partition("\n  fix: ")
        return [Finding("fail", "model", text.replace("\n  ", "; "), fix or None)]
    return [Finding("ok", "model", f"{loaded.config.model.bundle}, {capacity.engine}"), capacity_finding(loaded, capacity)]


def capacity_finding(loaded: Loaded, capacity: Capacity) -> Finding:
    """Compare what was measured with what the config asks for."""
    wanted, deadline = loaded.config.source.wanted_fps, loaded.config.deadline_ms
    width, height = capacity.size
    text = (
        f"this box does {60 * capacity.limit_fps:.0f} frames of {width}x{height} a minute with this config; "
        f"at {60 * capacity.fps:.0f} a minute p99 is {capacity.p99_ms:.1f} ms"
    )
    faster = "a smaller or faster model, more model.threads, another engine or precision, fewer frames"
    if wanted is not None and wanted > capacity.limit_fps:
        return Finding("fail", "capacity", f"{text}; the camera sends {60 * wanted:.0f}", faster)
    if capacity.lost > 0:
        level: Severity = "warn" if wanted is None else "fail"
        return Finding(level, "capacity", f"{text}, and {capacity.lost:.1%} of them are lost", f"{faster}; more ring.slots")
    if deadline is not None and capacity.p99_ms > deadline:
        return Finding("fail", "capacity", f"{text}; the deadline is {deadline:g} ms", faster)
    if wanted is not None and wanted > LOADS[0] * capacity.limit_fps:
        return Finding("warn", "capacity", f"{text}; the camera sends {60 * wanted:.0f}, which leaves little room", faster)
    return Finding("ok", "capacity", text)


def measure_capacity(loaded: Loaded, seconds: float, size: tuple[int, int] | None = None) -> Capacity:
    """Measure both runs, with those of the config's outputs that say how they go to a temporary folder.

    ``size`` is width and height of the frames in px; None: as far as the config says, otherwise 1024x1024.

    Raises:
        UserError: the model or the criteria can't be used.
    """
    config = loaded.config
    engine, criteria = open_model(loaded)
    try:
        asked = config.source.wanted_size or config.model.frame_size
        size = size or asked or frame_size(config, engine.bundle) or _ASSUMED
        frames = pictures(size, engine.bundle.spec.input.channels)
        with tempfile.TemporaryDirectory(prefix="edge-doctor-") as temp:
            limit = _limit(_elsewhere(loaded, temp), engine, criteria, frames, seconds / 2)
            wanted = config.source.wanted_fps
            rates = [wanted] if wanted is not None and wanted <= limit else [share * limit for share in LOADS]
            for fps in rates:
                line = _line(_elsewhere(loaded, temp), engine, criteria, MemorySource(frames, None, fps=fps), drops=True)
                _run_for(line, seconds / 2)
                lost = line.tally.skipped_frames.get("ring_full", 0) / max(line.tally.accounted, 1)
                if lost == 0:
                    break
        p50, p99 = (line.tally.percentile_ms(share) or 0.0 for share in (0.5, 0.99))
        description = f"{engine.name} {engine.precision} ({engine.why})"
        return Capacity(engine=description, size=size, limit_fps=limit, fps=fps, p50_ms=p50, p99_ms=p99, lost=lost)
    finally:
        engine.close()


def pictures(size: tuple[int, int], channels: int) -> list[NDArray[np.uint8]]:
    """Make generated parts, a few of them flawed, grey or RGB."""
    width, height = size
    scene, frames = make_scene("medium", 0, height, width), []
    for index in range(_PICTURES):
        pixels = np.empty((height, width), np.uint8)
        scene.render(index, 0.1, pixels)
        frames.append(pixels if channels == 1 else np.repeat(pixels[:, :, None], 3, axis=2))
    return frames


def _elsewhere(loaded: Loaded, temp: str) -> Loaded:
    """Return the same line with outputs that reach nobody, because a daemon may be running.

    Each has a folder of its own: the log of the one before may still be at work on files that it closed.
    """
    folder = Path(tempfile.mkdtemp(dir=temp))
    outputs = loaded.config.outputs.elsewhere(folder)
    return replace(loaded, config=loaded.config.model_copy(update={"outputs": outputs, "runtime_dir": folder}))


def _line(loaded: Loaded, engine: Engine, criteria: Criteria, source: MemorySource, *, drops: bool) -> Line:
    folder = loaded.config.runtime_dir
    assert folder is not None
    return Line(
        loaded, source, engine, criteria, lambda i: live_outputs(loaded.resolved, folder, i, loaded.texts), drops=drops
    )


def _limit(
    loaded: Loaded, engine: Engine, criteria: Criteria, frames: Sequence[NDArray[np.uint8]], seconds: float
) -> float:
    """Return the frames per second when the source waits for the line; the first fifth of the time warms up."""
    line = _line(loaded, engine, criteria, MemorySource(frames, None), drops=False)
    marks: list[tuple[float, int]] = []

    def mark(line: Line, spent: float) -> None:
        if spent >= seconds / 5:
            marks.append((time.monotonic(), line.tally.inspections))

    _run_for(line, seconds, mark)
    (began, before), (ended, after) = marks[0], marks[-1]
    if after == before:  # an inference may take longer than all of the time given
        return max(line.tally.inspections, 1) / seconds
    return (after - before) / (ended - began)


def _run_for(line: Line, seconds: float, each: Any = lambda _line, _spent: None) -> None:
    stop = threading.Event()

    def turn(line: Line, _health: object) -> None:
        spent = time.monotonic() - began
        each(line, spent)
        if spent >= seconds:
            stop.set()

    try:
        line.start(stop)
        began = time.monotonic()
        code = run_line(line, stop, turn)
    except BaseException:  # Ctrl-C, say: the stages' threads must not outlive the interpreter
        line.stop()
        raise
    if code != ExitCode.OK:
        failed = next((w.last_error for w in line.workers if w.last_error), "a stage hangs")
        raise UserError(f"the line does not run with this config: {failed}", fix="edge check CONFIG")
