"""A line's YAML is one file per camera, written by people, never by the program.

Every key's docstring gives its meaning, its unit, and what null or zero means; ``docs/config.md`` is generated from them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from edge.config.drift import DriftConfig
from edge.config.outputs import OutputsConfig
from edge.config.regions import RegionsConfig, ScoreConfig
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
    """The frame ring is the only place where pixels are dropped."""

    slots: Annotated[int, Field(ge=4, le=4096)] = 8
    """Number of frames that may wait or be in work. When all slots are taken, a live line drops the oldest waiting
    frame."""


class ModelConfig(Section):
    """The model section names the model and the engine that runs it."""

    model_config = ConfigDict(protected_namespaces=())
    bundle: Path
    """The bundle's folder, made by `edge build` or `edge fit`; relative to the config file."""
    engine: Literal["auto", "tensorrt", "openvino", "onnx"] = "auto"
    """``tensorrt`` runs on an NVIDIA GPU; ``openvino`` and ``onnx`` (ONNX Runtime) run on the CPU. An engine that is named
    here is used, or the line refuses to start. ``auto`` takes the fastest that works here at this precision; log and state
    say which, and why."""
    precision: Literal["fp32", "fp16", "bf16", "int8"] = "fp32"
    """Arithmetic of the engine; it never falls back to another. Below fp32, the maps are compared with those of fp32 at the
    start, and refused beyond the bundle's ``tolerance.reduced``. ``fp16`` needs a GPU; ``bf16`` needs OpenVINO on a CPU
    with AMX or AVX512-BF16; ``int8`` on a CPU needs AVX512-VNNI, AVX-VNNI or ARM's dot product. ``bf16`` and ``int8`` need
    ``sample_frames``."""
    sample_frames: Path | None = None
    """Typical frames, some with defects: pictures or a recording, of which the first 32 are used. ``int8`` takes its scales
    from them, and every precision below fp32 is checked on them. Relative to the config file. null: ``fp16`` is checked on
    generated pictures, which prove less, and `state` says so."""
    providers: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Execution providers of ``engine: onnx`` in order of preference, for example ``[CUDAExecutionProvider]``. A provider
    that is missing or does not start is refused. null: the CPU's."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """Number of CPU threads inside one inference."""
    frame_size: tuple[Annotated[int, Field(ge=1, le=32768)], Annotated[int, Field(ge=1, le=32768)]] | None = None
    """Width and height of the camera's frames in px. ``tensorrt`` builds for one size: it needs this key where the
    bundle takes frames of any size, and where the size is known it runs all tiles of a frame at once. null: the
    bundle's own size."""

    @model_validator(mode="after")
    def _consistent(self) -> ModelConfig:
        if self.providers is not None and self.engine != "onnx":
            raise ValueError(f"providers are ONNX Runtime's: they need engine: onnx, not {self.engine}")
        if self.precision in ("bf16", "int8") and self.sample_frames is None:
            why = "its scales come from them" if self.precision == "int8" else "its maps are checked on them"
            raise ValueError(f"precision: {self.precision} needs sample_frames, a folder of typical frames: {why}")
        return self


class HealthConfig(Section):
    """The health server answers /live, /ready and Prometheus's /metrics over HTTP."""

    bind: Annotated[str, AfterValidator(_loopback)] = "127.0.0.1:0"
    """Loopback address and port. Port 0 takes any free port, which then stands in endpoints.json."""


class SuperviseConfig(Section):
    """These limits say when a stage counts as hung, or as broken for good."""

    limit_s: Annotated[float, Field(gt=0, le=3600)] = 5.0
    """A stage that makes no progress for longer than this, in s, counts as hung: systemd's watchdog is no longer fed, and
    the process exits with 4. The limit must exceed the slowest inference. Connecting to a camera may take longer, up to 60
    s for each step."""
    restarts: Annotated[int, Field(ge=0)] = 5
    """Number of times within 60 s that a stage is restarted after an error; after that the process exits with 3."""


class Config(Section):
    """A line's config describes one camera and what happens to its frames."""

    camera: Annotated[str, AfterValidator(_camera)]
    """Name of the camera in topics, logs and paths: only a to z, 0 to 9 and _, and at most 32 of them."""
    recipe_id: str | None = None
    """Name that the line uses for the product; it is copied into each record. null: none."""
    deadline_ms: Annotated[float, Field(gt=0)] | None = None
    """A verdict that is reached more than this many ms after the frame's arrival becomes ``invalid: late``. Sending the
    record takes about 0.2 ms more and, with ``sync: each``, as long as the disk needs. null: no deadline."""
    runtime_dir: Path | None = None
    """Folder of the lock, endpoints.json and the ipc socket; relative to the config file. null: $RUNTIME_DIRECTORY; without
    it /run/edge/CAMERA if that can be made; otherwise a folder of the user's own under the system's temporary folder."""
    source: SourceConfig
    """Where frames come from; `kind` says which section applies."""
    ring: RingConfig = RingConfig()
    """The frame ring between camera and model."""
    model: ModelConfig
    """The model, and the engine that runs it."""
    calibration: Path | None = None
    """The calibration file that ``edge calibrate`` writes; relative to the config file. null: none, and
    ``regions.threshold`` must give numbers."""
    regions: RegionsConfig = RegionsConfig()
    """How an anomaly map becomes defect regions."""
    score: ScoreConfig | None = None
    """The model's image score as a rule beside the regions, for models whose score sees what no region shows. null: the
    score is reported and decides nothing."""
    drift: DriftConfig | None = None
    """Whether the line notices that light, camera, place or product changed, and names the cause. It needs a calibration
    file with a reference: ``edge calibrate --drift``. null: off."""
    outputs: OutputsConfig = OutputsConfig()
    """Where records go."""
    health: HealthConfig = HealthConfig()
    """The HTTP server with /live, /ready and /metrics."""
    supervise: SuperviseConfig = SuperviseConfig()
    """When a stage counts as hung, or as broken for good."""
