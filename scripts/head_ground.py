"""What many trainings of a head share: the features of a split's pictures, computed once, and how a head is judged.

`eval_head.py`, `eval_labels.py` and `eval_uncertainty.py` stand on it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from eval_tiles import GOOD, Split, Tile, auroc, frames_of
from eval_train import defocused
from numpy.typing import NDArray

from edge.models.fit.fit_plan import FitPlan, FitRequest
from edge.models.fit.memory import METHOD, MemoryStatistics
from edge.models.fit.protocol import GraphPicture, MethodOptions
from edge.models.sets.frame_set import FrameSet
from edge.models.train.factory_features import KeptFactory
from edge.models.train.feature_cache import CachedPicture, FeatureCache, fill_cache
from edge.models.train.frame_roles import Roles
from edge.models.train.fused_graph import LEARNED_WEIGHT, MapScales, RawMaps, scales_of
from edge.models.train.head import DefectHead, load, weights_of
from edge.models.train.head_weights import HeadWeights
from edge.models.train.loop import train_head
from edge.models.train.measured import EDGE_SHARE, placed_pictures
from edge.models.train.options import TrainOptions, preset_options
from edge.models.train.samples import samples
from edge.models.train.train import TrainRequest, good_pictures, prepared

DONORS = 12
PLAIN = "plain"
Grids: TypeAlias = "list[NDArray[np.float32]]"
Mark: TypeAlias = "tuple[str | int, ...]"


@dataclass(frozen=True)
class Taught:
    """What a split's samples are drawn from."""

    source: FrameSet
    roles: Roles
    plan: FitPlan
    memory: MemoryStatistics
    donors: Sequence[GraphPicture]
    options: TrainOptions

    def drawn(self, roles: Roles | None = None, options: TrainOptions | None = None) -> list[CachedPicture]:
        """Samples, if asked of other roles or options."""
        donors, of = self.donors, options or self.options
        return list(samples(self.source, roles or self.roles, self.plan, self.memory, donors, options=of))


More: TypeAlias = Callable[[Taught], Iterable[tuple[CachedPicture, Mark]]]
"""Gives further samples, each with what it is to be known by."""


@dataclass(frozen=True)
class Tested:
    """Test pictures: index of the tile, kind, the memory's distances, features, and features out of focus."""

    tiles: tuple[int, ...]
    kinds: NDArray[np.str_]
    distances: Grids
    features: Grids
    blurred: Grids


@dataclass(frozen=True)
class Ground:
    """What all trainings of a split share. ``marks``: of each sample of the cache, ``(PLAIN,)`` for those that all learn.

    ``validated``: distances and features of the good pictures of other parts, by which both maps are scaled. ``factory``:
    features of good training pictures out of focus.
    """

    cache: FeatureCache
    marks: tuple[Mark, ...]
    validated: tuple[Grids, Grids]
    tested: Tested
    factory: FeatureCache | None = None


def options_of(seed: int, epochs: int, versions: int) -> TrainOptions:
    """`minute`, with as many epochs for each training."""
    return preset_options("minute", seed=seed, threads=1, epochs=epochs, patience=epochs, versions=versions)


def ground_of(
    data: Path,
    tiles: Sequence[Tile],
    split: Split,
    options: TrainOptions,
    folder: Path,
    backbone: str,
    more: More,
    *,
    factory: bool = False,
) -> Ground:
    """Compute every feature that the trainings of a split need; ``factory``: those of every fourth good training picture
    out of focus, too.
    """
    source = FrameSet(data, data, tuple(frames_of(tiles, split)))
    fit = FitRequest("tiles", method="memory", pose="texture", options=MethodOptions(backbone=Path(backbone)))
    roles, plan = prepared(source, TrainRequest(fit, options))
    good, others = ([one.picture for one in placed_pictures(source, of, plan)] for of in (roles.good, roles.validated_good))
    memory = METHOD.empty(good[0].shape, plan.options)
    assert isinstance(memory, MemoryStatistics)
    for picture in good:
        memory.add(picture)
    validated = distances(memory, others), [memory.vectors(picture) for picture in others]
    taught = Taught(source, roles, plan, memory, good_pictures(source, roles, plan, DONORS), options)
    marks: list[Mark] = []

    def marked() -> Iterable[CachedPicture]:
        for one in taught.drawn():
            marks.append((PLAIN,))
            yield one
        for one, mark in more(taught):
            marks.append(mark)
            yield one

    cache = fill_cache(folder, "k", memory.width, marked())
    seen = factory_of(memory, good[1::4], folder / "factory") if factory else None
    for picture in others:
        memory.add(picture)
    pictures = [tiles[k].pixels for k in split.tested]
    tested = Tested(
        tuple(split.tested),
        np.array([tiles[k].kind for k in split.tested]),
        distances(memory, pictures),
        [memory.vectors(picture) for picture in pictures],
        [memory.vectors(defocused(picture)) for picture in pictures],
    )
    return Ground(cache, tuple(marks), validated, tested, seen)


