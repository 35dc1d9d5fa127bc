"""What turns a prepared picture into an anomaly map: the protocol that every engine keeps, and the table that opens one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Prediction:
    """Raw outputs of one picture: ``map`` float32 (h, w); ``score`` and ``embedding`` where the graph has them.

    ``map`` belongs to the engine and is overwritten by the fourth ``infer`` after this one.
    """

    map: NDArray[np.float32]
    score: float | None
    embedding: NDArray[np.float32] | None


class Engine(Protocol):
    """A loaded model. Opened, warmed up and used by one thread at a time; closed once."""

    name: str
    """``onnx``, ``openvino`` or ``tensorrt``."""
    precision: str
    bundle: Bundle

    def warm_up(self) -> None:
        """Run once on a blank picture of the bundle's size, so that the first real frame is not slower than the next."""

    def infer(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Prediction:
        """``image``: C-contiguous (H, W, C), as ``preprocess.prepare`` gives it. Raises whatever the runtime raises."""

    def close(self) -> None:
        """Free the model. May be called twice."""
