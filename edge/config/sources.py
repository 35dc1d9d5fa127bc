"""The ``source:`` section of the line's YAML: one of four kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from edge.config.yaml_reader import Section


def _pair(value: Any) -> Any:
    # in one sentence: the union of value types would tell one error for each
    if len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], (bool, int, float, str)):
        return value
    raise PydanticCustomError("feature", "a feature is [name, value], [ExposureTime, 800.0] say")


def _pairs(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and all(isinstance(item, (list, tuple)) for item in value):
        return tuple(map(tuple, value))
    raise PydanticCustomError("features", "a list of features, each [name, value]: [[ExposureTime, 800.0]] say")


Feature: TypeAlias = Annotated[tuple[str, bool | int | float | str], BeforeValidator(_pair)]
PixelLevel: TypeAlias = Annotated[int, Field(ge=0, le=65535)]


class SourceSection(Section):
    """What the rooms above ask of any kind of source, with the answers of a kind that has nothing special.

    A new kind overrides those that differ; nobody asks which kind it is.
    """

    @property
    def paced(self) -> bool:
        """Whether frames come at a time of their own, so that a full ring must drop; else they wait for us."""
        return True

    @property
    def levels(self) -> tuple[Literal[8, 16], tuple[int, int] | None]:
        """Bits per sample that the model gets of deeper formats, and the window of values that 8 bits are cut from."""
        return 16, None

    @property
    def frame_size(self) -> tuple[int, int] | None:
        """Width and height in px that every frame is certain to have; None: known with the first frame."""
        return None

    @property
    def pixel_settings(self) -> dict[str, Any]:
        """Keys that change a frame's pixels and aren't the defaults: thresholds are valid for these alone."""
        return {}

    @property
    def wanted_size(self) -> tuple[int, int] | None:
        """Width and height in px that the config asks of the device, which may give another; None: it doesn't say."""
        return self.frame_size

    @property
    def wanted_fps(self) -> float | None:
        """Frames per second that the config asks for; None: it doesn't say, or takes them as they are read."""
        return None

    @property
    def reconnect_limit(self) -> int | None:
        """Reconnections after which the next loss calls for a new process; None: never."""
        return None

    @property
    def may_be_gige(self) -> bool:
        """Whether frames may come over an Ethernet link of the camera's own, which wants large packets and buffers."""
        return False


_NO_PIXELS = (
    *("Acquisition", "Action", "Chunk", "Counter", "Device", "Encoder", "Event", "File", "Gev", "GenDC", "Line", "Ptp"),
    *("LogicBlock", "SoftwareSignal", "Stream", "Timer", "Transfer", "Trigger", "U3v", "UserOutput"),
)
"""How the names of features begin that change when frames come and what comes with them, not their pixels (SFNC 2.7)."""


class GenicamConfig(SourceSection):
    """A GenICam camera through a GenTL producer (a ``.cti`` file)."""

    kind: Literal["genicam"]
    producer: str | None = None
    """Path of the producer's ``.cti`` file. ``simulated``: the simulated camera of the genicam package. null: every
    ``.cti`` file in the folders of the environment variable GENICAM_GENTL64_PATH."""
    serial: str | None = None
    """Serial number of the camera. null: the only camera there is; with two or more, the error lists them."""
    buffers: Annotated[int, Field(ge=2, le=1024)] = 32
    """GenTL buffers announced to the producer: at least frame rate times the longest stall in s."""
    features: Annotated[tuple[Feature, ...], BeforeValidator(_pairs)] = ()
    """Camera features written in this order at each connection, each as ``[name, value]`` (SFNC names), each read back.
    A command is written as ``[name, execute]``. Selectors go before what they select. Frames are taken afterwards: a
    ``TriggerSoftware`` here fires nothing."""
    software_trigger_hz: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Frames per second that this program triggers, without a line's own signal: ``TriggerSoftware`` is executed this often
    while the camera runs. ``features`` must set TriggerMode On and TriggerSource Software. null: never executed."""
    part_id: str | None = None
    """Integer chunk that counts parts, ``ChunkCounterValue`` say. null: records carry no part id."""
    chunks: tuple[str, ...] = ()
    """Number chunks copied into each record under their names, ``ChunkExposureTime``, ``ChunkGain`` say. The camera sends
    a chunk only where ``features`` enable it."""
    bit_depth: Literal[8, 16] = 16
    """Bits per sample that the model gets of pixel formats with more than 8. 16: all that the format has. 8: see
    ``window``; packed formats are then unpacked to 8 bits in one pass."""
    window: tuple[PixelLevel, PixelLevel] | None = None
    """With ``bit_depth: 8``: the camera's values that become 0 and 255, linear between and cut outside. null: the high 8
    bits. Formats of 8 bits stay as they are."""
    bayer: Literal["RG", "GR", "GB", "BG"] | None = None
    """Colours of the first two pixels of a Bayer picture. null: as the camera's pixel format says. For a camera that goes
    on naming the sensor's pattern while an odd OffsetX or OffsetY moves it."""
    max_repeats: Annotated[int, Field(ge=1)] | None = 1
    """Frames that repeat the one before bit for bit and are still believed: noise makes each true picture differ, and frame
    ids may run on over a picture that stands still. One beyond is a ``bad_payload`` loss. null: not checked. Not checked of
    the simulated camera."""
    max_reconnects: Annotated[int, Field(ge=1)] | None = 100
    """Reconnections after which the next loss of the camera ends the process with 5, to be started anew: camera libraries
    leak up to one frame at each. null: never."""

    @property
    def pixel_settings(self) -> dict[str, Any]:
        features = [list(feature) for feature in self.features if not feature[0].startswith(_NO_PIXELS)]
        settings: dict[str, Any] = {"bit_depth": self.bit_depth, "window": self.window and list(self.window)}
        settings |= {"bayer": self.bayer, "features": features}
        return {name: value for name, value in settings.items() if value not in (None, 16, [])}

    @model_validator(mode="after")
    def _window_of_8_bits(self) -> GenicamConfig:
        if self.window is None:
            return self
        if self.bit_depth != 8:
            raise ValueError("window belongs to bit_depth: 8; 16 keeps every value")
        if self.window[0] >= self.window[1]:
            raise ValueError(f"window is [value that becomes 0, value that becomes 255], rising; got {list(self.window)}")
        return self

    @property
    def levels(self) -> tuple[Literal[8, 16], tuple[int, int] | None]:
        return self.bit_depth, self.window

    @property
    def wanted_size(self) -> tuple[int, int] | None:
        width, height = self._number_of("Width"), self._number_of("Height")
        return (int(width), int(height)) if width and height else None

    @property
    def wanted_fps(self) -> float | None:
        return self._number_of("AcquisitionFrameRate")

    @property
    def reconnect_limit(self) -> int | None:
        return self.max_reconnects

    @property
    def may_be_gige(self) -> bool:
        return self.producer != "simulated"

    def _number_of(self, feature: str) -> float | None:
        """The number that is written to a feature last."""
        values = [v for name, v in self.features if name == feature and not isinstance(v, (bool, str))]
        return float(values[-1]) if values else None