def factory_of(memory: MemoryStatistics, pictures: Iterable[GraphPicture], folder: Path) -> FeatureCache:
    """Keep the features of pictures as a line out of focus would see them."""
    folder.mkdir()
    seen = (memory.vectors(defocused(picture)) for picture in pictures)
    made = (CachedPicture("train", "good", GOOD, one, np.zeros(one.shape[:2], np.float32)) for one in seen)
    return fill_cache(folder, "k", memory.width, made)


def distances(memory: MemoryStatistics, pictures: Sequence[GraphPicture]) -> Grids:
    """The grid of the memory's distances for each picture."""
    mean, deviation = np.zeros(memory.width, np.float32), np.ones(memory.width, np.float32)
    maps = RawMaps(memory, weights_of(DefectHead(memory.width, 1), mean, deviation))
    return [maps.of(picture)[0] for picture in pictures]


def trained(
    ground: Ground,
    options: TrainOptions,
    folder: Path,
    uses: Callable[[Mark], bool],
    *,
    without: Sequence[str] = (),
    tested: Sequence[int] | None = None,
    weight: float = LEARNED_WEIGHT,
) -> dict[str, float]:
    """Train a head on the samples that all learn, ``without`` these kinds, and on those whose marks it ``uses``.

    ``weight``: how much it adds to the memory's map.
    """
    began = time.process_time()
    (folder / "checkpoint.npz").unlink(missing_ok=True)
    kept = [
        sample
        for sample, mark in zip(ground.cache.samples, ground.marks, strict=True)
        if (sample.kind not in without if mark == (PLAIN,) else uses(mark))
    ]
    factory = None if ground.factory is None else KeptFactory(ground.factory, ground.cache, options)
    learned = train_head(replace(ground.cache, samples=tuple(kept)), options, folder, "k", factory=factory)
    took = time.process_time() - began
    return judged(ground, learned.weights, tested, weight) | {"cpu_s": took}


def judged(
    ground: Ground, weights: HeadWeights, of: Sequence[int] | None = None, weight: float = LEARNED_WEIGHT
) -> dict[str, float]:
    """Image AUROC of memory and head, of the head alone in and out of focus, and of each kind, fused.

    ``of``: tiles to judge by; default: all that are tested. ``weight``: how much the head adds; default: half.
    """
    tested, (far, features) = ground.tested, ground.validated
    scales = scales_of(list(zip(far, logits(weights, features), strict=True)), EDGE_SHARE)
    chosen = [row for row, tile in enumerate(tested.tiles) if of is None or tile in of]
    alone, blurred = (logits(weights, [all_[k] for k in chosen]) for all_ in (tested.features, tested.blurred))
    fused = fused_maps(replace(scales, weight=weight), [tested.distances[k] for k in chosen], alone)
    kinds = tested.kinds[chosen]
    found = {name: ranked(kinds, of_) for name, of_ in (("fused", fused), ("alone", alone), ("blurred", blurred))}
    return found | {kind: ranked(kinds, fused, kind) for kind in sorted({str(kind) for kind in kinds if kind != GOOD})}


def fused_maps(scales: MapScales, distances: Grids, said: Grids) -> Grids:
    """Memory and head, each on its scale and by its weight, for each picture."""
    memory, head = scales.memory, scales.head
    return [
        (near - memory.middle) * memory.factor + scales.weight * (own - head.middle) * head.factor
        for near, own in zip(distances, said, strict=True)
    ]


def ranked(kinds: NDArray[np.str_], maps: Sequence[NDArray[np.float32]], kind: str = "") -> float:
    """The AUROC of the maps' highest values, of all defects or of one ``kind``."""
    scores = np.array([values.max() for values in maps])
    return auroc(list(scores[kinds == kind if kind else kinds != GOOD]), list(scores[kinds == GOOD]))


def logits(weights: HeadWeights, features: Grids) -> Grids:
    """What the head says of each place."""
    head = DefectHead(len(weights.mean), weights.hidden)
    load(head, weights.arrays)
    head.eval()
    said = []
    with torch.no_grad():
        for one in features:
            values = ((one - weights.mean) / weights.deviation).astype(np.float32)
            planes = torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]
            said.append(head(planes, torch.ones(1, 1, *planes.shape[2:]))[0, 0].numpy())
    return said
