"""Each way of learning without labels goes on after a kill to the same weights, and the networks that follow do follow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: scripts/test --all installs it")

import torch
from support.trainings import surface

from edge.models.train.cutout_views import views
from edge.models.train.encoder_training import trained_encoder
from edge.models.train.epochs import Learned
from edge.models.train.following import Byol, Dino, follow
from edge.models.train.network import arrays_of
from edge.models.train.options import SelfSupervision, preset_options
from edge.models.train.picture_cache import DrawnPicture, PictureCache, fill_pictures
from edge.models.train.self_supervised import SELF_SUPERVISED

OPTIONS = preset_options(
    "hour", start="backbone", steps=2, batch=3, width=4, crop=64, threads=1, pretrain_epochs=3, rate=3e-3
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PictureCache:
    clean = np.zeros((72, 80), np.bool_)
    made = (DrawnPicture("train", "good", "good", surface(k, (80, 72))[:, :, None], clean) for k in range(12))
    return fill_pictures(tmp_path_factory.mktemp("cache"), "k", made)


def learned(how: SelfSupervision, cache: PictureCache, folder: Path, **keys: Any) -> Learned[Any]:
    folder.mkdir(exist_ok=True)
    options = keys.pop("options", OPTIONS)
    return trained_encoder(SELF_SUPERVISED[how](cache, options, turns=True), options, folder, "k", **keys)


def test_every_way_that_can_be_asked_for_is_there() -> None:
    assert tuple(SELF_SUPERVISED) == get_args(SelfSupervision)


@pytest.mark.parametrize("how", list(SELF_SUPERVISED))
def test_an_encoder_that_was_killed_between_epochs_goes_on_to_the_same_weights(
    cache: PictureCache, tmp_path: Path, how: SelfSupervision
) -> None:
    class KilledError(Exception):
        pass

    def kill(_epoch: Any) -> None:
        raise KilledError

    whole = learned(how, cache, tmp_path / "whole")
    for resume in (False, True):
        with pytest.raises(KilledError):
            learned(how, cache, tmp_path / "killed", epoch_done=kill, resume=resume)
    resumed = learned(how, cache, tmp_path / "killed", resume=True)
    assert resumed.history == whole.history
    assert set(resumed.weights) == set(whole.weights)
    assert all(np.array_equal(values, resumed.weights[name]) for name, values in whole.weights.items())
    other = learned(how, cache, tmp_path / "other", options=replace(OPTIONS, seed=1))
    assert not np.array_equal(other.weights["steps.0.down.weight"], whole.weights["steps.0.down.weight"])


@pytest.mark.parametrize("how", ["byol", "dino"])
def test_where_the_loss_says_nothing_about_epochs_the_last_one_is_kept(
    cache: PictureCache, tmp_path: Path, how: SelfSupervision, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([1.0, 2.0, 3.0])
    monkeypatch.setattr("edge.models.train.encoder_training._Training.validate", lambda _: (next(losses), None, None))
    found = learned(how, cache, tmp_path)
    assert [epoch.kept for epoch in found.history] == [True, True, True]
    assert found.stopped is None


@pytest.mark.parametrize("task", [Byol, Dino])
def test_the_follower_learns_nothing_itself_and_moves_a_share_of_the_way(cache: PictureCache, task: Any) -> None:
    one = task(cache, OPTIONS, turns=True)
    module = one.module.train()
    learner, follower = (next(network.parameters()) for network in (module.learner, module.follower))
    assert torch.equal(follower, learner), "it begins where the learner does"
    one.loss(np.random.default_rng(0)).backward()
    assert follower.grad is None
    assert learner.grad is not None
    assert float(learner.grad.abs().max()) > 0
    with torch.no_grad():
        learner.add_(1.0)
    before = follower.clone()
    one.after_step(0.0)
    assert torch.allclose(follower - before, torch.tensor(0.03), atol=1e-6)
    one.after_step(1.0)
    assert torch.allclose(follower - before, torch.tensor(0.03), atol=1e-6), "at the end it stands still"


def test_a_follower_has_left_its_beginning_behind_after_the_300_batches_of_a_small_budget() -> None:
    follower, learner = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(follower.weight)
    torch.nn.init.zeros_(learner.weight)
    for step in range(300):
        follow(follower, learner, step / 300)
    assert 0.005 < follower.weight.item() < 0.015


def test_the_centre_moves_a_tenth_of_the_way_in_training_and_not_when_it_is_validated(cache: PictureCache) -> None:
    task = Dino(cache, OPTIONS, turns=True)
    with torch.no_grad():
        task.loss(np.random.default_rng(0))
        assert not task.module.centre.any()
        task._found = torch.arange(256.0).repeat(3, 1)
        task.after_step(0.0)
    assert torch.allclose(task.module.centre[0], 0.1 * torch.arange(256.0))
    assert "centre" in arrays_of(task.module), "a checkpoint has it"


def test_what_the_follower_says_of_everything_alike_is_taken_off_by_the_centre(cache: PictureCache) -> None:
    """A follower that prefers one prototype whatever it sees teaches nothing once the centre has it."""
    task = Dino(cache, OPTIONS, turns=True)
    task.module.eval()
    with torch.no_grad():
        task.module.follower.forward = lambda pictures: torch.eye(256)[:1].repeat(len(pictures), 1)
        task.module.learner.forward = task.module.follower.forward
        told = float(task.loss(np.random.default_rng(0)))
        task.module.centre.copy_(torch.eye(256)[:1])
        centred = float(task.loss(np.random.default_rng(0)))
    assert told < 0.1
    assert centred > 5, "every prototype is wanted alike, and the learner says one of 256"


@pytest.mark.parametrize("how", ["byol", "dino"])
def test_it_doesnt_end_by_saying_the_same_of_everything(cache: PictureCache, tmp_path: Path, how: SelfSupervision) -> None:
    options = replace(OPTIONS, steps=15, pretrain_epochs=1, width=8)
    task = SELF_SUPERVISED[how](cache, options, turns=True)
    trained_encoder(task, options, tmp_path, "k")
    network = task.module.eval().learner
    seen = torch.from_numpy(np.stack([surface(k, (64, 64))[None] for k in range(30, 42)]).astype(np.float32))
    bright = (seen - cache.mean[0]) / cache.deviation[0]
    with torch.no_grad():
        said = network(torch.cat([bright, bright.transpose(2, 3)])).numpy()
    directions = said - said.mean(axis=0)
    upright, lying = directions[:12].mean(axis=0), directions[12:].mean(axis=0)
    within = np.linalg.norm(directions[:12] - upright, axis=1).mean()
    assert np.linalg.norm(upright - lying) > 0.5 * within, "upright stripes and lying ones are told apart"


def test_views_are_squares_of_a_share_of_the_cut_out_in_multiples_of_32_px() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 1), np.uint8)
    rng = np.random.default_rng(0)
    assert views(rng, pictures, 2).shape == (6, 160, 160, 1)
    assert views(rng, pictures, 4, 0.4).shape == (12, 96, 96, 1)
    assert views(rng, pictures[:, :64, :64], 1, 0.1).shape == (3, 32, 32, 1)
