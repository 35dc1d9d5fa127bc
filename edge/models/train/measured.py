"""A trained model is measured on good frames of parts that it hasn't seen: scales, threshold, self-test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnxruntime as ort

from edge.frames import Skip
from edge.models import graphs
from edge.models.calibrate.thresholds import choose_high
from edge.models.fit.fit_plan import FitPlan, PlanPictures
from edge.models.fit.memory import MemoryStatistics
from edge.models.fit.memory_graph import map_scale
from edge.models.fit.protocol import GraphPicture, MapValues
from edge.models.fit.self_test import SelfTest, examined
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.train.fused_graph import LEARNED_WEIGHT, LearnedWeights, MapScales, RawMaps, fused_graph, scales_of
from edge.models.train.learn_defects import check_validated
from edge.models.train.network_graph import ALONE_SCALE
from edge.models.train.samples import SetFrames
from edge.preprocess.register import Placement, Registrar

EDGE_SHARE = 0.9
"""Share of the good validation pictures whose highest value lies below 1 on either scale.

A head's highest logits have a long upper tail: scaled by their middle they count more than they should. On one split of the
magnetic tiles 0.5 gave an image AUROC of 0.878, 0.9 gave 0.880, and the memory alone 0.872.
"""
_TESTED = 12
"""Most validation pictures that the self-test pastes defects into."""


@dataclass(frozen=True, slots=True)
class PlacedPicture:
    """A picture as the graph takes it, with where its frame lies. ``placement``: None where nothing is registered."""

    picture: GraphPicture
    placement: Placement | None

    def map_back(
        self, values: MapValues, registrar: Registrar | None, map_to_image: tuple[float, float, float, float]
    ) -> MapValues:
        """Return the picture's map moved back to where the frame lies, as the line sees it."""
        if self.placement is None or registrar is None:
            return values
        return registrar.to_picture(values, self.placement, map_to_image)


def placed_pictures(source: FrameSet, frames: Sequence[SetFrame], plan: FitPlan) -> Iterator[PlacedPicture]:
    """Give the picture of each frame that can be used."""
    pictures = PlanPictures(plan)
    for entry in SetFrames(source, frames):
        if isinstance(entry, Skip):
            continue
        picture, placement = pictures.of(entry)
        if placement is None or placement.problem is None:
            yield PlacedPicture(picture.copy(), placement)


def trained_map_to_image(memory: MemoryStatistics, *, alone: bool) -> tuple[float, float, float, float]:
    """Return where a trained model's map lies in the picture (``map_to_image``): ``alone``, a network's is finer."""
    scale = float(ALONE_SCALE if alone else map_scale(memory.net))
    return scale, scale, 0.0, 0.0


def measure_trained(
    plan: FitPlan,
    memory: MemoryStatistics,
    weights: LearnedWeights,
    validated: Sequence[PlacedPicture],
    *,
    alone: bool,
    test: bool,
    weight: float = LEARNED_WEIGHT,
) -> tuple[MapScales, float, SelfTest | None]:
    """Return scales, threshold and self-test on good frames of parts that neither half has seen.

    ``weight``: how much what was learned adds to the memory's map.

    Raises:
        UserError: there are too few of them.
    """
    check_validated(len(validated))
    raw = RawMaps(memory, weights)
    scales = replace(scales_of([raw.of(one.picture) for one in validated], EDGE_SHARE), weight=weight)
    scorer = _scorer(fused_graph(memory, weights, scales, alone=alone))
    registrar, place = PlanPictures(plan).registrar, trained_map_to_image(memory, alone=alone)
    maxima = [float(one.map_back(scorer(one.picture), registrar, place).max()) for one in validated]
    threshold, _ = choose_high(maxima, 0.001, 1.0)
    if not test:
        return scales, threshold, None
    pairs = [(one.picture, scorer) for one in validated[:_TESTED] if min(one.picture.shape[:2]) > 36]
    return scales, threshold, examined(pairs, threshold, registrar) if pairs else None


def _scorer(graph: onnx.ModelProto) -> Callable[[GraphPicture], MapValues]:
    session: ort.InferenceSession = graphs.session(graph, "the trained model")

    def score(picture: GraphPicture) -> MapValues:
        values: MapValues = session.run(["map"], {"frame": np.ascontiguousarray(picture)[None]})[0][0]
        return values

    return score
