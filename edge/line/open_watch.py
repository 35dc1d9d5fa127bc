"""The watch of a config is opened here: its reference comes from the calibration file, and must be of this very line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.config.calibration import Calibration
from edge.config.drift import DriftConfig
from edge.config.line import Config
from edge.config.load import Loaded
from edge.drift.baseline import Baseline
from edge.drift.meter import Meter
from edge.engines.protocol import BuildProgress, Engine, say_nothing
from edge.errors import UserError
from edge.frames import Frame
from edge.line.drift_watch import DriftWatch
from edge.line.recipe import open_model
from edge.models.calibrate.drift_file import drift_key, load_drift
from edge.regions.criteria import Criteria

_NO_SIZE = (0, 0)


@dataclass(frozen=True, slots=True)
class FrameMeter:
    """Measures frames of the reference's size. Used by one thread."""

    meter: Meter

    def __call__(self, frame: Frame) -> NDArray[np.float64]:
        """Return the statistics of one frame.

        Raises:
            UserError: the frame has another size than those of the reference.
        """
        height, width = frame.pixels.shape[:2]
        if (width, height) != self.meter.template.size:
            made_of = "{}x{}".format(*self.meter.template.size)
            raise UserError(f"the frame is {width}x{height}, the drift reference was made of {made_of}")
        return self.meter.measure(frame.pixels, frame.bits)


def open_watched(
    loaded: Loaded, batch: int = 1, *, replayed: bool = False, tuning: bool = False, tell: BuildProgress = say_nothing
) -> tuple[Engine, Criteria, DriftWatch | None]:
    """Call ``open_model``, and open the watch where the config has ``drift``.

    Raises:
        UserError: as ``open_model`` and ``open_watch`` do.
    """
    engine, criteria = open_model(loaded, batch, replayed=replayed, tuning=tuning, tell=tell)
    try:
        watch = open_watch(loaded, engine.bundle, replayed=replayed)
    except BaseException:
        engine.close()  # as in open_model
        raise
    return engine, criteria, watch


def open_watch(loaded: Loaded, bundle: Bundle, *, replayed: bool = False) -> DriftWatch | None:
    """Open the watch; return None if the config has no ``drift``. ``replayed`` is as in ``open_model``.

    Raises:
        UserError: as ``open_baseline`` does, or the reference has too few frames for blocks of ``drift.block``.
    """
    drift = loaded.config.drift
    if drift is None:
        return None
    baseline, sha256 = open_baseline(loaded, bundle, replayed=replayed)
    monitor = baseline.monitor(
        every=drift.every, block=drift.block, persist=drift.persist, limit=drift.limit, lock=drift.lock
    )
    # what only says where the drift is reported changes nothing about it
    settings = drift.model_dump_json(exclude={"in_records", "region"})
    return DriftWatch(monitor, FrameMeter(Meter(baseline.template)), f"{sha256} {settings}", _in_words(drift, baseline))


def _in_words(drift: DriftConfig, baseline: Baseline) -> str:
    frames = sum(len(part) for part in baseline.series)
    locks = f"locks {', '.join(drift.lock)}" if drift.lock else "locks nothing"
    return (
        f"1 frame of {drift.every} measured, blocks of {drift.block}, a warning after {drift.persist}; {locks}; "
        f"reference of {frames} frames"
    )


def open_baseline(loaded: Loaded, bundle: Bundle, *, replayed: bool = False) -> tuple[Baseline, str]:
    """Read what the calibration file says is usual on this line, and the hash of that.

    Raises:
        UserError: there is no calibration file, it has no reference, or one of another model, recipe, region or frame size.
    """
    config = loaded.resolved
    path = config.calibration
    if path is None:
        raise UserError(
            f"{loaded.path}: drift is on, but no calibration file is named",
            expected="calibration: FILE, made of frames of this line",
            fix=f"add 'calibration: {config.camera}.calibration.yaml', run edge calibrate, and again with --drift",
        )
    if not path.exists():
        raise UserError(
            f"{path}: no such calibration file",
            fix=f"make it from good frames: edge calibrate GOOD_FRAMES -c {loaded.path}, and again with --drift",
            passes=True,
        )
    calibration = Calibration.load(path)
    size = _size(config, calibration, replayed=replayed)
    baseline = load_drift(calibration, path, drift_key(config, bundle.sha256, size))
    assert calibration.drift is not None
    return baseline, calibration.drift.sha256


def _size(config: Config, calibration: Calibration, *, replayed: bool) -> tuple[int, int]:
    """Return the size of the frames to come, as far as it is known: of the source, of the config, of the good frames. What
    isn't known is compared with each frame.
    """
    certain = None if replayed else config.source.frame_size or config.model.frame_size
    frames = calibration.key.frames
    good = None if frames is None else frames.kind.size
    made_of = None if calibration.drift is None else calibration.drift.size
    return certain or good or made_of or _NO_SIZE
