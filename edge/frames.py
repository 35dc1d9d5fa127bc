"""These are the nouns: what a camera delivered, what a model saw in it, what was decided. Beside NumPy they need nothing.

Everything that crosses a thread is a frozen dataclass with slots. Arrays inside are views: who may keep them, and until
when, stands beside each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:  # a program that listens knows the nouns without NumPy
    import numpy as np
    from numpy.typing import NDArray

Verdict: TypeAlias = Literal["pass", "fail", "invalid"]
SkipReason: TypeAlias = Literal["ring_full", "frame_id_gap", "incomplete", "bad_payload", "unreadable", "shutdown"]
"""Why frames never reached the engine."""
FrameIdSource: TypeAlias = Literal["device", "counted"]
"""``device``: ids come from the camera, gaps in them are losses. ``counted``: we count, and claim nothing about gaps."""
TimestampSource: TypeAlias = Literal["host", "camera", "ptp"]
SourceState: TypeAlias = Literal[
    "opening", "configured", "streaming", "waiting_for_trigger", "silent", "lost", "backoff", "ended"
]
LineState: TypeAlias = Literal["Preoperational", "Initialized", "Ready", "ContinuousExecution", "Halted", "Error"]
"""State names of OPC 40100-1."""


@dataclass(frozen=True, slots=True)
class FrameMeta:
    """Every frame has an identity and stamps.

    ``pixel_format`` is the PFNC name of the bytes that travel with it (``Mono8``, ``Mono12``, ``RGB8``, ``BGR8``,
    ``BayerRG8`` ...). ``received_ns`` is UTC and is published; ``received_mono_ns`` is ``time.monotonic_ns()`` of the
    same moment and carries the deadline and every latency, so that a stepped clock changes neither.
    """

    frame_id: int
    frame_id_source: FrameIdSource
    width: int
    height: int
    pixel_format: str
    received_ns: int
    received_mono_ns: int
    camera_ns: int | None = None
    timestamp_source: TimestampSource = "host"
    part_id: int | None = None
    frame_ref: str | None = None
    """Path under the source's root, for frames that come from files."""
    late: bool = False
    """For recorded frames: True if the deadline was missed when the frame was live, so that replay says ``late`` again."""
    drift: Mapping[str, Any] | None = None
    """For frames of evidence: the drift in force when the frame was live, so that replay says it again."""
    chunks: tuple[tuple[str, int | float | None], ...] = ()
    """Name and value of each chunk that the config asks for; None if the frame came without it."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload holds one frame's bytes as the source has them: ``data`` is 1-D uint8, valid until the next ``read``."""

    meta: FrameMeta
    data: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame has decoded pixels: C-contiguous (H, W) or (H, W, 3) RGB; uint8, or uint16 aligned to the low bit with
    ``bits``.

    ``pixels`` may be a view into a ring slot: valid until every output's ``accept`` for this frame has returned.
    """

    meta: FrameMeta
    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    bits: int = 8


@dataclass(frozen=True, slots=True)
class FrameKind:
    """What a frame must be like for its verdict to mean anything; None: whatever it is.

    ``size``: width and height. ``colour``: grey or RGB. ``bits``: of a sample, as the preprocessing gets it.
    """

    size: tuple[int, int] | None = None
    colour: Literal["grey", "RGB"] | None = None
    bits: int | None = None

    @classmethod
    def of(cls, frame: Frame) -> FrameKind:
        height, width = frame.pixels.shape[:2]
        return cls((width, height), "grey" if frame.pixels.ndim == 2 else "RGB", frame.bits)

    def __str__(self) -> str:
        size = "any size" if self.size is None else f"{self.size[0]}x{self.size[1]}"
        bits = "" if self.bits is None else f", {self.bits} bits"
        return f"{size}{'' if self.colour is None else f' {self.colour}'}{bits}"

    def doubt(self, frame: Frame) -> Unmapped | None:
        """Why a frame is of another kind: ``frame_size`` or ``frame_kind``; None if it is of this one."""
        shape = frame.pixels.shape
        fits = self.size is None or self.size == (shape[1], shape[0])
        if (
            fits
            and self.bits in (None, frame.bits)
            and (self.colour is None or (self.colour == "grey") == (len(shape) == 2))
        ):
            return None  # without an object: this is on every frame's way
        given = FrameKind.of(frame)
        reason = "frame_kind" if fits else "frame_size"
        return Unmapped(reason, f"the frame is {given}, expected {self}, as the good frames were")


ANY_KIND: Final = FrameKind()


@dataclass(frozen=True, slots=True)
class AnomalyMap:
    """A map holds what the model said about one frame.

    ``values``: float32 (h, w), raw and unclamped, valid until the engine's fourth ``infer`` after this one.
    ``map_to_image``: (sx, sy, ox, oy); a map edge at x lies in the frame at ``x * sx + ox``.
    ``score``: the model's own raw image score, where it has one.
    """

    values: NDArray[np.float32]
    map_to_image: tuple[float, float, float, float]
    score: float | None = None
    embedding: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """A region is a defect: ``regions.find`` gives it in map pixels, ``regions.verdict`` in image pixels."""

    id: int
    bbox_xyxy: tuple[int, int, int, int]
    """x0, y0, x1, y1; x1 and y1 exclusive."""
    area_px: float
    centroid_xy: tuple[float, float]
    """Mean of the pixel centres; the centre of the pixel in the corner is (0, 0)."""
    score_max: float
    score_mean: float
    fill_ratio: float
    aspect_ratio: float
    solidity: float | None
    polygon: tuple[tuple[float, float], ...] | None = None


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency is given in ms between stations: in the ring, in the engine, waiting for the judge, judged, altogether."""

    queue: float
    infer: float
    wait: float
    judge: float
    total: float


