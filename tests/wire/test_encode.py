"""Records and messages keep schema 1, to the letter."""

from __future__ import annotations

from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

import jsonschema
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import DRIFT, IDENTITY, META, REGION, STATE, WIRE, inspection, skip

from edge.frames import Fault, FrameMeta, Heartbeat, Inspection, Latency, Region, Skip
from edge.wire.encode import SCHEMA, Wire, topic
from edge.wire.read import UNSTABLE, WireError, read, stable
from edge.wire.record_fields import inspection_from

VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
COMMON = [
    "schema",
    "kind",
    "instance_id",
    "seq",
    "camera",
    "recipe_id",
    "simulated",
    "created_ns",
    "received_ns",
    "verdict",
    "reason",
    "part_id",
    "config_sha256",
    "model",
    "calibration_sha256",
]


def _inspected(change: Inspection, wire: Wire = WIRE) -> dict[str, Any]:
    return read(wire.inspection(3, change, 2_000).line)


def test_an_inspection_has_the_schemas_fields_in_their_order() -> None:
    message = _inspected(inspection(verdict="fail", regions=(REGION,), regions_dropped={"min_area_px": 2}))
    assert list(message) == [
        *COMMON,
        *["frame_id", "frame_id_source", "frame_ref", "camera_ns", "timestamp_source", "chunks", "map_max"],
        *["smoothed_max", "score", "threshold", "regions", "regions_dropped", "drift", "latency_ms"],
    ]
    assert message["seq"] == 3
    assert message["part_id"] == 42
    assert message["model"] == {"name": "tile-40", "sha256": "b" * 64}
    assert message["regions_dropped"] == {"min_area_px": 2}
    assert message["latency_ms"] == {"queue": 0.1, "infer": 2.0, "wait": 0.25, "judge": 0.333, "total": 2.683}
    VALIDATOR.validate(message)


@pytest.mark.parametrize("regions", [(), (REGION, replace(REGION, id=1, solidity=0.5, polygon=None))])
def test_an_inspection_comes_back_from_its_record(regions: tuple[Region, ...]) -> None:
    made = inspection(verdict="fail", score=0.25, regions=regions, regions_dropped={"min_area_px": 2}, reason="x")
    took = replace(made.latency_ms, judge=0.333, total=2.683)  # three decimals are kept
    back = inspection_from(_inspected(made), META)
    assert back.map_max == pytest.approx(made.map_max, rel=1e-7)
    assert [region.centroid_xy for region in back.regions] == [region.centroid_xy for region in regions]
    plain = [replace(of, map_max=None, regions=(), latency_ms=took) for of in (made, back)]
    assert plain[0] == plain[1]
    assert back.latency_ms == took


def test_the_schema_the_encoder_and_the_nouns_have_the_same_fields() -> None:
    message = read(WIRE.inspection(3, inspection(regions=(REGION,)), 2_000, 5).line)
    schema = SCHEMA["$defs"]["inspection"]["properties"]
    assert set(message) == set(schema)
    (region,) = message["regions"]
    assert list(region) == list(schema["regions"]["items"]["properties"]) == [f.name for f in fields(Region)]
    assert list(message["latency_ms"]) == schema["latency_ms"]["required"] == [f.name for f in fields(Latency)]
    told_in_the_record = {f.name for f in fields(Inspection)} - {"meta"}
    assert told_in_the_record <= set(message)
    told_of_the_frame = {f.name for f in fields(FrameMeta)}
    assert told_of_the_frame - set(message) == {"width", "height", "pixel_format", "received_mono_ns", "late"}
    loss = read(WIRE.skip(1, skip(), 5, 5).line)
    assert set(loss) == set(SCHEMA["$defs"]["skip"]["properties"])
    assert {f.name for f in fields(Skip)} <= set(loss)


def test_chunks_are_numbers_by_their_names_and_null_where_one_did_not_come() -> None:
    meta = replace(META, chunks=(("ChunkExposureTime", 800.5), ("ChunkLineStatusAll", 3), ("ChunkGain", None)))
    message = _inspected(inspection(meta=meta))
    assert message["chunks"] == {"ChunkExposureTime": 800.5, "ChunkLineStatusAll": 3, "ChunkGain": None}
    VALIDATOR.validate(message)
    assert _inspected(inspection())["chunks"] is None


def test_a_record_of_the_first_release_has_no_chunks_and_is_read() -> None:
    message = _inspected(inspection())
    del message["chunks"]
    VALIDATOR.validate(message)
    assert read(orjson.dumps(message)) == message


def test_drift_stands_in_a_record_only_where_the_config_asks_for_it() -> None:
    body = inspection(drift=DRIFT)
    assert _inspected(body)["drift"] is None
    asked = _inspected(body, Wire(IDENTITY, tells_drift=True))
    assert asked["drift"] == DRIFT
    VALIDATOR.validate(asked)
    assert inspection_from(asked, META).drift == DRIFT
    before = {name: value for name, value in asked.items() if name != "drift"}
    VALIDATOR.validate(before)
    assert read(orjson.dumps(before)) == before


