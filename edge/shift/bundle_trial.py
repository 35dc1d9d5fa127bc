"""How a bundle does on the factory's frames: false rejects on frames it never saw, recall of pasted defects, time.

The threshold is measured by the rule of ``edge calibrate`` on the frames kept for it. Each of those is judged by the
threshold of the others (leave-one-out), frames kept for judging by that of all. Recall is the self-test's: defects of
known kinds, sizes and contrasts, pasted into the factory's own frames as the graph takes them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.config.line import ModelConfig
from edge.engines.open import open_engine
from edge.engines.protocol import Engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import Job, to_map
from edge.engines.to_map import start as start_job
from edge.errors import UserError
from edge.frames import AnomalyMap, Frame
from edge.models.calibrate.thresholds import choose_high
from edge.models.evaluate.intervals import Interval, share_interval
from edge.models.fit.protocol import Scorer
from edge.models.fit.self_test import SelfTest, examined, pasted_cells, plan_scale
from edge.preprocess.prepare import Workspace
from edge.preprocess.register import PartOutOfPlace
from edge.regions.smooth import nearest_to_high, smooth
from edge.shift.factory_frames import FactoryFrames
from edge.shift.subject import Subject

PANELS: Final[tuple[tuple[float, ...], ...]] = ((0.04, 0.06, 0.08, 0.12), (0.08, 0.12, 0.2, 0.35), (0.2, 0.35))
"""Contrasts of the pasted defects that answers are compared by; the self-test has all of them.

Nearly all models of an even surface see the stronger ones, and a model of a rough texture sees none of the weaker: by those
every answer costs nothing there, and on magnetic tiles a threshold was taken that lost four real defects of five. The
comparison uses the first panel that the model sees enough of, at the higher one of its own threshold and these frames'.
"""
ENOUGH_SEEN: Final = 0.2
"""Share of the pasted defects from which a difference of recall can be seen."""
_DRAWS: Final = 4
_PASTED_INTO: Final = 8
FALSE_REJECTS: Final = 0.001
"""Share that the threshold is chosen for: with fewer than 1,000 frames, 2 % above their highest."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One bundle's figures. ``rejected`` of ``frames`` good ones, parts out of place among them; ``ms``: a frame's time."""

    threshold: float
    rejected: int
    frames: int
    recall: float
    ms: float

    @property
    def false_rejects(self) -> float:
        return self.rejected / self.frames

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the false rejects."""
        return share_interval(self.rejected, self.frames)

    @property
    def harm(self) -> float:
        """False rejects and missed defects, each as a share: what is to be small."""
        return self.false_rejects + 1 - self.recall


_Good: TypeAlias = list[tuple[NDArray[np.uint8], Scorer]]
"""Pictures to paste into, and what scores their changed copies."""


@dataclass(frozen=True, slots=True)
class _Maxima:
    """Highest values of the frames' maps, None without one; ``mapped``: those of ``kept`` that have one."""

    kept: list[float | None]
    judged: list[float | None]
    mapped: list[float]
    ms: float


