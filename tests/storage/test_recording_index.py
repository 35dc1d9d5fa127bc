"""Lines of an index that hold what no writer gives are no lines: each stands for a record that is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from edge.frames import Skip
from edge.storage.map_file import RecordedMap
from edge.storage.recording import open_recording
from edge.storage.recording_index import Deleted, Missing, RecordedFrame, entry_of, is_damaged

FRAME: dict[str, Any] = {
    "kind": "frame",
    "number": 3,
    "file": "frames/00000003.png",
    "bits": 8,
    "frame_id": 7,
    "frame_id_source": "device",
    "width": 4,
    "height": 3,
    "pixel_format": "Mono8",
    "received_ns": 1_700_000_000_000_000_000,
    "camera_ns": None,
    "timestamp_source": "host",
    "part_id": None,
    "frame_ref": None,
    "late": False,
    "drift": {"level": "warn", "cause": "dimmer", "locks": ["out_of_focus"]},
    "why": "fail",
    "map": {"file": "maps/3.f32", "shape": [2, 2], "map_to_image": [2.0, 1.5, 0.0, 0.0], "score": None},
}
SKIP: dict[str, Any] = {
    "kind": "skip",
    "reason": "ring_full",
    "count": 2,
    "frame_id_first": 1,
    "frame_id_last": 2,
    "received_ns": 5,
    "frame_id_source": "device",
    "part_id_first": None,
    "part_id_last": None,
    "frame_ref": None,
}
OF_NO_KIND = ([], {}, [1], {"a": 1}, 1.5, "\0", True, None, -1, 1 << 63)
WHOLE = ("number", "bits", "frame_id", "width", "height", "received_ns")


def entry(line: dict[str, Any], **changed: Any) -> Any:
    return entry_of(orjson.dumps(line | changed))


def test_lines_as_writers_give_them_are_read() -> None:
    read = entry(FRAME)
    assert isinstance(read, RecordedFrame)
    assert (read.number, read.meta.frame_id, read.why, read.cause) == (3, 7, "fail", "fail")
    assert read.map == RecordedMap("maps/3.f32", (2, 2), (2.0, 1.5, 0.0, 0.0), None)
    assert isinstance(entry(SKIP), Skip)
    more = entry(FRAME, part_id=1 << 62, camera_ns=-5, frame_ref="a.png", drift=None, frame_id=(1 << 64) - 1)
    assert (more.meta.part_id, more.meta.frame_id, more.meta.drift) == (1 << 62, (1 << 64) - 1, None)


@pytest.mark.parametrize(
    ("key", "fit"),
    [
        *[(name, ()) for name in WHOLE if name != "frame_id"],
        ("frame_id", (-1, 1 << 63)),
        *[(name, ("\0",)) for name in ("file", "frame_id_source", "pixel_format", "timestamp_source")],
        *[(name, (None, -1, 1 << 63)) for name in ("camera_ns", "part_id")],
        *[(name, (None, "\0")) for name in ("frame_ref", "why")],
        ("late", (True,)),
        ("drift", ({}, {"a": 1}, None)),
        ("map", (None,)),
    ],
)
def test_a_frame_with_a_value_of_another_kind_is_a_missing_record(key: str, fit: tuple[Any, ...]) -> None:
    read = [value for value in OF_NO_KIND if isinstance(entry(FRAME, **{key: value}), RecordedFrame)]
    assert read == [value for value in OF_NO_KIND if value in fit]


@pytest.mark.parametrize(
    "changed",
    [
        {"width": 0},
        {"drift": {"locks": "out_of_focus"}},
        {"drift": {"locks": [5]}},
        {"drift": {"cause": []}},
        {"drift": {"level": 3}},
        {"map": {"file": "m", "shape": [2, 2], "map_to_image": [0.0, 1.0, 0.0, 0.0]}},
        {"map": {"file": "m", "shape": [2], "map_to_image": [1.0, 1.0, 0.0, 0.0]}},
    ],
)
def test_a_frame_whose_parts_are_of_another_kind_is_a_missing_record(changed: dict[str, Any]) -> None:
    assert is_damaged(orjson.dumps(FRAME | changed))


@pytest.mark.parametrize("value", [[], {"a": 1}, 1.5, "x", None, -1])
def test_counts_and_times_of_losses_are_whole_numbers(value: Any) -> None:
    assert entry(SKIP, count=value) == entry(SKIP, received_ns=value) == Missing(1)
    if value != 1.5:
        assert entry({"kind": "missing"}, records=value) == Missing(1)
        assert entry({"kind": "deleted", "frames": []}, before=value) == Missing(1)
    assert entry({"kind": "deleted", "frames": [[1, 2]]}) == Deleted(((1, 2),), 0, 3)


def test_a_recording_with_lines_of_every_kind_of_value_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "recording.json").write_bytes(b'{"schema": 1, "camera": "cam1", "created_ns": 5, "source": "test"}')
    odd = [
        {key: value}
        for key in (*WHOLE, "file")
        for value in OF_NO_KIND
        if not isinstance(value, (int, str)) or value is True
    ]
    lines = [FRAME, *(FRAME | one for one in odd), FRAME | {"number": 4}]
    (tmp_path / "frames.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    recording = open_recording(tmp_path)
    assert [one.number for one in recording.entries if isinstance(one, RecordedFrame)] == [3, 4]
    assert recording.missing == len(odd)
