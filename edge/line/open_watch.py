"""The watch of a config is opened here: its reference comes from the calibration file, and must be of this very line."""

from __future__ import annotations

from edge.config.bundle import Bundle
from edge.config.load import Loaded
from edge.engines.protocol import BuildProgress, Engine, untold
from edge.errors import UserError
from edge.line.drift_watch import DriftWatch
from edge.line.recipe import open_model
from edge.regions.criteria import Criteria


def open_watched(
    loaded: Loaded, batch: int = 1, *, replayed: bool = False, tell: BuildProgress = untold
) -> tuple[Engine, Criteria, DriftWatch | None]:
    """Call ``open_model``, and open the watch where the config has ``drift``.

    Raises:
        UserError: as ``open_model`` and ``open_watch`` do.
    """
    engine, criteria = open_model(loaded, batch, replayed=replayed, tell=tell)
    try:
        watch = open_watch(loaded, engine.bundle)
    except BaseException:
        engine.close()  # as in open_model
        raise
    return engine, criteria, watch


def open_watch(loaded: Loaded, _bundle: Bundle) -> DriftWatch | None:
    """Open the watch; return None where the config has no ``drift``.

    Raises:
        UserError: the calibration file has no reference.
    """
    if loaded.config.drift is None:
        return None
    raise UserError(
        f"drift: {loaded.config.calibration} has no reference of what is usual",
        fix=f"make one of good frames: edge calibrate GOOD_FRAMES -c {loaded.path} --drift",
    )
