"""A head of the frozen backbone sees new defects in each epoch, the same ones for the same seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: scripts/test --all installs it")

from support.trainings import drawn_request, remembered, surface, surfaces

from edge.errors import UserError
from edge.models.train.crops import Crops, Drawn
from edge.models.train.drawn_features import DrawnFeatures, kept_features
from edge.models.train.feature_cache import FeatureCache, fill_cache
from edge.models.train.head_weights import HEAD, HeadWeights
from edge.models.train.options import is_network, preset_options
from edge.models.train.picture_cache import DrawnPicture, PictureCache, fill_pictures
from edge.models.train.train import TrainRun, train
from edge.models.train.write_trained import write_trained

OPTIONS = drawn_request().options


def pictures(folder: Path) -> PictureCache:
    clean = np.zeros((96, 112), np.bool_)
    made = [DrawnPicture("train", "good", "good", surface(k)[:, :, None], clean) for k in range(6)]
    made += [DrawnPicture("validation", "good", "good", surface(9)[:, :, None], clean)]
    return fill_pictures(folder, "k", made)


@pytest.fixture
def kept(tmp_path: Path) -> tuple[PictureCache, FeatureCache]:
    memory, of = remembered(), pictures(tmp_path)
    return of, fill_cache(tmp_path, "k", memory.width, kept_features(of, memory))


def test_each_epoch_has_defects_of_its_own_and_the_same_ones_again(kept: tuple[PictureCache, FeatureCache]) -> None:
    memory, (of, cache) = remembered(), kept
    drawn = DrawnFeatures(of, memory, cache, replace(OPTIONS, steps=6))
    first, again, other = (list(drawn.batches(epoch)) for epoch in (0, 0, 1))
    assert len(first) == 6
    grid = memory.vectors(of.picture(of.kept[0])).shape
    assert first[0].features.shape == (2, memory.width, *grid[:2])
    assert first[0].targets.shape == first[0].valid.shape == (2, 1, *grid[:2])
    assert all(
        (a.features == b.features).all() and (a.targets == b.targets).all() for a, b in zip(first, again, strict=True)
    )
    defects = [
        {float(one.targets[k].sum()) for one in batches for k in range(2) if one.targets[k].any()}
        for batches in (first, other)
    ]
    assert defects[0]
    assert defects[1]
    assert not defects[0] & defects[1]


def test_features_are_those_of_the_backbone_on_one_scale(
    kept: tuple[PictureCache, FeatureCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, (of, cache) = remembered(), kept
    seen: list[Drawn] = []

    class Watched(Crops):
        def one(self, *arguments: Any) -> Drawn:
            seen.append(super().one(*arguments))
            return seen[-1]

    monkeypatch.setattr("edge.models.train.drawn_features.Crops", Watched)
    drawn = DrawnFeatures(of, memory, cache, replace(OPTIONS, batch=8))
    seen.clear()
    batch = next(drawn.batches(0))
    assert {one.kept is None for one in seen} == {True, False}
    for row, one in enumerate(seen):
        if one.kept is None:
            expected = (memory.vectors(np.ascontiguousarray(one.picture)) - cache.mean) / cache.deviation
        else:
            expected = cache.standardised(cache.samples[of.kept.index(one.kept)])
        np.testing.assert_allclose(batch.features[row].numpy().transpose(1, 2, 0), expected, rtol=1e-5, atol=1e-5)
        assert batch.targets[row].any() == one.mask.any()


def test_hour_is_a_head_unless_an_option_is_of_a_network() -> None:
    assert not is_network(preset_options("hour"))
    assert is_network(preset_options("night"))
    for given in ({"alone": True}, {"mixstyle": 0.5}, {"ssl": "masked"}, {"start": "backbone"}, {"start": "fresh"}):
        assert is_network(preset_options("hour", **given))
    with pytest.raises(UserError) as caught:
        preset_options("hour", start="frozen", alone=True)
    assert str(caught.value) == (
        "--start frozen: --alone is of a network of its own\n"
        "  received: the frozen backbone, whose head has no such option\n"
        "  expected: --start backbone or --start fresh, or neither"
    )


def test_the_bundle_has_a_head_and_a_resumed_run_ends_with_the_same(tmp_path: Path) -> None:
    source, asked = surfaces(tmp_path, bad=4), drawn_request()
    whole = train(source, asked, tmp_path / "whole", TrainRun(test=False))
    assert isinstance(whole.weights, HeadWeights)
    made = write_trained(tmp_path / "x", whole, asked.options, "the set")
    assert HEAD in made.spec.files
    assert made.spec.provenance["preset"] == "hour"

    class KilledError(Exception):
        pass

    def kill(_: object) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        train(source, asked, tmp_path / "t", TrainRun(test=False, epoch=kill))
    resumed = train(source, asked, tmp_path / "t", TrainRun(resume=True, test=False))
    assert resumed.weights.to_bytes() == whole.weights.to_bytes()
    assert resumed.history == whole.history
