"""Calibration draws the frames that it calls outliers, with the place of their maximum: perhaps a defect among the good."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.config.bundle import load_bundle
from edge.config.line import Config
from edge.engines.line_engine import open_line_engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.errors import UserError
from edge.frames import AnomalyMap, Frame, Skip
from edge.models.calibrate.measure import as_live
from edge.models.calibrate.thresholds import CalibrationResult
from edge.models.robust_outliers import Outlier
from edge.regions.plans import RegionPlans
from edge.regions.smooth import peak_inside
from edge.regions.verdict import box_to_image
from edge.report.inspected_part import InspectedPart, MapGrid, dim_outside
from edge.report.labels import write_labels
from edge.report.lettering import Box
from edge.report.marks import frame_box, grid_of, scaled
from edge.report.overlay import COLOURS, enlarged, under_strip
from edge.report.picture_names import local_time
from edge.storage.disk import write_whole
from edge.storage.mask_picture import read_mask
from edge.storage.pictures import encode_png

OUTLIER_PREFIX: Final = "outlier-"
_MARK_PX: Final = 24
"""The mark around the maximum is at least so wide in the picture."""


def calibration_outlier_folder(calibration: Path) -> Path:
    """Return the folder of the pictures, beside the calibration file."""
    return calibration.with_name(f"{calibration.name}.outliers")


def write_outliers(
    config: Config, frames: Iterable[Frame | Skip], result: CalibrationResult, folder: Path
) -> tuple[Path, ...]:
    """One picture of each of ``result.outliers``, in their order; those of an earlier calibration are deleted.

    ``config``: with its paths resolved.
    ``frames``: the same that ``result`` was measured on, once more. The maximum is that of the smoothed map inside ROI and
    border, as in the result.

    Raises:
        UserError: the folder can't be written.
    """
    try:
        for old in folder.glob(f"{OUTLIER_PREFIX}*.png"):
            old.unlink()
        if not result.outliers:
            return ()
        folder.mkdir(parents=True, exist_ok=True)
        return _write(config, frames, result, folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}") from None


def _write(config: Config, frames: Iterable[Frame | Skip], result: CalibrationResult, folder: Path) -> tuple[Path, ...]:
    ranks = {(o.name, o.maximum): rank for rank, o in enumerate(result.outliers, 1)}
    mask, _ = read_mask(config.regions.roi)
    plans = RegionPlans(config.regions, mask)
    part = InspectedPart(config.regions.roi, mask, config.regions.border_px)
    written: dict[int, Path] = {}
    bundle = load_bundle(config.model.bundle)
    workspace = ready_workspace(bundle)
    with closing(open_line_engine(config.model, config.source, bundle)) as engine:
        live = (as_live(frame, config.source) for frame in frames)
        shown = (frame for frame in live if isinstance(frame, Frame))
        for frame, measured in zip(shown, result.maxima, strict=False):
            if measured not in ranks:
                continue
            rank = ranks[measured]
            outlier = result.outliers[rank - 1]
            amap = to_map(frame, engine, workspace)
            assert isinstance(amap, AnomalyMap), "it had a map a moment ago"
            width, height = frame.meta.width, frame.meta.height
            x, y = peak_inside(amap.values, plans.plan(amap, width, height))
            box = box_to_image((x, y, x + 1, y + 1), amap.map_to_image, width, height)
            path = folder / outlier_file(rank, outlier)
            picture = draw_outlier(frame, outlier, box, part, grid_of(amap), left_out=outlier.name in result.left_out)
            write_whole(path, encode_png(picture))
            written[rank] = path
    return tuple(written[rank] for rank in sorted(written))


def draw_outlier(
    frame: Frame,
    outlier: Outlier,
    box: Box,
    part: InspectedPart | None = None,
    grid: MapGrid | None = None,
    *,
    left_out: bool = False,
) -> NDArray[np.uint8]:
    """Draw the frame with a box around ``box``, the pixels of its maximum, at least 24 px wide. RGB uint8.

    What isn't inspected is dimmed, the border where ``grid`` says how the map lies.
    """
    picture, zoom = enlarged(frame)
    text_px = max(13.0, picture.shape[1] / 64)
    line = max(1, round(picture.shape[1] / 800))
    dim_outside(picture, part or InspectedPart(), zoom, line, grid)
    mark = _at_least(scaled(box, zoom), max(_MARK_PX, round(2 * text_px)))
    frame_box(picture, mark, line)
    write_labels(picture, [(mark, f"{outlier.maximum:.4g}")], [], text_px)
    facts = [
        outlier.name,
        *([local_time(frame.meta.received_ns)] if frame.meta.received_ns else []),
        f"max {outlier.maximum:.4g}",
        f"{outlier.z:.0f} times the usual spread",
        *(["left out"] if left_out else []),
    ]
    return under_strip(picture, "OUTLIER", COLOURS["invalid"], facts, text_px)


def _at_least(box: Sequence[int], side: int) -> Box:
    """The box grown about its centre; it may reach out of the picture."""
    x0, y0, x1, y1 = box
    across, down = max(side - (x1 - x0), 0), max(side - (y1 - y0), 0)
    return x0 - across // 2, y0 - down // 2, x1 + across - across // 2, y1 + down - down // 2


def outlier_file(rank: int, outlier: Outlier) -> str:
    """Return the name of an outlier's picture: ``outlier-003-NAME.png``."""
    stem = outlier.name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return f"{OUTLIER_PREFIX}{rank:03d}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', stem)[:60]}.png"
