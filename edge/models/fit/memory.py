"""The method ``memory`` measures how far each place's features lie from the nearest that good pictures showed anywhere.

Nearest neighbours of patch features (Roth et al., "Towards total recall in industrial anomaly detection", CVPR 2022), at
the picture's own scale. The bank is chosen farthest point first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from edge.models.backbone.open import identity_of
from edge.models.fit.bank import Bank
from edge.models.fit.feature_net import FeatureNet, hint, open_features
from edge.models.fit.feature_space import COMPONENTS, FeatureSpace, FeatureSums, thinning
from edge.models.fit.memory_graph import BankComparison, map_scale, map_shift, memory_graph
from edge.models.fit.protocol import FittedModel, GraphPicture, MapValues, Method, MethodOptions, Scorer

LEAST_FRAMES = 2
_QUIET = 0.99
"""Share of the bank's vectors that lie nearer to another picture's than the threshold for display."""
_FORMULA = (
    "smallest |c - b| over the bank's b; c: components of a place's features, those of good ones with variance 1 in all"
)


class MemoryStatistics:
    """The bank, and the sums that say how features are compared. Memory: 55 MB for 4,000 vectors of 432 features."""

    def __init__(self, net: FeatureNet, options: MethodOptions) -> None:
        self.frames = 0
        self._net = net
        self._mirror = options.mirror
        self._whiten = hint(net, "whiten") == "1"
        self._thinning = thinning([layer.width for layer in net.layers])
        widths = [
            layer.width if matrix is None else matrix.shape[1]
            for layer, matrix in zip(net.layers, self._thinning, strict=True)
        ]
        self._sums = FeatureSums(widths)
        self._bank = Bank(sum(widths), options.vectors)
        self._pictures: dict[bytes, int] = {}
        self._fitted: tuple[FeatureSpace, Bank] | None = None

    def add(self, picture: GraphPicture) -> None:
        for vectors in self._shown(picture):
            self._sums.add(vectors)
            self._bank.add(vectors, self.frames)
        self._pictures[_digest(picture)] = self.frames
        self.frames += 1
        self._fitted = None
        self._make_room()

    def merge(self, other: MemoryStatistics) -> None:
        self._sums.merge(other._sums)
        self._bank.merge(other._bank, self.frames)
        self._pictures.update({digest: self.frames + number for digest, number in other._pictures.items()})
        self.frames += other.frames
        self._fitted = None
        self._make_room()

    def model(self, good: Sequence[GraphPicture] = ()) -> FittedModel:
        space, bank = self._fit()
        comparison = self.comparison()
        scale = map_scale(self._net)
        size = self._net.size
        return FittedModel(
            graph=memory_graph(self._net, comparison),
            display_threshold=self._quiet(good) or _quiet_distance(comparison.bank, bank),
            map_size=(size[0] // scale, size[1] // scale) if size else None,
            map_to_image=(float(scale), float(scale), 0.0, 0.0),
            provenance={
                "formula": _FORMULA,
                "backbone": dict(self._net.backbone.provenance),
                "layers": [str(layer) for layer in self._net.layers],
                "vectors": len(bank),
                "vectors_seen": self._sums.count,
                "components": min(COMPONENTS, self._bank.width),
                "variance_kept": round(space.share, 4),
                "averaged_over_places": comparison.smooth,
            },
        )

    @property
    def net(self) -> FeatureNet:
        """The backbone whose features are compared."""
        return self._net

    @property
    def width(self) -> int:
        """Features of each place, as ``vectors`` gives them."""
        return self._bank.width

    @property
    def deviation(self) -> NDArray[np.float32]:
        """The standard deviation (``width``,) of each feature over all places of the pictures that were added."""
        return self._sums.deviation()

    def comparison(self) -> BankComparison:
        """Return what the graph compares, in numbers.

        Raises:
            UserError: too few pictures were added.
        """
        space, bank = self._fit()
        bias = -(space.mean @ space.matrix)
        return BankComparison(self.per_layer(space.matrix), bias, space.project(bank.vectors), 3 if self._whiten else 1)

    def scorer(self, without: GraphPicture | None = None) -> Scorer:
        space, bank = self._fit()
        number = None if without is None else self._pictures.get(_digest(without))
        if without is not None and number is not None and self._whiten and self.frames > 1:
            space = self._space_without(without)
        places = space.project(bank.vectors)
        squares = np.einsum("kc,kc->k", places, places)
        own = bank.owners == (-1 if number is None else number)
        reaches = np.where(own, bank.reaches, 0).astype(np.float32)

        def score(picture: GraphPicture) -> MapValues:
            vectors = self.vectors(picture)
            components = space.project(vectors.reshape(-1, self._bank.width))
            distance = -2 * components @ places.T
            distance += squares
            distance += np.einsum("nc,nc->n", components, components)[:, None]
            distance = np.sqrt(np.maximum(distance, 0, out=distance), out=distance)
            distance += reaches
            return self._map(distance.min(axis=1).reshape(vectors.shape[:2]), picture)

        return score

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The bank is thinned to its most first: 7 MB for 4,000 vectors of 432 features."""
        self._bank.thin(self._bank.most, self._sums.space(whiten=self._whiten).project)
        self._fitted = None
        digests = np.frombuffer(b"".join(self._pictures), np.uint8).reshape(-1, 16)
        return {
            "frames": np.array(self.frames),
            "vectors": self._bank.vectors,
            "owners": self._bank.owners,
            "reaches": self._bank.reaches,
            "count": np.array(self._sums.count),
            "total": self._sums.total,
            "products": self._sums.products,
            "digests": digests,
            "numbers": np.array(list(self._pictures.values()), np.int64),
            "network": np.array(self._identity()),
        }

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take the place of the statistics that gave ``arrays``. Raises UserError where they are of another network."""
        if str(arrays["network"]) != self._identity():
            raise UserError(
                "the statistics are of another network or other layers",
                received=self._identity(),
                expected=str(arrays["network"]),
                fix="give the --backbone and --layers of the first fit",
            )
        self.frames = int(arrays["frames"])
        self._bank.restore(arrays["vectors"], arrays["owners"], arrays["reaches"])
        self._sums.count = int(arrays["count"])
        self._sums.total[:], self._sums.products[:] = arrays["total"], arrays["products"]
        self._pictures = {row.tobytes(): int(n) for row, n in zip(arrays["digests"], arrays["numbers"], strict=True)}

    def _quiet(self, good: Sequence[GraphPicture]) -> float | None:
        """The highest that a good picture reaches to whom it is unknown; None without any."""
        return max((float(self.scorer(picture)(picture).max()) for picture in good), default=0.0) or None

    def _fit(self) -> tuple[FeatureSpace, Bank]:
        if self.frames < LEAST_FRAMES:
            raise UserError(
                "too few good frames to fit on",
                received=self.frames,
                expected=f"at least {LEAST_FRAMES}; 50 to 500 make a steady model",
            )
        if self._fitted is None:
            space = self._sums.space(whiten=self._whiten)
            self._bank.settle()
            bank = Bank(self._bank.width, self._bank.most)
            bank.restore(self._bank.vectors, self._bank.owners, self._bank.reaches)
            bank.thin(bank.most, space.project)
            self._fitted = space, bank
        return self._fitted

    def _space_without(self, picture: GraphPicture) -> FeatureSpace:
        """Whitened, a single odd picture makes its own directions count for little, and would hide in them.

        Without whitening it can only make directions of its own count that didn't, and stand out the more.
        """
        own = FeatureSums(self._sums.widths)
        for vectors in self._shown(picture):
            own.add(vectors)
        return self._sums.less(own).space(whiten=self._whiten)

    def _make_room(self) -> None:
        if self._bank.is_full:
            self._bank.thin(2 * self._bank.most, self._sums.space(whiten=self._whiten).project)

    def _shown(self, picture: GraphPicture) -> Iterator[NDArray[np.float32]]:
        """Give the features (n, ``width``) of a picture's places; then, where asked for, those of the mirrored ones."""
        for one in (picture, picture[:, ::-1], picture[::-1]) if self._mirror else (picture,):
            yield self.vectors(np.ascontiguousarray(one)).reshape(-1, self._bank.width)

    def vectors(self, picture: GraphPicture) -> NDArray[np.float32]:
        """Return the features (h, w, ``width``) of each place of the grid, wide layers thinned out."""
        whole = self._net.features(picture)
        if all(matrix is None for matrix in self._thinning):
            return whole
        parts, start = [], 0
        for layer, matrix in zip(self._net.layers, self._thinning, strict=True):
            part = whole[:, :, start : start + layer.width]
            parts.append(part if matrix is None else part @ matrix)
            start += layer.width
        return np.concatenate(parts, axis=2)

    def per_layer(self, matrix: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return for each layer the part of ``matrix`` (``width``, c) that multiplies the layer's own values."""
        found, start = [], 0
        for width, thin in zip(self._sums.widths, self._thinning, strict=True):
            part = matrix[start : start + width]
            found.append(part if thin is None else thin @ part)
            start += width
        return found

    def _map(self, distance: NDArray[np.float32], picture: GraphPicture) -> MapValues:
        """Smooth and place the distances as the graph does."""
        if self._whiten:
            distance = _mean_of_neighbours(distance)
        scale, (across, down) = map_scale(self._net), map_shift(self._net)
        times = self._net.stride // scale
        fine = cv2.resize(distance, None, fx=times, fy=times, interpolation=cv2.INTER_LINEAR) if times > 1 else distance
        height, width = picture.shape[0] // scale, picture.shape[1] // scale
        rows = np.clip(np.arange(height) - down, 0, fine.shape[0] - 1)
        columns = np.clip(np.arange(width) - across, 0, fine.shape[1] - 1)
        return np.ascontiguousarray(fine[np.ix_(rows, columns)])

    def _identity(self) -> str:
        return f"{identity_of(self._net.backbone.provenance)}: {', '.join(map(str, self._net.layers))}"


class _Memory:
    """The method as the table knows it."""

    def empty(self, shape: tuple[int, int, int], options: MethodOptions) -> MemoryStatistics:
        channels: Literal[1, 3] = 1 if shape[2] == 1 else 3
        net = open_features(options.backbone, options.layers, channels, (shape[1], shape[0]))
        return MemoryStatistics(net, options)

    def restore(
        self, arrays: Mapping[str, NDArray[Any]], shape: tuple[int, int, int], options: MethodOptions
    ) -> MemoryStatistics:
        statistics = self.empty(shape, options)
        statistics.load(arrays)
        return statistics


METHOD: Method = _Memory()


def _digest(picture: GraphPicture) -> bytes:
    digest = hashlib.blake2b(repr(picture.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(picture).data)
    return digest.digest()


def _mean_of_neighbours(distance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean over 3x3 places, those beyond the edge left out."""
    sums, counts = (
        cv2.blur(values, (3, 3), borderType=cv2.BORDER_CONSTANT) for values in (distance, np.ones_like(distance))
    )
    return np.asarray(sums / counts, np.float32)


def _quiet_distance(places: NDArray[np.float32], bank: Bank) -> float:
    """Return a distance that places of good pictures hardly reach: of the bank's own vectors to the nearest of another
    picture.
    """
    squares = np.einsum("kc,kc->k", places, places)
    found = np.empty(len(places), np.float32)
    for start in range(0, len(places), 1024):
        rows = slice(start, start + 1024)
        distance = squares[rows, None] + squares - 2 * places[rows] @ places.T
        distance[bank.owners[rows, None] == bank.owners] = np.inf
        found[rows] = np.sqrt(np.maximum(distance.min(axis=1), 0))
    found = np.minimum(found, bank.reaches)
    known = found[np.isfinite(found)]
    return float(np.quantile(known, _QUIET)) if known.size and known.max() > 0 else 1.0
