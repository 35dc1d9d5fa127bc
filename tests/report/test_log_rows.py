"""``edge.read_log``: a log as flat rows, every row with the same keys."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from support.logs import START, lines, lost, write

import edge
from edge.errors import UserError


def test_each_record_is_a_row_and_all_have_the_same_keys(tmp_path: Path) -> None:
    path = write(tmp_path / "edge-cam1-20261121T182007Z-000000.jsonl", [*lines("a", range(3)), lost("a", 3, START)])
    rows = edge.read_log(path)
    assert [(row["kind"], row["seq"]) for row in rows] == [
        ("inspection", 0),
        ("inspection", 1),
        ("inspection", 2),
        ("skip", 3),
    ]
    assert len({tuple(row) for row in rows}) == 1
    assert rows[0]["created"].tzinfo == dt.timezone.utc
    assert rows[0]["created"].timestamp() == pytest.approx(START / 1e9)  # to a microsecond
    assert (rows[3]["verdict"], rows[3]["map_max"], rows[3]["latency_total_ms"]) == ("invalid", None, None)
    assert edge.read_log(tmp_path) == edge.read_log([path]) == rows


def test_each_region_is_a_row(tmp_path: Path) -> None:
    path = write(tmp_path / "records.jsonl", [*lines("a", range(2)), lost("a", 2, START)])
    regions = edge.read_log(path, regions=True)
    whole = edge.read_log(path)
    assert len(regions) == sum(row["regions"] for row in whole)
    assert len({tuple(row) for row in regions}) <= 1


def test_a_path_without_a_log_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        edge.read_log(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="holds no log"):
        edge.read_log(tmp_path)
