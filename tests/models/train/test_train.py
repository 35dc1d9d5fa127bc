"""From a set to a bundle that every engine runs: the same after a kill -9, and equal to what PyTorch computes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: scripts/test --all installs it")

import torch
from support.sets import as_frame, save
from support.trainings import good_frame, network_request, request, surface, surfaces

from edge.config.bundle import Bundle
from edge.config.line import ModelConfig
from edge.engines.open import open_engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.errors import UserError
from edge.frames import AnomalyMap
from edge.models.fit.continued import plan_of
from edge.models.fit.fit import FitRun, fit_to_bundle
from edge.models.sets.frame_set import FrameSet
from edge.models.sets.used import fitted_on
from edge.models.train.checkpoint import Epoch
from edge.models.train.frame_roles import roles_of
from edge.models.train.fused_graph import ENOUGH_LABELS, LABELLED_WEIGHT, LEARNED_WEIGHT, RawMaps, fused_graph
from edge.models.train.go_on import as_fitted
from edge.models.train.head import DefectHead, load
from edge.models.train.loop import train_head
from edge.models.train.train import Trained, TrainRequest, TrainRun, train
from edge.models.train.write_trained import write_trained

ENGINES = ["onnx"]
with contextlib.suppress(ImportError):
    import openvino  # noqa: F401  (here and not in a test: its telemetry starts a thread that stays)

    ENGINES.append("openvino")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    root = tmp_path_factory.mktemp("set")
    return train(surfaces(root, bad=4), request(epochs=8), root / "x.training", TrainRun(test=False))


@pytest.fixture(scope="module")
def bundle(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundles") / "x"
    return write_trained(folder, trained, request(epochs=8).options, "the set")


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_shows_the_defect_where_it_is(bundle: Bundle, name: str) -> None:
    engine = open_engine(ModelConfig(bundle=bundle.folder, engine=name, precision="fp32"), bundle)
    good = surface(77, (160, 128))
    bad = good.copy()
    bad[40:64, 80:104] //= 3
    maps = []
    for pixels in (good, bad):
        amap = to_map(as_frame(pixels), engine, ready_workspace(engine.bundle))
        assert isinstance(amap, AnomalyMap)
        maps.append(amap.values.copy())
    engine.close()
    assert maps[0].shape == (16, 20)
    assert maps[1].max() > 2 * maps[0].max()
    row, column = np.unravel_index(maps[1].argmax(), maps[1].shape)
    assert 32 <= row * 8 + 4 <= 72
    assert 72 <= column * 8 + 4 <= 112


def test_the_exported_head_agrees_with_pytorch(trained: Trained) -> None:
    head = DefectHead(trained.weights.width, trained.weights.hidden)
    load(head, trained.weights.arrays)
    for seed in range(3):
        picture = surface(60 + seed, (130, 99))[:, :, None]
        features = (trained.memory.vectors(picture) - trained.weights.mean) / trained.weights.deviation
        planes = torch.from_numpy(features.transpose(2, 0, 1)[None].copy())
        with torch.no_grad():
            expected = head(planes, torch.ones(1, 1, *features.shape[:2]))[0, 0].numpy()
        _, logits = RawMaps(trained.memory, trained.weights).of(picture)
        np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_the_bundle_says_how_it_came_to_be_and_what_it_has_seen(bundle: Bundle, trained: Trained) -> None:
    made = bundle.spec.provenance
    assert (made["method"], made["preset"], made["plan"]["method"]) == ("train", "minute", "memory")
    assert made["frames"]["good"] == 12
    assert made["frames"]["defects"] == made["frames"]["validated_defects"] == 2
    assert made["kept"]["real_auroc"] is not None
    assert len(fitted_on(bundle)) == 16 + 4, "later steps refuse every frame that it has seen, defects too"
    outputs = [o.name for o in onnx.load(bundle.model_path).graph.output]
    assert outputs == ["map", "score", "embedding"]


def test_a_training_goes_on_from_a_fitted_and_from_a_trained_bundle(bundle: Bundle, tmp_path: Path) -> None:
    source = surfaces(tmp_path / "set")
    good = [source.read(frame) for frame in source.frames[:6]]
    fit = request().fit
    fitted = fit_to_bundle(good, tmp_path / "fitted", request().fit, run=FitRun(test=False))
    for base in (fitted, bundle):
        asked = request(epochs=1)
        folder = tmp_path / f"{base.folder.name}.training"
        on = train(source, type(asked)(fit, asked.options, base), folder, TrainRun(test=False))
        assert on.plan.options.backbone == Path("gabor")
        assert on.gathered.statistics.frames == 16
        assert fitted_on(base) <= fitted_on(
            write_trained(tmp_path / f"{base.folder.name}-on", on, asked.options, "the set")
        )
        assert on.headless == (base is bundle)


@pytest.mark.parametrize("unseen", [True, False])
def test_a_head_that_has_seen_what_is_validated_on_is_not_gone_on_from(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unseen: bool
) -> None:
    starts: list[object] = []

    def watched(*arguments: Any, **more: Any) -> Any:
        starts.append(more["start"])
        return train_head(*arguments, **more)

    monkeypatch.setattr("edge.models.train.loop.train_head", watched)
    frames = tuple(good_frame(tmp_path, 300 * unseen + number, number // 2) for number in range(16))
    asked = request(epochs=1, seed=5)
    request_on = type(asked)(asked.fit, asked.options, bundle)
    on = train(FrameSet(tmp_path, tmp_path, frames), request_on, tmp_path / "t", TrainRun(test=False))
    note = "the bundle that it went on from has seen frames that are validated on now: its head is not taken over"
    assert (starts[0] is not None, note in on.notes) == (unseen, not unseen)


def test_a_head_of_another_shape_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    asked = request(hidden=16)
    with pytest.raises(UserError) as caught:
        train(surfaces(tmp_path), type(asked)(asked.fit, asked.options, bundle), tmp_path / "t")
    assert str(caught.value) == (
        f"{bundle.folder / 'head.npz'}: the head is of another shape\n"
        "  received: 50 features and 8 channels\n"
        "  expected: 50 features and 16 channels\n"
        "  fix: give the --backbone and --layers of the first training; a training can begin without --from"
    )


def test_a_bundle_of_another_method_is_refused(tmp_path: Path) -> None:
    source = surfaces(tmp_path)
    good = [source.read(frame) for frame in source.frames]
    pixel = fit_to_bundle(good, tmp_path / "pixel", method="pixel", run=FitRun(test=False))
    asked = request()
    with pytest.raises(UserError) as caught:
        train(source, type(asked)(asked.fit, asked.options, pixel), tmp_path / "t")
    assert str(caught.value) == (
        f"{tmp_path / 'pixel'}: not a bundle that a training can go on from\n"
        "  received: method pixel\n"
        "  expected: a bundle of edge fit --method memory, or of edge train\n"
        "  fix: fit one: edge fit FRAMES -o BUNDLE --method memory; or train without --from"
    )


_RUN = """
import sys
from dataclasses import replace
from pathlib import Path
from support.trainings import drawn_request, network_request, request, surfaces
from edge.models.train.train import TrainRun, train
root = Path(sys.argv[1])
run = TrainRun(resume=True, test=False, epoch=lambda epoch: print(epoch.number, flush=True))
network = {"epochs": 6, "ssl": "masked"}
made = {"head": request, "drawn": drawn_request}.get(sys.argv[2])
asked = network_request(**network) if made is None else made(epochs=6)
if asked.options.ssl:
    asked = replace(asked, frames=surfaces(root / "line"))
