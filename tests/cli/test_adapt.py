"""``edge adapt`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.factories import lab_bundle, parts
from typer.testing import CliRunner

from edge.cli import app
from edge.config.bundle import load_bundle
from edge.disturb.corruptions import CORRUPTIONS
from edge.errors import UserError


def edge(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False, env={"COLUMNS": "120"})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("adapt")
    lab_bundle(root, frames=20, test=False)
    parts(root / "week48", 18, 5000, CORRUPTIONS["defocus"].steady(1.2, 1))
    return root


def test_the_best_answer_is_written_and_undone(place: Path) -> None:
    only = ("--only", "threshold", "--only", "moments", "--only", "coral")
    result = edge(
        *("adapt", "-m", place / "v1", "--frames", place / "week48", "-o", place / "v2", "--threshold", 1.6, *only)
    )
    assert result.exit_code == 0, result.output
    told = " ".join(result.output.split())
    assert "v1: 5 frames to adapt by, 13 for the threshold; frozen threshold 1.6 (--threshold)" in told
    assert "no frame of" in told
    assert "coral: only features that share one space have a covariance" in told
    assert "moments: false rejects 13 of 13, recall" in told
    assert f"the way back: edge adapt --undo -m {place / 'v2'}" in told
    old, new = load_bundle(place / "v1"), load_bundle(place / "v2")
    assert (new.spec.name, old.sha256 == new.sha256) == ("v2", False)
    undone = edge("adapt", "--undo", "-m", place / "v2", "-o", place / "live")
    assert undone.exit_code == 0, undone.output
    assert old.sha256[:12] in undone.output
    assert load_bundle(place / "live").sha256 == old.sha256


def test_json_says_all_and_nothing_is_written_without_a_place(place: Path) -> None:
    result = edge(
        "adapt", "-m", place / "v1", "--frames", place / "week48", "--only", "threshold", "--threshold", 1.6, "--json"
    )
    report = json.loads(result.stdout[result.stdout.index("{\n") :])  # after the log
    assert report["frames"] == {"adapt": 5, "threshold": 13, "judged": 0}
    assert report["written"] is None
    assert [row["answer"] for row in report["answers"]] == ["threshold"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("-m", "v1"), "--frames: no frames to adapt by"),
        (("-m", "v1", "--frames", "week48", "--only", "magic"), "--only\n  received: magic"),
        (("-m", "v1", "--frames", "nowhere"), "nowhere: no such set"),
        (("-m", "v1", "--frames", "week48", "-o", "v1", "--force"), "the way back would be lost"),
        (("-m", "none", "--frames", "week48"), "there is no such bundle"),
        (
            ("-m", "v1", "--frames", "week48", "--backbone", "lite0"),
            "--backbone lite0: nothing asks for it",
        ),
        (("-m", "v1", "--undo"), "not adapted, so there is nothing to undo"),
    ],
)
def test_what_cannot_be_done_is_said(
    place: Path, words: tuple[str, ...], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    with pytest.raises(UserError) as caught:
        edge("adapt", *words)
    assert text in str(caught.value)
