"""The calibration file holds thresholds that ``edge calibrate`` measured on good frames, and says what they are valid for.

Machine-written YAML, keyed by everything that changes the map they are compared with: model, ROI, border, smoothing, zones,
precision, the settings of the source that change pixels, and the kind of frames. A line whose key differs refuses to start;
a frame of another kind gets no verdict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import ConfigDict, Field, model_validator

from edge.config.frame_kind import FrameKindSpec
from edge.config.regions import RegionsConfig, RoiConfig, Score, SmoothConfig, ZoneConfig
from edge.config.sources import SourceSection
from edge.config.validate import validate
from edge.config.yaml_reader import Section, dump_yaml, read_yaml
from edge.errors import UserError

CALIBRATION_SCHEMA = 1
_HEAD = "# Written by edge calibrate, and written anew by the next run.\n"
_SHA256 = r"^[0-9a-f]{64}$"


class CalibrationKey(Section):
    """Thresholds are valid only for a line that agrees with this key."""

    model_config = ConfigDict(protected_namespaces=())
    model_sha256: Annotated[str, Field(pattern=_SHA256)]
    """The bundle's hash."""
    roi_sha256: Annotated[str, Field(pattern=_SHA256)]
    """Hash of ``regions.roi`` and of the bytes of its mask picture."""
    border_px: Annotated[int, Field(ge=0)]
    """``regions.border_px``."""
    smooth: SmoothConfig | None
    """``regions.smooth``."""
    zones_sha256: Annotated[str, Field(pattern=_SHA256)] | None = None
    """Hash of the zones that have thresholds of their own; their pixels were not measured. null: there were no such
    zones."""
    precision: str
    """``model.precision``."""
    samples_sha256: Annotated[str, Field(pattern=_SHA256)] | None = None
    """Hash of the pictures of ``model.sample_frames`` from which int8 takes its scales; other pictures give other maps.
    null: the precision is not int8."""

    frames: FrameKindSpec | None = None
    """Kind of the good frames, as the model got them; frames of another kind get no verdict. null: an older file."""
    source: dict[str, Any] | None = None
    """Keys of ``source`` that change pixels and differ from the defaults. null: an older file."""


class DriftReferenceSpec(Section):
    """What ``edge calibrate --drift`` learned of the line lies in a file beside this one; only a line that agrees with the
    keys here may use it.
    """

    model_config = ConfigDict(protected_namespaces=())
    file: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    """Name of the file, in this file's folder."""
    sha256: Annotated[str, Field(pattern=_SHA256)]
    """Hash of the file."""
    created: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    """Time of the measurement, UTC."""
    sources: tuple[str, ...]
    """Where the frames came from."""
    frames: Annotated[int, Field(ge=1)]
    """Number of frames measured."""
    every: Annotated[int, Field(ge=1)]
    """Number of frames to each one that was measured."""
    signatures: Annotated[int, Field(ge=0)]
    """Number of disturbed frames from which causes are told apart."""
    note: str = ""
    """Remarks that a reader should know: a reference that is short, or drifts itself."""
    model_sha256: Annotated[str, Field(pattern=_SHA256)]
    """The bundle's hash."""
    recipe_id: str | None
    """``recipe_id``."""
    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    """Width and height of the frames in px."""
    region_sha256: Annotated[str, Field(pattern=_SHA256)]
    """Hash of the part of the frame that is measured: ``drift.region``, or else ``regions.roi``."""