done = train(surfaces(root), asked, root / "t", run)
(root / "head.npz").write_bytes(done.weights.to_bytes())
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("after", [0, 2])
def test_a_run_killed_at_any_moment_goes_on_to_the_same_weights(tmp_path: Path, after: int) -> None:
    whole = train(surfaces(tmp_path / "whole"), request(epochs=6), tmp_path / "whole" / "t", TrainRun(test=False))
    folder = tmp_path / "killed"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parents[2])])}
    command = [sys.executable, "-c", _RUN, str(folder), "head"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        if after:
            while process.stdout.readline().strip() != str(after):
                assert process.poll() is None
        else:
            while not (folder / "t").exists() and process.poll() is None:
                time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=500)
    assert done.stdout.split()[-1] == "6"
    assert len(done.stdout.split()) <= 6 - after
    assert (folder / "head.npz").read_bytes() == whole.weights.to_bytes()


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("what", ["head", "drawn", "network"])
def test_ten_kills_at_random_moments_change_nothing(tmp_path: Path, what: str) -> None:
    folder, rng = tmp_path / "killed", np.random.default_rng(time.time_ns())
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parents[2])])}
    command = [sys.executable, "-c", _RUN, str(folder), what]
    began = time.monotonic()
    subprocess.run([*command[:-2], str(tmp_path / "whole"), what], check=True, env=environment)
    lasts = time.monotonic() - began
    for _ in range(10):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
            time.sleep(rng.uniform(0.2, 1.0) * lasts)
            process.send_signal(signal.SIGKILL)
    subprocess.run(command, check=True, env=environment)
    assert (folder / "head.npz").read_bytes() == (tmp_path / "whole" / "head.npz").read_bytes()


