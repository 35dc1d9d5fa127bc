"""A model that never returns, or takes all memory, is refused by a process of its own, not by the one that inspects."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.lines import loaded

from edge.errors import UserError
from edge.service import trial
from edge.service.trial import try_model


def test_a_good_model_is_tried_and_a_bad_one_is_refused_in_its_own_words(tmp_path: Path) -> None:
    line = loaded(tmp_path)
    try_model(line)
    (tmp_path / "bundle" / "bundle.yaml").unlink()
    with pytest.raises(UserError) as refused:
        try_model(line)
    assert str(refused.value).startswith(f"{tmp_path}/bundle: not a bundle")


def test_one_that_gives_no_map_in_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        try_model(loaded(tmp_path), timeout_s=0.01)
    assert str(refused.value) == (
        "bundle: tried in a process of its own, the model gave no map within 0.01 s\n"
        "  fix: edge check shows how long it takes"
    )


@pytest.mark.parametrize(
    ("body", "received"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "signal 9: it said nothing"),
        ("raise MemoryError('no room')", "exit code 1: MemoryError: no room"),
    ],
)
def test_one_that_takes_its_process_with_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, received: str
) -> None:
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda _command, **rest: run([sys.executable, "-c", body], **rest))
    with pytest.raises(UserError, match="ended its process") as refused:
        try_model(loaded(tmp_path))
    assert f"received: {received}" in str(refused.value)


def test_its_memory_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[Any] = []
    monkeypatch.setattr(trial.resource, "setrlimit", lambda *limit: set_to.append(limit))
    trial._limit_memory()
    ((which, (soft, _hard)),) = set_to
    assert which == trial.resource.RLIMIT_DATA
    assert 0 < soft < 2**50
