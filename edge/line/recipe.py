"""A recipe is what frames are inspected with; it can be exchanged between two frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.config.bundle import Bundle, load_bundle
from edge.config.line import Config
from edge.config.load import Loaded
from edge.engines.line_engine import open_line_engine, scales_sha256
from edge.engines.protocol import BuildProgress, Engine, say_nothing
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.errors import UserError
from edge.frames import AnomalyMap, Frame, FrameMeta
from edge.line.drift_watch import DriftWatch
from edge.regions.criteria import Criteria, load_criteria
from edge.storage.mask_picture import read_mask
from edge.wire.encode import Wire


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe is one config's worth: model, criteria and the identity that records carry. A frame keeps the one it began
    with.
    """

    engine: Engine
    criteria: Criteria
    wire: Wire
    watch: DriftWatch | None = None
    """None if the config has no ``drift``."""

    @property
    def summary(self) -> dict[str, Any]:
        """Return what ``state`` says about model and thresholds."""
        engine, criteria = self.engine, self.criteria
        return {
            "name": engine.name,
            "precision": engine.precision,
            "why": engine.why,
            "bundle": engine.bundle.spec.name,
            "threshold": "explicit" if criteria.calibration_sha256 is None else "calibrated",
            "calibration_overridden": criteria.overridden,
        }


class Recipes:
    """The recipe in force is ``put`` by the supervisor, read by the infer stage before each frame, and followed by the
    judge.

    An older engine may be freed only once the judge is past the last map that it made.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.current = recipe
        self.judging = recipe
        """Recipe of the frame that the judge saw last; records of losses carry its identity."""
        self._open = [recipe]

    def put(self, recipe: Recipe) -> None:
        """Put a recipe in force from the next frame on."""
        self._open.append(recipe)
        self.current = recipe

    def judge(self, recipe: Recipe) -> None:
        """Note that the judge has a frame that was inspected with ``recipe``."""
        self.judging = recipe

    def close_retired(self) -> None:
        """Free the models that no frame will use again. Only the thread that calls ``put`` may call this."""
        while self._open[0] is not self.judging:
            self._open.pop(0).engine.close()

    def close(self) -> None:
        """Free every model; call this when the stages have ended."""
        for recipe in self._open:
            recipe.engine.close()


def open_model(
    loaded: Loaded, batch: int = 1, *, replayed: bool = False, tuning: bool = False, tell: BuildProgress = say_nothing
) -> tuple[Engine, Criteria]:
    """Load and warm the config's model, and the criteria that go with it, and try both on a blank frame.

    ``batch`` is the number of pictures that are to go through it at once, in replay. ``replayed`` is as in ``frame_size``,
    ``tuning`` as in ``load_criteria``.
    ``tell`` is called with the progress of a build that takes minutes.

    Raises:
        UserError: a bundle, calibration or ROI that can't be used.
    """
    config = loaded.resolved
    bundle = load_bundle(config.model.bundle)
    size = frame_size(config, bundle, replayed=replayed)
    scales = scales_sha256(config.model, config.source, bundle)
    mask = read_mask(config.regions.roi)
    criteria = load_criteria(config, bundle, scales, mask, named=loaded.path, tuning=tuning)
    engine = open_line_engine(config.model, config.source, bundle, batch, tell)
    try:
        if size is not None:
            blank = blank_frame(*size)
            amap = to_map(blank, engine, ready_workspace(bundle))
            if isinstance(amap, AnomalyMap):
                criteria.plan(amap, *size)
                if criteria.score_high is not None and amap.score is None:
                    raise UserError(
                        "score: the model gives no score",
                        expected="a bundle whose model gives one (edge build --score NAME)",
                        fix="leave score out, or use another bundle",
                    )
    except BaseException:
        engine.close()  # a refused reload would keep its memory, on the GPU too
        raise
    return engine, criteria


def frame_size(config: Config, bundle: Bundle, *, replayed: bool = False) -> tuple[int, int] | None:
    """Return (width, height) of the frames to come, as far as it is known before the first: an ROI in px depends on it.

    ``replayed`` means that they aren't the frames of the config's source.
    """
    certain, spec = config.source.frame_size, bundle.spec
    if certain is not None and not replayed:
        return certain
    roi = config.regions.roi
    any_size_will_do = roi is None or (roi.units == "norm" and roi.mask is None)
    fed = spec.resize.size or (None if isinstance(spec.input.size, str) or spec.tile else spec.input.size)
    return fed if fed is not None and (any_size_will_do or spec.resize.where == "none") else None


def blank_frame(width: int, height: int) -> Frame:
    """Make a black 8-bit grey frame."""
    meta = FrameMeta(
        frame_id=0,
        frame_id_source="counted",
        width=width,
        height=height,
        pixel_format="Mono8",
        received_ns=0,
        received_mono_ns=0,
    )
    return Frame(meta, np.zeros((height, width), np.uint8))
