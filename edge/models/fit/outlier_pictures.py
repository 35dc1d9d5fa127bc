"""Pictures of the frames that a fit calls outliers, each with the place of its maximum marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.errors import UserError
from edge.frames import Frame
from edge.models.calibrate.outliers import OUTLIER_PREFIX, draw_outlier, outlier_file
from edge.models.fit.fit import Fit
from edge.models.fit.fit_plan import PlanPictures
from edge.models.frame_sequence import FrameSequence
from edge.preprocess.prepare import to_frame
from edge.regions.verdict import box_to_image
from edge.storage.disk import write_whole
from edge.storage.pictures import encode_png


def fit_outlier_folder(bundle: Path) -> Path:
    """Where they lie: beside the bundle, which nothing changes once it is written."""
    return bundle.with_name(f"{bundle.name}.outliers")


def write_outlier_pictures(fitted: Fit, frames: FrameSequence | None, bundle: Path) -> dict[int, Path]:
    """Write a picture of each outlier and return them by the frames' numbers; those of an earlier fit are deleted.

    Raises:
        UserError: the folder can't be written.
    """
    folder = fit_outlier_folder(bundle)
    try:
        for old in folder.glob(f"{OUTLIER_PREFIX}*.png"):
            old.unlink()
        if not fitted.outliers or frames is None:
            return {}
        folder.mkdir(parents=True, exist_ok=True)
        return _write(fitted, frames, folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}") from None


def _write(fitted: Fit, frames: FrameSequence, folder: Path) -> dict[int, Path]:
    ranks = {outlier.index: rank for rank, outlier in enumerate(fitted.outliers, 1)}
    pictures = PlanPictures(fitted.plan)
    written: dict[int, Path] = {}
    for index, entry in enumerate(frames):
        rank = ranks.pop(index, None)
        if rank is None or not isinstance(entry, Frame):
            continue
        outlier = fitted.outliers[rank - 1]
        picture, placement = pictures.of(entry)
        left_out = index in fitted.left_out
        scorer = fitted.gathered.statistics.scorer(None if left_out else picture)
        values = scorer(picture)
        spec = fitted.plan.spec.model_copy(update={"map_to_image": fitted.model.map_to_image})
        if placement is not None and pictures.registrar is not None:
            values = pictures.registrar.to_picture(values, placement, spec.map_to_image)
        y, x = (int(v) for v in np.unravel_index(int(values.argmax()), values.shape))
        width, height = entry.meta.width, entry.meta.height
        box = box_to_image((x, y, x + 1, y + 1), to_frame(spec, width, height), width, height)
        path = folder / outlier_file(rank, outlier)
        write_whole(path, encode_png(draw_outlier(entry, outlier, box, left_out=left_out)))
        written[index] = path
        if not ranks:
            break
    return written
