"""Frames of a set through a model and the line's own inspection, in shards that any number of workers share."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge import __version__
from edge.config.bundle import load_bundle
from edge.config.line import ModelConfig
from edge.config.regions import RegionsConfig
from edge.engines.open import open_engine
from edge.engines.protocol import Engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.errors import UserError
from edge.frames import AnomalyMap, Found, Frame, Unmapped
from edge.models.evaluate.describe import defects_of, seen_of
from edge.models.evaluate.part_histograms import PartHistogram, PartHistograms
from edge.models.evaluate.pixels import PixelCounts, PixelCurves
from edge.models.evaluate.scored import MaskDefect, Scored, SeenRegion
from edge.models.sets.frame_set import FrameSet, SetFrame, why_unreadable
from edge.models.sets.used import content_id
from edge.preprocess.pixel_formats import Depth, LevelWindow, to_depth
from edge.preprocess.prepare import Workspace
from edge.regions.criteria import Criteria
from edge.regions.plan import RegionPlan
from edge.regions.smooth import nearest_to_high
from edge.regions.to_inspection import to_inspection
from edge.spread.results import unpacked
from edge.spread.shards import At, Shard
from edge.storage.pictures import PictureError


@dataclass(frozen=True, slots=True)
class Inspector:
    """A model and what its maps are judged by. ``levels``: bits that the line's model is given, as ``to_depth`` takes
    them.
    """

    model: ModelConfig
    regions: RegionsConfig
    high: float
    low: float | None = None
    mask: NDArray[np.uint8] | None = None
    levels: tuple[Depth, LevelWindow | None] = (16, None)

    def criteria(self) -> Criteria:
        return Criteria(self.regions, self.high, self.low, self.mask)


_PARTS = (Scored, SeenRegion, MaskDefect, PixelCurves, PixelCounts, PartHistograms, PartHistogram)
"""What stands in a ``ShardResult``."""


@dataclass(slots=True)
class ShardResult:
    """What came of one shard. ``notes``: files and what was wrong with their masks. ``contents``: files and their content
    ids. ``unreadable``: files and why.
    """

    frames: list[Scored] = field(default_factory=list)
    curves: PixelCurves = field(default_factory=PixelCurves)
    notes: list[tuple[str, str]] = field(default_factory=list)
    contents: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def add(self, part: ShardResult) -> None:
        """Take in what came of the next shard; the order changes the last digits of sums."""
        self.frames += part.frames
        self.notes += part.notes
        self.contents += part.contents
        self.unreadable += part.unreadable
        self.curves.merge(part.curves)

    def to_bytes(self) -> bytes:
        """All of it, as it comes from a worker or lies in the file of a finished shard."""
        return pickle.dumps(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> ShardResult:
        """Build the result again; nothing but results is built, whatever the bytes say.

        Raises:
            UserError: they are of something else.
        """
        return unpacked(data, cls, _PARTS)


@dataclass(slots=True)
class JudgeTask:
    """Judges the frames of one shard; pickled to each worker once, where the engine is opened with the first shard.

    ``pixels``: also count every pixel, for the pixel metrics.
    """

    inspector: Inspector
    source: FrameSet
    frames: tuple[SetFrame, ...]
    pixels: bool = True
    _engine: Engine | None = None

    def __call__(self, shard: Shard, at: At) -> bytes:
        if self._engine is None:
            self._engine = open_engine(self.inspector.model, load_bundle(self.inspector.model.bundle))
        result, criteria, workspace = ShardResult(), self.inspector.criteria(), ready_workspace(self._engine.bundle)
        for index in range(shard.start, shard.stop):
            frame = self.frames[index]
            at(index, frame.file)
            if index in shard.skip:
                continue
            try:
                loaded = self.source.read(frame)
            except (OSError, PictureError) as error:
                result.unreadable.append((frame.file, why_unreadable(error)))
                continue
            result.contents.append((frame.file, content_id(loaded.pixels)))
            self._judge(frame, loaded, criteria, workspace, result)
        result.curves.settle()
        return result.to_bytes()

    def key(self) -> str:
        """What the results depend on, for finished shards that are kept: the frames' files and labels, the model, how its
        maps are judged.
        """
        of = self.source.file_state
        frames = [(of(f.file), f.sha256, f.kind, f.part, f.side, f.tags, of(f.mask)) for f in self.frames]
        roi = None if self.inspector.mask is None else sha256(self.inspector.mask.tobytes()).hexdigest()
        model = load_bundle(self.inspector.model.bundle).sha256
        return repr((__version__, frames, model, self.inspector, roi, self.pixels))

    def close(self) -> None:
        """Free the engine of this process, if there is one."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def __getstate__(self) -> dict[str, Any]:
        return {"inspector": self.inspector, "source": self.source, "frames": self.frames, "pixels": self.pixels}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self._engine = None

    def _judge(self, frame: SetFrame, loaded: Frame, criteria: Criteria, workspace: Workspace, result: ShardResult) -> None:
        assert self._engine is not None
        loaded = to_depth(loaded, *self.inspector.levels)
        amap = to_map(loaded, self._engine, workspace)
        inspection, found = to_inspection(loaded, amap, criteria)
        truth = _mask_of(self.source, frame, loaded, result.notes) if frame.label == "defect" else None
        score: float | None = None
        regions: tuple[SeenRegion, ...] = ()
        defects: tuple[MaskDefect, ...] = ()
        if found is not None and isinstance(amap, AnomalyMap):
            plan = criteria.plan(amap, loaded.meta.width, loaded.meta.height)
            value, high = nearest_to_high(amap.values, plan)
            score = value - high + criteria.high
            inside = None if plan.inside.all() else on_frame(plan.inside.astype(np.float32), amap, loaded) > 0.5
            grey = _grey(loaded)
            regions = seen_of(inspection.regions, grey, truth, inside)
            if truth is not None:
                defects = defects_of(truth, grey, on_frame((found.mask > 0).astype(np.float32), amap, loaded) > 0.5)
            if self.pixels and (truth is not None or frame.label == "good"):
                part = frame.part or frame.file
                result.curves.add(on_frame(amap.values, amap, loaded), truth, part, inside)
        result.frames.append(
            Scored(
                file=frame.file,
                kind=frame.kind,
                part=frame.part or frame.file,
                tags=frame.tags,
                score=score,
                verdict=inspection.verdict,
                reason=inspection.reason,
                regions=regions,
                dropped=dict(inspection.regions_dropped),
                defects=defects,
                side=frame.side,
            )
        )


