"""Every file of a log is found in its order and read as far as it is whole."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from support.records import record

from edge.storage import log_files as segments
from edge.storage.log_files import read_records, segment_name


def test_segments_come_in_the_order_of_their_start_and_number(tmp_path: Path) -> None:
    wanted = [
        segment_name("cam1", "20261120T235959Z", 999_999),
        segment_name("cam1", "20261120T235959Z", 1_000_000),
        segment_name("cam1", "20261121T000000Z", 7) + ".zst",
        segment_name("cam2", "20261121T000000Z", 0),
    ]
    others = ["frames.jsonl", f"{wanted[0]}.torn", f"{wanted[2]}.tmp", "edge-cam1-x.jsonl", "archive"]
    for name in [*reversed(wanted), *others]:
        (tmp_path / name).touch()
    assert [p.name for p in segments.segments(tmp_path)] == wanted
    assert [p.name for p in segments.segments(tmp_path, "cam1")] == wanted[:3]


@given(st.binary(max_size=200))
def test_a_compressed_file_of_anything_gives_no_error(tmp_path_factory, data: bytes) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("fuzz", numbered=True) / "x.jsonl.zst"
    path.write_bytes(data)
    assert list(read_records(path)) == []


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(segments, "LONGEST_LINE", 5000)
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"x" * 30_000 + b"\n" + record(0).line + b"\n")
    counts: dict[str, int] = {}
    assert [m["seq"] for m in read_records(path, counts)] == [0]
    assert counts == {"torn": 0, "unreadable": 1}
