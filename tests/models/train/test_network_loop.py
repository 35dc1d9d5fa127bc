"""The network learns, one seed gives one result, and a run that ends in between goes on to the same weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: scripts/test --all installs it")

import torch
from support.trainings import GABOR, surface

from edge.models.fit.feature_net import open_features
from edge.models.train import network_loop
from edge.models.train.distil import Distilling
from edge.models.train.encoder_training import trained_encoder
from edge.models.train.epochs import Learned
from edge.models.train.losses import coral, mmd
from edge.models.train.network import DefectNetwork
from edge.models.train.network_loop import train_network
from edge.models.train.network_weights import NetworkWeights
from edge.models.train.options import preset_options
from edge.models.train.picture_cache import DrawnPicture, PictureCache, fill_pictures
from edge.models.train.self_supervised import SELF_SUPERVISED

OPTIONS = preset_options("hour", epochs=3, steps=3, batch=4, width=4, crop=64, threads=1, pretrain_epochs=2)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PictureCache:
    clean = np.zeros((96, 112), np.bool_)
    made = []
    for k in range(24):
        role: Any = "validation" if k >= 16 else "train"
        made.append(DrawnPicture(role, "good", "good", surface(k)[:, :, None], clean))
        if k >= 12:
            picture, mask = surface(100 + k)[:, :, None].copy(), clean.copy()
            mask[30:54, 40:64] = True
            picture[mask] //= 3
            made.append(DrawnPicture(role, "labelled", "blot", picture, mask))
    return fill_pictures(tmp_path_factory.mktemp("cache"), "k", made)


def trained(cache: PictureCache, folder: Path, **keys: Any) -> Learned[NetworkWeights]:
    folder.mkdir(exist_ok=True)
    return train_network(cache, keys.pop("options", OPTIONS), folder, "k", turns=True, **keys)


def same(a: Learned[NetworkWeights], b: Learned[NetworkWeights]) -> bool:
    return all(np.array_equal(values, b.weights.arrays[name]) for name, values in a.weights.arrays.items())


def test_it_learns_what_a_defect_looks_like(cache: PictureCache, tmp_path: Path) -> None:
    blots = ("cut_paste", "perlin", "poisson", "scratch", "crack", "chip", "smear", "uneven_light", "uneven_finish")
    options = replace(OPTIONS, epochs=4, steps=25, width=8, rate=3e-3, without=blots)
    found = trained(cache, tmp_path, options=options)
    last = [epoch for epoch in found.history if epoch.kept][-1]
    assert last.loss < found.history[0].loss
    assert last.real_auroc is not None
    assert last.real_auroc > 0.9


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(cache: PictureCache, tmp_path: Path) -> None:
    options = replace(OPTIONS, epochs=2, mixstyle=1.0, mixup=0.4, randaugment=1)
    first, again = (trained(cache, tmp_path / name, options=options) for name in "ab")
    assert same(first, again)
    assert first.history == again.history
    assert not same(first, trained(cache, tmp_path / "c", options=replace(options, seed=1)))


@pytest.mark.parametrize("after", [1, 2])
def test_a_run_that_ended_after_any_epoch_goes_on_to_the_same_weights(
    cache: PictureCache, tmp_path: Path, after: int
) -> None:
    class KilledError(Exception):
        pass

    def kill(epoch: Any) -> None:
        if epoch.number == after:
            raise KilledError

    options = replace(OPTIONS, mixstyle=0.5)
    whole = trained(cache, tmp_path / "whole", options=options)
    with pytest.raises(KilledError):
        trained(cache, tmp_path / "killed", options=options, epoch_done=kill)
    seen: list[int] = []
    resumed = trained(
        cache, tmp_path / "killed", options=options, resume=True, epoch_done=lambda epoch: seen.append(epoch.number)
    )
    assert seen == list(range(after + 1, 4))
    assert same(resumed, whole)
    assert resumed.history == whole.history


def test_a_loss_of_nan_keeps_the_last_good_weights_and_says_when(
    cache: PictureCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = network_loop.focal, []

    def failing(*arguments: Any) -> Any:
        calls.append(1)
        return real(*arguments) * (float("nan") if len(calls) > 3 + 16 + 1 else 1.0)

    monkeypatch.setattr(network_loop, "focal", failing)
    found = trained(cache, tmp_path)
    assert found.not_a_number
    assert found.stopped == "the loss became NaN or infinite in epoch 2, step 2: kept the weights of epoch 1"


@pytest.mark.parametrize("how", ["backbone", *SELF_SUPERVISED])
def test_an_encoder_that_learned_alone_is_where_the_network_begins(cache: PictureCache, tmp_path: Path, how: str) -> None:
    losses: list[float] = []
    options = replace(OPTIONS, steps=8, rate=3e-3)

    def task() -> Any:
        if how == "backbone":
            return Distilling(cache, open_features(GABOR.backbone, (), 1, None), options, turns=True)
        return SELF_SUPERVISED[how](cache, options, turns=True)

    encoder = trained_encoder(task(), options, tmp_path, "k", epoch_done=lambda epoch: losses.append(epoch.loss)).weights
    assert how == "dino" or losses[-1] < losses[0], "all but dino's, which rises while its centre is found"
    assert set(encoder) == set(DefectNetwork(1, 4).encoder.state_dict())
    again = trained_encoder(task(), options, tmp_path, "k", resume=True, epoch_done=lambda _: pytest.fail("done")).weights
    assert all(np.array_equal(values, again[name]) for name, values in encoder.items())
    training = network_loop.NetworkTraining(cache, OPTIONS, turns=True)
    network_loop.load_arrays(training.network.encoder, encoder)
    name = "encoder.steps.0.down.weight"
    assert np.array_equal(training.arrays()[name], encoder[name.removeprefix("encoder.")])


@pytest.mark.parametrize("way", ["coral", "mmd"])
def test_features_are_drawn_towards_the_factorys_frames(cache: PictureCache, tmp_path: Path, way: Any) -> None:
    options = replace(OPTIONS, epochs=1, align=way)
    first, again = (trained(cache, tmp_path / name, options=options, factory=cache) for name in "ab")
    assert same(first, again)
    assert not same(first, trained(cache, tmp_path / "c", options=options))


def test_coral_and_mmd_are_small_for_one_distribution_and_large_for_two() -> None:
    torch.manual_seed(0)
    a, like, moved, wider = torch.randn(400, 4), torch.randn(400, 4), torch.randn(400, 4) + 2, 3 * torch.randn(400, 4)
    assert float(coral(a, a)) == 0
    assert float(coral(a, wider)) > 50 * float(coral(a, like))
    assert float(mmd(a, a)) == pytest.approx(0, abs=1e-6)
    assert min(float(mmd(a, moved)), float(mmd(a, wider))) > 10 * float(mmd(a, like))


def test_bfloat16_is_used_only_where_a_gpu_has_it(cache: PictureCache, monkeypatch: pytest.MonkeyPatch) -> None:
    training = network_loop.NetworkTraining(cache, replace(OPTIONS, bf16=True), turns=True)
    if not torch.cuda.is_available():
        assert not hasattr(training._precision(), "fast_dtype"), "on a CPU it is float32"
    training._device = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)
    wanted: list[Any] = []
    monkeypatch.setattr(torch, "autocast", lambda *given: wanted.append(given))
    training._precision()
    assert wanted == [("cuda", torch.bfloat16)]


def test_an_encoder_whose_loss_becomes_no_number_keeps_its_last_weights_and_says_so(
    cache: PictureCache, tmp_path: Path
) -> None:
    options = replace(OPTIONS, steps=2, pretrain_epochs=3)
    task = SELF_SUPERVISED["masked"](cache, options, turns=True)
    real, calls = task.loss, []

    def failing(rng: np.random.Generator) -> Any:
        calls.append(1)
        return real(rng) * (float("nan") if len(calls) > 2 * (2 + 2) else 1.0)

    task.loss = failing  # type: ignore[method-assign]
    learned = trained_encoder(task, options, tmp_path, "k")
    assert (learned.not_a_number, len(learned.history)) == (True, 2)
    assert learned.stopped == "the loss became NaN or infinite in epoch 3, step 1: kept the weights of epoch " + str(
        max(epoch.number for epoch in learned.history if epoch.kept)
    )
