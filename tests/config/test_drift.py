"""What ``drift:`` accepts, and what it says of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config.drift import DriftConfig
from edge.config.load import load_config
from edge.errors import UserError

BASE = "camera: cam1\nsource: {kind: synthetic}\nmodel: {bundle: b}\n"


def drift(folder: Path, text: str) -> DriftConfig | None:
    path = folder / "cam1.yaml"
    path.write_text(BASE + text)
    return load_config(path).config.drift


def test_drift_is_off_without_the_key_and_on_with_an_empty_section(tmp_path: Path) -> None:
    assert drift(tmp_path, "") is None
    assert drift(tmp_path, "drift: null\n") is None
    on = drift(tmp_path, "drift: {}\n")
    assert on is not None
    assert (on.every, on.block, on.persist, on.limit, on.region, on.in_records) == (5, 50, 3, 5.0, None, False)
    assert on.lock == ("clipped", "out_of_focus", "out_of_place")


def test_an_empty_list_locks_nothing(tmp_path: Path) -> None:
    on = drift(tmp_path, "drift: {lock: []}\n")
    assert on is not None
    assert on.lock == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{every: 0}", "drift.every"),
        ("{block: 2}", "drift.block"),
        ("{persist: 0}", "drift.persist"),
        ("{limit: 0.5}", "drift.limit"),
        ("{limit: .nan}", "drift.limit"),
        ("{lock: [score]}", "drift.lock.0"),
        ("{lock: clipped}", "drift.lock"),
        ("{evry: 5}", "did you mean 'every'?"),
        ("{region: {include: [[0.5, 0.5, 0.1, 0.1]]}}", "x0 < x1"),
        ("true", "drift"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_key(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        drift(tmp_path, f"drift: {text}\n")
    assert told in str(caught.value)
    assert "cam1.yaml:4" in str(caught.value)