class Calibration(Section):
    """The keys of a calibration file stand here."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    """Version of the file format."""
    created: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    """Time of the measurement, UTC."""
    high: Score
    """Threshold of the smoothed map. The maximum of a good frame lies below it, except for the share ``false_rejects``."""
    low: Score | None = None
    """Value of the map at which regions end: the quantile ``quantile`` of good frames' pixels. null: no hysteresis."""
    score_high: Score | None = None
    """Threshold of the image score, measured as ``high`` is. null: the model gives none, or an older file."""
    false_rejects: Annotated[float, Field(gt=0, lt=1)]
    """Share of good frames that may be rejected, as the user asked for it."""
    quantile: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Quantile of the pixels of good frames, as the user asked for it. null: there is no ``low``."""
    frames: Annotated[int, Field(ge=1)]
    """Number of good frames measured."""
    left_out: tuple[str, ...] = ()
    """Number of frames that were left out as outliers because the user asked for it."""
    source: str
    """Where the frames came from."""
    note: str = ""
    """Remarks that a reader should know about these thresholds."""
    key: CalibrationKey
    """What the thresholds are valid for."""
    frames_used: str | None = None
    """Content ids of the frames, with blanks between: ``edge evaluate`` refuses to judge on them. null: the file is
    older."""
    drift: DriftReferenceSpec | None = None
    """What is usual on the line, and the signatures of what may change. null: nobody ran ``edge calibrate --drift``."""

    @model_validator(mode="after")
    def _ordered(self) -> Calibration:
        if self.low is not None and self.low > self.high:
            raise ValueError(f"low ({self.low}) must not be above high ({self.high})")
        return self

    @property
    def text(self) -> str:
        """Return the text of the file."""
        return _HEAD + dump_yaml(self._values)

    @property
    def sha256(self) -> str:
        """Return the hash of the values; comments and the order of keys have no effect on it."""
        return hashlib.sha256(_canonical(self._values)).hexdigest()

    @property
    def _values(self) -> dict[str, Any]:
        """A file without a score's threshold, or without drift, has the hash that it had before there was either."""
        absent = {name for name, value in (("score_high", self.score_high), ("drift", self.drift)) if value is None}
        return self.model_dump(mode="json", by_alias=True, exclude=absent)

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read a calibration file.

        Raises:
            UserError: unreadable, not YAML, written by a newer version, a key that is missing, unknown or out of range. It
                ``passes``: no config is wrong, the file was torn by a power cut or is being written, and a daemon waits
                for the next ``edge calibrate``.
        """
        try:
            return cls._read(path)
        except UserError as error:
            error.passes = True
            raise

    @classmethod
    def _read(cls, path: Path) -> Calibration:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise UserError(f"{path}: not a calibration file", received="a pipe or a device", fix="run edge calibrate")
        data, lines, _ = read_yaml(path)
        if not isinstance(data, dict):
            raise UserError(
                f"{path}: not a calibration file",
                received="an empty file" if data is None else "no mapping of keys",
                fix="run edge calibrate",
            )
        schema = data.get("schema")
        if isinstance(schema, int) and schema > CALIBRATION_SCHEMA:
            raise UserError(
                f"{path}: the calibration file was written by a newer version",
                received=f"schema {schema}",
                expected=f"schema {CALIBRATION_SCHEMA}",
                fix="update this installation, or run edge calibrate with it again",
            )
        fix = "run edge calibrate again rather than to edit its file"
        return validate(cls, data, path, lines=lines, whole="calibration", fix=fix)


def calibration_key(
    regions: RegionsConfig,
    model_sha256: str,
    precision: str,
    mask_bytes: bytes | None,
    samples_sha256: str | None = None,
    *,
    source: SourceSection | None = None,
) -> dict[str, Any]:
    """Return what a calibration that is made now would be valid for.

    ``mask_bytes`` is the content of the file ``regions.roi.mask``, where the config names one; ``samples_sha256`` comes
    from ``edge.engines.line_engine.scales_sha256``; ``source`` is None if no camera's settings matter.
    """
    return {
        "model_sha256": model_sha256,
        "roi_sha256": roi_sha256(regions.roi, mask_bytes),
        "border_px": regions.border_px,
        "smooth": None if regions.smooth is None else regions.smooth.model_dump(mode="json"),
        "zones_sha256": _zones_sha256(regions.zones),
        "precision": precision,
        "samples_sha256": samples_sha256,
        "source": {} if source is None else source.pixel_settings,
    }


_NAMES = {
    "model_sha256": "model",
    "roi_sha256": "regions.roi",
    "border_px": "regions.border_px",
    "smooth": "regions.smooth",
    "zones_sha256": "regions.zones",
    "precision": "model.precision",
    "samples_sha256": "model.sample_frames",
}


TUNED: Final = frozenset({"roi_sha256", "border_px", "smooth", "zones_sha256"})
"""What people tune on recorded frames, with thresholds that were measured before."""


def check_key(
    calibration: Calibration, key: Mapping[str, Any], path: Path, *, allowed: frozenset[str] = frozenset()
) -> str:
    """Refuse thresholds that were measured on other maps than those that the line makes now.

    ``allowed``: names of the key that may differ. Returns what differs of these, in words; empty if nothing does.

    Raises:
        UserError: names which of model, ROI, border, smoothing, zones and precision differs, with both values.
    """
    made_for = calibration.key.model_dump(mode="json")
    differing = [name for name in _NAMES if made_for[name] != key[name]]
    _check_source(made_for["source"] or {}, key["source"], path)
    what = f"{path}: the calibration was made with another {', '.join(_NAMES[n] for n in differing)}"
    if not allowed.issuperset(differing):
        raise UserError(
            what,
            received="; ".join(f"{_NAMES[n]}: {_shown(n, key[n])}" for n in differing),
            expected="; ".join(f"{_NAMES[n]}: {_shown(n, made_for[n])}" for n in differing),
            fix="run edge calibrate again, or undo the change",
        )
    return what if differing else ""


def _check_source(made_for: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    differing = [name for name in sorted({*made_for, *now}) if made_for.get(name) != now.get(name)]
    if differing:
        raise UserError(
            f"{path}: the calibration was made with another {', '.join(f'source.{name}' for name in differing)}",
            received="; ".join(f"source.{name}: {now.get(name, 'the default')}" for name in differing),
            expected="; ".join(f"source.{name}: {made_for.get(name, 'the default')}" for name in differing),
            fix="run edge calibrate again, or undo the change",
        )


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if name == "zones_sha256":
        return f"other thresholds in zones with SHA-256 {value[:12]}..."
    if name.endswith("_sha256"):
        return f"SHA-256 {value[:12]}..."
    if name == "smooth":
        sigma = "" if value["sigma"] is None else f", sigma {value['sigma']:g}"
        return f"{value['kind']} {value['size']}{sigma}"
    return str(value)


def roi_sha256(roi: RoiConfig | None, mask_bytes: bytes | None) -> str:
    """Hash what the ROI selects: the content of the mask picture counts, its path doesn't."""
    if roi is None or not (roi.include or roi.exclude or roi.mask):
        return hashlib.sha256(b"null").hexdigest()
    shapes = roi.model_dump(mode="json", exclude={"mask"})
    shapes["mask_sha256"] = None if mask_bytes is None else hashlib.sha256(mask_bytes).hexdigest()
    return hashlib.sha256(_canonical(shapes)).hexdigest()


def _zones_sha256(zones: Sequence[ZoneConfig]) -> str | None:
    """Hash the areas that zones with thresholds of their own take out of the measurement; the thresholds don't count.

    A zone without thresholds counts where one with thresholds follows, because it may cover some of that zone's pixels.
    """
    content = [
        {**zone.model_dump(mode="json", include={"units", "shape"}), "ruled": zone.threshold is None} for zone in zones
    ]
    while content and content[-1]["ruled"]:
        content.pop()
    return hashlib.sha256(_canonical(content)).hexdigest() if content else None


def _canonical(data: Any) -> bytes:
    return orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
