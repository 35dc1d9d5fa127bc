"""A log's summary counts each record once, however its files look, and says what is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.logs import HOUR, START, lines, lost, write
from support.records import IDENTITY, LATENCY, META, REGION, inspection, skip

from edge.errors import UserError
from edge.frames import Skip
from edge.report.log_summary import Filter, LogDamage, Summary, _Numbers, find_files, read_log
from edge.report.moments import moment_ns, utc
from edge.wire.encode import Wire


def summed(files: list[Path], wanted: Filter | None = None, worst: int = 10) -> tuple[Summary, LogDamage]:
    summary, damage = Summary(worst), LogDamage()
    for record in read_log(files, wanted or Filter(), damage):
        summary.add(record)
    return summary, damage


def test_plain_compressed_and_torn_files_add_up(tmp_path: Path) -> None:
    fail: dict[str, Any] = {"verdict": "fail", "regions": (REGION,)}
    first = write(tmp_path / "edge-cam1-20261121T180000Z-000000.jsonl.zst", lines("a", range(10)))
    told = [*lines("a", range(10, 12), START + HOUR, **fail), lost("a", 12, START + HOUR), b'{"schema":1']
    second = write(tmp_path / "edge-cam1-20261121T190000Z-000001.jsonl", told)
    third = tmp_path / "edge-cam1-20261121T200000Z-000000.jsonl"
    third.write_bytes(
        b"".join(line + b"\n" for line in lines("b", range(2), START + 2 * HOUR, verdict="invalid", reason="late"))
        + b'{"schema":1,"kind":"insp'
    )
    assert find_files([tmp_path]) == [first, second, third]
    summary, damage = summed(find_files([tmp_path]))
    assert (summary.records, summary.runs) == (15, {"a", "b"})
    assert dict(summary.verdicts) == {"pass": 10, "fail": 2, "invalid": 2}
    assert dict(summary.invalid) == {"late": 2}
    assert dict(summary.skipped) == {"frame_id_gap": 2}
    assert {utc(start): dict(counts) for start, counts in summary.hours.items()} == {
        "2026-11-21T18:00:00Z": {"pass": 10},
        "2026-11-21T19:00:00Z": {"fail": 2, "skipped": 2},
        "2026-11-21T20:00:00Z": {"invalid": 2},
    }
    assert damage.as_json() == {"torn_files": 1, "unreadable_lines": 1, "repeated_records": 0, "missing_records": 0}


def test_a_record_that_stands_twice_counts_once_and_missing_ones_are_told(tmp_path: Path) -> None:
    one = write(tmp_path / "a.jsonl", lines("a", range(3)))
    two = write(tmp_path / "b.jsonl", lines("a", range(2, 4)) + lines("a", range(7, 9)) + lines("b", range(1)))
    summary, damage = summed([one, two])
    assert (summary.records, damage.repeated, damage.missing_records) == (7, 1, 3)
    summary, damage = summed([two, one])  # a clock that was set back
    assert (summary.records, damage.repeated, damage.missing_records) == (7, 1, 3)


@given(st.lists(st.integers(0, 30)))
def test_numbers_are_new_once_and_their_holes_are_counted(numbers: list[int]) -> None:
    seen, known = _Numbers(), set()
    for number in numbers:
        assert seen.add(number) == (number not in known)
        known.add(number)
    assert seen.missing == (max(known) - min(known) + 1 - len(known) if known else 0)


def test_filters(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        [
            *lines("a", range(3), meta=replace(META, part_id=1)),
            *lines("a", range(3, 5), START + HOUR, verdict="fail", meta=replace(META, part_id=2)),
            *lines("a", range(5, 6), START + HOUR, verdict="invalid", reason="late", meta=replace(META, part_id=None)),
            lost("a", 6, START + 2 * HOUR, part_id_first=7, part_id_last=9),
            lost("a", 7, START + 2 * HOUR),
        ],
    )

    def count(**keys: Any) -> int:
        return sum(1 for _ in read_log([path], Filter(**keys), LogDamage()))

    assert count() == 8
    assert count(since_ns=START + HOUR) == 5
    assert count(until_ns=START + HOUR) == 3
    assert count(since_ns=START + HOUR, until_ns=START + 2 * HOUR) == 3
    assert count(part_id=2) == 2
    assert count(part_id=8) == 1  # lost with its neighbours
    assert count(part_id=3) == 0
    assert count(verdicts=frozenset({"fail", "pass"})) == 5
    assert count(reason="late") == 1


def test_latency_is_told_by_nearest_rank(tmp_path: Path) -> None:
    wire = Wire(IDENTITY)
    told = [
        wire.inspection(seq, inspection(latency_ms=replace(LATENCY, total=float(seq + 1))), START).line
        for seq in range(100)
    ]
    summary, _ = summed([write(tmp_path / "a.jsonl", told)])
    assert summary.latency_ms()["total"] == {"p50": 51.0, "p95": 96.0, "p99": 100.0, "max": 100.0}
    assert summary.latency_ms()["infer"] == {"p50": 2.0, "p95": 2.0, "p99": 2.0, "max": 2.0}
    assert Summary().latency_ms() == {}


def test_the_worst_regions_come_first_and_name_their_frame(tmp_path: Path) -> None:
    wire = Wire(IDENTITY)
    scores = [0.5, 0.9, 0.7, 0.9, 0.1]
    told = [
        wire.inspection(seq, inspection(verdict="fail", regions=(replace(REGION, score_max=score),)), START).line
        for seq, score in enumerate(scores)
    ]
    summary, _ = summed([write(tmp_path / "a.jsonl", told)], worst=3)
    worst = summary.worst_regions()
    assert [(w["seq"], w["score_max"]) for w in worst] == [(1, 0.9), (3, 0.9), (2, 0.7)]
    assert worst[0] == {
        "created_ns": START,
        "instance_id": "run1",
        "seq": 1,
        "frame_id": 7,
        "frame_ref": None,
        "part_id": 42,
        "score_max": 0.9,
        "area_px": 1600.0,
        "bbox_xyxy": [10, 20, 50, 60],
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21", START - 18 * HOUR),
        ("2026-11-21T18:00", START),
        ("2026-11-21T18:00:00Z", START),
        ("2026-11-21T19:00+01:00", START),
        ("90m", 7 * HOUR - HOUR * 3 // 2),
        ("3h", 4 * HOUR),
        ("0d", 7 * HOUR),
    ],
)
def test_moments(text: str, expected: int) -> None:
    assert moment_ns(text, "--since", lambda: 7 * HOUR, in_utc=True) == expected


def test_what_is_no_moment_and_what_is_no_log_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        moment_ns("yesterday", "--since", lambda: 0)
    assert str(caught.value) == (
        "--since\n  received: yesterday\n  expected: 2026-11-21, 2026-11-21T18:20, 18:20 of today, or 90m, 12h, 7d ago"
    )
    with pytest.raises(UserError) as caught:
        find_files([tmp_path])
    assert str(caught.value) == f"{tmp_path}: holds no log\n  expected: files edge-CAMERA-START-N.jsonl, or .jsonl.zst"
    with pytest.raises(UserError) as caught:
        find_files([tmp_path / "none"])
    assert str(caught.value) == (
        f"{tmp_path}/none: no such file or folder\n  expected: a log file, a folder of them, or a line's config"
    )


_ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just([]) | st.just({})


@given(st.sampled_from(["created_ns", "reason", "latency_ms", "regions", "count", "part_id", "part_id_first"]), _ANYTHING)
def test_a_record_with_anything_in_it_is_counted_or_passed_over(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: Any
) -> None:
    wire = Wire(IDENTITY)
    body: Any = skip() if name in ("count", "part_id_first") else inspection(regions=(REGION,), verdict="fail")
    made = wire.skip(0, body, START) if isinstance(body, Skip) else wire.inspection(0, body, START)
    told = orjson.loads(made.line) | {name: value}
    try:
        line = orjson.dumps(told)
    except TypeError:  # an integer beyond 64 bits
        return
    path = write(tmp_path_factory.mktemp("fuzz", numbered=True) / "a.jsonl", [line])
    summary, damage = summed([path], Filter(since_ns=0, part_id=None))
    assert summary.records + damage.unreadable_lines == 1
    assert summary.as_json()["records"] == summary.records
    list(read_log([path], Filter(part_id=3), LogDamage()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"frame_id": "[/]"},
        {"frame_id": True},
        {"part_id": "[/red]"},
        {"part_id": [1]},
        {"regions": [{"score_max": 1.0, "area_px": "big", "bbox_xyxy": [1, 2, 3, 4]}]},
        {"regions": [{"score_max": 1.0, "area_px": 1.0, "bbox_xyxy": None}]},
        {"regions": [{"score_max": 1.0, "area_px": 1.0, "bbox_xyxy": [1, 2, 3]}]},
        {"regions": [{"score_max": 1.0, "area_px": 1.0, "bbox_xyxy": [1, 2, 3, "[/]"]}]},
    ],
)
def test_a_record_whose_fields_are_no_numbers_is_no_record(tmp_path: Path, wrong: dict[str, Any]) -> None:
    line = orjson.dumps(orjson.loads(lines("a", range(1))[0]) | wrong)
    summary, damage = summed([write(tmp_path / "a.jsonl", [line])])
    assert (summary.records, damage.unreadable_lines) == (0, 1)


def test_of_regions_that_score_the_same_the_earliest_are_named(tmp_path: Path) -> None:
    """Two in one record, too, whose boxes differ."""
    twins = tuple(replace(REGION, id=n, bbox_xyxy=(n, 0, n + 4, 4)) for n in range(2))
    path = write(tmp_path / "a.jsonl", lines("a", range(3), verdict="fail", regions=twins))
    for worst, expected in (
        (1, [(0, 0)]),
        (3, [(0, 0), (0, 1), (1, 0)]),
        (9, [(s, n) for s in range(3) for n in range(2)]),
    ):
        summary, _ = summed([path], worst=worst)
        assert [(w["seq"], w["bbox_xyxy"][0]) for w in summary.worst_regions()] == expected


def test_records_before_the_first_one_of_a_run_are_missing_unless_older_files_were_left_out(tmp_path: Path) -> None:
    """A clock that stepped had the first half of a log deleted, and nothing was missing."""
    names = [f"edge-cam1-20261121T182007Z-{number:06d}.jsonl" for number in range(3)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(b"".join(line + b"\n" for line in lines("a", range(10 * number, 10 * number + 10))))

    def missing(*files: str, **wanted: int) -> int:
        damage = LogDamage()
        list(read_log([tmp_path / name for name in files], Filter(**wanted), damage))
        return damage.missing_records

    assert missing(*names) == 0
    assert missing(names[2]) == 0  # asked for alone, with the others beside it
    (tmp_path / names[0]).unlink()
    assert missing(*names[1:]) == 10
    assert missing(names[2]) == 0
    assert missing(*names[1:], since_ns=1) == 0  # files before that moment aren't read
