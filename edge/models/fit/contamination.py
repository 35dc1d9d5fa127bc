"""Defective frames among the good ones: each frame is scored by a model that has never seen it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from edge.frames import Frame, Skip
from edge.models.fit.fit_plan import FitPlan, PlanPictures
from edge.models.fit.gather_frames import GatheredFrames, from_bytes
from edge.models.frame_sequence import FrameSequence, name_of
from edge.models.robust_outliers import Outlier
from edge.spread.shards import At, Shard

OUTLIER_Z = 6.0
"""Robust standard deviations of the logarithm of the good frames' maxima."""
LEAST_SPREAD = 0.065
"""The spread of the logarithms counts as this at least. Maxima over N independent places have 0.97 / (2 log N) (Gumbel):
0.07 for 500, 0.05 for 10,000; of 20 frames the measured one is less than half of that now and then, and good frames were
listed in 13 % of such sets, with this in 1 %.
"""


@dataclass(frozen=True, slots=True)
class HeldOutScore:
    """The highest value of a frame's map by leave-one-out. ``index``: the frame's number among all."""

    index: int
    name: str
    maximum: float


def scores(
    plan: FitPlan,
    gathered: GatheredFrames,
    frames: Iterable[Frame | Skip],
    *,
    map_to_image: tuple[float, float, float, float],
    at: At = lambda _index, _name: None,
    first: int = 0,
    left_out: frozenset[int] = frozenset(),
) -> list[HeldOutScore]:
    """The score of every frame that was gathered, in order.

    ``map_to_image``: of the model. A registered frame's map is moved back first, as it is where thresholds are measured.
    """
    pictures, found = PlanPictures(plan), []
    for index, entry in enumerate(frames, first):
        if index in left_out:
            continue
        at(index, name_of(entry))
        if isinstance(entry, Skip):
            continue
        picture, placement = pictures.of(entry)
        if placement is not None and placement.problem is not None:
            continue
        values = gathered.statistics.scorer(picture)(picture)
        if placement is not None and pictures.registrar is not None:
            values = pictures.registrar.to_picture(values, placement, map_to_image)
        found.append(HeldOutScore(index, name_of(entry), float(values.max())))
    return found


@dataclass(frozen=True, slots=True)
class ScoreTask:
    """``scores`` on one shard. ``gathered``: ``GatheredFrames.to_bytes`` of the whole fit."""

    plan: FitPlan
    frames: FrameSequence
    gathered: bytes
    left_out: frozenset[int] = frozenset()

    def __call__(self, shard: Shard, at: At) -> bytes:
        gathered = from_bytes(self.gathered, self.plan)
        model = gathered.statistics.model(gathered.kept.pictures())
        entries = self.frames.read(shard.start, shard.stop)
        left_out = self.left_out | frozenset(shard.skip)
        found = scores(
            self.plan,
            gathered,
            entries,
            map_to_image=model.map_to_image,
            at=at,
            first=shard.start,
            left_out=left_out,
        )
        return orjson.dumps([(score.index, score.name, score.maximum) for score in found])


def scores_from_bytes(data: bytes) -> list[HeldOutScore]:
    """Read the scores that ``ScoreTask`` wrote."""
    return [HeldOutScore(*entry) for entry in orjson.loads(data)]


def outliers_of(found: Sequence[HeldOutScore]) -> tuple[Outlier, ...]:
    """Frames whose score lies far above the others', highest first.

    Maxima have a long upper tail, so their logarithms are compared; their spread is taken from the lower half, which
    defects can't widen: the median less the 16th percentile, at least ``LEAST_SPREAD``.
    """
    if len(found) < 5:
        return ()
    values = np.log(np.maximum([score.maximum for score in found], 1e-6))
    centre = np.median(values)
    scale = max(float(centre - np.quantile(values, 0.16)), LEAST_SPREAD)
    z = (values - centre) / scale
    listed = [
        Outlier(score.name, score.maximum, float(v), score.index)
        for score, v in zip(found, z, strict=True)
        if v > OUTLIER_Z
    ]
    return tuple(sorted(listed, key=lambda outlier: -outlier.maximum))


def are_left_out(share: float, outliers: int, frames: int, least: int) -> bool:
    """Say whether ``outliers`` of so many frames are left out of the model: one, or up to ``share``, if ``least`` remain.

    A ``share`` of 0 leaves out none, one of 1 all.
    """
    if not outliers or not share:
        return False
    return share >= 1 or (outliers <= max(1.0, share * frames) and frames - outliers >= least)