@pytest.mark.parametrize("drift", [None, DRIFT])
def test_a_line_of_drift_in_the_log_is_no_record(drift: dict[str, Any] | None) -> None:
    message = read(WIRE.drift(7, drift, 2_000))
    VALIDATOR.validate(message)
    assert (message["kind"], message["seq"], message["drift"]) == ("drift", 7, drift)
    assert "verdict" not in message


def test_a_region_in_full() -> None:
    assert orjson.dumps(_inspected(inspection(regions=(REGION,)))["regions"]) == (
        b'[{"id":0,"bbox_xyxy":[10,20,50,60],"area_px":1600.0,"centroid_xy":[29.5,39.5],"score_max":0.3,"score_mean":0.25,'
        b'"fill_ratio":1.0,"aspect_ratio":1.0,"solidity":null,"polygon":[[10.0,20.0],[50.1,20.0],[50.0,60.0]]}]'
    )


def test_a_skip_in_full() -> None:
    line = WIRE.skip(4, skip(part_id_first=1, part_id_last=2), 2_000).line
    assert line == (
        b'{"schema":1,"kind":"skip","instance_id":"run1","seq":4,"camera":"cam1","recipe_id":"tile-40","simulated":false,'
        b'"created_ns":2000,"received_ns":1500,"verdict":"invalid","reason":"frame_id_gap","part_id":null,'
        b'"config_sha256":"%s","model":{"name":"tile-40","sha256":"%s"},"calibration_sha256":null,'
        b'"frame_id_source":"device","frame_ref":null,"count":2,"frame_id_first":8,"frame_id_last":9,'
        b'"part_id_first":1,"part_id_last":2}' % (b"a" * 64, b"b" * 64)
    )
    VALIDATOR.validate(read(line))


def test_a_record_carries_its_verdict_and_number() -> None:
    """What the judge hands to the outputs is the line and what it came from."""
    record = WIRE.inspection(9, inspection(verdict="fail"), 2_000)
    assert (record.seq, record.verdict, read(record.line)["verdict"]) == (9, "fail", "fail")
    assert WIRE.skip(10, skip(), 2_000).verdict == "invalid"


BLOCK = {"begun_ns": 1, "ended_ns": 2, "statistics": {"log_gain": [0.01, -0.1, 0.1]}}


@pytest.mark.parametrize(
    "line",
    [
        WIRE.inspection(0, inspection(), 1).line,
        WIRE.inspection(0, inspection(verdict="invalid", reason="map_not_finite", map_max=None), 1).line,
        WIRE.skip(0, skip(frame_id_first=None, frame_id_last=None, frame_ref="a/b.png"), 1).line,
        WIRE.state(STATE, 1),
        WIRE.state(replace(STATE, faults=(Fault("output_zmq", 1, "queue full"),), drift=DRIFT | {"since_ns": 1}), 1),
        WIRE.state(replace(STATE, drift_block=BLOCK), 1),
        WIRE.drift_block(BLOCK, 1),
        WIRE.heartbeat(Heartbeat(None), 1),
        WIRE.heartbeat(Heartbeat(12, {"pass": 11, "ring_full": 2}, 3, 17.5), 1),
        WIRE.header(1),
        Wire(replace(IDENTITY, simulated=True, recipe_id=None, calibration_sha256="c" * 64)).header(1),
    ],
)
def test_every_kind_of_message_is_valid_under_the_published_schema(line: bytes) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    VALIDATOR.validate(read(line))


@pytest.mark.parametrize("field", ["verdict", "seq", "threshold", "regions", "simulated"])
def test_the_published_schema_wants_every_field(field: str) -> None:
    message = _inspected(inspection())
    del message[field]
    assert not VALIDATOR.is_valid(message)


def test_float32_values_are_written_as_their_shortest_decimal() -> None:
    values = np.random.default_rng(0).random(200, np.float32) * np.float32(10) ** np.arange(-10, 10).repeat(10)
    for value in values.astype(np.float32):
        text = orjson.dumps(_inspected(inspection(map_max=float(value)))["map_max"])
        assert np.float32(float(text)) == value
        assert float(text) == float(str(value))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_becomes_null(value: float) -> None:
    message = _inspected(inspection(map_max=value, score=value, regions=(replace(REGION, score_mean=value),)))
    assert (message["map_max"], message["score"], message["regions"][0]["score_mean"]) == (None, None, None)


def test_a_file_name_that_is_not_unicode_still_gets_its_record() -> None:
    message = _inspected(inspection(meta=replace(META, frame_ref="caf\udce9.png"), regions=(REGION,)))
    assert message["frame_ref"] == "caf\\udce9.png"
    assert message["regions"][0]["score_max"] == 0.3
    VALIDATOR.validate(message)


def test_a_part_id_beyond_64_bits_becomes_null() -> None:
    assert _inspected(inspection(meta=replace(META, part_id=2**64)))["part_id"] is None


