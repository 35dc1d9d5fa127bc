"""The head learns, one seed gives one result, and neither a kill nor a NaN nor a full disk costs what was learned."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: scripts/test --all installs it")

import torch

from edge.errors import UserError
from edge.models.train import epochs, loop
from edge.models.train.alignment import features_apart
from edge.models.train.checkpoint import CHECKPOINT
from edge.models.train.epochs import Learned
from edge.models.train.factory_features import KeptFactory
from edge.models.train.feature_cache import CachedPicture, FeatureCache, fill_cache
from edge.models.train.head import DefectHead, load, weights_of
from edge.models.train.head_weights import HeadWeights
from edge.models.train.kept_batches import kept_batch
from edge.models.train.loop import train_head
from edge.models.train.losses import dice, focal, positive_weight
from edge.models.train.options import TrainOptions

WIDTH = 6
OPTIONS = TrainOptions(epochs=4, hidden=8, threads=1, rate=1e-2)


def pictures(count: int, role: Any, rng: np.random.Generator) -> list[CachedPicture]:
    """Half of them with a place whose second feature is high."""
    made = []
    for k in range(count):
        features, targets = rng.normal(0, 1, (5, 6, WIDTH)).astype(np.float32), np.zeros((5, 6), np.float32)
        if k % 2:
            row, column = rng.integers(5), rng.integers(6)
            features[row, column, 1] += 6
            targets[row, column] = 1
        made.append(CachedPicture(role, "synthetic" if k % 2 else "good", "blot" if k % 2 else "good", features, targets))
    return made


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> FeatureCache:
    rng = np.random.default_rng(0)
    made = [*pictures(64, "train", rng), *pictures(24, "validation", rng)]
    return fill_cache(tmp_path_factory.mktemp("cache"), "k", WIDTH, made)


def trained(cache: FeatureCache, folder: Path, **keys: Any) -> Learned[HeadWeights]:
    folder.mkdir(exist_ok=True)
    return train_head(cache, keys.pop("options", OPTIONS), folder, "k", **keys)


def same(a: Learned[HeadWeights], b: Learned[HeadWeights]) -> bool:
    return all(np.array_equal(values, b.weights.arrays[name]) for name, values in a.weights.arrays.items())


def test_it_learns_what_a_defect_looks_like(cache: FeatureCache, tmp_path: Path) -> None:
    found = trained(cache, tmp_path, options=replace(OPTIONS, epochs=12, patience=12))
    last = [epoch for epoch in found.history if epoch.kept][-1]
    assert last.loss < 0.5 * found.history[0].loss
    assert last.synthetic_auroc is not None
    assert last.synthetic_auroc > 0.95
    assert last.real_auroc is None


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(cache: FeatureCache, tmp_path: Path) -> None:
    first, again = trained(cache, tmp_path / "a"), trained(cache, tmp_path / "b")
    assert same(first, again)
    assert first.history == again.history
    assert not same(first, trained(cache, tmp_path / "c", options=replace(OPTIONS, seed=1)))


@pytest.mark.parametrize(
    "option", [{"mixstyle": 1.0}, {"mixup": 0.4}, {"curriculum": True}, {"align": "coral"}, {"align": "mmd"}]
)
def test_each_way_of_learning_otherwise_gives_one_result_for_one_seed(
    cache: FeatureCache, tmp_path: Path, option: dict[str, Any]
) -> None:
    options = replace(OPTIONS, epochs=2, **option)
    keys = {"options": options, "factory": KeptFactory(cache, cache, options)}
    first, again = trained(cache, tmp_path / "a", **keys), trained(cache, tmp_path / "b", **keys)
    assert same(first, again)
    assert not same(first, trained(cache, tmp_path / "c", options=replace(OPTIONS, epochs=2)))


def test_drawn_together_a_line_that_looks_otherwise_lies_nearer(cache: FeatureCache, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    folder = tmp_path / "line"
    folder.mkdir()
    seen = [replace(one, features=2 * one.features + 1) for one in pictures(24, "train", rng) if one.group == "good"]
    line = fill_cache(folder, "k", WIDTH, seen)
    options = replace(OPTIONS, epochs=6, patience=6, align="mmd", align_weight=3.0)
    good = [sample for sample in cache.of("train") if sample.group == "good"]

    def apart(found: Learned[HeadWeights]) -> float:
        head = DefectHead(WIDTH, OPTIONS.hidden)
        load(head, found.weights.arrays)
        theirs = next(KeptFactory(line, cache, replace(options, batch=24)).batches(0))
        with torch.no_grad():
            far = features_apart(head, kept_batch(cache, good), theirs, "mmd")
        assert far is not None
        return float(far)

    drawn = trained(cache, tmp_path / "a", options=options, factory=KeptFactory(line, cache, options))
    assert apart(drawn) < 0.7 * apart(trained(cache, tmp_path / "b", options=replace(options, align=None)))


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_run_that_ended_after_any_epoch_goes_on_to_the_same_weights(
    cache: FeatureCache, tmp_path: Path, after: int
) -> None:
    class KilledError(Exception):
        pass

    def kill(epoch: Any) -> None:
        if epoch.number == after:
            raise KilledError

    options = replace(OPTIONS, mixstyle=0.5, mixup=0.2, curriculum=True, align="coral")
    keys: Any = {"options": options, "factory": KeptFactory(cache, cache, options)}
    whole = trained(cache, tmp_path / "whole", **keys)
    with pytest.raises(KilledError):
        trained(cache, tmp_path / "killed", **keys, epoch_done=kill)
    seen: list[int] = []
    resumed = trained(cache, tmp_path / "killed", **keys, resume=True, epoch_done=lambda epoch: seen.append(epoch.number))
    assert seen == list(range(after + 1, 5)), "only what is left is done"
    assert same(resumed, whole)
    assert resumed.history == whole.history


def test_a_full_disk_in_mid_training_costs_one_epoch(
    cache: FeatureCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(cache, tmp_path / "whole")
    real, calls = epochs.write_checkpoint, []

    def full(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(epochs, "write_checkpoint", full)
        with pytest.raises(OSError, match="No space left"):
            trained(cache, tmp_path / "full")
    seen: list[int] = []
    resumed = trained(cache, tmp_path / "full", resume=True, epoch_done=lambda epoch: seen.append(epoch.number))
    assert seen == [3, 4]
    assert same(resumed, whole)


def test_a_loss_of_nan_ends_the_training_with_the_last_good_weights_and_says_when(
    cache: FeatureCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(cache, tmp_path / "whole", options=replace(OPTIONS, patience=9))
    kept = [epoch for epoch in whole.history if epoch.kept and epoch.number <= 2][-1].number
    real, calls = loop.focal, []

    def failing(*arguments: Any) -> Any:
        calls.append(1)
        return real(*arguments) * (float("nan") if len(calls) > 2 * (8 + 24) + 4 else 1.0)

    monkeypatch.setattr(loop, "focal", failing)
    found = trained(cache, tmp_path / "nan", options=replace(OPTIONS, patience=9))
    assert found.not_a_number
    assert found.stopped == f"the loss became NaN or infinite in epoch 3, step 5: kept the weights of epoch {kept}"
    assert found.history == whole.history[:2]
    assert all(np.isfinite(values).all() for values in found.weights.arrays.values())


def test_a_loss_of_nan_from_the_beginning_is_said(
    cache: FeatureCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "focal", lambda logits, *_: logits.sum() * float("nan"))
    with pytest.raises(UserError) as caught:
        trained(cache, tmp_path)
    assert str(caught.value) == (
        "the loss became NaN or infinite before any weights were good\n"
        "  received: epoch 1, step 1\n"
        "  fix: look at the frames' features for values without end; or give another --seed"
    )


def test_it_ends_where_nothing_is_gained(cache: FeatureCache, tmp_path: Path) -> None:
    found = trained(cache, tmp_path, options=replace(OPTIONS, epochs=30, patience=2, rate=0.0))
    assert len(found.history) == 3
    assert found.stopped == "nothing was gained in 2 epochs: kept the weights of epoch 1"


def test_a_training_that_ended_early_is_not_gone_on_with(cache: FeatureCache, tmp_path: Path) -> None:
    options = replace(OPTIONS, epochs=30, patience=2, rate=0.0)
    ended = trained(cache, tmp_path, options=options)
    seen: list[int] = []
    again = trained(cache, tmp_path, options=options, resume=True, epoch_done=lambda epoch: seen.append(epoch.number))
    assert seen == []
    assert again.history == ended.history
    assert again.stopped == ended.stopped == "nothing was gained in 2 epochs: kept the weights of epoch 1"
    assert same(again, ended)


def test_a_checkpoint_of_another_training_is_refused(cache: FeatureCache, tmp_path: Path) -> None:
    trained(cache, tmp_path)
    with pytest.raises(UserError) as caught:
        train_head(cache, OPTIONS, tmp_path, "other", resume=True)
    assert str(caught.value) == (
        f"{tmp_path / CHECKPOINT}: the checkpoint is of another training\n"
        "  received: other frames, options, backbone or seed\n"
        "  expected: those that it was begun with\n"
        "  fix: give the same command again, or begin anew without --resume"
    )
    (tmp_path / CHECKPOINT).write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(UserError, match="not a checkpoint of edge train"):
        train_head(cache, OPTIONS, tmp_path, "k", resume=True)


def test_it_goes_on_from_weights_that_are_given(cache: FeatureCache, tmp_path: Path) -> None:
    first = trained(cache, tmp_path / "a", options=replace(OPTIONS, epochs=8))
    on = trained(cache, tmp_path / "b", options=replace(OPTIONS, epochs=1, rate=1e-4), start=first.weights)
    assert on.history[0].validation_loss < 1.5 * min(epoch.validation_loss for epoch in first.history)


def test_the_edge_of_a_picture_is_the_edge_of_its_own_grid() -> None:
    torch.manual_seed(0)
    head = DefectHead(WIDTH, 8)
    alone = torch.randn(1, WIDTH, 4, 5)
    wide, valid = torch.randn(1, WIDTH, 6, 9), torch.zeros(1, 1, 6, 9)
    wide[:, :, :4, :5] = alone
    valid[:, :, :4, :5] = 1
    torch.testing.assert_close(head(wide, valid)[:, :, :4, :5], head(alone, torch.ones(1, 1, 4, 5)))


def test_weights_go_out_and_in_without_a_change() -> None:
    torch.manual_seed(0)
    head, other = DefectHead(WIDTH, 8), DefectHead(WIDTH, 8)
    load(other, weights_of(head, np.zeros(WIDTH, np.float32), np.ones(WIDTH, np.float32)).arrays)
    assert all(torch.equal(a, b) for a, b in zip(head.parameters(), other.parameters(), strict=True))


def test_focal_takes_weight_off_what_is_right_and_leaves_out_what_is_beside_the_picture() -> None:
    logits = torch.tensor([[[[3.0, -3.0, 9.0]]]])
    targets, valid = torch.tensor([[[[1.0, 0.0, 0.0]]]]), torch.tensor([[[[1.0, 1.0, 0.0]]]])
    plain = float(focal(logits, targets, valid, 0.0, 1.0))
    assert plain == pytest.approx(np.log1p(np.exp(-3.0)))
    wrong = 1 / (1 + np.exp(3.0))
    assert float(focal(logits, targets, valid, 2.0, 1.0)) == pytest.approx(plain * wrong**2)


def test_dice_is_small_where_both_agree() -> None:
    targets, valid = torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2)
    targets[0, 0, 0, 0] = 1
    right = torch.where(targets > 0, 20.0, -20.0)
    assert float(dice(right, targets, valid)) == pytest.approx(0, abs=1e-6)
    assert float(dice(-right, targets, valid)) == pytest.approx(1 - 1 / 5)
    assert float(dice(right, torch.zeros_like(targets), valid)) == 0, "good pictures are left to the other loss"


def test_rare_defective_places_count_as_much_as_all_good_ones() -> None:
    assert positive_weight(0.2) == pytest.approx(4)
    assert positive_weight(1e-4) == 20
    assert positive_weight(0.0) == 1
