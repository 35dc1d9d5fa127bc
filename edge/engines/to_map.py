"""A frame becomes its anomaly map here: it is prepared, cut into tiles if the bundle has any, and inferred."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.config.bundle_spec import BundleSpec
from edge.engines.protocol import Engine, Prediction
from edge.frames import AnomalyMap, Frame, Unmapped
from edge.preprocess.prepare import FrameSizeMismatch, Workspace, prepare
from edge.preprocess.tiling import Tiling


@dataclass(frozen=True, slots=True)
class Job:
    """A frame asks this of an engine: ``image`` (H, W, C), or its tiles (n, h, w, C) if the bundle has any.

    ``image`` may be a view of the frame or of the workspace: valid until either is used again.
    """

    image: NDArray[np.uint8] | NDArray[np.uint16]
    map_to_image: tuple[float, float, float, float]
    tiling: Tiling | None


def start(frame: Frame, spec: BundleSpec, workspace: Workspace) -> Job:
    """Prepare the frame as the bundle declares, and cut it into tiles if the bundle has any.

    Raises:
        FrameSizeMismatch: the model can't take a frame of this size.
    """
    prepared = prepare(frame, spec, workspace)
    if spec.tile is None:
        return Job(prepared.image, prepared.map_to_image, None)
    tiling = workspace.tiling(spec.tile, (prepared.image.shape[1], prepared.image.shape[0]), spec.tile_scale)
    return Job(tiling.cut(prepared.image), prepared.map_to_image, tiling)


def finish(job: Job, prediction: Prediction) -> AnomalyMap:
    """Turn the engine's answer to a job into a map of the frame. For tiles it has the highest score, and no embedding."""
    if job.tiling is None:
        return AnomalyMap(prediction.map, job.map_to_image, prediction.score, prediction.embedding)
    return AnomalyMap(job.tiling.stitch(prediction.map), job.map_to_image, prediction.score)


def to_map(frame: Frame, engine: Engine, workspace: Workspace) -> AnomalyMap | Unmapped:
    """Send one frame through one engine and wait for it.

    Returns ``Unmapped("frame_size")`` if the model can't take a frame of this size. Whatever the runtime raises passes
    through.
    """
    try:
        job = start(frame, engine.bundle.spec, workspace)
        return finish(job, engine.infer(job.image))
    except FrameSizeMismatch as error:
        return Unmapped(error.reason, str(error))