class RecordedConfig(SourceSection):
    """A folder of pictures, a video file or a recording."""

    kind: Literal["recorded"]
    path: Path
    """Folder, file or recording; relative to the config file."""
    pace: Literal["original", "max"] = "original"
    """``original``: the recording's own time between frames (a folder's: ``fps``). ``max``: as fast as they are taken."""
    fps: Annotated[float, Field(gt=0, le=1000)] = 10.0
    """Frames per second where the frames carry no times of their own."""
    bits: Literal[10, 12, 14, 16] | None = None
    """How many low bits of a sample count in files of 16 bits: those of cameras with 10, 12 or 14 count as nearly black
    without it. A frame with values beyond is unreadable. null: as the files say, else all 16."""

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
    """Generated parts with planted defects of known place, size and contrast; the same seed gives the same frames."""

    kind: Literal["synthetic"]
    preset: Literal["easy", "medium", "hard"] = "easy"
    """How hard the defects are to see."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of parts, noise and defects."""
    width: Annotated[int, Field(ge=32, le=16384)] = 512
    """Width of a frame in px."""
    height: Annotated[int, Field(ge=32, le=16384)] = 512
    """Height of a frame in px."""
    fps: Annotated[float, Field(gt=0, le=1000)] | None = 20.0
    """Frames per second. null: as fast as they are taken."""
    frames: Annotated[int, Field(ge=1)] | None = None
    """Frames until the source ends. null: endless."""
    defect_rate: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of parts with a defect. 0: good parts only."""

    @property
    def paced(self) -> bool:
        return self.fps is not None

    @property
    def frame_size(self) -> tuple[int, int]:
        return self.width, self.height

    @property
    def wanted_fps(self) -> float | None:
        return self.fps


class OpencvConfig(SourceSection):
    """Any V4L2 device or network stream that OpenCV opens, or a video file in its place."""

    kind: Literal["opencv"]
    device: Annotated[int, Field(ge=0)] | str
    """Number or path of a V4L2 device (0 is /dev/video0), an address (``rtsp://...``), or a video file that plays once, as
    fast as it is inspected; relative to the config file. ``${NAME}`` in an address is the environment variable NAME, or the
    systemd credential of that name: so no password stands in the config."""
    width: Annotated[int, Field(ge=1)] | None = None
    """Width asked of a V4L2 device in px. null: the device's own."""
    height: Annotated[int, Field(ge=1)] | None = None
    """Height asked of a V4L2 device in px. null: the device's own."""
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Frame rate asked of a V4L2 device. null: the device's own."""
    max_repeats: Annotated[int, Field(ge=0)] | None = 0
    """Frames that repeat the one before bit for bit and are still believed; what repeats longer is a lost camera's last
    picture, and a loss. 0: none, for noise makes each true picture differ. null: not checked, for compressed streams of a
    still scene. Not checked of video files."""
    blank_level: Annotated[int, Field(ge=0, le=255)] | None = 2
    """A frame in which no colour varies by more than this, black, green or grey, is no picture but a loss. null: not
    checked. Not checked of video files."""

    @property
    def wanted_size(self) -> tuple[int, int] | None:
        return (self.width, self.height) if self.width and self.height else None

    @property
    def wanted_fps(self) -> float | None:
        return self.fps


SourceConfig: TypeAlias = Annotated[
    GenicamConfig | RecordedConfig | SyntheticConfig | OpencvConfig, Field(discriminator="kind")
]
