"""An inspection's record has one row here for each field: the schema, the encoder and the reader follow this table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from math import nan
from typing import Any, Final, Literal, NamedTuple

from edge.frames import STAGES, FrameMeta, Inspection, Latency, Region
from edge.wire.json_types import COUNTS, ID_SOURCE, INT, NUMBER, TEXT, array, or_null

VERDICTS: Final = ("pass", "fail", "invalid")

REGION_FIELDS: Final = {
    "id": INT,
    "bbox_xyxy": array(INT, 4),
    "area_px": NUMBER,
    "centroid_xy": array(NUMBER, 2),
    "score_max": NUMBER,
    "score_mean": NUMBER,
    "fill_ratio": NUMBER,
    "aspect_ratio": NUMBER,
    "solidity": or_null(NUMBER),
    "polygon": or_null(array(array(NUMBER, 2))),
}


class RecordField(NamedTuple):
    """A field is one row of the table; the head before it is the same in every kind of record."""

    name: str
    path: str
    """Where the value stands in an ``Inspection``."""
    schema: dict[str, Any]
    """JSON Schema of the value as it is written."""
    form: Literal["plain", "float32", "mapping", "milliseconds", "regions", "asked"] = "plain"
    """How the encoder writes the value. ``float32``: as its shortest decimal. ``mapping``: from pairs, null without any.
    ``asked``: as it is, null unless the config asks for it."""
    added: bool = False
    """True for a field that came after the first records of this major version were written: readers do without it."""


_NAMED: Final = {"cause": TEXT, "group": TEXT, "size": or_null(NUMBER), "unit": TEXT, "words": TEXT}
_CAUSE: Final = {"type": "object", "properties": _NAMED, "required": list(_NAMED)}
DRIFT_FIELDS: Final = {
    "level": {"enum": ["info", "warn", "lock"]},
    **_NAMED,
    "z": NUMBER,
    "statistic": TEXT,
    "causes": array(_CAUSE),
    "breaches": array({"enum": ["clipped", "out_of_focus", "out_of_place"]}),
    "locks": array({"enum": ["clipped", "out_of_focus", "out_of_place"]}),
}
_DRIFT: Final = {"type": "object", "properties": DRIFT_FIELDS, "required": list(DRIFT_FIELDS)}
_CHUNKS: Final = {"type": "object", "additionalProperties": or_null(NUMBER)}
_REGION: Final = {"type": "object", "properties": REGION_FIELDS, "required": list(REGION_FIELDS)}
_LATENCY: Final = {"type": "object", "properties": dict.fromkeys(STAGES, NUMBER), "required": list(STAGES)}
INSPECTION_FIELDS: Final = (  # in the order of the record
    RecordField("verdict", "verdict", {"enum": list(VERDICTS)}),
    RecordField("reason", "reason", or_null(TEXT)),
    RecordField("frame_id", "meta.frame_id", INT),
    RecordField("frame_id_source", "meta.frame_id_source", ID_SOURCE),
    RecordField("frame_ref", "meta.frame_ref", or_null(TEXT)),
    RecordField("camera_ns", "meta.camera_ns", or_null(INT)),
    RecordField("timestamp_source", "meta.timestamp_source", {"enum": ["host", "camera", "ptp"]}),
    RecordField("chunks", "meta.chunks", or_null(_CHUNKS), "mapping", added=True),
    RecordField("map_max", "map_max", or_null(NUMBER), "float32"),
    RecordField("smoothed_max", "smoothed_max", or_null(NUMBER), "float32", added=True),
    RecordField("score", "score", or_null(NUMBER), "float32"),
    RecordField("threshold", "threshold", NUMBER),
    RecordField("regions", "regions", array(_REGION), "regions"),
    RecordField("regions_dropped", "regions_dropped", COUNTS),
    RecordField("drift", "drift", or_null(_DRIFT), "asked", added=True),
    RecordField("latency_ms", "latency_ms", _LATENCY, "milliseconds"),
)
_OWN: Final = {row.name for row in INSPECTION_FIELDS} & {field.name for field in fields(Inspection)}


def inspection_from(message: Mapping[str, Any], meta: FrameMeta) -> Inspection:
    """Return the inspection that a record describes; ``meta`` is the frame's, of which a record holds only a part.

    What the message doesn't have takes the default. A skip becomes an inspection without a threshold.
    """
    own = {name: message[name] for name in _OWN if name in message}
    if "regions" in own:
        own["regions"] = tuple(_region_from(region) for region in own["regions"])
    if "latency_ms" in own:
        own["latency_ms"] = Latency(**own["latency_ms"])
    if own.get("threshold") is None:  # a skip has none
        own["threshold"] = nan
    return Inspection(meta=meta, **own)


def _region_from(message: Mapping[str, Any]) -> Region:
    pairs = {name: tuple(message[name]) for name in ("bbox_xyxy", "centroid_xy")}
    polygon = message["polygon"]
    points = None if polygon is None else tuple((x, y) for x, y in polygon)
    return Region(**{name: message[name] for name in REGION_FIELDS} | pairs | {"polygon": points})
