"""An inspection's record, one row for each field: the schema, the encoder and the reader follow this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    """One row of the table: what follows a record's head, which is the same in every kind of record."""

    name: str
    schema: dict[str, Any]
    """JSON Schema of the value."""
    value: Callable[[Inspection], Any]
    form: Literal["plain", "float32", "regions"] = "plain"
    """How the encoder writes the value. ``float32``: as its shortest decimal."""
    added: bool = False
    """True for a field that came after the first records of this major version were written: readers do without it."""


def _ms(inspection: Inspection) -> dict[str, float]:
    took = inspection.latency_ms
    return {stage: round(getattr(took, stage), 3) for stage in STAGES}


INSPECTION_FIELDS: Final = (  # in the order of the record
    RecordField("verdict", {"enum": list(VERDICTS)}, lambda i: i.verdict),
    RecordField("reason", or_null(TEXT), lambda i: i.reason),
    RecordField("frame_id", INT, lambda i: i.meta.frame_id),
    RecordField("frame_id_source", ID_SOURCE, lambda i: i.meta.frame_id_source),
    RecordField("frame_ref", or_null(TEXT), lambda i: i.meta.frame_ref),
    RecordField("camera_ns", or_null(INT), lambda i: i.meta.camera_ns),
    RecordField("timestamp_source", {"enum": ["host", "camera", "ptp"]}, lambda i: i.meta.timestamp_source),
    RecordField(
        "chunks",
        or_null({"type": "object", "additionalProperties": or_null(NUMBER)}),
        lambda i: dict(i.meta.chunks) if i.meta.chunks else None,
        added=True,
    ),
    RecordField("map_max", or_null(NUMBER), lambda i: i.map_max, "float32"),
    RecordField("score", or_null(NUMBER), lambda i: i.score, "float32"),
    RecordField("threshold", NUMBER, lambda i: i.threshold),
    RecordField(
        "regions",
        array({"type": "object", "properties": REGION_FIELDS, "required": list(REGION_FIELDS)}),
        lambda i: i.regions,
        "regions",
    ),
    RecordField("regions_dropped", COUNTS, lambda i: i.regions_dropped),
    RecordField(
        "latency_ms",
        {"type": "object", "properties": dict.fromkeys(STAGES, NUMBER), "required": list(STAGES)},
        _ms,
    ),
)
_OWN: Final = {row.name for row in INSPECTION_FIELDS} & {field.name for field in fields(Inspection)}


def inspection_from(message: Mapping[str, Any], meta: FrameMeta) -> Inspection:
    """Give back what a record tells of a frame; ``meta`` is the frame's, of which a record holds only a part.

    What the message doesn't have takes the default. A skip's is an inspection without a threshold.
    """
    told = {name: message[name] for name in _OWN if name in message}
    if "regions" in told:
        told["regions"] = tuple(_region_from(region) for region in told["regions"])
    if "latency_ms" in told:
        told["latency_ms"] = Latency(**told["latency_ms"])
    if told.get("threshold") is None:  # a skip has none
        told["threshold"] = nan
    return Inspection(meta=meta, **told)


def _region_from(message: Mapping[str, Any]) -> Region:
    pairs = {name: tuple(message[name]) for name in ("bbox_xyxy", "centroid_xy")}
    polygon = message["polygon"]
    points = None if polygon is None else tuple((x, y) for x, y in polygon)
    return Region(**{name: message[name] for name in REGION_FIELDS} | pairs | {"polygon": points})
