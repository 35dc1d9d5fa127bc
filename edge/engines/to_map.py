"""A frame becomes its anomaly map here: it is prepared, registered and tiled where the bundle says so, and inferred."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.engines.protocol import Engine, Prediction
from edge.frames import AnomalyMap, Frame, Unmapped
from edge.preprocess.prepare import FrameSizeMismatch, Prepared, Workspace, prepare
from edge.preprocess.register import PartOutOfPlace, Registered
from edge.preprocess.tiling import Tiling


@dataclass(frozen=True, slots=True)
class Job:
    """A frame asks this of an engine: ``image`` (H, W, C), or its tiles (n, h, w, C) if the bundle has any.

    ``image`` may be a view of the frame or of the workspace: valid until either is used again.
    """

    image: NDArray[np.uint8] | NDArray[np.uint16]
    map_to_image: tuple[float, float, float, float]
    tiling: Tiling | None
    registered: Registered | None = None


def whole_picture(
    frame: Frame, bundle: Bundle, workspace: Workspace
) -> tuple[Prepared, NDArray[np.uint8] | NDArray[np.uint16], Registered | None]:
    """Prepare the frame as the bundle declares and bring it to the reference; return both pictures, (H, W, C), before any
    tiles are cut, as ``start`` does it.
    """
    prepared = prepare(frame, bundle.spec, workspace)
    image: Any = prepared.image
    if bundle.spec.register_ is None:
        return prepared, image, None
    registrar = workspace.registrar
    if registrar is None:
        raise TypeError("a bundle with a registration needs a workspace of its own, from ready_workspace")
    placement = registrar.locate(image)
    if placement.problem is not None:
        raise PartOutOfPlace(placement.problem)
    image = registrar.apply(image, placement, workspace.array("registered", image.shape, np.uint8))
    return prepared, image, Registered(registrar, placement, bundle.spec.map_to_image)


def start(frame: Frame, bundle: Bundle, workspace: Workspace) -> Job:
    """Prepare the frame as the bundle declares, bring it to the reference, and cut it into tiles if there are any.

    ``workspace``: that of ``edge.engines.registration.ready_workspace``; any will do for a bundle without a registration.

    Raises:
        FrameSizeMismatch: the model can't take a frame of this size.
        PartOutOfPlace: the part lies beyond the limits of the bundle's registration.
    """
    spec = bundle.spec
    prepared, image, registered = whole_picture(frame, bundle, workspace)
    if spec.tile is None:
        return Job(image, prepared.map_to_image, None, registered)
    tiling = workspace.tiling(spec.tile, (image.shape[1], image.shape[0]), spec.tile_scale)
    return Job(tiling.cut(image), prepared.map_to_image, tiling, registered)


def finish(job: Job, prediction: Prediction) -> AnomalyMap:
    """What the engine said of a job, as a map of the frame. Of tiles: the highest score, no embedding."""
    values = prediction.map if job.tiling is None else job.tiling.stitch(prediction.map)
    if job.registered is not None:
        values = job.registered.back(values)
    return AnomalyMap(values, job.map_to_image, prediction.score, prediction.embedding if job.tiling is None else None)


def unmapped(error: Exception) -> Unmapped | None:
    """Why a frame has no map though nothing failed: it has a size that the model doesn't take, or its part lies elsewhere.

    None for every other error.
    """
    if isinstance(error, FrameSizeMismatch):
        return Unmapped(error.reason, str(error))
    if isinstance(error, PartOutOfPlace):
        return Unmapped("part_out_of_place", str(error))
    return None


def to_map(frame: Frame, engine: Engine, workspace: Workspace) -> AnomalyMap | Unmapped:
    """Send one frame through one engine and wait for it.

    ``Unmapped("frame_size")`` where the model can't take a frame of this size, ``Unmapped("part_out_of_place")`` where the
    part lies beyond the registration's limits. Whatever the runtime raises passes through.
    """
    try:
        job = start(frame, engine.bundle, workspace)
        return finish(job, engine.infer(job.image))
    except (FrameSizeMismatch, PartOutOfPlace) as error:
        reason = unmapped(error)
        assert reason is not None
        return reason