def test_a_state_may_hold_any_mapping_and_objects_as_text() -> None:
    odd = replace(STATE, engine=MappingProxyType({"name": "onnx", "path": IDENTITY.__class__}), outputs={"a": {1: 2}})
    message = read(WIRE.state(odd, 1))
    assert message["engine"]["name"] == "onnx"
    assert message["outputs"] == {"a": {"1": 2}}


def test_topics_carry_the_major_version_and_end_in_a_slash() -> None:
    assert topic("inspection", "cam1") == topic("skip", "cam1") == b"inspection/1/cam1/"
    assert topic("state", "cam1") == b"state/1/cam1/"
    assert topic("heartbeat", "cam1") == b"heartbeat/1/cam1/"
    assert topic("preview", "cam1") == b"preview/1/cam1/"


def test_a_replay_and_the_live_run_have_the_same_stable_part() -> None:
    live = _inspected(inspection())
    again = replace(inspection(), latency_ms=replace(inspection().latency_ms, total=9.0))
    replayed = read(Wire(replace(IDENTITY, instance_id="run2", simulated=True)).inspection(3, again, 9_000).line)
    assert live != replayed
    assert stable(live) == stable(replayed)
    timed = read(WIRE.inspection(3, inspection(), 2_000, 5_000).line)
    assert timed == live | {"created_mono_ns": 5_000}
    VALIDATOR.validate(timed)
    assert set(timed) - set(stable(timed)) == UNSTABLE


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"schema": None}, "no message: schema is missing or no integer"),
        ({"schema": True}, "no message: schema is missing or no integer"),
        ({"schema": 2}, "schema 2 is unknown: this reader knows schema 1"),
        ({"kind": 5}, "no message: kind is missing or no text"),
        ({"seq": -1}, "inspection: seq must be an integer from 0 to 9007199254740991"),
        ({"seq": 2**53}, "inspection: seq must be an integer from 0 to 9007199254740991"),
        ({"seq": "1"}, "inspection: seq must be an integer from 0 to 9007199254740991"),
        ({"verdict": "good"}, "inspection: verdict 'good' is unknown"),
        ({"verdict": ["pass"]}, "inspection: verdict ['pass'] is unknown"),
        ({"simulated": 0}, "inspection: simulated must be true or false"),
        ({"instance_id": 1}, "inspection: instance_id and camera must be text"),
    ],
)
def test_what_cannot_be_relied_on_is_refused(change: dict[str, object], text: str) -> None:
    with pytest.raises(WireError) as caught:
        read(orjson.dumps(_inspected(inspection()) | change))
    assert str(caught.value) == text
    assert caught.value.major == (2 if change.get("schema") == 2 else None)


def test_a_skip_never_passes() -> None:
    message = read(WIRE.skip(0, skip(), 1).line) | {"verdict": "pass"}
    with pytest.raises(WireError, match=r"^skip: verdict 'pass' is unknown$"):
        read(orjson.dumps(message))


def test_missing_fields_are_named() -> None:
    message = _inspected(inspection())
    del message["seq"], message["verdict"]
    with pytest.raises(WireError, match=r"^inspection: seq, verdict missing$"):
        read(orjson.dumps(message))


def test_a_reader_ignores_fields_and_kinds_that_it_does_not_know() -> None:
    assert read(orjson.dumps(_inspected(inspection()) | {"new": 1}))["new"] == 1
    assert read(b'{"schema":1,"kind":"later"}') == {"schema": 1, "kind": "later"}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.binary(max_size=40)
    | st.text(max_size=40)
    | st.dictionaries(st.sampled_from([*COMMON, "regions", "count", "state_seq"]), JSON_VALUES).map(
        lambda changes: (
            orjson.dumps(_inspected(inspection()) | changes, default=str, option=orjson.OPT_NON_STR_KEYS)
            if _encodable(changes)
            else b""
        )
    )
)
def test_a_reader_meets_any_bytes_with_no_other_error_than_its_own(line: bytes | str) -> None:
    try:
        message = read(line)
    except WireError:
        return
    assert message["schema"] == 1


@given(
    st.from_type(int),
    st.text(st.characters(), max_size=5) | st.just("\ud800"),
    st.floats(width=32),
    st.floats(width=32) | st.none(),
)
def test_every_inspection_and_loss_encodes(number: int, text: str, value: float, score: float | None) -> None:
    meta = replace(META, frame_id=number, camera_ns=number, frame_ref=text)
    change = inspection(meta=meta, map_max=value, score=score, regions=(replace(REGION, fill_ratio=value),))
    assert _inspected(change)["seq"] == 3
    assert read(WIRE.skip(0, Skip("ring_full", 1, number, number, number, frame_ref=text), number).line)["seq"] == 0


def _encodable(changes: dict[str, Any]) -> bool:
    try:
        orjson.dumps(changes)
    except TypeError:
        return False
    return True
