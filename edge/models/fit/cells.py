"""Method ``cells``: the Mahalanobis distance of each cell's features from the good ones at that place.

A cell is 8x8 px, one beginning every 4. Its features are the means over it of the channels and of what five 3x3 filters
give of the grey picture, as magnitudes: slopes across, down and along both diagonals, and the Laplacian. Means and
covariances are each cell's own, the covariance averaged half and half with that of the 3x3 cells around, and a floor added
(a Gaussian for each place, as PaDiM has it: Defard et al., ICPR 2021). Coarser than ``residual``, and sensitive to texture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge.errors import UserError
from edge.models.fit.protocol import FittedModel, GraphPicture, MapValues, MethodOptions, Scorer

OPSET: Final = 17
STEP: Final = 4
"""Px from one cell to the next; a cell is twice as wide."""
_LEAST_PX: Final = 4 * STEP
_FLOOR_SHARE: Final = 0.15
"""The floor of a feature, as a share of ``MethodOptions.floor``: a mean over 64 px has an eighth of independent noise."""
DISPLAY_QUANTILE: Final = 8.0
_FILTERS: Final[NDArray[np.float32]] = np.array(
    [
        [[0, 0, 0], [-0.5, 0, 0.5], [0, 0, 0]],
        [[0, -0.5, 0], [0, 0, 0], [0, 0.5, 0]],
        [[-0.5, 0, 0], [0, 0, 0], [0, 0, 0.5]],
        [[0, 0, -0.5], [0, 0, 0], [0.5, 0, 0]],
        [[0, -0.5, 0], [-0.5, 2, -0.5], [0, -0.5, 0]],
    ],
    np.float32,
)


class CellStatistics:
    """Sums of the features and of their products, for each cell."""

    def __init__(self, shape: tuple[int, int, int], options: MethodOptions) -> None:
        self.frames = 0
        self._shape = shape
        self._floor = options.floor * _FLOOR_SHARE
        rows, columns = _cells(shape)
        self._width = shape[2] + len(_FILTERS)
        self._total = np.zeros((rows, columns, self._width))
        self._products = np.zeros((rows, columns, self._width, self._width))

    def add(self, picture: GraphPicture) -> None:
        features = _features(picture).astype(np.float64)
        self._total += features
        self._products += features[..., :, None] * features[..., None, :]
        self.frames += 1

    def merge(self, other: Any) -> None:
        self.frames += other.frames
        self._total += other._total  # noqa: SLF001  (of its own kind)
        self._products += other._products  # noqa: SLF001

    def model(self, good: Sequence[GraphPicture] = ()) -> FittedModel:
        mean, covariance = self._mean_and_covariance()
        rows, columns = _cells(self._shape)
        highest = max((float(self.scorer(picture)(picture).max()) for picture in good), default=DISPLAY_QUANTILE)
        return FittedModel(
            graph=_graph(self._shape, mean, self._whitening(covariance)),
            display_threshold=highest,
            map_size=(columns, rows),
            map_to_image=(float(STEP), float(STEP), STEP / 2, STEP / 2),
            provenance={
                "model": "a Gaussian of the features of each cell",
                "formula": "sqrt((f - mean)' covariance^-1 (f - mean)) of each cell's features f",
                "cell_px": 2 * STEP,
                "features": self._width,
                "floor_grey_levels": self._floor / _FLOOR_SHARE,
            },
        )

    def scorer(self, without: GraphPicture | None = None) -> Scorer:
        mean, covariance = self._mean_and_covariance()
        if without is not None:
            count = self.frames
            distance = _features(without) - mean
            products = distance[..., :, None] * distance[..., None, :]
            mean = mean - distance / (count - 1)
            covariance = ((count - 1) * covariance - products * (count / (count - 1))) / (count - 2)
        whitening = self._whitening(covariance)

        def score(picture: GraphPicture) -> MapValues:
            distance = (_features(picture) - mean)[..., None]
            return np.asarray(np.sqrt(np.square(whitening @ distance).sum(axis=(2, 3))), np.float32)

        return score

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"frames": np.array(self.frames), "total": self._total, "products": self._products}

    def restored(self, arrays: Mapping[str, NDArray[Any]]) -> CellStatistics:
        if arrays["products"].shape != self._products.shape:
            raise ValueError("statistics of another size")
        self.frames = int(arrays["frames"])
        self._total, self._products = arrays["total"].copy(), arrays["products"].copy()
        return self

    def _mean_and_covariance(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        mean = self._total / self.frames
        covariance = self._products - self.frames * (mean[..., :, None] * mean[..., None, :])
        return mean, covariance / (self.frames - 1)

    def _whitening(self, covariance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Matrices whose product with a difference has the Mahalanobis distance as its length."""
        width = covariance.shape[-1]
        around = covariance.copy()
        for i in range(width):
            for j in range(width):
                around[..., i, j] = cv2.blur(covariance[..., i, j], (3, 3), borderType=cv2.BORDER_REFLECT_101)
        blended = (covariance + around) / 2
        # leaving a picture out can take a variance to 0 or, by rounding, below
        floor = np.eye(width) * self._floor**2
        lower = np.linalg.cholesky(_positive(blended) + floor)
        return np.asarray(np.linalg.inv(lower), np.float64)


