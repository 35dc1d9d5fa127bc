"""One graph of memory and head: each map is brought to one scale, and a place counts by its distance and half its logit.

A nearest neighbour finds what good frames never showed, a trained head what looks like a defect. On one scale 0 is the mean
place of good parts that neither has seen, and 1 is what the highest places of nine of ten such pictures stay below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray

from edge.models import graphs
from edge.models.fit.memory import MemoryStatistics
from edge.models.fit.memory_graph import (
    GraphBuilder,
    distance_grid,
    finished_map,
    map_of_grid,
    map_scale,
    mixed_layers,
    placed_grid,
)
from edge.models.fit.protocol import GraphPicture
from edge.models.train.head_weights import HeadWeights
from edge.models.train.network_graph import (
    ALONE_SCALE,
    OPSET,
    embedding_width,
    empty_graph,
    network_embedding,
    network_logits,
    network_map,
)
from edge.models.train.network_weights import NetworkWeights

LearnedWeights: TypeAlias = "HeadWeights | NetworkWeights"
"""What a training learned: a head on the memory's features, or a network of its own."""

LEARNED_WEIGHT = 0.5
"""How much a head or network adds to the memory's map.

On three splits of the magnetic tiles the higher of both maps had 0.849 image AUROC in the mean, the memory alone 0.853: a
place that either is sure of by mistake counts in full. The sum has 0.868. The weight was chosen by an earlier head of the
first split, where 0.25 did nearly as well.
"""
LABELLED_WEIGHT = 1.0
"""How much it adds where it has learned from ``ENOUGH_LABELS`` labelled defects or more.

With 20 of them two splits of the magnetic tiles had 0.901 and 0.911 with half, 0.910 and 0.935 with all, 0.902 and 0.931
with twice of it; 0.868 and 0.874 without any label.
"""
ENOUGH_LABELS = 10
EMBEDDING = "embedding"
"""Output (n, d): the mean over the picture of the head's last hidden layer, or of the network's coarsest features."""


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
    """``weight``: how much what was learned adds to the memory's map."""

    memory: MapScale
    head: MapScale
    weight: float = LEARNED_WEIGHT


def fused_graph(
    memory: MemoryStatistics, learned: LearnedWeights, scales: MapScales, *, alone: bool = False
) -> onnx.ModelProto:
    """Return the graph: ``frame`` uint8 (n, H, W, C) in, ``map``, ``score`` and ``embedding`` out, of plain operators.

    ``alone``: a network without the memory, whose map is finer and which needs no backbone; a head can't be alone.
    """
    if isinstance(learned, HeadWeights):
        return _fused(memory, learned, scales)[0]
    return network_alone(learned, scales.head) if alone else _with_network(memory, learned, scales)[0]


def network_alone(network: NetworkWeights, scale: MapScale) -> onnx.ModelProto:
    """Return the graph of a network without any memory."""
    graph = empty_graph(network.channels)
    logits, features = network_logits(graph, network)
    network_embedding(graph, features, EMBEDDING)
    placed = _scaled(graph, network_map(graph, logits, ALONE_SCALE), scale, "head")
    model = finished_map(graph, OPSET, ALONE_SCALE, placed, {EMBEDDING: embedding_width(network)})
    model.graph.name = "network"
    return model


class RawMaps:
    """Runs memory and head, or network, in ONNX Runtime, and gives what they say before it is fused."""

    def __init__(self, memory: MemoryStatistics, learned: LearnedWeights) -> None:
        as_they_are = MapScales(MapScale(0, 1), MapScale(0, 1))
        fuse = _fused if isinstance(learned, HeadWeights) else _with_network
        model, *self._names = fuse(memory, learned, as_they_are)  # type: ignore[arg-type]  # of the kind that was asked for
        self._session = graphs.session(graphs.with_outputs(model, self._names), "the trained model")

    def of(self, picture: GraphPicture) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Distances and logits of the places of ``picture``, (h, w) of the memory's grid and (h, w) of the head's or the
        network's.
        """
        distance, logits = self._session.run(self._names, {"frame": picture[None]})
        return distance[0, 0], logits[0, 0]


def _fused(memory: MemoryStatistics, head: HeadWeights, scales: MapScales) -> tuple[onnx.ModelProto, str, str]:
    """The graph, and the names of the two grids that it fuses."""
    graph = GraphBuilder(memory.net.model)
    distance = distance_grid(graph, memory.net, memory.comparison())
    logits, hidden = _head(graph, memory, head)
    fused = _sum(graph, distance, logits, scales)
    pooled = graph.add("GlobalAveragePool", [hidden], "head_pooled")
    graph.add("Flatten", [pooled], EMBEDDING, own=False)
    model = map_of_grid(graph, memory.net, fused, {EMBEDDING: head.hidden})
    model.graph.name = "memory_and_head"
    return model, distance, logits


def _with_network(memory: MemoryStatistics, network: NetworkWeights, scales: MapScales) -> tuple[onnx.ModelProto, str, str]:
    """The graph of memory and network, and the names of the two grids; they are fused at the memory's map scale."""
    net = memory.net
    graph = GraphBuilder(net.model)
    distance = distance_grid(graph, net, memory.comparison())
    logits, features = network_logits(graph, network)
    network_embedding(graph, features, EMBEDDING)
    maps = (placed_grid(graph, net, distance), network_map(graph, logits, map_scale(net)))
    fused = _sum(graph, *maps, scales)
    outputs = {EMBEDDING: embedding_width(network)}
    model = finished_map(graph, graphs.opset(net.model), map_scale(net), fused, outputs)
    model.graph.name = "memory_and_network"
    return model, distance, logits


def scales_of(maps: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]], share: float) -> MapScales:
    """The scales on which good pictures that neither model has seen reach 1 with this ``share`` of them below it."""
    memory, head = (_scale([pair[k] for pair in maps], share) for k in range(2))
    return MapScales(memory, head)


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


def _sum(graph: GraphBuilder, memory: str, learned: str, scales: MapScales) -> str:
    """Add the memory's map and the weighted one of what was learned, each on its own scale."""
    half = graph.constant("learned_weight", np.array(scales.weight, np.float32))
    weighted = graph.add("Mul", [_scaled(graph, learned, scales.head, "head"), half], "head_weighted")
    return graph.add("Add", [_scaled(graph, memory, scales.memory, "memory"), weighted], "fused")


def _scaled(graph: GraphBuilder, name: str, scale: MapScale, of: str) -> str:
    factor = graph.constant(f"{of}_factor", np.array(scale.factor, np.float32))
    offset = graph.constant(f"{of}_offset", np.array(-scale.middle * scale.factor, np.float32))
    return graph.add("Add", [graph.add("Mul", [name, factor], f"{of}_stretched"), offset], f"{of}_scaled")
