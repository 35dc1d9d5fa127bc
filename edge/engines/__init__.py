"""What turns a prepared picture into an anomaly map: the protocol that every engine keeps, and the table that opens one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.config import ModelConfig

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Prediction:
    """Raw outputs of one picture: ``map`` float32 (h, w); ``score`` and ``embedding`` where the graph has them.

    Of the n tiles of one picture: ``map`` (n, h, w), the highest ``score``, no ``embedding``. ``map`` belongs to the engine
    and is overwritten by the fourth ``infer`` after this one.
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
        """Run once on a blank picture (or tile) of the bundle's size, so that the first frame is not slower than the next."""

    def infer(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Prediction:
        """``image``: C-contiguous (H, W, C), as ``preprocess.prepare`` gives it, or (n, H, W, C): tiles of one picture.

        Tiles go through in one run where the graph takes a batch, else one by one. Raises whatever the runtime raises.
        """

    def close(self) -> None:
        """Free the model. May be called twice."""


def open_engine(config: ModelConfig, bundle: Bundle) -> Engine:
    """The engine that the config names; ``auto`` takes the fastest that works here, and logs which one and why.

    An engine named by hand never falls back to another.

    Raises:
        UserError: the model is none for this engine.
    """
    kind, why = (config.engine, "configured") if config.engine != "auto" else ("onnx", "the only one in this installation")
    engine = _OPEN[kind](config, bundle)
    log.info("engine_opened", engine=engine.name, precision=engine.precision, why=why, model=bundle.spec.name)
    return engine


def _open_onnx(config: ModelConfig, bundle: Bundle) -> Engine:
    from edge.engines.onnx import OnnxEngine  # runtimes are heavy: only the one in use is imported

    return OnnxEngine(bundle, config.threads)


_OPEN: dict[str, Callable[[ModelConfig, Bundle], Engine]] = {"onnx": _open_onnx}
