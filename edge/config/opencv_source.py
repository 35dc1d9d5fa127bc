"""``source: {kind: opencv}`` in the line's YAML: V4L2 devices, network streams, GStreamer pipelines."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from edge.config.source_section import SourceSection

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


class OpencvConfig(SourceSection):
    """The frames come from any V4L2 device or network stream that OpenCV opens, or from a video file in its place."""

    kind: Literal["opencv"]
    device: Annotated[int, Field(ge=0)] | str
    """Number or path of a V4L2 device (0 is /dev/video0), an address (``rtsp://...``), or a video file that plays once, as
    fast as it is inspected. A file's path is relative to the config file. Frames that are damaged on the way become
    ``bad_payload`` losses: always for Motion JPEG, for H.264 and the like only with the extra ``video`` installed."""
    width: Annotated[int, Field(ge=1)] | None = None
    """Width in px that a V4L2 device is asked for. null: the device's own."""
    height: Annotated[int, Field(ge=1)] | None = None
    """Height in px that a V4L2 device is asked for. null: the device's own."""
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Frame rate that a V4L2 device is asked for. null: the device's own."""
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
        return isinstance(self.device, int) or self.device.startswith("/dev/") or bool(_ADDRESS.match(self.device))

    @property
    def wanted_size(self) -> tuple[int, int] | None:
        return (self.width, self.height) if self.width and self.height else None

    @property
    def wanted_fps(self) -> float | None:
        return self.fps
