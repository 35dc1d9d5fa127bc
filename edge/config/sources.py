"""The section ``source:`` of the line's YAML is one of these kinds."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from edge.config.arriving_sources import SnapshotConfig, WatchedFolderConfig
from edge.config.genicam_source import Feature, GenicamConfig
from edge.config.opencv_source import OpencvConfig
from edge.config.source_section import FramesPath, SourceSection

__all__ = [
    "Feature",
    "GenicamConfig",
    "OpencvConfig",
    "RecordedConfig",
    "SnapshotConfig",
    "SourceConfig",
    "SourceSection",
    "SyntheticConfig",
    "WatchedFolderConfig",
]


class RecordedConfig(SourceSection):
    """The frames come from a folder of pictures, a video file or a recording."""

    kind: Literal["recorded"]
    path: FramesPath
    """The folder, file or recording; relative to the config file."""
    pace: Literal["original", "max"] = "original"
    """``original`` keeps the recording's own time between frames (for a folder of pictures, ``fps``). ``max`` is as fast as
    the line takes them."""
    fps: Annotated[float, Field(gt=0, le=1000)] = 10.0
    """Frames per second if the frames carry no times of their own."""
    bits: Literal[10, 12, 14, 16] | None = None
    """Number of low bits that count in files of 16 bits; without it the pictures of cameras with 10, 12 or 14 bits look
    nearly black. A frame with larger values is unreadable. null: as the files say, otherwise all 16."""

    @property
    def one_size(self) -> bool:
        return False

    @property
    def pixel_settings(self) -> dict[str, Any]:
        return {} if self.bits is None else {"bits": self.bits}

    @property
    def paced(self) -> bool:
        return self.pace == "original"

    @property
    def wanted_fps(self) -> float | None:
        return self.fps if self.paced else None


class SyntheticConfig(SourceSection):
    """The frames are generated: parts with planted defects of known place, size and contrast. The same seed gives the same
    frames.
    """

    kind: Literal["synthetic"]
    preset: Literal["easy", "medium", "hard", "pinned"] = "easy"
    """How hard the defects are to see. ``pinned``: small faint defects on parts that shift, turn and change their light."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the parts, their noise and their defects."""
    width: Annotated[int, Field(ge=32, le=16384)] = 512
    """Width of a frame in px."""
    height: Annotated[int, Field(ge=32, le=16384)] = 512
    """Height of a frame in px."""
    fps: Annotated[float, Field(gt=0, le=1000)] | None = 20.0
    """Frames per second. null: as fast as the line takes them."""
    frames: Annotated[int, Field(ge=1)] | None = None
    """Number of frames after which the source ends. null: endless."""
    defect_rate: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of parts that have a defect. 0: good parts only."""

    @property
    def paced(self) -> bool:
        return self.fps is not None

    @property
    def frame_size(self) -> tuple[int, int]:
        return self.width, self.height

    @property
    def wanted_fps(self) -> float | None:
        return self.fps


SourceConfig: TypeAlias = Annotated[
    GenicamConfig | OpencvConfig | SnapshotConfig | WatchedFolderConfig | RecordedConfig | SyntheticConfig,
    Field(discriminator="kind"),
]