class Cells:
    """The method as ``edge fit`` sees it."""

    def empty(self, shape: tuple[int, int, int], options: MethodOptions) -> CellStatistics:
        if not options.floor > 0:
            raise UserError("--floor", received=options.floor, expected="a number of grey levels above 0")
        if options.backbone is not None:
            raise UserError(
                "--backbone: cells has features of its own",
                received=options.backbone,
                fix="leave it out, or say --method memory",
            )
        if min(shape[:2]) < _LEAST_PX:
            raise UserError(
                "--method cells: the picture is too small for cells",
                received=f"{shape[1]}x{shape[0]}",
                expected=f"at least {_LEAST_PX} px on both sides",
            )
        return CellStatistics(shape, options)

    def restore(
        self, arrays: Mapping[str, NDArray[Any]], shape: tuple[int, int, int], options: MethodOptions
    ) -> CellStatistics:
        return self.empty(shape, options).restored(arrays)


METHOD = Cells()


def _cells(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of cells."""
    return shape[0] // STEP - 1, shape[1] // STEP - 1


def _features(picture: GraphPicture) -> NDArray[np.float32]:
    """Features of every cell, float32 (rows, columns, d)."""
    pixels = picture.astype(np.float32)
    grey = pixels.mean(axis=2)
    planes = [pixels[:, :, c] for c in range(pixels.shape[2])]
    planes += [np.abs(cv2.filter2D(grey, cv2.CV_32F, k, borderType=cv2.BORDER_REFLECT_101)) for k in _FILTERS]
    return np.stack([_pooled(plane) for plane in planes], axis=2)


def _pooled(plane: Any) -> NDArray[np.float32]:
    """Means over cells of twice ``STEP``, one beginning every ``STEP``."""
    rows, columns = plane.shape[0] // STEP, plane.shape[1] // STEP
    blocks = plane[: rows * STEP, : columns * STEP].reshape(rows, STEP, columns, STEP).mean(axis=(1, 3))
    return np.asarray((blocks[:-1, :-1] + blocks[1:, :-1] + blocks[:-1, 1:] + blocks[1:, 1:]) / 4, np.float32)


def _positive(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(covariance)
    if values.min() >= 0:
        return covariance
    return np.asarray((vectors * np.maximum(values, 0)[..., None, :]) @ vectors.swapaxes(-1, -2), np.float64)


def _graph(shape: tuple[int, int, int], mean: NDArray[np.float64], whitening: NDArray[np.float64]) -> onnx.ModelProto:
    """Filters, pooling, and one small matrix for each cell."""
    height, width, channels = shape
    rows, columns = mean.shape[:2]
    node = helper.make_node
    constants = {
        "edge_px": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64),
        "filters": np.repeat(_FILTERS[:, None] / channels, channels, axis=1).astype(np.float32),
        "mean": mean.transpose(2, 0, 1)[None].astype(np.float32),
        # (1, out, in, rows, columns)
        "whitening": whitening.transpose(2, 3, 0, 1)[None].astype(np.float32),
        "out_axis": np.array([1], np.int64),
        "in_axis": np.array([2], np.int64),
    }
    pool: dict[str, Any] = {"kernel_shape": [2 * STEP, 2 * STEP], "strides": [STEP, STEP]}
    nodes = [
        node("Cast", ["frame"], ["floats"], to=TensorProto.FLOAT),
        node("Transpose", ["floats"], ["pixels"], perm=[0, 3, 1, 2]),
        node("Pad", ["pixels", "edge_px"], ["wide"], mode="reflect"),
        node("Conv", ["wide", "filters"], ["slopes"]),
        node("Abs", ["slopes"], ["magnitudes"]),
        node("Concat", ["pixels", "magnitudes"], ["planes"], axis=1),
        node("AveragePool", ["planes"], ["features"], **pool),
        node("Sub", ["features", "mean"], ["difference"]),
        node("Unsqueeze", ["difference", "out_axis"], ["column"]),
        node("Mul", ["column", "whitening"], ["products"]),
        node("ReduceSum", ["products", "in_axis"], ["whitened"], keepdims=0),
        node("Mul", ["whitened", "whitened"], ["squares"]),
        node("ReduceSum", ["squares", "out_axis"], ["square"], keepdims=0),
        node("Sqrt", ["square"], ["map"]),
        node("ReduceMax", ["map"], ["score"], axes=[1, 2], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "cells",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["n", height, width, channels])],
        [
            helper.make_tensor_value_info("map", TensorProto.FLOAT, ["n", rows, columns]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"]),
        ],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="edge")
