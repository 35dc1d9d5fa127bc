"""`tent` for a bundle with a head: its input is standardised anew, and nothing else of the graph changes."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from onnx import numpy_helper
from support.sets import as_frame, save, vote
from support.trainings import bundle_with_head, surface

from edge.config.bundle import Bundle
from edge.errors import UserError
from edge.models import graphs
from edge.models.fit.fit import STATISTICS
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.train.fused_graph import fused_graph
from edge.models.train.head_weights import HEAD
from edge.models.train.shifted_head import measured_anew
from edge.models.train.trained_halves import trained_halves
from edge.shift import bundle_trial
from edge.shift.adaptation import adapt, write_proposal
from edge.shift.answers import add_normals, feature_moments, tent
from edge.shift.answers.protocol import NotOffered, Situation
from edge.shift.answers.table import answers_of
from edge.shift.answers.taps import tapped
from edge.shift.subject import open_subject

DIM = [surface(900 + k)[:, :, None] // 2 for k in range(6)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle_with_head(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tent, "find_spec", lambda _: None)


def situation(bundle: Bundle) -> Situation:
    return Situation(bundle, [as_frame(picture[:, :, 0]) for picture in DIM], DIM, None, "", None)


def constants(model: Any) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


@pytest.mark.usefixtures("no_torch")
def test_without_torch_the_statistics_alone_move_and_the_graph_keeps_its_nodes(bundle: Bundle, tmp_path: Path) -> None:
    proposal = tent.propose(situation(bundle))
    assert proposal.summary.startswith("statistics of the head's 50 features moved by ")
    assert proposal.summary.endswith("deviations; the entropy step needs torch")
    old, new = graphs.load_model(bundle.model_path), proposal.model
    assert new is not None
    assert [node.SerializeToString() for node in new.graph.node] == [node.SerializeToString() for node in old.graph.node]
    before, after = constants(old), constants(new)
    changed = {name.removeprefix("edge/memory/") for name in before if not np.array_equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("head_mix") for name in changed)
    written = write_proposal(tmp_path / "v2", proposal, bundle)
    assert written.sha256 != bundle.sha256
    halves, was = trained_halves(written), trained_halves(bundle)
    grids = [was.memory.vectors(picture) for picture in DIM]
    expected, _ = measured_anew(was.head, grids, 6 / (6 + tent.PRIOR_FRAMES))
    np.testing.assert_array_equal(halves.head.mean, expected.mean)
    np.testing.assert_array_equal(halves.head.deviation, expected.deviation)
    assert halves.scales == was.scales


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed: scripts/test --all installs it")
def test_with_torch_the_graph_has_what_the_entropy_step_left(bundle: Bundle, tmp_path: Path) -> None:
    proposal = tent.propose(situation(bundle))
    assert proposal.summary.endswith("nats in 20 steps")
    assert proposal.model is not None
    halves = trained_halves(write_proposal(tmp_path / "v2", proposal, bundle))
    expected, _ = measured_anew(trained_halves(bundle).head, [halves.memory.vectors(p) for p in DIM], 6 / 22)
    assert 0 < np.abs(halves.head.deviation / expected.deviation - 1).max() < 0.05
    found = graphs.run_graph(graphs.session(proposal.model, "x"), DIM[0][None])["map"]
    same = graphs.session(fused_graph(halves.memory, halves.head, halves.scales), "y")
    np.testing.assert_allclose(found, graphs.run_graph(same, DIM[0][None])["map"], atol=1e-4)


def test_without_its_memory_a_head_cannot_be_taken_up(bundle: Bundle) -> None:
    files = {name: sha256 for name, sha256 in bundle.spec.files.items() if name != STATISTICS}
    bare = replace(bundle, spec=bundle.spec.model_copy(update={"files": files}))
    with pytest.raises(NotOffered, match="keeps no statistics"):
        tent.propose(situation(bare))


def test_of_a_bundle_whose_graph_was_moved_it_says_where_the_head_is(bundle: Bundle, tmp_path: Path) -> None:
    at = replace(situation(bundle), lab=[surface(k)[:, :, None] for k in range(4)])
    moved = write_proposal(tmp_path / "v2", feature_moments.propose(at), bundle)
    assert HEAD not in moved.spec.files  # with its memory's statistics: they would make the old graph
    with pytest.raises(NotOffered, match="keeps its head no more: another answer moved its graph"):
        tent.propose(situation(moved))


def test_moments_move_what_the_memory_compares_and_not_what_the_head_sees(bundle: Bundle) -> None:
    at = replace(situation(bundle), lab=[surface(k)[:, :, None] for k in range(4)])
    proposal = feature_moments.propose(at)
    assert proposal.model is not None
    names = ["edge/memory/head_logits", "edge/memory/distance_map"]
    before, after = (next(tapped(model, names, DIM[:1])) for model in (at.graph, proposal.model))
    np.testing.assert_array_equal(after[0], before[0])
    assert after[1].mean() < 0.8 * before[1].mean()


@pytest.mark.usefixtures("no_torch")
def test_edge_adapt_measures_it_on_frames_that_it_never_saw(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_trial, "_DRAWS", 1)  # few pasted defects: what is seen of them is for test_adaptation
    monkeypatch.setattr(bundle_trial, "_PASTED_INTO", 1)
    monkeypatch.setattr(bundle_trial, "examined", lambda *_: None)
    frames = []
    for number in range(16):
        file, side = f"{number:02d}.png", "adapt" if number < 6 else "calibrate"
        save(tmp_path / "set" / file, surface(900 + number) // 2)
        frames.append(SetFrame(file, part=f"p{number}", side=side, votes=(vote(file),)))
    source = FrameSet(tmp_path / "set", tmp_path / "set", tuple(frames))
    damaged = UserError("statistics.npz: damaged", fix="copy the bundle again")
    monkeypatch.setattr(add_normals, "propose", Mock(side_effect=damaged))
    given = Mock(side_effect=tent.measured_anew)
    monkeypatch.setattr(tent, "measured_anew", given)
    done = adapt(open_subject(bundle.folder), source, answers_of(["normalise", "add-1", "tent"]))
    normalise, ended, tented = done.tried
    assert ended.why_not == str(damaged)  # and the others go on
    assert [one.file for one in done.factory.adapt] == [f"{number:02d}.png" for number in range(6)]
    assert [one.file for one in done.factory.threshold] == [f"{number:02d}.png" for number in range(6, 16)]
    halves, pictures = trained_halves(bundle), [surface(900 + number)[:, :, None] // 2 for number in range(6)]
    for grid, picture in zip(given.call_args.args[1], pictures, strict=True):
        np.testing.assert_array_equal(grid, halves.memory.vectors(picture))
    assert tented.trial is not None, tented.why_not
    assert tented.trial.frames == 10
    assert normalise.why_not != "the bundle keeps no pictures of the lab: give --lab SET"  # it keeps those of its memory
