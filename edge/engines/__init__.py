"""What turns a prepared picture into an anomaly map: the protocol that every engine keeps, and the table that opens one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol, TypeAlias

import numpy as np
import structlog
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.config import ModelConfig
from edge.errors import UserError

log = structlog.get_logger()

Samples: TypeAlias = Callable[[], Iterator[NDArray[Any]]]
"""Prepared pictures (H, W, C) of ``model.sample_frames``, from the first on at each call."""


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
    """What it computes in: ``fp32``, ``fp16``, ``bf16`` or ``int8``."""
    bundle: Bundle
    why: str
    """Why it was chosen, for people; ``open_engine`` says it."""

    def warm_up(self) -> None:
        """Run once on a blank picture or tile of the bundle's size, so that the first frame is not slower than the next."""

    def infer(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Prediction:
        """``image``: C-contiguous (H, W, C), as ``preprocess.prepare`` gives it, or (n, H, W, C): tiles of one picture.

        Tiles go through in one run where the graph takes a batch, else one by one. Raises whatever the runtime raises.
        """

    def close(self) -> None:
        """Free the model. May be called twice."""


def open_engine(config: ModelConfig, bundle: Bundle, samples: Samples | None = None) -> Engine:
    """The engine that the config names, or for ``auto`` the fastest that works here; warm, its precision checked.

    ``auto`` goes by a fixed order for each precision, so that a machine chooses the same at each start; what it passed over
    stands in ``why`` and in the log. An engine named by hand never falls back to another.

    Raises:
        UserError: the engine is not installed, can't have this precision or provider here, departs further from fp32 than
            the bundle allows, or the model is none for it.
    """
    if config.engine == "auto":
        engine = _fastest(config, bundle, samples)
    else:
        engine = _opened(config.engine, config, bundle, samples)
        engine.why = "configured"
    log.info("engine_opened", engine=engine.name, precision=engine.precision, why=engine.why, model=bundle.spec.name)
    return engine


_ORDER = {
    # ONNX Runtime took 0.86 to 1.0 of OpenVINO's time in fp32 on Xeon and EPYC, one and two threads
    "fp32": ("tensorrt", "onnx"),
    "fp16": ("tensorrt",),
    # ONNX Runtime has no bf16 kernels for the CPU; OpenVINO took 0.25 to 0.62 of fp32's time
    "bf16": ("openvino",),
    # OpenVINO took 0.13 to 0.75 of fp32's time, ONNX Runtime 0.4 to 0.77
    "int8": ("tensorrt", "openvino", "onnx"),
}
"""Engines for each precision, fastest first. Figures: scripts/README.md; PaDiM, STFPM and PatchCore of ResNet-18."""


def _fastest(config: ModelConfig, bundle: Bundle, samples: Samples | None) -> Engine:
    passed_over: list[str] = []
    failed: UserError | None = None
    for kind in _ORDER[config.precision]:
        reason = _not_here(kind)
        if reason is None:
            try:
                engine = _opened(kind, config, bundle, samples)
            except UserError as error:
                reason, failed = error.what, error
            else:
                engine.why = "; ".join([f"the fastest in {config.precision} that works here", *passed_over])
                return engine
        passed_over.append(f"not {kind}: {reason}")
    if failed is not None:
        raise failed
    raise UserError(
        f"model.engine: auto: no engine of this installation runs {config.precision}",
        received="; ".join(passed_over),
        fix="install one of them, or set model.precision: fp32",
    )


def _opened(kind: str, config: ModelConfig, bundle: Bundle, samples: Samples | None) -> Engine:
    from edge.engines.tolerance import check_tolerance

    engine = _OPEN[kind](config, bundle, samples)
    try:
        engine.warm_up()
        if config.precision != "fp32" or config.providers is not None or kind == "tensorrt":
            check_tolerance(engine, samples)
    except BaseException:
        engine.close()
        raise
    return engine


def _not_here(kind: str) -> str | None:
    """Why this engine can't even be tried."""
    if kind == "openvino":
        return "not installed" if find_spec("openvino") is None else None
    if kind == "tensorrt":
        if find_spec("tensorrt") is None and find_spec("tensorrt_rtx") is None:
            return "not installed"
        from edge.engines.tensorrt import why_not

        return why_not()
    return None


# runtimes are heavy: only the one in use is imported


def _open_onnx(config: ModelConfig, bundle: Bundle, samples: Samples | None) -> Engine:
    from edge.engines.onnx import OnnxEngine

    return OnnxEngine(bundle, config.threads, config.precision, config.providers, samples)


def _open_openvino(config: ModelConfig, bundle: Bundle, samples: Samples | None) -> Engine:
    from edge.engines.openvino import OpenvinoEngine

    return OpenvinoEngine(bundle, config.threads, config.precision, samples)


def _open_tensorrt(config: ModelConfig, bundle: Bundle, samples: Samples | None) -> Engine:
    from edge.engines.tensorrt import open_tensorrt

    return open_tensorrt(config, bundle, samples)


_OPEN: dict[str, Callable[[ModelConfig, Bundle, Samples | None], Engine]] = {
    "onnx": _open_onnx,
    "openvino": _open_openvino,
    "tensorrt": _open_tensorrt,
}
