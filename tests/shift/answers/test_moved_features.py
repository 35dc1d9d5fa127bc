"""Answers that move pictures or features bring their statistics to the lab's, within bounds, and say why they can't."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.factories import frames_in, lab_bundle, parts

from edge.config.bundle import Bundle
from edge.disturb.corruptions import CORRUPTIONS
from edge.models import graphs
from edge.shift.adaptation import as_graph_takes
from edge.shift.answers import coral, feature_moments, normalise
from edge.shift.answers.protocol import NotOffered, Proposal, Situation
from edge.shift.answers.taps import features, place_taps, shared_tap, tapped, weight

DARKER = CORRUPTIONS["brightness"].steady(-20, 1)
BLURRED = CORRUPTIONS["defocus"].steady(1.2, 1)


def situation(bundle: Bundle, folder: Path, change: Any, *, lab: bool = True, count: int = 10) -> Situation:
    frames = frames_in(parts(folder / "factory", count, 5000, change))
    known = frames_in(parts(folder / "lab", 8, 3000))
    pictures = [as_graph_takes(frame, bundle) for frame in frames]
    return Situation(
        bundle,
        frames,
        [picture for picture in pictures if picture is not None],
        [as_graph_takes(frame, bundle) for frame in known] if lab else None,  # type: ignore[misc]
        "the bundle keeps no pictures of the lab: give --lab SET",
        None,
    )


def maps(proposal: Proposal, pictures: Sequence[Any]) -> list[Any]:
    assert proposal.model is not None
    session = graphs.session(proposal.model, "x")
    return [graphs.run_graph(session, picture[None])["map"][0] for picture in pictures]


@pytest.fixture(scope="module")
def pixel(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return lab_bundle(tmp_path_factory.mktemp("pixel"), "pixel", test=False)


@pytest.fixture(scope="module")
def residual(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return lab_bundle(tmp_path_factory.mktemp("residual"), test=False)


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return lab_bundle(tmp_path_factory.mktemp("memory"), "memory", test=False, backbone=Path("gabor"), vectors=200)


def test_normalise_gives_darker_frames_the_labs_mean_and_spread(pixel: Bundle, tmp_path: Path) -> None:
    at = situation(pixel, tmp_path, DARKER)
    proposal = normalise.propose(at)
    assert proposal.summary.startswith("gain 1.2")
    gain, offset = normalise.gain_and_offset(at.known_lab(), at.pictures)
    plain = graphs.session(at.graph, "x")
    for picture, found in zip(at.pictures[:3], maps(proposal, at.pictures[:3]), strict=True):
        lifted = np.rint(np.clip(picture.astype(np.float32) * gain + offset, 0, 255)).astype(np.uint8)
        assert np.array_equal(found, graphs.run_graph(plain, lifted[None])["map"][0])
        assert proposal.model is not None
        (seen,) = normalise.normalised(proposal.model, [picture])
        assert np.array_equal(seen, lifted)  # what an entropy step of the model behind it gets
    assert at.graph is not proposal.model
    assert normalise.normalised(at.graph, at.pictures) is at.pictures


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda picture: picture, "mean and spread are the lab's already"),
        (CORRUPTIONS["brightness"].steady(-50, 3), "more than may be normalised away"),
    ],
)
def test_normalise_is_bounded_and_does_nothing_without_need(pixel: Bundle, tmp_path: Path, change: Any, text: str) -> None:
    at = situation(pixel, tmp_path, change)
    lab = at.pictures if "already" in text else at.lab
    with pytest.raises(NotOffered, match=text):
        normalise.propose(Situation(at.bundle, at.frames, at.pictures, lab, "", None))


def test_without_pictures_of_the_lab_it_is_said_how_to_give_some(pixel: Bundle, memory: Bundle, tmp_path: Path) -> None:
    at = situation(pixel, tmp_path, DARKER, lab=False)
    with pytest.raises(NotOffered, match="give --lab SET"):
        normalise.propose(at)


@pytest.mark.parametrize("method", ["pixel", "residual"])
def test_moments_take_the_factorys_mean_at_every_place(
    method: str, pixel: Bundle, residual: Bundle, tmp_path: Path
) -> None:
    bundle = {"pixel": pixel, "residual": residual}[method]
    at = situation(bundle, tmp_path, BLURRED)
    proposal = feature_moments.propose(at)
    assert proposal.model is not None
    taps = place_taps(at.graph, method)
    assert len(taps) == {"pixel": 1, "residual": 3}[method]
    for tap in taps:
        values = [value for (value,) in tapped(at.graph, [tap.tensor], at.pictures)]
        own = weight(proposal.model, tap.mean)
        assert np.allclose(own, np.mean(values, axis=0).reshape(own.shape), atol=2e-3)
        assert not np.allclose(weight(at.graph, tap.mean), weight(proposal.model, tap.mean), atol=0.5)
    before = graphs.session(at.graph, "x")
    fresh = [as_graph_takes(frame, bundle) for frame in frames_in(parts(tmp_path / "fresh", 4, 6000, BLURRED))]
    frozen = np.mean([graphs.run_graph(before, picture[None])["map"].max() for picture in fresh if picture is not None])
    moved = np.mean([found.max() for found in maps(proposal, [picture for picture in fresh if picture is not None])])
    assert moved < {"pixel": 1.0, "residual": 0.75}[method] * frozen  # the pixel model's parts move about


def test_moments_bring_shared_features_to_the_labs_mean_and_spread(memory: Bundle, tmp_path: Path) -> None:
    at = situation(memory, tmp_path, BLURRED)
    proposal = feature_moments.propose(at)
    assert proposal.model is not None
    tap = shared_tap(at.graph, "memory")
    assert tap is not None
    lab = features(at.graph, tap, at.known_lab())
    after = features(proposal.model, replace(tap, tensor="edge/moments/moved_features"), at.pictures)
    assert np.abs(after.mean(axis=0) - lab.mean(axis=0)).max() < 1e-4
    ratio = after.std(axis=0) / lab.std(axis=0)
    assert np.median(ratio) == pytest.approx(1, abs=1e-3)
    assert maps(proposal, at.pictures[:1])[0].shape == maps(Proposal("", at.copy(), memory.spec), at.pictures[:1])[0].shape


def test_coral_of_few_frames_is_refused_by_its_gate(memory: Bundle, tmp_path: Path) -> None:
    at = situation(memory, tmp_path, BLURRED, count=20)
    with pytest.raises(NotOffered, match=r"20 frames can't tell the covariance of 50 components: at least 50 frames"):
        coral.propose(at)


def test_coral_brings_the_covariance_to_the_labs_where_frames_suffice(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="Ledoit and Wolf need the extra report: pip install 'edge-inspect[report]'")
    bundle = lab_bundle(tmp_path, "cells", test=False)
    at = situation(bundle, tmp_path, BLURRED, count=12)
    proposal = coral.propose(at)
    assert proposal.model is not None
    tap = shared_tap(at.graph, "cells")
    assert tap is not None
    lab = features(at.graph, tap, at.known_lab())
    before = features(at.graph, tap, at.pictures)
    after = features(proposal.model, replace(tap, tensor="edge/coral/moved_features"), at.pictures)
    wanted = np.cov(lab.T)
    assert np.linalg.norm(np.cov(after.T) - wanted) < 0.1 * np.linalg.norm(np.cov(before.T) - wanted)
    assert np.allclose(after.mean(axis=0), lab.mean(axis=0), atol=1e-2)


def test_per_pixel_deviations_have_no_covariance_to_align(residual: Bundle, tmp_path: Path) -> None:
    with pytest.raises(NotOffered, match="only features that share one space"):
        coral.propose(situation(residual, tmp_path, BLURRED))


def test_a_graph_that_was_moved_can_be_moved_again(memory: Bundle, pixel: Bundle, tmp_path: Path) -> None:
    at = situation(memory, tmp_path, BLURRED)
    first = feature_moments.propose(at).model
    assert first is not None
    again = Situation(memory, at.frames, at.pictures, at.lab, "", None)
    again.__dict__["graph"] = first
    second = feature_moments.propose(again).model
    assert second is not None
    once, twice = (graphs.run_graph(graphs.session(m, "x"), at.pictures[0][None])["map"] for m in (first, second))
    assert np.allclose(once, twice, atol=1e-3)  # the first move is replaced by the same one
    lifted = normalise.propose(situation(pixel, tmp_path, DARKER))
    assert lifted.model is not None
    normalise.put_in_front(lifted.model, np.ones(1, np.float32), np.zeros(1, np.float32), 8)
    plain = maps(Proposal("", situation(pixel, tmp_path, DARKER).copy(), pixel.spec), at.pictures[:1])
    assert np.array_equal(maps(lifted, at.pictures[:1])[0], plain[0])