STAGES: Final = tuple(stage.name for stage in fields(Latency))
NO_LATENCY: Final = Latency(*(0.0 for _ in STAGES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """An inspection is a frame that reached the engine, and what was decided. ``map_max``: unsmoothed, in ROI and border;
    ``smoothed_max``: smoothed, None where nothing had to be, as on a quiet map.
    A new field has a default here and a row in ``edge.wire.record_fields``: place in the record, schema, way back.
    """

    meta: FrameMeta
    verdict: Verdict
    reason: str | None = None
    map_max: float | None = None
    smoothed_max: float | None = None
    score: float | None = None
    threshold: float
    regions: tuple[Region, ...] = ()
    regions_dropped: Mapping[str, int] = field(default_factory=dict)
    drift: Mapping[str, Any] | None = None
    """The drift in force, as ``state`` has it without ``since_ns``; in records only where the config asks for it."""
    latency_ms: Latency = NO_LATENCY


@dataclass(frozen=True, slots=True)
class Skip:
    """A skip stands for frames that never reached the engine: ``count`` of them, from ``frame_id_first`` to
    ``frame_id_last``.

    An id is None if the source could not give it.
    """

    reason: SkipReason
    count: int
    frame_id_first: int | None
    frame_id_last: int | None
    received_ns: int
    """UTC in ns when the loss was noticed."""
    frame_id_source: FrameIdSource = "device"
    part_id_first: int | None = None
    part_id_last: int | None = None
    frame_ref: str | None = None

    @classmethod
    def of(cls, meta: FrameMeta, reason: SkipReason) -> Skip:
        """Make the loss of one frame whose identity is known."""
        return cls(
            reason=reason,
            count=1,
            frame_id_first=meta.frame_id,
            frame_id_last=meta.frame_id,
            received_ns=meta.received_ns,
            frame_id_source=meta.frame_id_source,
            part_id_first=meta.part_id,
            part_id_last=meta.part_id,
            frame_ref=meta.frame_ref,
        )

    def followed_by(self, later: Skip) -> Skip | None:
        """Return both as one skip; None if one could not stand for both.

        They must be of one reason and one source of ids, and their frame ids and part ids side by side or unknown in both:
        a camera may have begun a new count between them, and a part counter that wrapped would name every part.
        """
        next_id = None if self.frame_id_last is None else self.frame_id_last + 1
        next_part = None if self.part_id_last is None else self.part_id_last + 1
        ours = (self.reason, self.frame_id_source, next_id, next_part)
        if ours != (later.reason, later.frame_id_source, later.frame_id_first, later.part_id_first):
            return None
        return replace(
            self, count=self.count + later.count, frame_id_last=later.frame_id_last, part_id_last=later.part_id_last
        )


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """All records of one run have this in common: who judged, with which config, model and calibration."""

    instance_id: str
    camera: str
    recipe_id: str | None
    simulated: bool
    config_sha256: str
    model_name: str
    model_sha256: str
    calibration_sha256: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """A record is one numbered line of the run's result, already encoded: ``line`` is JSON without a line end."""

    seq: int
    body: Inspection | Skip
    line: bytes

    @property
    def verdict(self) -> Verdict:
        return self.body.verdict if isinstance(self.body, Inspection) else "invalid"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault is something wrong that lasts, until its part says that it is over."""

    code: str
    since_ns: int
    text: str


@dataclass(frozen=True, slots=True)
class State:
    """The state describes the whole daemon at one moment; it is sent again to each new subscriber."""

    state_seq: int
    line_state: LineState
    source_state: SourceState
    engine: Mapping[str, Any]
    outputs: Mapping[str, Any]
    faults: tuple[Fault, ...] = ()
    drift: Mapping[str, Any] | None = None
    drift_block: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A heartbeat is sent every 500 ms. ``progress_age_ms`` is the age of the oldest stage's last sign of progress."""

    last_seq: int | None
    counters: Mapping[str, int] = field(default_factory=dict)
    ring_fill: int = 0
    progress_age_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A frame has no map: ``reason`` is the record's, ``text`` is for the log."""

    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A filter dropped a candidate: ``filter`` is its config key, ``value`` what the candidate has of it."""

    bbox_xyxy: tuple[int, int, int, int]
    area_px: int
    filter: str
    value: float
    limit: float


class FunnelStep(NamedTuple):
    """A step left so many pixels in so many areas; those in ``lost`` went altogether."""

    step: str
    pixels: int
    areas: int
    lost: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """One map holds these regions, in map pixels.

    ``mask`` is (h, w), 255 on the pixels of every region (also those beyond ``max_regions``), valid until the next call
    with the same plan. ``dropped`` says how many candidates each filter dropped, by config key, and how many regions
    ``max_regions`` cut off. ``smoothed_max`` is the record's. If they were asked for, ``rejected`` has each of those,
    ``candidates`` is (h, w), 255 on what the filters were given (None: nothing), and ``funnel`` says what each step left.
    """

    mask: NDArray[np.uint8]
    regions: tuple[Region, ...]
    dropped: dict[str, int]
    rejected: tuple[Rejected, ...] = ()
    candidates: NDArray[np.uint8] | None = None
    funnel: tuple[FunnelStep, ...] = ()
    smoothed_max: float | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """An inspection's verdict rests on this, in map pixels."""

    amap: AnomalyMap
    found: Found