class TrialBench:
    """Tries bundles on the same frames, one after the other."""

    def __init__(self, subject: Subject, factory: FactoryFrames, false_rejects: float = FALSE_REJECTS) -> None:
        self._subject = subject
        self._factory = factory
        self._share = false_rejects
        self.panel: tuple[float, ...] = PANELS[0]

    def frozen(self) -> Trial:
        """The model as it runs now, at its own threshold; settles by which defects the answers are compared."""
        engine = _opened(self._subject.bundle)
        try:
            maxima, good = self._measured_maxima(engine), self._good(engine)
            own = self._subject.threshold
            high = max(own, choose_high(maxima.mapped, self._share, None)[0])
            # NaN, for nothing can be pasted, is not less
            self.panel = next((panel for panel in PANELS if not _seen(engine, good, high, panel) < ENOUGH_SEEN), PANELS[-1])
            return self._trial(engine, maxima, good, own)
        finally:
            engine.close()

    def measured(self, bundle: Bundle) -> Trial:
        """Another bundle, at a threshold of the factory's frames.

        Raises:
            UserError: it can't be opened, or gives no threshold: too few frames have a map.
        """
        engine = _opened(bundle)
        try:
            return self._trial(engine, self._measured_maxima(engine), self._good(engine), None)
        finally:
            engine.close()

    def self_test(self, bundle: Bundle, threshold: float) -> SelfTest | None:
        """The whole self-test on the factory's frames, for a new bundle; None if nothing can be pasted."""
        engine = _opened(bundle)
        try:
            good = self._good(engine)
            return examined(good, threshold, ready_workspace(bundle).registrar) if good else None
        finally:
            engine.close()

    def _measured_maxima(self, engine: Engine) -> _Maxima:
        kept, times = self._maxima(engine, self._factory.threshold)
        judged, _ = self._maxima(engine, self._factory.judged)
        mapped = [value for value in kept if value is not None]
        if len(mapped) < max(2, len(kept) // 2):
            raise UserError(
                "too few of the frames have a map: their parts lie out of place",
                received=f"{len(mapped)} of {len(kept)}",
                fix="put the camera back, or fit a model on frames of this place: edge fit",
            )
        return _Maxima(kept, judged, mapped, float(np.median(times)))

    def _trial(self, engine: Engine, maxima: _Maxima, good: _Good, threshold: float | None) -> Trial:
        """The figures at a threshold; None: at that of the frames that are kept for it."""
        kept, judged = maxima.kept, maxima.judged
        if threshold is None:
            high = choose_high(maxima.mapped, self._share, None)[0]
            rejected = _left_out_in_turn(kept, self._share) + sum(value is None or value >= high for value in judged)
        else:
            high = threshold
            rejected = sum(value is None or value >= high for value in (*kept, *judged))
        return Trial(high, rejected, len(kept) + len(judged), _seen(engine, good, high, self.panel), maxima.ms)

    def _maxima(self, engine: Engine, frames: Sequence[Any]) -> tuple[list[float | None], list[float]]:
        """Each frame's highest value as the line compares it, None without a map; and the ms that it took."""
        criteria, workspace = self._subject.inspector.criteria(), ready_workspace(engine.bundle)
        found: list[float | None] = []
        times = []
        for _, frame in self._factory.read(frames):
            began = time.perf_counter()
            amap = to_map(frame, engine, workspace)
            times.append((time.perf_counter() - began) * 1e3)
            if not isinstance(amap, AnomalyMap):
                found.append(None)
                continue
            value, high = nearest_to_high(amap.values, criteria.plan(amap, frame.meta.width, frame.meta.height))
            found.append(value - high + criteria.high)
        return found, times

    def _good(self, engine: Engine) -> _Good:
        found: _Good = []
        workspace = ready_workspace(engine.bundle)
        for _, frame in self._factory.read(self._factory.threshold):
            pair = self._pair(engine, frame, workspace)
            if pair is not None:
                found.append(pair)
            if len(found) == _PASTED_INTO:
                break
        return found

    def _pair(self, engine: Engine, frame: Frame, workspace: Workspace) -> tuple[NDArray[np.uint8], Scorer] | None:
        """A picture of 8 bits to paste into, and what scores its changed copies; None for a part out of place."""
        try:
            job: Job = start_job(frame, engine.bundle, workspace)
        except PartOutOfPlace:
            return None
        whole: Any = _whole(job, frame, engine.bundle)  # a copy: the workspace is used again
        shift = engine.bundle.spec.input.bits - 8
        picture = (whole >> shift).astype(np.uint8)
        factor, config = 1.0, self._subject.inspector.regions.smooth
        if job.registered is not None and job.registered.registrar.spec.map_times_gain:
            factor = job.registered.placement.light[0]

        def score(changed: NDArray[np.uint8]) -> NDArray[np.float32]:
            image = changed
            if shift:
                image = np.clip(whole.astype(np.int32) + ((changed.astype(np.int32) - picture) << shift), 0, None)
                image = np.minimum(image, (1 << (shift + 8)) - 1).astype(whole.dtype)
            image = np.ascontiguousarray(image)
            values = engine.infer(image if job.tiling is None else job.tiling.cut(image)).map
            values = values if job.tiling is None else job.tiling.stitch(values)
            values = values * np.float32(factor)
            return values if config is None else smooth(values, config)

        return picture, score


def _seen(engine: Engine, good: _Good, threshold: float, contrasts: Sequence[float]) -> float:
    """The share of pasted defects that are seen; NaN if none can be pasted."""
    if not good:
        return float("nan")
    moved = engine.bundle.spec.register_ is not None
    cells = pasted_cells(good, plan_scale(*good[0]), threshold, contrasts, _DRAWS, moved=moved)
    return sum(cell.seen for cell in cells) / sum(cell.pasted for cell in cells)


def _whole(job: Job, frame: Frame, bundle: Bundle) -> NDArray[Any]:
    """The picture before it was cut into tiles, in an array of its own."""
    if job.tiling is None:
        return job.image.copy()
    from edge.preprocess.prepare import prepare

    return prepare(frame, bundle.spec, Workspace()).image.copy()


def _left_out_in_turn(maxima: Sequence[float | None], share: float) -> int:
    """How many frames reach the threshold that the others give; those without a map count as rejected."""
    rejected = 0
    for index, value in enumerate(maxima):
        others = [other for at, other in enumerate(maxima) if at != index and other is not None]
        rejected += value is None or value >= choose_high(others, share, None)[0]
    return rejected


def _opened(bundle: Bundle) -> Engine:
    return open_engine(ModelConfig(bundle=bundle.folder, engine="onnx"), bundle)
