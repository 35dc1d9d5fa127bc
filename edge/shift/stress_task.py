"""Frames corrupted in steps and judged at the frozen threshold, in shards that any number of workers share."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.config.bundle import load_bundle
from edge.disturb.corruptions import CORRUPTIONS, Corruption
from edge.engines.open import open_engine
from edge.engines.protocol import Engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.errors import UserError
from edge.frames import AnomalyMap, Frame
from edge.models.evaluate.judge import Inspector, JudgeTask, on_frame
from edge.models.sets.frame_set import FrameSet, SetFrame, why_unreadable
from edge.preprocess.pixel_formats import to_depth
from edge.regions.criteria import Criteria
from edge.regions.smooth import nearest_to_high
from edge.regions.to_inspection import to_inspection
from edge.shift.planted import planted
from edge.spread.shards import At, Shard
from edge.storage.pictures import PictureError


@dataclass(frozen=True, slots=True)
class Way:
    """One curve: a corruption in one direction. ``sign`` 0: the direction is drawn frame by frame."""

    corruption: Corruption
    sign: int

    @property
    def name(self) -> str:
        word = self.corruption.name.replace("_", " ")
        return (
            word if self.sign == 0 or not self.corruption.strengths.two_way else f"{word} {'+' if self.sign > 0 else '-'}"
        )

    def signed(self, strength: float, index: int) -> float:
        """The strength for the frame of this number."""
        if not self.corruption.strengths.two_way:
            return strength
        return strength * (self.sign or (1 if index % 2 else -1))

    def words(self, strength: float) -> str:
        """The strength as a person would say it."""
        if self.sign == 0 and self.corruption.strengths.two_way:
            plain = self.corruption.words(strength)
            return plain.replace("+", "+-", 1)
        return self.corruption.words(strength * (self.sign or 1))


def ways_of(names: Iterable[str] = ()) -> tuple[Way, ...]:
    """The curves of these corruptions, of all without names. Light has one curve for brighter and one for darker.

    Raises:
        UserError: there is no such corruption.
    """
    wanted = [name.replace(" ", "_") for name in names] or list(CORRUPTIONS)
    unknown = [name for name in wanted if name not in CORRUPTIONS]
    if unknown:
        raise UserError("--only", received=", ".join(unknown), expected=f"some of {', '.join(CORRUPTIONS)}")
    found = []
    for name in wanted:
        row = CORRUPTIONS[name]
        both = row.strengths.two_way and row.group == "lighting"
        found += [Way(row, sign) for sign in ((1, -1) if both else (0,))]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One frame at one strength: its score (None: no map) and whether it passed."""

    score: float | None
    passed: bool


@dataclass(slots=True)
class StressTask:
    """Judges the frames of one shard at every strength; pickled to each worker once.

    ``plant``: frames without a defect are judged a second time with one planted, for a set that has none.
    """

    inspector: Inspector
    source: FrameSet
    frames: tuple[SetFrame, ...]
    ways: tuple[Way, ...]
    seed: int
    plant: bool
    _engine: Engine | None = None

    def __call__(self, shard: Shard, at: At) -> bytes:
        if self._engine is None:
            self._engine = open_engine(self.inspector.model, load_bundle(self.inspector.model.bundle))
        done: list[tuple[int, bool, list[Outcome]]] = []
        unreadable: list[tuple[str, str]] = []
        judge = _Judge(self.inspector, self._engine)
        for index in range(shard.start, shard.stop):
            frame = self.frames[index]
            at(index, frame.file)
            if index in shard.skip:
                continue
            try:
                loaded = to_depth(self.source.read(frame), *self.inspector.levels)
            except (OSError, PictureError) as error:
                unreadable.append((frame.file, why_unreadable(error)))
                continue
            done.append((index, frame.label == "defect", self._outcomes(judge, loaded, index)))
            if self.plant:
                marked = planted(loaded, judge.inside(loaded), np.random.default_rng([self.seed, index, 7]), index)
                done.append((index, True, self._outcomes(judge, marked, index)))
        return pickle.dumps((done, unreadable))

    def key(self) -> str:
        """What the results depend on, for finished shards that are kept."""
        judging = JudgeTask(self.inspector, self.source, self.frames).key()
        return repr((judging, [(way.name, way.corruption.strengths.steps) for way in self.ways], self.seed, self.plant))

    def close(self) -> None:
        """Free the engine of this process, if there is one."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _outcomes(self, judge: _Judge, frame: Frame, index: int) -> list[Outcome]:
        """The outcomes of the frame as it is, then at each strength of each way, in order."""
        found = [judge(frame)]
        for number, way in enumerate(self.ways):
            for strength in way.corruption.strengths.steps:
                rng = np.random.default_rng([self.seed, index, number])
                pixels = way.corruption.apply(frame.pixels, way.signed(strength, index), rng, frame.bits)
                found.append(judge(Frame(frame.meta, pixels, frame.bits)))
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__} | {"_engine": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


class _Judge:
    """A frame to its score and verdict, by the live inspection's two halves."""

    def __init__(self, inspector: Inspector, engine: Engine) -> None:
        self._criteria: Criteria = inspector.criteria()
        self._engine = engine
        self._workspace = ready_workspace(engine.bundle)

    def __call__(self, frame: Frame) -> Outcome:
        amap = to_map(frame, self._engine, self._workspace)
        inspection, _ = to_inspection(frame, amap, self._criteria)
        score = None
        if isinstance(amap, AnomalyMap) and inspection.verdict != "invalid":
            value, high = nearest_to_high(amap.values, self._criteria.plan(amap, frame.meta.width, frame.meta.height))
            score = value - high + self._criteria.high
        return Outcome(score, inspection.verdict == "pass")

    def inside(self, frame: Frame) -> Any:
        """Where the frame is inspected: bool (H, W)."""
        amap = to_map(frame, self._engine, self._workspace)
        if not isinstance(amap, AnomalyMap):
            return np.ones(frame.pixels.shape[:2], bool)
        plan = self._criteria.plan(amap, frame.meta.width, frame.meta.height)
        return on_frame(plan.inside.astype(np.float32), amap, frame) > 0.5
