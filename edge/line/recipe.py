"""What frames are inspected with, and its swap between two frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.config.bundle import Bundle, load_bundle
from edge.config.line import Config
from edge.config.load import Loaded
from edge.config.sources import SyntheticSource
from edge.engines.line_engine import open_line_engine, scales_sha256
from edge.engines.protocol import Engine
from edge.engines.to_map import to_map
from edge.frames import AnomalyMap, Frame, FrameMeta
from edge.preprocess.prepare import Workspace
from edge.regions.criteria import Rules, load_rules
from edge.wire.encode import Wire


@dataclass(frozen=True, slots=True)
class Setup:
    """Model, rules and the identity that records carry: one config's worth. A frame keeps the one it began with."""

    engine: Engine
    rules: Rules
    wire: Wire

    @property
    def told(self) -> dict[str, Any]:
        """What ``state`` tells of model and thresholds."""
        engine, rules = self.engine, self.rules
        return {
            "name": engine.name,
            "precision": engine.precision,
            "why": engine.why,
            "bundle": engine.bundle.spec.name,
            "threshold": "explicit" if rules.calibration_sha256 is None else "calibrated",
            "calibration_overridden": rules.overridden,
        }


class Swap:
    """The setup in force: ``put`` by the supervisor, read before each frame by the infer stage, followed by the judge.

    An older engine may be freed only once the judge is past the last map that it made.
    """

    def __init__(self, setup: Setup) -> None:
        self.current = setup
        self.judging = setup
        """Of the frame that the judge saw last: what the records of losses carry."""
        self._open = [setup]

    def put(self, setup: Setup) -> None:
        """From the next frame on."""
        self._open.append(setup)
        self.current = setup

    def judge(self, setup: Setup) -> None:
        """The judge has a frame that was inspected with ``setup``."""
        self.judging = setup

    def close_retired(self) -> None:
        """Free the models that no frame will use again. For the thread that puts."""
        while self._open[0] is not self.judging:
            self._open.pop(0).engine.close()

    def close(self) -> None:
        """Free every model, when the stages have ended."""
        for setup in self._open:
            setup.engine.close()


def open_model(loaded: Loaded, batch: int = 1, *, replayed: bool = False) -> tuple[Engine, Rules]:
    """The config's model, loaded and warm, and the rules that go with it, tried on a blank frame.

    ``batch``: pictures that are to go through it at once, in replay. ``replayed``: as ``frame_size``'s.

    Raises:
        UserError: a bundle, calibration or ROI that can't be used.
    """
    bundle = load_bundle(loaded.resolve(loaded.config.model.bundle))
    rules = load_rules(loaded, bundle, scales_sha256(loaded, bundle))
    engine = open_line_engine(loaded, bundle, batch)
    try:
        size = frame_size(loaded.config, bundle, replayed=replayed)
        if size is not None:
            blank = blank_frame(*size)
            amap = to_map(blank, engine, Workspace())
            if isinstance(amap, AnomalyMap):
                rules.controls(amap, *size)
    except BaseException:
        engine.close()  # a refused reload would keep its memory, on the GPU too
        raise
    return engine, rules


def frame_size(config: Config, bundle: Bundle, *, replayed: bool = False) -> tuple[int, int] | None:
    """(width, height) of the frames to come, as far as it is known before the first: an ROI in px depends on it.

    ``replayed``: they aren't those of the config's source.
    """
    source, spec = config.source, bundle.spec
    if isinstance(source, SyntheticSource) and not replayed:
        return source.width, source.height
    roi = config.regions.roi
    any_size_will_do = roi is None or (roi.units == "norm" and roi.mask is None)
    fed = spec.resize.size or (None if isinstance(spec.input.size, str) or spec.tile else spec.input.size)
    return fed if fed is not None and (any_size_will_do or spec.resize.where == "none") else None


def blank_frame(width: int, height: int) -> Frame:
    """A black 8-bit grey frame."""
    meta = FrameMeta(0, "counted", width, height, "Mono8", 0, 0)
    return Frame(meta, np.zeros((height, width), np.uint8))
