"""``source: {kind: opencv}`` in the line's YAML: V4L2 devices, network streams, GStreamer pipelines, a video file."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from edge.config.source_section import SourceSection

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


def is_pipeline(device: int | str) -> bool:
    """Return True for a GStreamer pipeline: elements with ``!`` between them."""
    return isinstance(device, str) and " ! " in device


def is_v4l2(device: int | str) -> bool:
    """Return True for the number or path of a V4L2 device."""
    return isinstance(device, int) or (device.startswith("/dev/") and not is_pipeline(device))


def is_address(device: int | str) -> bool:
    """Return True for the address of a stream."""
    return isinstance(device, str) and not is_pipeline(device) and _ADDRESS.match(device) is not None


def _control(value: Any) -> Any:
    if len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int):  # a switch is 0 or 1
        return value[0], int(value[1])
    raise PydanticCustomError("control", "a control is [name, integer], for example [gain, 10]")


def _control_list(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and all(isinstance(item, (list, tuple)) for item in value):
        return tuple(map(tuple, value))
    raise PydanticCustomError("controls", "a list of controls, each [name, integer], for example [[gain, 10]]")


Control = Annotated[tuple[str, int], BeforeValidator(_control)]


class OpencvConfig(SourceSection):
    """The frames come from a V4L2 device, a network stream or a GStreamer pipeline, or from a video file in its place."""

    kind: Literal["opencv"]
    device: Annotated[int, Field(ge=0)] | str
    """Number or path of a V4L2 device (0 is /dev/video0; a path under /dev/v4l/by-id stays the same camera's), an address
    (``rtsp://...``), a GStreamer pipeline (``nvarguscamerasrc ! ... ! appsink``, where OpenCV has GStreamer), or a video
    file that plays once, as fast as it is inspected. A file's path is relative to the config file. Frames that are damaged
    on the way become ``bad_payload`` losses: always for Motion JPEG, for H.264 and the like only with the extra ``video``
    installed, never in a pipeline."""
    transport: Literal["tcp", "udp"] | None = None
    """How an ``rtsp://`` camera sends its packets: ``tcp`` loses none, ``udp`` has less delay and loses some. null:
    tcp, or udp from a camera that has no tcp."""
    width: Annotated[int, Field(ge=1)] | None = None
    """Width in px that a V4L2 device is asked for. null: the device's own."""
    height: Annotated[int, Field(ge=1)] | None = None
    """Height in px that a V4L2 device is asked for. null: the device's own."""
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Frame rate that a V4L2 device is asked for. null: the device's own."""
    fourcc: Annotated[str, Field(pattern=r"^[ -~]{4}$")] | None = None
    """Pixel format that a V4L2 device must send, in four characters, for example ``MJPG`` or ``YUYV``. null: the device's
    own choice."""
    exposure_us: Annotated[float, Field(gt=0)] | Literal["auto"] | None = None
    """Exposure of a V4L2 device in µs, in steps of 100; ``auto`` lets it follow the light, and the map with it. null: left
    as it is."""
    white_balance_k: Annotated[int, Field(ge=1)] | Literal["auto"] | None = None
    """White balance of a V4L2 device as colour temperature in K, or ``auto``. null: left as it is."""
    focus: Annotated[int, Field(ge=0)] | Literal["auto"] | None = None
    """Focus of a V4L2 device in its own units, or ``auto``. null: left as it is."""
    controls: Annotated[tuple[Control, ...], BeforeValidator(_control_list)] = ()
    """Other controls of a V4L2 device, each as ``[name, integer]`` with the names that ``edge doctor`` and ``v4l2-ctl
    --list-ctrls`` show, written in this order at each connection and read back."""
    max_repeats: Annotated[int, Field(ge=0)] | None = 0
    """Number of frames in a row that may repeat the one before bit for bit. Beyond it the frame is taken for a lost
    camera's last picture and counts as lost. 0: none may repeat, because noise makes each true picture differ. null: not
    checked, for compressed streams of a still scene. Video files are not checked."""
    blank_level: Annotated[int, Field(ge=0, le=255)] | None = 2
    """A frame in which no colour varies by more than this is blank (black, green or grey) and counts as lost. null: not
    checked. Video files are not checked."""

    @property
    def paced(self) -> bool:
        """A device's frames come when they come; a file is read as fast as it is inspected."""
        return is_v4l2(self.device) or is_pipeline(self.device) or is_address(self.device)

    @property
    def pixel_settings(self) -> dict[str, Any]:
        settings = {name: getattr(self, name) for name in ("fourcc", "exposure_us", "white_balance_k", "focus")}
        settings["controls"] = [list(control) for control in self.controls] or None
        return {name: value for name, value in settings.items() if value is not None}

    @property
    def wanted_size(self) -> tuple[int, int] | None:
        return (self.width, self.height) if self.width and self.height else None

    @property
    def wanted_fps(self) -> float | None:
        return self.fps

    @model_validator(mode="after")
    def _belongs_to_the_device(self) -> OpencvConfig:
        if not is_v4l2(self.device):
            for name in ("fourcc", "exposure_us", "white_balance_k", "focus", "controls"):
                if getattr(self, name) not in (None, ()):
                    raise ValueError(f"{name} is set in V4L2 devices (0, /dev/video0), and device is none")
        if self.transport is not None and not str(self.device).lower().startswith("rtsp"):
            raise ValueError("transport belongs to an address rtsp://..., and device is none")
        return self
