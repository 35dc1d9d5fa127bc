"""A line's engine is the config's own, with its sample frames prepared as the model sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.config.line import ModelConfig
from edge.config.sources import SourceConfig
from edge.engines.cache import pictures_sha256
from edge.engines.open import open_engine
from edge.engines.protocol import BuildProgress, Engine, say_nothing
from edge.engines.registration import ready_workspace
from edge.engines.to_map import start
from edge.errors import UserError
from edge.frames import Frame
from edge.preprocess.pixel_formats import to_depth
from edge.preprocess.prepare import FrameSizeMismatch
from edge.preprocess.register import PartOutOfPlace
from edge.storage.frames_on_disk import read_frames

MOST = 32
"""Most sample frames used: scales of int8 settle after a few dozen, and each start reads them all."""


def open_line_engine(
    config: ModelConfig, source: SourceConfig, bundle: Bundle, batch: int = 1, tell: BuildProgress = say_nothing
) -> Engine:
    """Call ``open_engine`` for a line's model, its paths resolved, and for its source, whose frames have a certain depth.

    ``batch`` is the number of pictures that are to go through at once, in replay. ``tell`` is called with the progress of a
    build that takes minutes.

    Raises:
        UserError: as ``open_engine`` does, or the sample frames can't be read or have another size than the bundle takes.
    """
    given = config.sample_frames is not None and config.precision != "fp32"
    return open_engine(config, bundle, _Samples(config.sample_frames, source, bundle) if given else None, batch, tell)


def scales_sha256(config: ModelConfig, source: SourceConfig, bundle: Bundle) -> str | None:
    """Hash of the int8 calibration pictures, or None for other precisions.

    It is part of the calibration's key, because other pictures give other maps.

    Raises:
        UserError: as ``open_line_engine`` does, for the sample frames.
    """
    if config.precision != "int8":
        return None
    return pictures_sha256(_Samples(config.sample_frames, source, bundle)())


@dataclass(frozen=True, slots=True)
class _Samples:
    """Yields the first 32 pictures as the graph gets them, registered where the bundle says so; of a tiled frame its middle
    tile. A part that lies out of place is passed over: the graph never gets it.
    """

    path: Path | None
    source: SourceConfig
    bundle: Bundle

    def __call__(self) -> Iterator[NDArray[Any]]:
        assert self.path is not None, "the config refuses int8 without"
        workspace, levels = ready_workspace(self.bundle), self.source.levels
        used, elsewhere = 0, ""
        for item in islice(read_frames(self.path), MOST):
            if not isinstance(item, Frame):
                continue
            try:
                job = start(to_depth(item, *levels), self.bundle, workspace)
            except FrameSizeMismatch as error:
                raise UserError(f"model.sample_frames: {item.meta.frame_ref}: {error}") from None
            except PartOutOfPlace as error:
                elsewhere = elsewhere or f"{item.meta.frame_ref}: {error}"
                continue
            used += 1
            yield np.array(job.image if job.tiling is None else job.image[len(job.image) // 2])
        if elsewhere and not used:
            raise UserError(
                f"model.sample_frames: {self.path}: in no frame of it the part lies where the model knows it",
                received=elsewhere,
                expected="typical frames of this line",
                fix="name a folder of them, or fit the model anew",
            )
        if not used:
            raise UserError(f"model.sample_frames: {self.path}: no frame in it can be read")
