"""The line's YAML: one file per camera, written by people, never by the program.

Every key's docstring gives its meaning, its unit, and what null or zero means; ``docs/config.md`` is generated from them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from edge.config.outputs import OutputsConfig
from edge.config.regions import RegionsConfig
from edge.config.sources import SourceConfig
from edge.config.yaml_reader import Section


def _camera(name: str) -> str:
    if not re.fullmatch("[a-z0-9_]{1,32}", name):
        raise PydanticCustomError("camera", "a to z, 0 to 9 and _, at most 32 characters")
    return name


def _loopback(bind: str) -> str:
    host, _, port = bind.rpartition(":")
    if host not in ("127.0.0.1", "localhost") or not (re.fullmatch("[0-9]{1,5}", port) and int(port) <= 65535):
        raise PydanticCustomError("loopback", "127.0.0.1:PORT or localhost:PORT, PORT 0 to 65535; 0 takes any free one")
    return bind


class RingConfig(Section):
    """The only place where pixels are dropped."""

    slots: Annotated[int, Field(ge=4, le=4096)] = 8
    """Frames that may wait or be in work. Live, the oldest waiting one is dropped when all are taken."""


class ModelConfig(Section):
    """The model, and what runs it."""

    model_config = ConfigDict(protected_namespaces=())
    bundle: Path
    """The bundle's folder (``edge build`` and ``edge fit`` make one); relative to the config file."""
    engine: Literal["auto", "tensorrt", "openvino", "onnx"] = "auto"
    """``tensorrt``: an NVIDIA GPU. ``openvino``, ``onnx`` (ONNX Runtime): the CPU. One that is named is used or refused.
    ``auto``: the fastest that works here at this precision; log and state say which and why."""
    precision: Literal["fp32", "fp16", "bf16", "int8"] = "fp32"
    """Arithmetic of the engine, never another than this. Below fp32 the maps are compared with fp32's when it starts, and
    refused beyond the bundle's ``tolerance.reduced``. ``fp16``: a GPU. ``bf16``: OpenVINO on a CPU with AMX or
    AVX512-BF16. ``int8``: AVX512-VNNI, AVX-VNNI or ARM's dot product on a CPU. Both need ``sample_frames``."""
    sample_frames: Path | None = None
    """Typical frames, defects among them (pictures or a recording; the first 32): ``int8`` takes its scales from them, and
    every precision below fp32 is checked on them; relative to the config file. null: ``fp16`` is checked on generated
    pictures, which say less, and ``state`` tells so."""
    providers: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Execution providers of ``engine: onnx`` in order of preference, ``[CUDAExecutionProvider]`` say; one that is missing
    or does not start is refused. null: the CPU's."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """CPU threads inside one inference."""
    frame_size: tuple[Annotated[int, Field(ge=1, le=32768)], Annotated[int, Field(ge=1, le=32768)]] | None = None
    """Width and height of the camera's frames in px. ``tensorrt`` builds for one size: it needs this where the bundle takes
    frames of any, and puts all tiles of a frame into one run where it is known. null: as the bundle says."""

    @model_validator(mode="after")
    def _consistent(self) -> ModelConfig:
        if self.providers is not None and self.engine != "onnx":
            raise ValueError(f"providers are ONNX Runtime's: they need engine: onnx, not {self.engine}")
        if self.precision in ("bf16", "int8") and self.sample_frames is None:
            why = "its scales come from them" if self.precision == "int8" else "its maps are checked on them"
            raise ValueError(f"precision: {self.precision} needs sample_frames, a folder of typical frames: {why}")
        return self


class HealthConfig(Section):
    """/live, /ready and Prometheus /metrics over HTTP."""

    bind: Annotated[str, AfterValidator(_loopback)] = "127.0.0.1:0"
    """Address on loopback; port 0: any free one, which stands in endpoints.json."""


class SuperviseConfig(Section):
    """When a stage counts as hung or as broken for good."""

    limit_s: Annotated[float, Field(gt=0, le=3600)] = 5.0
    """A stage without progress for longer, in s, is hung: systemd's watchdog is no longer fed and the process exits
    with 4. Must exceed the slowest inference. Connecting to a camera may take longer, up to 60 s for each step."""
    restarts: Annotated[int, Field(ge=0)] = 5
    """Times that a stage that raised is restarted within 60 s; after that the process exits with 3."""


class Config(Section):
    """One camera's line."""

    camera: Annotated[str, AfterValidator(_camera)]
    """Name of the camera in topics, logs and paths: a to z, 0 to 9 and _, at most 32."""
    recipe_id: str | None = None
    """What the line calls the product; copied into each record. null: none."""
    deadline_ms: Annotated[float, Field(gt=0)] | None = None
    """A verdict that is reached later than this after the frame's arrival, in ms, is ``invalid: late``. Sending it comes on
    top: about 0.2 ms, with ``sync: each`` the disk's time. null: no deadline."""
    runtime_dir: Path | None = None
    """Folder of the lock, endpoints.json and the ipc socket; relative to the config file. null: $RUNTIME_DIRECTORY,
    else /run/edge/CAMERA where it can be made, else a folder of the user's own under the system's temporary folder."""
    source: SourceConfig
    """Where frames come from, by ``kind``."""
    ring: RingConfig = RingConfig()
    """The frame ring between camera and model."""
    model: ModelConfig
    """The model, and what runs it."""
    calibration: Path | None = None
    """The calibration file that ``edge calibrate`` writes; relative to the config file. null: none, and
    ``regions.threshold`` must be explicit."""
    regions: RegionsConfig = RegionsConfig()
    """From an anomaly map to defect regions."""
    outputs: OutputsConfig = OutputsConfig()
    """Where records go."""
    health: HealthConfig = HealthConfig()
    """/live, /ready and /metrics."""
    supervise: SuperviseConfig = SuperviseConfig()
    """When a stage counts as hung or as broken for good."""
