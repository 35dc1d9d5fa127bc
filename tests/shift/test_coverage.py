"""Gaps of an augmentation file are found, exactly those, and the written file covers them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.errors import UserError
from edge.shift.coverage import augment_text, coverage, mended, read_augment, read_measured

AUGMENT = """\
schema: 1
augment:
  brightness: {from: -20, to: 20}
  gradient: {to: 30, share: 0.3}
  defocus: {to: 0.8}
  rotation: {from: -0.5, to: 2}
  shift: {to: 6}
"""
RANGES: dict[str, Any] = {
    "brightness": {"p5": -12.0, "p95": 4.0, "unit": "%"},
    "gradient": {"p5": 2.0, "p95": 18.0, "unit": "%"},
    "defocus": {"p5": 0.7, "p95": 1.3, "unit": "px"},  # too narrow
    "rotation": {"p5": -1.1, "p95": 0.2, "unit": "deg"},  # too narrow on one side
    "noise": {"p5": 0.5, "p95": 1.9, "unit": "%"},  # not there
    "shift": {"p5": 0.0, "p95": 5.0, "unit": "px"},
    "banding": {"p5": 0.0, "p95": 0.2, "unit": "%"},  # the line shows none
    "mood": {"p5": 0.0, "p95": 9.0, "unit": ""},
}


def shift_json(folder: Path, **more: Any) -> Path:
    path = folder / "shift.json"
    path.write_text(json.dumps({"schema": 1, "kind": "edge.shift", "causes": [], "ranges": RANGES} | more))
    return path


def augment(folder: Path, text: str = AUGMENT) -> Path:
    path = folder / "augment.yaml"
    path.write_text(text)
    return path


def test_three_planted_gaps_are_named_exactly_and_covered_by_the_written_file(tmp_path: Path) -> None:
    spec, measured = read_augment(augment(tmp_path)), read_measured(shift_json(tmp_path))
    rows = coverage(spec, measured)
    assert [(row.cause, row.state) for row in rows if row.is_gap] == [
        ("defocus", "too narrow"),
        ("noise", "not there"),
        ("rotation", "too narrow"),
    ]
    assert {row.cause: row.state for row in rows if not row.is_gap} == {
        "brightness": "covered",
        "gradient": "covered",
        "shift": "covered",
        "banding": "quiet",
        "mood": "no corruption",
    }
    assert rows[2].summary == "too narrow: measured -1.1 to 0.2 deg, trained with -0.5 to 2 deg"
    written = tmp_path / "mended.yaml"
    written.write_text(augment_text(mended(spec, rows)))
    again = read_augment(written)
    assert [row.cause for row in coverage(again, measured) if row.is_gap] == []
    assert again.augment["gradient"] == spec.augment["gradient"]
    assert (again.augment["rotation"].low, again.augment["rotation"].high) == (-1.3, 2)
    assert (again.augment["defocus"].low, again.augment["defocus"].high) == (0.0, 1.5)
    assert again.augment["noise"].high == 2.1
    assert set(again.augment) == {*spec.augment, "noise"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("augment:\n  fog: {to: 3}\n", "augment.fog: no such corruption; expected some of brightness"),
        ("augment:\n  defocus: {from: -1, to: 3}\n", "from must be at least 0: defocus has one direction only"),
        ("augment:\n  gradient: {from: 5, to: 3}\n", "from 5 must not lie above to 3"),
        ("augment:\n  gradient: {too: 3}\n", "augment.yaml:2: augment.gradient.too: unknown key"),
        ("augment:\n  gradient: {to: .nan}\n", "augment.gradient.to"),
        ("- 3\n", "not an augmentation file"),
    ],
)
def test_what_is_no_augmentation_file_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        read_augment(augment(tmp_path, text))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"kind": "evaluation"}, "not what edge shift writes\n  received: ValueError: evaluation, schema 1"),
        ({"ranges": {"defocus": {"p5": 0.0}}}, "received: KeyError: 'p95'"),
        ({"ranges": {"defocus": {"p5": 2.0, "p95": 1.0, "unit": "px"}}}, "ranges.defocus"),
    ],
)
def test_what_edge_shift_did_not_write_is_refused(tmp_path: Path, more: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError) as caught:
        read_measured(shift_json(tmp_path, **more))
    assert expected in str(caught.value)


def test_another_unit_is_refused_and_both_are_named(tmp_path: Path) -> None:
    measured = read_measured(shift_json(tmp_path, ranges={"defocus": {"p5": 0.0, "p95": 1.0, "unit": "mm"}}))
    with pytest.raises(UserError, match=r"another unit than .*\n  received: mm\n  expected: px"):
        coverage(read_augment(augment(tmp_path)), measured)
