"""The evaluation of answers to a shift counts on frames that took part in nothing, and runs in small."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edge.shift.answers.table import answers_of

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import eval_shift  # noqa: E402


def test_a_changed_line_is_adapted_and_judged_on_fresh_frames(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eval_shift, "SIZE", (192, 224))
    lab = eval_shift.Lab(tmp_path, 0, eval_shift.Sizes(fit=20, tested=6))
    cause = next(cause for cause in eval_shift.CAUSES if cause.name == "defocus 1.2 px")
    run = lab.judged(cause, answers_of(["threshold", "moments", "coral"]))
    rows = eval_shift.answers_table(cause.name, [run])
    assert rows["taken"] == ["moments"]
    assert rows["answers"]["frozen"] == {"false_rejects": [1.0], "recall": [1.0]}
    assert rows["answers"]["moments"]["recall"][0] >= 0.8
    assert rows["answers"]["taken"] == rows["answers"]["moments"]
    assert "coral" in rows["why_not"]
    factory, good = tmp_path / "causedefocus_1_2_px/factory", tmp_path / "causedefocus_1_2_px/good"
    assert len(list(factory.iterdir())) == 28
    contents = {path.read_bytes() for path in factory.iterdir()}
    assert not contents & {path.read_bytes() for path in good.iterdir()}
    assert "defocus 1.2 px: taken moments" in capsys.readouterr().out


def test_the_clipped_cause_clips() -> None:
    clipped = next(cause for cause in eval_shift.CAUSES if "clipped" in cause.name)
    assert all(clipped.change(seed)(np.full((4, 4), 160, np.uint8)).min() == 255 for seed in range(8))


def test_every_cause_of_the_table_is_one_of_the_disturbances() -> None:
    for cause in eval_shift.CAUSES:
        assert cause.corruption is None or cause.corruption in eval_shift.CORRUPTIONS
    assert len({cause.name for cause in eval_shift.CAUSES}) == len(eval_shift.CAUSES)
