"""A bundle whose backbone came from a file goes on with that file alone: it is asked for, and another one is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.trainings import surface

from edge.config.bundle import Bundle, load_bundle
from edge.errors import UserError
from edge.models.backbone.open import open_backbone
from edge.models.backbone.write_backbone import write_backbone
from edge.models.fit.continued import (
    add_frames,
    backbone_file,
    backbone_of,
    fit_like,
    merge_bundles,
    plan_of,
    statistics_of,
)
from edge.models.fit.fit import FitRun, fit_to_bundle, write_fit
from edge.models.fit.fit_plan import FitRequest
from edge.models.fit.protocol import MethodOptions
from edge.models.frame_sequence import FrameSequence
from edge.models.good_frames import good_frames
from edge.storage.pictures import write_png

QUICK = FitRun(test=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("file")
    write_backbone(open_backbone(Path("gabor"), 1), folder / "net.onnx")
    for name, first in (("good", 0), ("more", 20)):
        (folder / name).mkdir()
        for seed in range(first, first + 8):
            write_png(folder / name / f"{seed}.png", surface(seed))
    options = MethodOptions(backbone=folder / "net.onnx", vectors=150)
    frames = FrameSequence.of(good_frames(folder / "good"))
    fit_to_bundle(frames, folder / "b", method="memory", pose="texture", options=options)
    return folder


@pytest.fixture
def bundle(place: Path) -> Bundle:
    return load_bundle(place / "b")


def more(place: Path) -> FrameSequence:
    return FrameSequence.of(good_frames(place / "more"))


def asked(backbone: Path | None) -> FitRequest:
    return FitRequest("grown", options=MethodOptions(backbone=backbone))


def test_it_is_asked_for_by_its_name(bundle: Bundle, place: Path) -> None:
    assert backbone_file(bundle) == "net.onnx"
    words = (
        f"{place / 'b'}: its backbone is a file, which bundles don't keep\n"
        "  received: no --backbone\n"
        "  expected: --backbone net.onnx, the one that it was made with"
    )
    for attempt in (
        lambda: plan_of(bundle, "x"),
        lambda: add_frames(place / "b", more(place), asked(None), QUICK),
        lambda: fit_like(place / "b", more(place), asked(None), QUICK),
        lambda: merge_bundles((place / "b", place / "b"), "x", QUICK),
    ):
        with pytest.raises(UserError) as caught:
            attempt()
        assert str(caught.value) == words


def test_another_network_is_refused_though_its_layers_have_the_same_names(bundle: Bundle, place: Path) -> None:
    with pytest.raises(UserError) as caught:
        fit_like(place / "b", more(place), asked(Path("gabor")), QUICK)
    sha256 = bundle.spec.provenance["backbone"]["file_sha256"]
    assert str(caught.value) == (
        f"--backbone gabor: another network than that of {place / 'b'}\n"
        "  received: Gabor filters, without weights\n"
        f"  expected: net.onnx, {sha256}\n"
        "  fix: give the --backbone of the first fit"
    )


def test_a_file_that_is_missing_is_said_where_it_is_needed_and_where_it_is_not(bundle: Bundle, place: Path) -> None:
    with pytest.raises(UserError, match=r"--backbone: there is no file .*nothere\.onnx"):
        backbone_of(bundle, place / "nothere.onnx")
    plain = fit_to_bundle(
        FrameSequence.of(good_frames(place / "good")), place / "residual", method="residual", pose="texture"
    )
    for given in (place / "nothere.onnx", Path("gabor")):
        with pytest.raises(UserError) as caught:
            add_frames(plain.folder, more(place), asked(given), QUICK)
        assert str(caught.value) == (
            f"--backbone {given}: nothing asks for it\n"
            f"  received: {plain.folder}, which was made without a backbone\n"
            "  expected: a bundle of edge fit --method memory, or of edge train\n"
            "  fix: leave --backbone out"
        )


def test_layers_are_those_of_the_first_fit_though_a_file_has_the_same_weights(bundle: Bundle, place: Path) -> None:
    assert plan_of(bundle, "x", place / "net.onnx").options.layers == ("cells",)
    made = bundle.spec.provenance | {"layers": ["stride64 (stride 64, 9 wide)"]}
    other = replace(bundle, spec=bundle.spec.model_copy(update={"provenance": made}))
    with pytest.raises(UserError, match=r"--layers: .*net\.onnx has no layer stride64"):
        statistics_of(other, plan_of(other, "x", place / "net.onnx"))


def test_with_it_the_bundle_grows_and_merges(place: Path, tmp_path: Path) -> None:
    net = tmp_path / "moved.onnx"
    shutil.copy(place / "net.onnx", net)  # its hash says what it is, not its name
    grown = write_fit(tmp_path / "grown", add_frames(place / "b", more(place), asked(net), QUICK), "more")
    assert grown.spec.provenance["frames"] == 16
    fitted = fit_like(place / "b", more(place), asked(net), QUICK)
    write_fit(tmp_path / "other", fitted, "more")
    merged = merge_bundles((place / "b", tmp_path / "other"), "both", QUICK, net)
    assert merged.gathered.statistics.frames == 16


def test_where_edge_has_the_network_nothing_is_asked(tmp_path: Path, place: Path) -> None:
    frames = FrameSequence.of(good_frames(place / "good"))
    options = MethodOptions(backbone=Path("gabor"), vectors=150)
    own = fit_to_bundle(frames, tmp_path / "own", method="memory", pose="texture", options=options)
    assert backbone_file(own) is None
    assert plan_of(own, "x").options.backbone == Path("gabor")
    plain = fit_to_bundle(frames, tmp_path / "plain", method="pixel", pose="texture")
    assert backbone_file(plain) is None
    assert plan_of(plain, "x").options.backbone is None
