"""Answers that make a model anew, look at several views, or measure norm layers: what they do, and when they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.factories import HEIGHT, WIDTH, frames_in, lab_bundle, parts
from support.graphs import write_identity_bundle

from edge.config.bundle import Bundle
from edge.disturb.corruptions import CORRUPTIONS
from edge.errors import UserError
from edge.models import graphs
from edge.models.backbone.open import open_backbone
from edge.models.backbone.write_backbone import write_backbone
from edge.models.fit.continued import plan_of, statistics_of
from edge.models.sets.used import content_id, fitted_on
from edge.shift.adaptation import as_graph_takes, write_proposal
from edge.shift.answers import add_normals, factory_alone, tent, threshold, views
from edge.shift.answers.protocol import NotOffered, Situation
from edge.shift.answers.views import View, with_views

BLURRED = CORRUPTIONS["defocus"].steady(1.2, 1)


@pytest.fixture(scope="module")
def residual(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return lab_bundle(tmp_path_factory.mktemp("residual"), test=False)


def situation(bundle: Bundle, folder: Path, count: int = 6, test: dict[str, Any] | None = None) -> Situation:
    frames = frames_in(parts(folder / "factory", count, 5000, BLURRED))
    pictures: list[Any] = [as_graph_takes(frame, bundle) for frame in frames]
    return Situation(bundle, frames, pictures, None, "give --lab SET", test)


@pytest.mark.parametrize("weight", [1, 3])
def test_added_frames_count_as_often_as_they_are_said_to_and_are_known_as_used(
    weight: int, residual: Bundle, tmp_path: Path
) -> None:
    at = situation(residual, tmp_path)
    proposal = add_normals.propose(at, weight=weight)
    assert proposal.keeps_statistics
    new = write_proposal(tmp_path / "v2", proposal, residual)
    plan = plan_of(new, "v2")
    assert statistics_of(new, plan).statistics.frames == 20 + 6 * weight
    assert new.spec.provenance["frames"] == 20 + 6 * weight
    assert new.sha256 != residual.sha256
    assert new.spec.files["register.png"] == residual.spec.files["register.png"]
    assert fitted_on(new) == fitted_on(residual) | {content_id(frame.pixels) for frame in at.frames}
    assert proposal.summary == f"6 frames{', each 3 times,' if weight == 3 else ''} added to 20"


def test_a_refit_knows_the_factorys_frames_alone(residual: Bundle, tmp_path: Path) -> None:
    at = situation(residual, tmp_path)
    new = write_proposal(tmp_path / "v2", factory_alone.propose(at), residual)
    assert new.spec.provenance["frames"] == 6
    assert fitted_on(new) == {content_id(frame.pixels) for frame in at.frames}
    with pytest.raises(NotOffered, match="4 frames are too few for a model of their own: at least 5"):
        factory_alone.propose(Situation(residual, at.frames[:4], at.pictures[:4], None, "", None))


def test_a_backbone_of_a_file_is_asked_for_and_used(tmp_path: Path) -> None:
    write_backbone(open_backbone(Path("gabor"), 1), tmp_path / "net.onnx")
    made = lab_bundle(tmp_path, "memory", frames=8, test=False, backbone=tmp_path / "net.onnx", vectors=60)
    at = situation(made, tmp_path)
    words = "the bundle's backbone is a file, which it doesn't keep: give --backbone net.onnx"
    for answer in (lambda: add_normals.propose(at, weight=1), lambda: factory_alone.propose(at)):
        with pytest.raises(NotOffered) as caught:
            answer()
        assert str(caught.value) == words
    at.backbone = tmp_path / "net.onnx"
    for proposal, frames in ((add_normals.propose(at, weight=1), 14), (factory_alone.propose(at), 6)):
        assert proposal.spec.provenance["frames"] == frames
        assert proposal.spec.provenance["backbone"] == made.spec.provenance["backbone"]
    at.backbone = Path("gabor")
    with pytest.raises(UserError, match="--backbone gabor: another network than that of"):
        plan_of(made, "x", at.backbone)


def test_frames_cannot_be_added_to_a_model_from_elsewhere(tmp_path: Path, residual: Bundle) -> None:
    other = write_identity_bundle(tmp_path / "other", size=(WIDTH, HEIGHT))
    at = situation(residual, tmp_path)
    foreign = Situation(other, at.frames, at.pictures, None, "", None)
    for answer in (lambda: add_normals.propose(foreign, weight=1), lambda: factory_alone.propose(foreign)):
        with pytest.raises(NotOffered, match="the model isn't of edge fit"):
            answer()


def test_a_new_threshold_leaves_the_model_as_it_is(residual: Bundle, tmp_path: Path) -> None:
    at = situation(residual, tmp_path)
    new = write_proposal(tmp_path / "v2", threshold.propose(at), residual)
    assert new.sha256 == residual.sha256


TURNS = {
    "flip_left_right": lambda p: p[:, ::-1],
    "flip_up_down": lambda p: p[::-1],
    "turn_180": lambda p: p[::-1, ::-1],
}


@pytest.mark.parametrize("how", ["mean", "max"])
def test_views_give_the_mean_or_the_highest_of_the_maps_turned_back(how: Any, residual: Bundle, tmp_path: Path) -> None:
    at = situation(residual, tmp_path, 3)
    chosen = [views.VIEWS[name] for name in TURNS]
    model = with_views(at.copy(), chosen, how, undo_shifts=True)
    plain, viewed = graphs.session(at.graph, "x"), graphs.session(model, "x")
    for picture in at.pictures:
        own = [graphs.run_graph(plain, picture[None])["map"][0]]
        own += [
            turn(graphs.run_graph(plain, np.ascontiguousarray(turn(picture))[None])["map"][0]) for turn in TURNS.values()
        ]
        expected = np.mean(own, axis=0) if how == "mean" else np.max(own, axis=0)
        assert np.allclose(graphs.run_graph(viewed, picture[None])["map"][0], expected, atol=1e-4)


def test_a_shifted_view_is_shifted_back(residual: Bundle, tmp_path: Path) -> None:
    at = situation(residual, tmp_path, 3)
    model = with_views(at.copy(), [View(shift=(1, 0))], "max", undo_shifts=True)
    plain, viewed = graphs.session(at.graph, "x"), graphs.session(model, "x")
    picture = at.pictures[0]
    moved = np.concatenate([picture[:1], picture[:-1]])
    back = graphs.run_graph(plain, moved[None])["map"][0]
    back = np.concatenate([back[1:], back[-1:]])
    expected = np.maximum(graphs.run_graph(plain, picture[None])["map"][0], back)
    assert np.allclose(graphs.run_graph(viewed, picture[None])["map"][0], expected, atol=1e-4)


def changes(**allowed: bool) -> dict[str, Any]:
    return {"changes": [{"change": name, "allowed": word} for name, word in allowed.items()]}


def test_only_views_that_the_self_test_allows_are_taken(residual: Bundle, tmp_path: Path) -> None:
    allowed = changes(flip_left_right=False, shift_1_px_down=True, turn_180=True)
    proposal = views.propose(situation(residual, tmp_path, 3, allowed), "mean")
    assert proposal.summary == "mean of 3 views: as it is, shift_1_px_down, turn_180"
    assert write_proposal(tmp_path / "v2", proposal, residual).sha256 != residual.sha256


@pytest.mark.parametrize(
    ("test", "text"),
    [
        (None, "the bundle has no self_test.json"),
        (changes(flip_up_down=False), "the self-test allows no flip and no shift"),
    ],
)
def test_without_an_allowed_view_there_is_none(test: Any, text: str, residual: Bundle, tmp_path: Path) -> None:
    with pytest.raises(NotOffered, match=text):
        views.propose(situation(residual, tmp_path, 3, test), "max")


def norm_model(mean: Sequence[float] = (0.0, 0.0), variance: Sequence[float] = (1.0, 1.0)) -> onnx.ModelProto:
    """One channel in; two norm layers one after the other; the map is the highest of two channels."""

    def weights(name: str, values: Any) -> onnx.TensorProto:
        return numpy_helper.from_array(np.asarray(values, np.float32), name)

    nodes = [
        helper.make_node("Cast", ["frame"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["plane"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["plane", "kernel"], ["features"]),
        helper.make_node("BatchNormalization", ["features", "one", "zero", "mean", "variance"], ["normal"]),
        helper.make_node("BatchNormalization", ["normal", "one", "zero", "mean2", "variance2"], ["again"]),
        helper.make_node("ReduceMax", ["again"], ["map"], axes=[1], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "norms",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["n", HEIGHT, WIDTH, 1])],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, ["n", HEIGHT, WIDTH])],
        [
            weights("kernel", np.array([1.0, -0.5])[:, None, None, None]),
            *(weights(name, values) for name, values in (("one", [1, 1]), ("zero", [0, 0]), ("mean", mean))),
            *(weights(name, values) for name, values in (("variance", variance), ("mean2", [0, 0]), ("variance2", [1, 1]))),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_norm_statistics_of_a_trained_network_are_measured_anew_layer_by_layer(residual: Bundle, tmp_path: Path) -> None:
    other = write_identity_bundle(tmp_path / "other", size=(WIDTH, HEIGHT))
    at = situation(residual, tmp_path, 16)
    trained = Situation(other, at.frames, at.pictures, None, "", None)
    trained.__dict__["graph"] = norm_model()
    proposal = tent.propose(trained)
    assert proposal.model is not None
    assert proposal.summary.startswith("statistics of 2 norm layers moved by ")
    assert "the entropy step needs a network of edge train" in proposal.summary
    pixels = np.stack(at.pictures).astype(np.float64)
    share = 16 / (16 + tent.PRIOR_FRAMES)
    found = {t.name: numpy_helper.to_array(t) for t in proposal.model.graph.initializer}
    mean, variance = share * pixels.mean(), (1 - share) + share * pixels.var()
    assert found["mean"] == pytest.approx([mean, -0.5 * mean], rel=1e-3)
    assert found["variance"][0] == pytest.approx(variance, rel=1e-3)
    left = (pixels.mean() - mean) / np.sqrt(variance)  # what the first layer leaves is what the second one gets
    assert found["mean2"][0] == pytest.approx(share * left, rel=1e-2)


def test_tent_is_refused_for_one_class_scores_and_for_networks_without_norms(residual: Bundle, tmp_path: Path) -> None:
    at = situation(residual, tmp_path, 3)
    with pytest.raises(NotOffered, match=r"a one-class score \(residual\) has no classes whose entropy could fall"):
        tent.propose(at)
    other = write_identity_bundle(tmp_path / "other", size=(WIDTH, HEIGHT))
    with pytest.raises(NotOffered, match="no normalisation layers left to measure"):
        tent.propose(Situation(other, at.frames, at.pictures, None, "", None))


def test_statistics_of_a_moved_graph_are_not_kept(residual: Bundle, tmp_path: Path) -> None:
    from edge.shift.answers import feature_moments

    new = write_proposal(tmp_path / "v2", feature_moments.propose(situation(residual, tmp_path)), residual)
    assert "statistics.npz" not in new.spec.files  # they would make the old model again
    assert "register.png" in new.spec.files