@pytest.mark.parametrize(("asked", "name"), [(request(), "fill_cache"), (network_request(), "fill_pictures")])
def test_a_full_disk_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: TrainRequest, name: str
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "t" / "pixels"))

    monkeypatch.setattr(f"edge.models.train.learn_defects.{name}", full)
    with pytest.raises(UserError) as caught:
        train(surfaces(tmp_path), asked, tmp_path / "t", TrainRun(test=False))
    assert str(caught.value) == (
        f"{tmp_path / 't' / 'pixels'}: the training cannot go on: No space left on device\n"
        "  fix: make room, then give the same command with --resume: it goes on from the last epoch"
    )


def test_a_run_that_begins_anew_leaves_nothing_of_an_earlier_one_to_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, folder = surfaces(tmp_path), tmp_path / "t"
    train(source, request(epochs=1), folder, TrainRun(test=False))

    class KilledError(Exception):
        pass

    def kill(*_arguments: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("edge.models.train.learn_defects.fill_cache", kill)
        with pytest.raises(KilledError):
            train(source, request(epochs=2), folder, TrainRun(test=False))
    assert len(train(source, request(epochs=2), folder, TrainRun(resume=True, test=False)).history) == 2


def test_unusable_frames_to_validate_on_are_said_before_the_training(tmp_path: Path) -> None:
    source, asked = surfaces(tmp_path), request()
    epochs: list[Epoch] = []
    for frame in roles_of(source, asked.options.seed, labels=True).validated_good:
        (tmp_path / frame.file).write_bytes(b"no picture")
    with pytest.raises(UserError) as caught:
        train(source, asked, tmp_path / "t", TrainRun(test=False, epoch=epochs.append))
    assert str(caught.value) == (
        "too few good frames of other parts to validate on\n  received: 0 that can be used\n  expected: at least 2"
    )
    assert epochs == []


def test_a_label_with_an_empty_mask_does_not_help_the_head_to_count_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class MeasuredError(Exception):
        pass

    def measured(*_arguments: Any, weight: float, **_more: Any) -> None:
        raise MeasuredError(weight)

    monkeypatch.setattr("edge.models.train.train.measure_trained", measured)
    monkeypatch.setattr("edge.models.train.train.learn_defects", lambda *_: SimpleNamespace(weights=None))
    source, asked = surfaces(tmp_path, bad=20), request()
    masks = [tmp_path / str(frame.mask) for frame in roles_of(source, 0, labels=True).defects]
    assert len(masks) == ENOUGH_LABELS
    for expected in (LABELLED_WEIGHT, LEARNED_WEIGHT):
        with pytest.raises(MeasuredError) as caught:
            train(source, asked, tmp_path / "t", TrainRun(test=False))
        assert caught.value.args == (expected,)
        save(masks[3], np.zeros((96, 112), np.uint8))


def test_edge_fit_does_not_go_on_from_a_trained_bundle_as_if_it_had_no_head(bundle: Bundle) -> None:
    with pytest.raises(UserError, match="not a bundle that can be continued"):
        plan_of(bundle, "y")
    assert plan_of(as_fitted(bundle), "y").method == "memory"


@pytest.fixture(scope="module")
def networked(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    root = tmp_path_factory.mktemp("set")
    asked = network_request()
    return train(surfaces(root, bad=4), asked, root / "x.training", TrainRun(test=False))


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("alone", [False, True])
def test_every_engine_runs_a_network_with_and_without_the_memory(
    networked: Trained, tmp_path: Path, name: str, alone: bool
) -> None:
    graph = fused_graph(networked.memory, networked.weights, networked.scales, alone=alone)
    options = network_request(alone=alone).options
    made = write_trained(tmp_path / "x", replace(networked, graph=graph), options, "the set")
    engine = open_engine(ModelConfig(bundle=made.folder, engine=name, precision="fp32"), made)
    amap = to_map(as_frame(surface(77, (160, 128))), engine, ready_workspace(engine.bundle))
    assert isinstance(amap, AnomalyMap)
    assert amap.values.shape == ((32, 40) if alone else (16, 20))
    engine.close()
    assert made.spec.map_to_image == ((4, 4, 0, 0) if alone else (8, 8, 0, 0))
    assert ("nearest of a bank" in made.spec.provenance["formula"]) == (not alone)
    assert made.spec.provenance["preset"] == "hour"


def test_a_network_is_trained_on_from_its_bundle_and_left_behind_where_it_has_seen_the_judges(
    networked: Trained, tmp_path: Path
) -> None:
    asked = network_request(epochs=1, steps=1)
    made = write_trained(tmp_path / "x", networked, asked.options, "the set")
    assert sorted({"network.npz", "training.json"} & set(made.spec.files)) == ["network.npz", "training.json"]
    frames = tuple(good_frame(tmp_path, 300 + number, number // 2) for number in range(16))
    pretrained: list[Epoch] = []
    run = TrainRun(test=False, pretrained=pretrained.append)
    on = train(FrameSet(tmp_path, tmp_path, frames), replace(asked, base=made), tmp_path / "t", run)
    assert pretrained == []
    assert not on.headless
    unlabelled = FrameSet(tmp_path, tmp_path, frames)
    pretrained_too = replace(asked, base=made, frames=unlabelled, options=replace(asked.options, ssl="masked"))
    with pytest.raises(UserError) as caught:
        train(unlabelled, pretrained_too, tmp_path / "p", run)
    assert str(caught.value) == (
        "--pretrain: the network that this goes on from has begun already\n"
        f"  received: --from {made.folder}, which has one of its own\n"
        "  expected: one of both\n"
        "  fix: leave out --pretrain, or train without --from"
    )
    other = train(FrameSet(tmp_path, tmp_path, frames), replace(request(), base=made), tmp_path / "v", run)
    assert other.notes[-1] == (
        "the bundle that it went on from has a network and this trains a head anew: --start backbone goes on with it"
    )
    seen = train(surfaces(tmp_path / "again"), replace(asked, base=made), tmp_path / "u", TrainRun(test=False))
    assert seen.headless
    assert any("its network is not taken over" in note for note in seen.notes)
    assert seen.plan.options.backbone == Path("gabor"), "pose, backbone and memory come from the bundle anyway"


def test_a_network_that_is_killed_while_its_encoder_learns_goes_on_to_the_same_weights(
    networked: Trained, tmp_path: Path
) -> None:
    class KilledError(Exception):
        pass

    def kill(_epoch: Epoch) -> None:
        raise KilledError

    source, asked = surfaces(tmp_path, bad=4), network_request()
    for run in (TrainRun(pretrained=kill), TrainRun(epoch=kill, resume=True)):
        with pytest.raises(KilledError):
            train(source, asked, tmp_path / "t", run)
    resumed = train(source, asked, tmp_path / "t", TrainRun(test=False, resume=True))
    assert resumed.weights.to_bytes() == networked.weights.to_bytes()
    assert resumed.history == networked.history


def test_unlabelled_frames_of_the_line_are_learned_from_and_count_as_seen(tmp_path: Path) -> None:
    line = FrameSet(tmp_path, tmp_path, tuple(good_frame(tmp_path, 400 + number, number) for number in range(8)))
    asked = replace(network_request(ssl="masked", align="coral", epochs=1), frames=line, factory=line)
    pretrained: list[Epoch] = []
    run = TrainRun(test=False, pretrained=pretrained.append)
    done = train(surfaces(tmp_path / "set"), asked, tmp_path / "t", run)
    assert len(pretrained) == 1
    assert len(done.used) == 16 + 8
    few = replace(asked, frames=FrameSet(tmp_path, tmp_path, line.frames[:3]))
    with pytest.raises(UserError) as caught:
        train(surfaces(tmp_path / "set"), few, tmp_path / "u", run)
    assert str(caught.value) == (
        f"{tmp_path}: too few unlabelled frames\n"
        "  received: 3 that can be used\n"
        "  expected: at least 8; some hundreds are worth it"
    )
