"""One graph of memory and head: both look at the same features, each map is brought to one scale, and the higher counts.

A nearest neighbour finds what good frames never showed, a trained head what looks like a defect. On one scale 0 is the mean
place of good parts that neither has seen, and 1 is what the highest places of nine of ten such pictures stay below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from edge.models import graphs
from edge.models.fit.memory import MemoryStatistics
from edge.models.fit.memory_graph import GraphBuilder, distance_grid, map_of_grid, mixed_layers
from edge.models.fit.protocol import GraphPicture
from edge.models.train.head_weights import HeadWeights

EMBEDDING = "embedding"
"""Output (n, hidden): the mean over the picture of what the head's last hidden layer says."""


@dataclass(frozen=True, slots=True)
class MapScale:
    """A map is brought to ``(value - middle) / (edge - middle)``."""

    middle: float
    edge: float

    @property
    def factor(self) -> float:
        return 1 / (self.edge - self.middle)


@dataclass(frozen=True, slots=True)
class MapScales:
    memory: MapScale
    head: MapScale


def fused_graph(memory: MemoryStatistics, head: HeadWeights, scales: MapScales) -> onnx.ModelProto:
    """Return the graph: ``frame`` uint8 (n, H, W, C) in, ``map``, ``score`` and ``embedding`` out, of plain operators."""
    return _fused(memory, head, scales)[0]


class RawMaps:
    """Runs memory and head in ONNX Runtime, and gives what they say before it is fused."""

    def __init__(self, memory: MemoryStatistics, head: HeadWeights) -> None:
        as_they_are = MapScales(MapScale(0, 1), MapScale(0, 1))
        model, *self._names = _fused(memory, head, as_they_are)
        self._session = graphs.session(graphs.with_outputs(model, self._names), "the trained model")

    def of(self, picture: GraphPicture) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Distances and logits of the places of ``picture``, (h, w) each."""
        distance, logits = self._session.run(self._names, {"frame": picture[None]})
        return distance[0, 0], logits[0, 0]


def _fused(memory: MemoryStatistics, head: HeadWeights, scales: MapScales) -> tuple[onnx.ModelProto, str, str]:
    """The graph, and the names of the two grids that it fuses."""
    graph = GraphBuilder(memory.net.model)
    distance = distance_grid(graph, memory.net, memory.comparison())
    logits, hidden = _head(graph, memory, head)
    both = [_scaled(graph, distance, scales.memory, "memory"), _scaled(graph, logits, scales.head, "head")]
    fused = graph.add("Max", both, "fused")
    pooled = graph.add("GlobalAveragePool", [hidden], "head_pooled")
    graph.add("Flatten", [pooled], EMBEDDING, own=False)
    model = map_of_grid(graph, memory.net, fused, {EMBEDDING: head.hidden})
    model.graph.name = "memory_and_head"
    return model, distance, logits


def scales_of(maps: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]], share: float) -> MapScales:
    """The scales on which good pictures that neither model has seen reach 1 with this ``share`` of them below it."""
    return MapScales(*(_scale([pair[k] for pair in maps], share) for k in range(2)))


def _scale(maps: Sequence[NDArray[np.float32]], share: float) -> MapScale:
    middle = float(np.mean([values.mean() for values in maps]))
    edge = float(np.quantile([values.max() for values in maps], share))
    return MapScale(middle, max(edge, middle + 1e-6))


def _head(graph: GraphBuilder, memory: MemoryStatistics, head: HeadWeights) -> tuple[str, str]:
    """Add the head; names of its logits (n, 1, h, w) and of its last hidden layer (n, hidden, h, w)."""
    matrix, bias = head.folded()
    mixed = mixed_layers(graph, memory.net, memory.per_layer(matrix), bias, "head_mix")
    last = graph.add("Relu", [mixed], "head_mixed")
    weights = [graph.constant(f"head_see_{k}", head.arrays[f"see.{k}"]) for k in ("weight", "bias")]
    seen = graph.add("Conv", [last, *weights], "head_see", pads=[1, 1, 1, 1])
    hidden = graph.add("Relu", [seen], "head_seen")
    weights = [graph.constant(f"head_say_{k}", head.arrays[f"say.{k}"]) for k in ("weight", "bias")]
    return graph.add("Conv", [hidden, *weights], "head_logits"), hidden


def _scaled(graph: GraphBuilder, name: str, scale: MapScale, of: str) -> str:
    factor = graph.constant(f"{of}_factor", np.array(scale.factor, np.float32))
    offset = graph.constant(f"{of}_offset", np.array(-scale.middle * scale.factor, np.float32))
    return graph.add("Add", [graph.add("Mul", [name, factor], f"{of}_stretched"), offset], f"{of}_scaled")
