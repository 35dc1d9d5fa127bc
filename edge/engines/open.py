"""A table lists the engines, and one of them is chosen here.

A new runtime is a file beside this one, its word in ``config/line.py`` and a row here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import structlog

from edge.config.bundle import Bundle
from edge.config.line import ModelConfig
from edge.engines.protocol import BuildProgress, Engine, SamplePictures, say_nothing
from edge.errors import UserError

log = structlog.get_logger()


def open_engine(
    config: ModelConfig,
    bundle: Bundle,
    samples: SamplePictures | None = None,
    batch: int = 1,
    tell: BuildProgress = say_nothing,
) -> Engine:
    """Open the engine that the config names, or for ``auto`` the fastest that works here; it is warm, its numbers checked.

    ``auto`` goes by a fixed order for each precision, so that a machine chooses the same at each start; what it passed over
    stands in ``why`` and in the log. An engine named by hand never falls back to another. ``batch`` is the number of
    pictures that are to go through at once, see ``edge.engines.batch``; if the model doesn't take them, the engine's own
    ``batch`` is 1, and a line of the log says why.

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


def _fastest(
    config: ModelConfig, bundle: Bundle, samples: SamplePictures | None, batch: int, tell: BuildProgress
) -> Engine:
    passed_over: list[tuple[str, str]] = []
    failed: list[tuple[str, UserError]] = []
    for kind, runtime in _RUNTIMES.items():
        if config.precision not in runtime.for_auto:
            continue
        reason = runtime.why_not()
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
    """Return the one engine's own error if only one could be tried, or all say the same; otherwise what each said."""
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
    ways = [f"mend that (with model.engine: {kind} `edge check` says how)" for kind in here]
    ways += [f"install {' or '.join(lacking)} (docs/engines.md)"] if lacking else []
    return UserError(
        f"model.engine: auto: no engine runs {precision} here",
        received="; ".join(received),
        fix=", or ".join([*ways, "set model.precision: fp32"]),
    )


def _opened(
    kind: str, config: ModelConfig, bundle: Bundle, samples: SamplePictures | None, batch: int, tell: BuildProgress
) -> Engine:
    from edge.engines.acceptance import check_finite, check_tolerance, why_not_together

    runtime = _RUNTIMES[kind]
    engine = runtime.open(config, bundle, samples, batch, tell)
    try:
        engine.warm_up()
        check_finite(engine)
        if not runtime.reference or config.precision != "fp32" or config.providers is not None:
            check_tolerance(engine, samples)
        if batch > 1 and (why := why_not_together(engine)) is not None:
            engine.batch = 1
            log.warning("no_batches", wanted=batch, why=why, effect="pictures go in one by one")
    except BaseException:
        engine.close()
        raise
    return engine


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


NOT_INSTALLED = "not installed"


def _why_not_onnx() -> str | None:
    return None  # the core needs ONNX Runtime itself


def _why_not_openvino() -> str | None:
    return NOT_INSTALLED if find_spec("openvino") is None else None


def _why_not_tensorrt() -> str | None:
    if find_spec("tensorrt") is None and find_spec("tensorrt_rtx") is None:
        return NOT_INSTALLED
    from edge.engines.tensorrt.engine import why_not_here

    return why_not_here()


@dataclass(frozen=True, slots=True)
class _Runtime:
    """A runtime is one row. Its functions import what they need inside, so that only the runtime in use is loaded."""

    open: Callable[[ModelConfig, Bundle, SamplePictures | None, int, BuildProgress], Engine]
    """Opens the engine of the config for one bundle, not yet warm; see ``open_engine``."""
    why_not: Callable[[], str | None]
    """Says why ``auto`` can't even try it on this machine; None if it can."""
    for_auto: frozenset[str]
    """Precisions for which ``auto`` takes it."""
    reference: bool = False
    """True for the one whose numbers, in fp32 on the CPU, all others are compared with."""


_RUNTIMES: dict[str, _Runtime] = {
    "tensorrt": _Runtime(_open_tensorrt, _why_not_tensorrt, frozenset({"fp32", "fp16", "int8"})),
    # in fp32 ONNX Runtime took 0.86 to 1.0 of OpenVINO's time on Xeon and EPYC, one and two threads, and it has no bf16
    # kernels for the CPU; in bf16 OpenVINO took 0.25 to 0.62 of fp32's time, in int8 0.13 to 0.75
    "openvino": _Runtime(_open_openvino, _why_not_openvino, frozenset({"bf16", "int8"})),
    # in int8 0.4 to 0.77 of fp32's time
    "onnx": _Runtime(_open_onnx, _why_not_onnx, frozenset({"fp32", "int8"}), reference=True),
}
"""Every runtime by its word in the config, the fastest first. Figures: scripts/README.md; measured on PaDiM, STFPM and
PatchCore of ResNet-18."""
