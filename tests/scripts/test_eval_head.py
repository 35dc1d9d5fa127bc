"""The tables of what options and labels buy: each row trains on what it says, and no part is taught and tested."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: scripts/test --all installs it")

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests" / "scripts")]

import eval_head  # noqa: E402
import eval_labels  # noqa: E402
import eval_pretraining  # noqa: E402
import eval_train  # noqa: E402
from eval_tiles import GOOD, Tile, asked_of, by_part  # noqa: E402
from test_eval_tiles import write  # noqa: E402

from edge.models.train.loop import train_head as real  # noqa: E402

QUICK = ["--splits", "1", "--epochs", "1", "--versions", "1", "--backbone", "gabor", "--json"]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The samples of every training, in place of the training itself."""
    seen: list[Any] = []

    def train_head(cache: Any, *rest: Any, **more: Any) -> Any:
        seen.append(cache.of("train"))
        return real(cache, *rest, **more)

    monkeypatch.setattr("head_ground.train_head", train_head)
    return seen


def run(monkeypatch: pytest.MonkeyPatch, module: Any, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["x", *arguments, *QUICK])
    module.main()


@pytest.mark.parametrize("table", [eval_head.ROWS, eval_head.EACH, eval_pretraining.ROWS, eval_train.ROWS])
def test_all_rows_can_be_asked_for_by_their_names(table: Any) -> None:
    assert asked_of(",".join(table), table, "--rows") == list(table)


def test_rows_leave_out_a_kind_and_add_a_group(
    tmp_path: Path, kept: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path, parts=16)
    run(monkeypatch, eval_head, str(folder), "--rows", "as it is,without blob,no dice,with blur")
    plain, no_blob, no_dice, blurred = ([one.kind for one in samples] for samples in kept)
    assert "blob" in plain
    assert no_blob == [kind for kind in plain if kind != "blob"]
    assert no_dice == plain
    assert blurred[: len(plain)] == plain
    assert len(blurred) > len(plain)
    assert "without blob" in capsys.readouterr().out


def test_rows_of_labels_learn_from_as_many_as_they_say(
    tmp_path: Path, kept: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path, parts=16)
    run(monkeypatch, eval_labels, str(folder), "--labels", "0,2", "--rejected", "3")
    groups = [[one.group for one in samples] for samples in kept]
    counts = [(of.count("labelled"), of.count("false_positive")) for of in groups]
    assert counts == [(0, 0), (0, 5), (4, 0), (4, 5), (2, 0)], "two of three known false positives come mirrored, too"
    assert "2 labels, moved too, false positives" in capsys.readouterr().out


def test_no_part_is_both_taught_from_and_tested() -> None:
    pixels = np.zeros((8, 8, 1), np.uint8)
    tiles = [Tile(kind, part, pixels) for part in range(40) for kind in (GOOD, *(["crack"] if part % 2 else []))]
    for seed in range(3):
        split = by_part(tiles, seed)
        tested, defects, good = eval_labels.halves(tiles, split, seed)
        taught = {tiles[k].part for k in (*defects, *good)}
        assert defects
        assert good
        assert not taught & {tiles[k].part for k in tested}
        assert not taught & {tiles[k].part for k in split.fitted}