def on_frame(values: NDArray[np.float32], amap: AnomalyMap, frame: Frame) -> NDArray[np.float32]:
    """A map's values at every pixel of the frame, (H, W), by linear interpolation; beyond the map the nearest one."""
    sx, sy, ox, oy = amap.map_to_image
    size = (frame.meta.width, frame.meta.height)
    if values.shape == size[::-1] and (sx, sy, ox, oy) == (1.0, 1.0, 0.0, 0.0):
        return values
    matrix = np.array([[sx, 0, (sx - 1) / 2 + ox], [0, sy, (sy - 1) / 2 + oy]])
    return np.asarray(
        cv2.warpAffine(values, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


@dataclass(frozen=True, slots=True)
class SecondLook:
    """A frame once more, for a picture of it: what the engine gave and what was found."""

    frame: Frame
    amap: AnomalyMap
    found: Found
    plan: RegionPlan
    truth: NDArray[np.bool_] | None


def look_again(inspector: Inspector, source: FrameSet, frames: list[SetFrame]) -> Iterator[tuple[SetFrame, SecondLook]]:
    """Inspect these frames once more, with what the filters dropped; frames without a map are passed over."""
    engine = open_engine(inspector.model, load_bundle(inspector.model.bundle))
    criteria, workspace = inspector.criteria(), ready_workspace(engine.bundle)
    criteria.explain = True
    try:
        for frame in frames:
            try:
                loaded = source.read(frame)
            except (OSError, PictureError):
                continue
            loaded = to_depth(loaded, *inspector.levels)
            amap = to_map(loaded, engine, workspace)
            _, found = to_inspection(loaded, amap, criteria)
            if found is None or isinstance(amap, Unmapped):
                continue
            plan = criteria.plan(amap, loaded.meta.width, loaded.meta.height)
            yield frame, SecondLook(loaded, amap, found, plan, _mask_of(source, frame, loaded, []))
    finally:
        engine.close()


def _mask_of(source: FrameSet, frame: SetFrame, loaded: Frame, notes: list[tuple[str, str]]) -> NDArray[np.bool_] | None:
    """The frame's mask, None if there is none that can be used; ``notes`` hears why."""
    try:
        mask = source.read_mask(frame)
    except (OSError, PictureError) as error:
        notes.append((frame.file, f"its mask can't be read: {why_unreadable(error)}"))
        return None
    if mask is None:
        notes.append((frame.file, "no mask"))
        return None
    if mask.shape != (loaded.meta.height, loaded.meta.width):
        size = f"{mask.shape[1]}x{mask.shape[0]}"
        notes.append((frame.file, f"its mask has {size} px, the frame {loaded.meta.width}x{loaded.meta.height}"))
        return None
    if not mask.any():
        notes.append((frame.file, "its mask marks no pixel"))
        return None
    return mask


def _grey(frame: Frame) -> Any:
    pixels: Any = to_depth(frame, 8).pixels
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)


def check_labelled(source: FrameSet, frames: tuple[SetFrame, ...]) -> None:
    """Refuse a set that can't be judged on: no labels, or one class alone.

    Raises:
        UserError: says which class is missing.
    """
    good = sum(frame.label == "good" for frame in frames)
    bad = sum(frame.label == "defect" for frame in frames)
    if not good and not bad:
        raise UserError(
            f"{source.path}: no frame has a label, so nothing can be judged",
            received=f"{len(frames)} frames",
            fix="label them: edge label; or name folders good and after the kinds of defect",
        )
    if not good or not bad:
        raise UserError(
            f"{source.path}: only {'defective' if bad else 'good'} frames, so nothing can be told apart",
            received=f"{good} good, {bad} defective",
            expected="both; a set of good frames alone shows false rejects: edge calibrate",
        )
