"""A head of the frozen backbone sees new defects in each epoch, the same ones for the same seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: scripts/test --all installs it")

from support.trainings import drawn_request, good_frame, remembered, request, seeded_head, surface, surfaces

from edge.disturb.synthetic import SYNTHETIC
from edge.errors import UserError
from edge.models.sets.frame_set import FrameSet
from edge.models.train.crops import Crops, DrawnRegion
from edge.models.train.drawn_features import DrawnFeatures, kept_features
from edge.models.train.feature_cache import FeatureCache, fill_cache
from edge.models.train.fused_graph import fused_graph
from edge.models.train.head_weights import HEAD, HeadWeights
from edge.models.train.learn_defects import learn_defects
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


def test_each_epoch_has_pictures_of_its_own_and_the_same_ones_again(kept: tuple[PictureCache, FeatureCache]) -> None:
    memory, (of, cache) = remembered(), kept
    drawn = DrawnFeatures(of, memory, cache, replace(OPTIONS, crop=96), turns=True)
    first, again, other = (list(drawn.batches(epoch)) for epoch in (0, 0, 1))
    assert len(first) == OPTIONS.steps
    whole = memory.vectors(surface(0)[:, :, None]).shape[:2]
    assert first[0].features.shape == (2, memory.width, *whole), "96x112 px are less than one and a half times 96"
    assert first[0].targets.shape == first[0].valid.shape == first[0].counted.shape == (2, 1, *whole)
    assert all(
        (a.features == b.features).all() and (a.targets == b.targets).all() for a, b in zip(first, again, strict=True)
    )
    assert not (first[0].features == other[0].features).all()


def test_features_are_those_of_the_backbone_on_one_scale(
    kept: tuple[PictureCache, FeatureCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, (of, cache) = remembered(), kept
    seen: list[DrawnRegion] = []

    class Watched(Crops):
        def region(self, *arguments: Any) -> DrawnRegion:
            seen.append(super().region(*arguments))
            return seen[-1]

    monkeypatch.setattr("edge.models.train.drawn_features.Crops", Watched)
    batch = next(DrawnFeatures(of, memory, cache, OPTIONS, turns=True).batches(0))
    expected = (memory.vectors(seen[-1].picture) - cache.mean) / cache.deviation
    np.testing.assert_allclose(batch.features[1].numpy().transpose(1, 2, 0), expected, rtol=1e-5, atol=1e-5)


def test_targets_lie_where_the_backbone_sees_a_defect(kept: tuple[PictureCache, FeatureCache]) -> None:
    memory, (of, cache) = remembered(), kept
    options = replace(OPTIONS, batch=64, without=tuple(kind for kind in SYNTHETIC if kind != "blob"))
    batch = next(DrawnFeatures(of, memory, cache, options, turns=True).batches(0))
    defective = [row for row in range(64) if batch.targets[row].max() > 0.5]
    assert 0 < len(defective) < 64
    # a blob is told by features near its targets that lie farther from the mean than elsewhere
    far = batch.features.abs().mean(dim=1)
    apart = [float(far[k][batch.targets[k, 0] > 0.5].mean() / far[k][batch.targets[k, 0] == 0].mean()) for k in defective]
    assert np.median(apart) > 1.1
    assert float((batch.counted <= batch.valid).float().min()) == 1
    assert 0 < float((batch.valid - batch.counted)[defective].mean()) < 0.8, "some places count for nothing"
    clean = [row for row in range(64) if batch.targets[row].max() == 0 and batch.counted[row].min() == 1]
    assert len(clean) > 10, "all of a good picture counts"


def test_validated_defects_count_where_they_show(kept: tuple[PictureCache, FeatureCache], tmp_path: Path) -> None:
    clean, mask = np.zeros((96, 112), np.bool_), np.zeros((96, 112), np.bool_)
    mask[30:62, 40:72] = True
    good = surface(9)[:, :, None]
    faint, strong = good, good.copy()
    strong[mask] = 20
    made = [DrawnPicture("validation", "good", "good", good, clean)]
    made += [DrawnPicture("validation", "synthetic", "blob", one, mask) for one in (faint, strong)]
    found = list(kept_features(fill_pictures(tmp_path, "v", made), remembered()))
    assert [one.group for one in found] == ["good", "synthetic"], "what no feature shows is not judged by"
    targets = found[1].targets
    assert targets is not None
    assert np.nanmax(targets) == 1
    assert np.isnan(targets).any()


@pytest.mark.parametrize(("made", "preset"), [(drawn_request, "hour"), (request, "minute")])
def test_mixed_and_aligned_features_leave_the_graph_as_it_is_and_a_resumed_run_ends_with_the_same(
    tmp_path: Path, made: Any, preset: str
) -> None:
    source, line = surfaces(tmp_path / "set", bad=4), tmp_path / "line"
    seen = FrameSet(line, line, tuple(good_frame(line, 400 + number, number) for number in range(8)))
    more = {"mixstyle": 0.5, "mixup": 0.2, "align": "coral", "randaugment": 1, "curriculum": True, "epochs": 2}
    asked = replace(made(**more), factory=seen)
    whole = train(source, asked, tmp_path / "whole", TrainRun(test=False))
    assert isinstance(whole.weights, HeadWeights)
    plain = fused_graph(whole.memory, seeded_head(whole.weights.width, whole.weights.hidden), whole.scales)
    assert [node.op_type for node in whole.graph.graph.node] == [node.op_type for node in plain.graph.node]
    assert len(whole.used) == len(source) + 8, "the line's frames count as seen"
    bundle = write_trained(tmp_path / "x", whole, asked.options, "the set")
    assert HEAD in bundle.spec.files
    assert bundle.spec.provenance["preset"] == preset

    class KilledError(Exception):
        pass

    def kill(_: object) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        train(source, asked, tmp_path / "t", TrainRun(test=False, epoch=kill))
    resumed = train(source, asked, tmp_path / "t", TrainRun(resume=True, test=False))
    assert resumed.weights.to_bytes() == whole.weights.to_bytes()
    assert resumed.history == whole.history


def test_a_backbone_of_one_size_is_refused_before_anything_is_drawn() -> None:
    net = SimpleNamespace(size=(320, 240), backbone=SimpleNamespace(what="fixed.onnx"))
    learning: Any = SimpleNamespace(memory=SimpleNamespace(net=net), frames=None, factory=None)
    with pytest.raises(UserError) as caught:
        learn_defects(learning, OPTIONS, None)
    assert str(caught.value) == (
        "--preset hour: its cut-outs don't fit the backbone\n"
        "  received: fixed.onnx, which takes pictures of 320x240 px alone\n"
        "  expected: a backbone of open size, such as lite0\n"
        "  fix: --start fresh makes a network of its own; --preset minute needs no cut-outs"
    )
