"""The table of engines, and the choice among them."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import structlog

from edge.config.bundle import Bundle
from edge.config.line import ModelConfig
from edge.engines.protocol import BuildProgress, Engine, SamplePictures, untold
from edge.errors import UserError

log = structlog.get_logger()


def open_engine(
    config: ModelConfig, bundle: Bundle, samples: SamplePictures | None = None, batch: int = 1, tell: BuildProgress = untold
) -> Engine:
    """The engine that the config names, or for ``auto`` the fastest that works here; warm, its numbers checked.

    ``auto`` goes by a fixed order for each precision, so that a machine chooses the same at each start; what it passed over
    stands in ``why`` and in the log. An engine named by hand never falls back to another. ``batch``: pictures that are to
    go through at once, see ``batch.py``; where the model doesn't take them the engine's own ``batch`` is 1, and a line of
    the log says why.

    Raises:
        UserError: the engine is not installed, can't have this precision or provider here, departs further from fp32 than
            the bundle allows, gives no finite map, or the model is none for it.
    """
    if config.engine == "auto":
        engine = _fastest(config, bundle, samples, batch, tell)
    else:
        engine = _opened(config.engine, config, bundle, samples, batch, tell)
        engine.why = "configured"
    if config.precision != "fp32" and samples is None:
        engine.why += "; checked on generated pictures only: there are no model.sample_frames"
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


def _fastest(
    config: ModelConfig, bundle: Bundle, samples: SamplePictures | None, batch: int, tell: BuildProgress
) -> Engine:
    passed_over: list[tuple[str, str]] = []
    failed: list[tuple[str, UserError]] = []
    for kind in _ORDER[config.precision]:
        reason = _not_here(kind)
        if reason is None:
            try:
                engine = _opened(kind, config, bundle, samples, batch, tell)
            except UserError as error:
                reason = error.what
                failed.append((kind, error))
            else:
                skipped = [f"not {kind}: {why}" for kind, why in passed_over]
                engine.why = "; ".join([f"the fastest in {config.precision} that works here", *skipped])
                return engine
        passed_over.append((kind, reason))
    raise _none_works(config.precision, passed_over, failed)


def _none_works(precision: str, passed_over: list[tuple[str, str]], failed: list[tuple[str, UserError]]) -> UserError:
    """One engine's own error where it is the only one that could be tried, or all say the same; else what each said."""
    if failed and len({str(error) for _, error in failed}) == 1:
        return failed[0][1]
    received = [f"{kind}: {why}" for kind, why in passed_over]
    if failed:
        said = [f"{kind}: " + str(error).replace("\n", "\n    ") for kind, error in failed]
        others = [text for (kind, _), text in zip(passed_over, received, strict=True) if kind not in dict(failed)]
        return UserError(
            f"model.engine: auto: no engine opens this model in {precision}",
            received="\n    ".join([*said, *others]),
            fix="mend what one of them says" + ("" if precision == "fp32" else ", or set model.precision: fp32"),
        )
    lacking = [kind for kind, why in passed_over if why == NOT_INSTALLED]
    here = [kind for kind, why in passed_over if why != NOT_INSTALLED]
    ways = [f"mend that (with model.engine: {kind} `edge check` tells how)" for kind in here]
    ways += [f"install {' or '.join(lacking)} (docs/engines.md)"] if lacking else []
    return UserError(
        f"model.engine: auto: no engine runs {precision} here",
        received="; ".join(received),
        fix=", or ".join([*ways, "set model.precision: fp32"]),
    )


def _opened(
    kind: str, config: ModelConfig, bundle: Bundle, samples: SamplePictures | None, batch: int, tell: BuildProgress
) -> Engine:
    from edge.engines.acceptance import check_finite, check_tolerance, settle_batch

    engine = _OPEN[kind](config, bundle, samples, batch, tell)
    try:
        engine.warm_up()
        check_finite(engine)
        if config.precision != "fp32" or config.providers is not None or kind == "tensorrt":
            check_tolerance(engine, samples)
        if batch > 1:
            settle_batch(engine, batch)
    except BaseException:
        engine.close()
        raise
    return engine


NOT_INSTALLED = "not installed"


def _not_here(kind: str) -> str | None:
    """Why this engine can't even be tried."""
    if kind == "openvino":
        return NOT_INSTALLED if find_spec("openvino") is None else None
    if kind == "tensorrt":
        if find_spec("tensorrt") is None and find_spec("tensorrt_rtx") is None:
            return NOT_INSTALLED
        from edge.engines.tensorrt.engine import why_not

        return why_not()
    return None


def _open_onnx(
    config: ModelConfig, bundle: Bundle, samples: SamplePictures | None, batch: int, _tell: BuildProgress
) -> Engine:
    from edge.engines.onnx import OnnxEngine

    return OnnxEngine(bundle, config.threads, config.precision, config.providers, samples, batch)


def _open_openvino(
    config: ModelConfig, bundle: Bundle, samples: SamplePictures | None, batch: int, _tell: BuildProgress
) -> Engine:
    from edge.engines.openvino import OpenvinoEngine

    return OpenvinoEngine(bundle, config.threads, config.precision, samples, batch)


def _open_tensorrt(
    config: ModelConfig, bundle: Bundle, samples: SamplePictures | None, batch: int, tell: BuildProgress
) -> Engine:
    from edge.engines.tensorrt.engine import open_tensorrt

    return open_tensorrt(config, bundle, samples, batch, tell)


_OPEN: dict[str, Callable[[ModelConfig, Bundle, SamplePictures | None, int, BuildProgress], Engine]] = {
    "onnx": _open_onnx,
    "openvino": _open_openvino,
    "tensorrt": _open_tensorrt,
}
