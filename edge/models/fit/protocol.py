"""Every method of ``edge fit`` keeps statistics that grow picture by picture, and makes a model of them.

``edge fit`` does what all methods share: it reads good frames, brings each to the picture that the graph will take (depth,
channels, illumination, resize, registration), spreads the work, merges, lists outliers, tests the model and writes the
bundle. A method only turns pictures into a graph. A new method is one file beside this one, which defines ``METHOD``, and
one row in ``edge.models.fit.methods``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray

GraphPicture: TypeAlias = NDArray[np.uint8]
"""C-contiguous uint8 (H, W, C) with C = 1 or 3 (RGB): exactly what the graph will take as one ``frame``. It belongs to the
caller and is valid during the call alone."""
MapValues: TypeAlias = NDArray[np.float32]
"""Float32 (h, w): the raw anomaly map, as the graph's ``map`` output would be."""
Scorer: TypeAlias = Callable[[GraphPicture], MapValues]
"""Gives a picture's map, in a new array or in one that the next call overwrites."""
Pose: TypeAlias = Literal["fixed", "texture"]
"""``fixed``: parts lie alike, frames are registered to the bundle's reference. ``texture``: they don't, no registration."""


@dataclass(frozen=True, slots=True)
class MethodOptions:
    """What a user can say to the methods; each reads what concerns it."""

    floor: float = 2.0
    """Grey levels of deviation that are allowed everywhere (``pixel``, ``residual``)."""
    flat_field: bool = False
    """Subtract slow changes of the light from each picture (``residual``)."""
    backbone: Path | None = None
    """An ONNX feature network, or a name that ``edge backbone`` knows (``memory``). null: ``lite0`` where the extra
    ``backbone`` is installed, else ``gabor``, which needs no weights."""
    layers: tuple[str, ...] = ()
    """Names of the backbone's layers whose features are used. Empty: the method's choice."""
    vectors: int = 4000
    """Most feature vectors that the bank keeps (``memory``)."""
    mirror: bool = False
    """Remember each picture mirrored, too (``memory``), from left to right and from top to bottom: parts may lie either
    way."""


@dataclass(frozen=True, slots=True)
class FittedModel:
    """What a method makes of its statistics.

    ``graph``: input ``frame`` uint8 (n, H, W, C), outputs ``map`` float32 (n, h, w) and ``score`` float32 (n), with H and
    W open where the method takes pictures of any size. ``map_to_image``: (sx, sy, ox, oy), a map edge at x lies in the
    picture at ``x * sx + ox``. ``map_size``: width and height of the map; None if it follows the picture.
    ``display_threshold``: a map value that good pictures hardly reach, for pictures and for the first look only.
    ``provenance``: what people read about the model in ``bundle.yaml``, with its formula; numbers and text, no times and no
    paths, so that the same frames give the same bytes.
    """

    graph: onnx.ModelProto
    display_threshold: float
    map_size: tuple[int, int] | None
    map_to_image: tuple[float, float, float, float] = (1.0, 1.0, 0.0, 0.0)
    provenance: dict[str, Any] = field(default_factory=dict)


class Statistics(Protocol):
    """What one method keeps of the pictures that it has seen. Its memory doesn't grow with their number.

    The same pictures in the same order give the same model, byte for byte.
    """

    frames: int
    """Pictures added so far, those of merged statistics included."""

    def add(self, picture: GraphPicture) -> None:
        """Take one good picture in. Called once for each, in the order of the frames."""

    def merge(self, other: Any) -> None:
        """Take in what ``other``, statistics of the same method, shape and options, has seen; its pictures come after ours.

        Called for shards of one fit in their order, and for ``--merge`` where the method's row says ``mergeable``.
        """

    def model(self, good: Sequence[GraphPicture] = ()) -> FittedModel:
        """The model of all pictures so far. More may be added afterwards.

        ``good``: up to 24 of the pictures that were added, for what can't be had from sums, a quantile of map values. Each
        must be left out of what it is compared with (``scorer(without)``).

        Raises:
            UserError: too few pictures; how many are enough is said.
        """

    def scorer(self, without: GraphPicture | None = None) -> Scorer:
        """What gives the maps of the last ``model()``, computed here, without an engine.

        ``without``: a picture that was added. The scorer then behaves as if it never had been (leave-one-out), for outliers
        among the good frames and for the self-test. It may be called with that picture changed, a defect pasted in.
        """

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that ``Method.restore`` needs, for ``--add`` and ``--merge``; kept in the bundle as ``statistics.npz``.

        Empty where the method can't be continued.
        """


class Method(Protocol):
    """One way to make a model from good frames; the object is ``METHOD`` in the method's file."""

    def empty(self, shape: tuple[int, int, int], options: MethodOptions) -> Statistics:
        """Statistics of no picture yet; ``shape`` is (H, W, C) of the first one.

        All pictures have this shape, unless the method's row says ``any_size``.

        Raises:
            UserError: the options don't fit the method: a backbone that can't be read, layers that it doesn't have.
        """

    def restore(
        self, arrays: Mapping[str, NDArray[Any]], shape: tuple[int, int, int], options: MethodOptions
    ) -> Statistics:
        """Statistics as they were when ``Statistics.arrays`` gave these.

        Raises:
            UserError: they are of other options, or damaged.
        """
