"""An uncertainty is judged by the wrong verdicts that it ranks first, beside how near a score lies to the threshold."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: scripts/test --all installs it")

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests" / "scripts")]

import eval_uncertainty  # noqa: E402
import torch  # noqa: E402
from eval_tiles import GOOD  # noqa: E402
from test_eval_tiles import write  # noqa: E402

from edge.models.train.head import stacked  # noqa: E402
from edge.models.train.losses import dice, focal  # noqa: E402
from edge.models.train.options import TrainOptions  # noqa: E402

QUICK = ["--splits", "1", "--epochs", "1", "--versions", "1", "--backbone", "gabor", "--json"]
WAYS = {
    "log variance": ("sigma at the highest place", "highest sigma", "mean sigma"),
    "three heads": ("spread at the highest place", "highest spread", "spread of the heads' scores"),
}


def test_both_kinds_of_uncertainty_and_the_threshold_get_a_figure_of_all_pictures_and_of_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["x", str(write(tmp_path, parts=16)), *QUICK])
    monkeypatch.setattr(eval_uncertainty, "QUIET", 0.5)  # half of the good pictures fail, so that verdicts are wrong
    eval_uncertainty.main()
    (split,) = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(split) == list(WAYS)
    for model, ways in WAYS.items():
        row = split[model]
        assert 0 < row["wrong"] < 1
        for name in (*ways, "nearness to the threshold"):
            assert 0 <= row[name] <= 1
            assert f"{name}, passes" in row


def test_an_uncertainty_that_is_highest_where_verdicts_are_wrong_has_all_and_its_opposite_nothing() -> None:
    maps = [np.full((2, 2), score, np.float32) for score in (0.0, 0.1, 2.0, 0.2, 3.0, 4.0)]
    tested = SimpleNamespace(kinds=np.array([GOOD, GOOD, GOOD, "crack", "crack", "crack"]))
    ground: Any = SimpleNamespace(tested=tested)
    knows = np.array([0.0, 0, 1, 1, 0, 0])
    row = eval_uncertainty.judged(ground, [np.full((2, 2), 1.0)], maps, {"knows": knows, "errs": -knows})
    assert (row["wrong"], row["false_rejects"], row["recall"]) == (2 / 6, 1 / 3, 2 / 3)
    assert (row["knows"], row["knows, passes"], row["errs"], row["errs, passes"]) == (1.0, 1.0, 0.0, 0.0)
    assert row["nearness to the threshold"] == 6.5 / 8, "1.0 and 0.8 away are wrong; 1.0, 0.9, 2 and 3 are right"
    right = eval_uncertainty.judged(ground, [np.full((2, 2), 1.0)], [of * (k != 2) for k, of in enumerate(maps)], {})
    assert right["nearness to the threshold, passes"] == 1.0


def test_no_figure_where_no_verdict_is_wrong() -> None:
    of = np.ones(3, np.bool_)
    assert eval_uncertainty.ranking(np.arange(3.0), ~of, of) is None
    assert eval_uncertainty.ranking(np.arange(3.0), of, of) is None


def test_the_loss_of_a_sure_head_is_the_plain_one_and_a_log_variance_makes_a_wrong_logit_cheaper() -> None:
    options = replace(TrainOptions(), dice=0.5)
    batch = stacked([np.zeros((4, 4, 3), np.float32)], [np.eye(4, dtype=np.float32)])
    wrong = torch.full((1, 1, 4, 4), -4.0)
    plain = focal(wrong, batch.targets, batch.counted, options.focal, 2.0) + 0.5 * dice(wrong, batch.targets, batch.counted)
    assert float(eval_uncertainty.measured(wrong, batch, options, 2.0)) == float(plain)
    torch.manual_seed(0)
    sure, unsure = (
        float(eval_uncertainty.measured(torch.cat([wrong, torch.full_like(wrong, of)], 1), batch, options, 2.0))
        for of in (-100.0, 4.0)
    )
    assert sure == pytest.approx(float(plain), rel=0.02)
    assert unsure < 0.8 * sure
