"""An ONNX graph becomes TensorRT's engine file here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import onnx

from edge.engines.tensorrt.cuda import out_of_memory, wrong_driver
from edge.engines.tensorrt.runtime import Runtime, configure_build
from edge.errors import UserError


class PhaseListener(Protocol):
    """Hears of the build's phases, which lie inside one another; any thread may call it."""

    def phase(self, name: str, parent: str | None, steps: int) -> None:
        """Note that a phase of so many steps began."""

    def step(self, name: str) -> None:
        """Note that one of its steps is done."""

    def finish(self, name: str) -> None: ...


def build_engine(
    model: onnx.ModelProto, where: Path, runtime: Runtime, capability: tuple[int, int], progress: PhaseListener
) -> bytes:
    """Build the engine file of a graph whose shapes are fixed. ``where`` is the model's place, for error texts.

    Raises:
        UserError: an operator that TensorRT lacks, named with its node; a driver that doesn't fit; too little memory.
    """
    api = runtime.api
    runtime.complaints.clear()
    try:
        builder = api.Builder(runtime.logger)
    except (TypeError, RuntimeError) as error:  # what the binding makes of a null pointer
        raise failed("cannot start", runtime, where, str(error)) from None
    typed = 1 << int(api.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parser = api.OnnxParser(network, runtime.logger)
    if not parser.parse(model.SerializeToString()):
        raise _not_parsed(parser, runtime, where)
    config = builder.create_builder_config()
    configure_build(runtime, config, capability)
    monitor = _make_monitor(api, progress)
    config.progress_monitor = monitor
    payload = builder.build_serialized_network(network, config)
    if payload is None:
        raise failed("cannot build its engine", runtime, where)
    return bytes(payload)


def failed(what: str, runtime: Runtime, where: Path, otherwise: str = "no reason given") -> UserError:
    """Return the error that fits what TensorRT complained of."""
    text = runtime.complaint() or otherwise
    lower = text.lower()
    if (
        "cudaerror 35" in lower
        or "initialization failure with error: 35" in lower
        or "driver version is insufficient" in lower
    ):
        return wrong_driver(f"{runtime.name} {runtime.version}: {text}")
    if any(sign in lower for sign in ("out of memory", "outofmemory", "allocat")):
        return out_of_memory(f"{runtime.name} {runtime.version}: {text}")
    return UserError(
        f"{where}: {runtime.name} {runtime.version} {what}",
        received=text,
        fix="choose engine: onnx or openvino for this model, or export it with simpler operators",
    )


def _not_parsed(parser: Any, runtime: Runtime, where: Path) -> UserError:
    if parser.num_errors == 0:
        return failed("cannot read the model", runtime, where)
    error = parser.get_error(0)
    operator, name, text = error.node_operator(), error.node_name(), " ".join(error.desc().split())
    node = f"operator {operator}, node {name}" if operator else "the model"
    return UserError(
        f"{where}: {runtime.name} {runtime.version} cannot take {node}",
        received=text,
        fix="choose engine: onnx or openvino for this model, or export it without this operator",
    )


def _make_monitor(api: Any, progress: PhaseListener) -> Any:
    class Monitor(api.IProgressMonitor):  # type: ignore[misc]  # the base comes with the package
        def __init__(self) -> None:
            api.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            progress.phase(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, _step: int) -> bool:
            progress.step(phase_name)
            return True

        def phase_finish(self, phase_name: str) -> None:
            progress.finish(phase_name)

    return Monitor()
