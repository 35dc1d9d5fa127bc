"""A replay with changed regions measures its thresholds anew where it is given good frames; the line's own file stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge.cli._bars import build_bar, spread_bar
from edge.config.load import Loaded
from edge.errors import UserError
from edge.models.calibrate.measure import measure
from edge.models.calibrate.spread_measure import SpreadRun
from edge.models.frame_sequence import FrameSequence
from edge.models.good_frames import good_frames
from edge.storage.calibration_file import save_calibration


def recalibrated(loaded: Loaded, good: Path, folder: Path, bits: int | None) -> tuple[Loaded, str]:
    """Return the config with thresholds measured on the good frames, and what they are in words.

    The calibration file is written into ``folder``.

    Raises:
        UserError: as ``edge calibrate`` does, outliers among them; the config gives its thresholds itself.
    """
    config = loaded.config
    if config.regions.threshold != "calibrated":
        raise UserError(
            f"{loaded.path}: --recalibrate measures thresholds, and the config gives them by hand",
            expected="regions.threshold: calibrated",
            fix="leave --recalibrate out, or add --set regions.threshold=calibrated",
        )
    frames = good_frames(good, bits, side="calibrate")
    try:
        with build_bar() as tell, spread_bar() as bar:
            run = SpreadRun(FrameSequence.of(frames).absolute(), progress=bar)
            measured, _ = measure(
                loaded.resolved, lambda: iter(frames), source=str(good), seen_before=False, tell=tell, run=run
            )
    except UserError as error:
        raise loaded.located(error) from None
    path = folder.absolute() / f"{config.camera}.calibration.yaml"
    save_calibration(measured, path)
    low = "off" if measured.low is None else f"{measured.low:.6g}"
    sentence = f"high {measured.high:.6g}, low {low}, measured on {measured.frames} frames of {good}: {path.name}"
    return replace(loaded, config=config.model_copy(update={"calibration": path})), sentence
