"""Records and messages become JSON here, and JSON records and messages. Pure: no sockets, no files.

One JSON object per message; ``schema`` is its major version, and within one major version fields are only ever added: a
reader ignores what it doesn't know. Readers in other languages take ``SCHEMA``.

Numbers that come from the float32 map are published as the shortest decimal that gives back the same float32 (0.3, not
0.30000001192092896): a replay that computes the same bits writes the same bytes. Milliseconds and areas have three
decimals. A number that isn't finite becomes null. Text that isn't valid Unicode (for example in a file name) is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import orjson

from edge import __version__
from edge.frames import STAGES, Heartbeat, Inspection, Latency, Record, Region, RunIdentity, Skip, State
from edge.wire.record_fields import INSPECTION_FIELDS
from edge.wire.schema import SCHEMA as SCHEMA
from edge.wire.schema import VERSION

Kind: TypeAlias = Literal["inspection", "skip", "state", "heartbeat", "preview"]

_f32 = np.float32


def topic(kind: Kind, camera: str) -> bytes:
    """Return a topic such as ``inspection/1/cam1/``. Skips go out among the inspections: they hold the place of results."""
    return f"{'inspection' if kind == 'skip' else kind}/{VERSION}/{camera}/".encode()


class Wire:
    """A wire encodes the messages of one run: what all of them have in common is built once.

    No method raises, whatever the camera, the model or a file name contributed. May be used from any thread.
    """

    def __init__(self, identity: RunIdentity, *, tells_drift: bool = False) -> None:
        """Keep what all messages say. ``tells_drift``: records have the drift that was in force."""
        made_by = {
            "recipe_id": identity.recipe_id,
            "config_sha256": identity.config_sha256,
            "model": {"name": identity.model_name, "sha256": identity.model_sha256},
            "calibration_sha256": identity.calibration_sha256,
        }
        head = {
            "instance_id": identity.instance_id,
            "camera": identity.camera,
            "simulated": identity.simulated,
        }
        self.identity = identity
        self._tells_drift = tells_drift
        self._head = head
        self._made_by = made_by
        # in the order in which a person reads them
        order = "schema kind instance_id seq camera recipe_id simulated created_ns received_ns verdict reason part_id"
        known = {"schema": VERSION} | head | made_by
        self._record = {name: known.get(name) for name in [*order.split(), *made_by]}

    def inspection(self, seq: int, inspection: Inspection, created_ns: int, created_mono_ns: int | None = None) -> Record:
        """Encode an inspected frame as record ``seq``; ``created_ns`` is UTC now, ``created_mono_ns`` the monotonic clock
        now.
        """
        message = self._record.copy()
        meta = inspection.meta
        message.update(
            kind="inspection", seq=seq, created_ns=created_ns, received_ns=meta.received_ns, part_id=meta.part_id
        )
        message.update(zip(_NAMES, _values(inspection), strict=True))
        for name, written in _WRITTEN:
            message[name] = written(message[name])
        if not self._tells_drift:
            message["drift"] = None
        return Record(seq, inspection, dumps(message | _by_the_monotonic_clock(created_mono_ns)))

    def skip(self, seq: int, skip: Skip, created_ns: int, created_mono_ns: int | None = None) -> Record:
        """Encode frames that never reached the engine as record ``seq``."""
        message = self._record.copy()
        message.update(
            kind="skip",
            seq=seq,
            created_ns=created_ns,
            received_ns=skip.received_ns,
            verdict="invalid",
            reason=skip.reason,
            frame_id_source=skip.frame_id_source,
            frame_ref=skip.frame_ref,
            count=skip.count,
            frame_id_first=skip.frame_id_first,
            frame_id_last=skip.frame_id_last,
            part_id_first=skip.part_id_first,
            part_id_last=skip.part_id_last,
        )
        return Record(seq, skip, dumps(message | _by_the_monotonic_clock(created_mono_ns)))

    def state(self, state: State, created_ns: int) -> bytes:
        """Encode the whole state. The same bytes go again to each new subscriber, who knows them by ``state_seq``."""
        return dumps(
            {
                "schema": VERSION,
                "kind": "state",
                **self._head,
                "created_ns": created_ns,
                "state_seq": state.state_seq,
                "line_state": state.line_state,
                "source_state": state.source_state,
                "edge_version": __version__,
                "engine": state.engine,
                "outputs": state.outputs,
                "drift": state.drift,
                "drift_block": state.drift_block,
                "faults": [{"code": f.code, "since_ns": f.since_ns, "text": f.text} for f in state.faults],
            }
        )

    def heartbeat(self, heartbeat: Heartbeat, created_ns: int, created_mono_ns: int | None = None) -> bytes:
        """Encode a sign of life; ``progress_age_ms`` tells a pipeline that moves from a process that merely runs."""
        return dumps(
            {
                "schema": VERSION,
                "kind": "heartbeat",
                **self._head,
                "created_ns": created_ns,
                "last_seq": heartbeat.last_seq,
                "counters": heartbeat.counters,
                "ring_fill": heartbeat.ring_fill,
                "progress_age_ms": round(heartbeat.progress_age_ms, 3),
                **_by_the_monotonic_clock(created_mono_ns),
            }
        )

    def drift(self, seq: int, drift: Mapping[str, Any] | None, created_ns: int) -> bytes:
        """Encode a line of the log that says which drift is in force from record ``seq`` on. Readers of records skip it."""
        return dumps(
            {"schema": VERSION, "kind": "drift", **self._head, "created_ns": created_ns, "seq": seq, "drift": drift}
        )

    def drift_block(self, block: Mapping[str, Any], created_ns: int) -> bytes:
        """Encode a line of the log that has a block of measured frames. Readers of records skip it."""
        head = {"schema": VERSION, "kind": "drift_block", **self._head}
        return dumps(head | {"created_ns": created_ns, "block": block})

    def header(self, started_ns: int, torn_bytes: int = 0) -> bytes:
        """Encode the first line of a log file: which run wrote it, and since when. Readers of records skip it.

        ``torn_bytes`` is the length of the half lines that were found at the ends of earlier files, and moved aside.
        """
        header = {"schema": VERSION, "kind": "header", **self._head, **self._made_by}
        return dumps(header | {"started_ns": started_ns, "torn_bytes": torn_bytes})


def overruled(record: Record, reason: str) -> Record:
    """Return the same inspection as ``invalid`` for ``reason``, if that was decided after the record was made. Skips
    stay.
    """
    if not isinstance(record.body, Inspection) or record.body.verdict == "invalid":
        return record
    message = orjson.loads(record.line) | {"verdict": "invalid", "reason": reason}
    return Record(record.seq, replace(record.body, verdict="invalid", reason=reason), dumps(message))


def _by_the_monotonic_clock(created_mono_ns: int | None) -> dict[str, Any]:
    return {} if created_mono_ns is None else {"created_mono_ns": created_mono_ns}


def _region(region: Region) -> dict[str, Any]:
    x, y, score_max, score_mean, fill, aspect = np.array(
        (*region.centroid_xy, region.score_max, region.score_mean, region.fill_ratio, region.aspect_ratio), _f32
    )
    return {
        "id": region.id,
        "bbox_xyxy": region.bbox_xyxy,
        "area_px": round(region.area_px, 3),
        "centroid_xy": (x, y),
        "score_max": score_max,
        "score_mean": score_mean,
        "fill_ratio": fill,
        "aspect_ratio": aspect,
        "solidity": None if region.solidity is None else _f32(region.solidity),
        "polygon": None if region.polygon is None else np.array(region.polygon, _f32),
    }


def _or_null(value: float | None) -> np.float32 | None:
    return None if value is None else _f32(value)


def _milliseconds(took: Latency) -> dict[str, float]:
    return {stage: round(ms, 3) for stage, ms in zip(STAGES, _stages(took), strict=True)}


_FORMS: Final[dict[str, Callable[[Any], Any]]] = {
    "float32": _or_null,
    "mapping": lambda pairs: dict(pairs) if pairs else None,
    "milliseconds": _milliseconds,
    "regions": lambda regions: [_region(region) for region in regions],
}
_NAMES: Final = tuple(row.name for row in INSPECTION_FIELDS)
_values: Final = attrgetter(*(row.path for row in INSPECTION_FIELDS))
_stages: Final = attrgetter(*STAGES)
_WRITTEN: Final = tuple((row.name, _FORMS[row.form]) for row in INSPECTION_FIELDS if row.form in _FORMS)


def dumps(message: Mapping[str, Any]) -> bytes:
    """Any message as JSON. It never raises: text that is no Unicode is escaped, a number that isn't finite is null."""
    try:
        # writes a float32 scalar as its shortest decimal, and null for what isn't finite
        return orjson.dumps(message, _plain, orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # lone surrogates in text, integers beyond 64 bits, keys that are no text
        return orjson.dumps(_clean(message))


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _clean(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_clean(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_clean(item) for item in value]
    if isinstance(value, np.floating):
        return float(str(value))
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return None
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value).encode("utf-8", "backslashreplace").decode()
