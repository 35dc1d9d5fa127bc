"""``source: {kind: genicam}`` in the line's YAML: which camera, its features, and what is made of its frames."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from edge.config.network_address import checked_ip, checked_mac
from edge.config.source_section import SourceSection


def _pair(value: Any) -> Any:
    # in one sentence: the union of value types would tell one error for each
    if len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], (bool, int, float, str)):
        return value
    raise PydanticCustomError("feature", "a feature is [name, value], for example [ExposureTime, 800.0]")


def _pairs(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and all(isinstance(item, (list, tuple)) for item in value):
        return tuple(map(tuple, value))
    raise PydanticCustomError("features", "a list of features, each [name, value], for example [[ExposureTime, 800.0]]")


Feature: TypeAlias = Annotated[tuple[str, bool | int | float | str], BeforeValidator(_pair)]
PixelLevel: TypeAlias = Annotated[int, Field(ge=0, le=65535)]

_NO_PIXELS = (
    *("Acquisition", "Action", "Chunk", "Counter", "Device", "Encoder", "Event", "File", "Gev", "GenDC", "Line", "Ptp"),
    *("LogicBlock", "SoftwareSignal", "Stream", "Timer", "Transfer", "Trigger", "U3v", "UserOutput"),
)
"""How the names of features begin that change when frames come and what comes with them, not their pixels (SFNC 2.7)."""


class GenicamConfig(SourceSection):
    """The frames come from a GenICam camera through a GenTL producer (a ``.cti`` file)."""

    kind: Literal["genicam"]
    producer: str | None = None
    """Path of the producer's ``.cti`` file. ``simulated``: the simulated camera of the genicam package. null: every
    ``.cti`` file in the folders of the environment variable GENICAM_GENTL64_PATH."""
    serial: str | None = None
    """Serial number of the camera, which can be named by one of these four: ``serial``, ``device_user_id``, ``mac``,
    ``ip``. All null: the only camera there is; with two or more, the error message lists them."""
    device_user_id: Annotated[str, Field(min_length=1)] | None = None
    """Name that was written into the camera (its feature DeviceUserID), so that a broken camera can be replaced without
    touching the config."""
    mac: Annotated[str, AfterValidator(checked_mac)] | None = None
    """MAC address of a GigE camera, for example ``00:30:53:1a:2b:3c``. Not every producer reports it: ``edge cameras``
    shows what it reports."""
    ip: Annotated[str, AfterValidator(checked_ip)] | None = None
    """IPv4 address of a GigE camera; the producers that report ``mac`` report it too."""
    buffers: Annotated[int, Field(ge=2, le=1024)] | None = None
    """Number of GenTL buffers announced to the producer: at least the frame rate times the longest stall in s. Each takes a
    whole payload of memory. null: as many as 64 MB hold, 4 to 32."""
    features: Annotated[tuple[Feature, ...], BeforeValidator(_pairs)] = ()
    """Camera features, written in this order at each connection and read back, each as ``[name, value]`` with SFNC names. A
    command is written as ``[name, execute]``. Selectors go before what they select. Acquisition starts afterwards, so a
    ``TriggerSoftware`` here fires nothing."""
    software_trigger_hz: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Frames per second that this program triggers itself where no line signal does: ``TriggerSoftware`` is executed this
    often while the camera runs. ``features`` must set TriggerMode On and TriggerSource Software. null: never executed."""
    part_id: str | None = None
    """Integer chunk that counts parts, for example ``ChunkCounterValue``. null: records carry no part id."""
    chunks: tuple[str, ...] = ()
    """Number chunks that are copied into each record under their names, for example ``ChunkExposureTime`` and
    ``ChunkGain``. The camera sends a chunk only if ``features`` enable it."""
    bit_depth: Literal[8, 16] = 16
    """Bits per sample that the model gets from pixel formats with more than 8. 16 keeps all that the format has. 8 cuts
    them as ``window`` says; packed formats are then unpacked to 8 bits in one pass."""
    window: tuple[PixelLevel, PixelLevel] | None = None
    """With ``bit_depth: 8``: the two camera values that become 0 and 255, linear between them and cut outside. null: the
    high 8 bits. Formats of 8 bits stay as they are."""
    bayer: Literal["RG", "GR", "GB", "BG"] | None = None
    """Colours of the first two pixels of a Bayer picture, for a camera that keeps naming the sensor's pattern while an odd
    OffsetX or OffsetY moves it. null: as the camera's pixel format says."""
    max_repeats: Annotated[int, Field(ge=1)] | None = 1
    """Number of frames in a row that may repeat the one before bit for bit and are still believed; the next one is lost as
    ``bad_payload``. Noise makes each true picture differ, and frame ids may run on while the picture stands still. null:
    not checked. The simulated camera is not checked."""
    max_reconnects: Annotated[int, Field(ge=1)] | None = 100
    """Number of reconnections after which the next loss of the camera ends the process with 5, to be started anew: camera
    libraries leak up to one frame at each reconnection. null: never."""

    @model_validator(mode="after")
    def _one_mark(self) -> GenicamConfig:
        given = [name for name in ("serial", "device_user_id", "mac", "ip") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"name the camera by one of serial, device_user_id, mac and ip; got {' and '.join(given)}")
        return self

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
        """Return the number that is written to a feature last."""
        values = [v for name, v in self.features if name == feature and not isinstance(v, (bool, str))]
        return float(values[-1]) if values else None
