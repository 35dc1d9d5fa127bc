"""``edge fit`` from files to a bundle: the same model for any number of workers, grown or merged; mistakes are said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.config.bundle import Bundle, load_bundle
from edge.config.line import ModelConfig
from edge.config.sources import SyntheticConfig
from edge.engines.open import open_engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.errors import UserError
from edge.frames import AnomalyMap, Frame, FrameMeta, Unmapped
from edge.models.fit.contamination import are_left_out
from edge.models.fit.continued import add_frames, fit_like, merge_bundles
from edge.models.fit.fit import Fit, FitRun, fit, fit_to_bundle, write_fit
from edge.models.fit.fit_plan import FitRequest
from edge.models.frame_sequence import FrameSequence
from edge.models.good_frames import good_frames
from edge.sources.synthetic.parts import synthetic_part
from edge.storage.pictures import write_png

SIDE = 128
NO_TEST = FitRun(test=False)


def part(index: int, *, bad: bool = False, side: int = SIDE, preset: Any = "pinned") -> Any:
    config = SyntheticConfig(kind="synthetic", preset=preset, width=side, height=side, defect_rate=float(bad))
    return synthetic_part(config, index)


def frame(index: int, *, bad: bool = False, side: int = SIDE) -> Frame:
    meta = FrameMeta(index, "counted", side, side, "Mono8", 0, 0, frame_ref=f"{index:03d}.png")
    return Frame(meta, part(index, bad=bad, side=side).pixels)


def frames_in(folder: Path) -> FrameSequence:
    return FrameSequence.of(good_frames(folder))


def write_folder(folder: Path, indices: Any) -> Path:
    folder.mkdir(parents=True)
    for index in indices:
        write_png(folder / f"{index:04d}.png", part(index).pixels)
    return folder


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 good frames as files."""
    return write_folder(tmp_path_factory.mktemp("fit") / "good", range(24))


@pytest.fixture(scope="module")
def whole(good: Path) -> Fit:
    """The fit of all of them in one process, tested."""
    return fit(frames_in(good), FitRequest("b"))


@pytest.fixture(scope="module")
def tested(whole: Fit, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_fit(tmp_path_factory.mktemp("bundles") / "b", whole, FitRequest("b").source)


def model_bytes(bundle: Any) -> dict[str, str]:
    return {name: sha for name, sha in bundle.spec.files.items() if name != "self_test.png"}


def test_the_default_registers_and_says_why(tested: Bundle) -> None:
    made, register = tested.spec.provenance, tested.spec.register_
    assert (made["method"], made["pose"], made["frames"]) == ("residual", "fixed", 24)
    assert made["why"].startswith("16 of the first 16 frames lie alike: they agree by ")
    assert register is not None
    assert (register.reference, register.map_times_gain) == ("register.png", True)
    assert set(tested.spec.files) == {"model.onnx", "register.png", "statistics.npz", "self_test.json", "self_test.png"}


def test_the_engine_gives_the_map_in_the_frames_own_place(good: Path, tmp_path: Path) -> None:
    bundle = fit_to_bundle(frames_in(good), tmp_path / "b", run=NO_TEST)
    engine = open_engine(ModelConfig(bundle=bundle.folder, engine="onnx"), bundle)
    work, hits = ready_workspace(bundle), 0
    for index in range(40, 60):
        made = part(index, bad=True)
        amap = to_map(frame(index, bad=True), engine, work)
        assert isinstance(amap, AnomalyMap)
        y, x = np.unravel_index(amap.values[2:-2, 2:-2].argmax(), (SIDE - 4, SIDE - 4))
        hits += any(
            d.bbox_xyxy[0] - 4 <= x + 2 < d.bbox_xyxy[2] + 4 and d.bbox_xyxy[1] - 4 <= y + 2 < d.bbox_xyxy[3] + 4
            for d in made.defects
        )
    assert hits >= 18
    moved = np.roll(part(70).pixels, 30, axis=1)
    told = to_map(Frame(frame(70).meta, moved), engine, work)
    assert isinstance(told, Unmapped)
    assert told.reason == "part_out_of_place"
    engine.close()


def test_any_number_of_workers_gives_the_same_bundle(
    good: Path, tested: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.models.fit.fit.SHARD_FRAMES", 7)
    for workers in (1, 2):
        other = fit_to_bundle(frames_in(good), tmp_path / f"w{workers}", run=FitRun(workers=workers))
        assert other.spec.files == tested.spec.files
        assert other.sha256 == tested.sha256


def test_halves_that_share_the_reference_merge_to_the_whole(good: Path, tmp_path: Path) -> None:
    names = sorted(p.name for p in good.iterdir())
    for half, chosen in (("a", names[:16]), ("b", names[16:])):
        (tmp_path / half).mkdir()
        for name in chosen:
            (tmp_path / half / name).write_bytes((good / name).read_bytes())
    whole = fit_to_bundle(frames_in(good), tmp_path / "whole", run=NO_TEST)
    first = fit_to_bundle(frames_in(tmp_path / "a"), tmp_path / "first", run=NO_TEST)
    second = write_fit(
        tmp_path / "second",
        fit_like(first.folder, frames_in(tmp_path / "b"), FitRequest("second"), NO_TEST),
        "b",
    )
    merged = write_fit(tmp_path / "merged", merge_bundles((first.folder, second.folder), "merged", NO_TEST), "a and b")
    grown = write_fit(
        tmp_path / "grown", add_frames(first.folder, frames_in(tmp_path / "b"), FitRequest("grown"), NO_TEST), "b"
    )
    assert merged.spec.files["model.onnx"] == grown.spec.files["model.onnx"] == whole.spec.files["model.onnx"]
    assert merged.spec.provenance["frames"] == grown.spec.provenance["frames"] == 24


def test_bundles_of_other_references_are_not_merged(good: Path, tmp_path: Path) -> None:
    first = fit_to_bundle(frames_in(good), tmp_path / "first", run=NO_TEST)
    second = fit_to_bundle([frame(k) for k in range(30, 40)], tmp_path / "second", run=NO_TEST)
    with pytest.raises(UserError) as caught:
        merge_bundles((first.folder, second.folder), "c", NO_TEST)
    text = str(caught.value)
    assert text.startswith(f"{first.folder} and {second.folder} cannot be merged: they differ in their reference picture\n")
    assert f"fix: fit the second on its frames with --like {first.folder}" in text


def test_a_bundle_of_edge_build_cannot_be_continued(tmp_path: Path) -> None:
    from support.graphs import write_identity_bundle

    bundle = write_identity_bundle(tmp_path / "built")
    with pytest.raises(UserError) as caught:
        merge_bundles((bundle.folder, bundle.folder), "c", NO_TEST)
    assert str(caught.value).startswith(f"{bundle.folder}: not a bundle that can be continued\n")


def test_defective_frames_among_the_good_are_listed_and_left_out() -> None:
    frames = [frame(k, bad=k in (5, 17, 23), side=192) for k in range(40)]
    fitted = fit(frames, FitRequest("x"), FitRun(leave_out=True))
    listed = {outlier.name for outlier in fitted.outliers}
    assert len(listed & {"005.png", "017.png", "023.png"}) >= 2
    assert len(listed - {"005.png", "017.png", "023.png"}) <= 1
    assert set(fitted.left_out_names) == listed
    assert fitted.gathered.statistics.frames == 40 - len(listed)


@pytest.mark.parametrize(
    ("share", "outliers", "frames", "is_left"),
    [
        (0.02, 3, 411, True),
        (0.02, 9, 411, False),  # more than a few: somebody should look
        (0.02, 1, 6, True),  # one is few in any set that is left with enough
        (0.02, 1, 5, False),
        (0.02, 0, 60, False),
        (0.0, 1, 60, False),
        (1.0, 30, 31, True),
    ],
)
def test_a_few_frames_that_do_not_belong_are_left_out_and_many_ask_for_a_look(
    share: float, outliers: int, frames: int, is_left: bool
) -> None:
    assert are_left_out(share, outliers, frames, least=5) is is_left


def test_held_out_scores_are_what_the_line_would_see_of_these_frames(good: Path, whole: Fit, tmp_path: Path) -> None:
    """Registered, left out of the model, and the map moved back: a threshold of them is one of calibration."""
    for index in (3, 11):
        assert whole.plan.spec.register_ is not None
        others = FitRequest("y", method="residual")
        write_fit(tmp_path / "first", whole, "good", force=True)
        left = [name for name in sorted(p.name for p in good.iterdir()) if name != f"{index:04d}.png"]
        folder = tmp_path / f"without{index}"
        folder.mkdir()
        for name in left:
            (folder / name).write_bytes((good / name).read_bytes())
        like = fit_like(tmp_path / "first", frames_in(folder), others, NO_TEST)
        bundle = write_fit(tmp_path / f"b{index}", like, "left")
        engine = open_engine(ModelConfig(bundle=bundle.folder, engine="onnx"), bundle)
        amap = to_map(frame(index), engine, ready_workspace(bundle))
        engine.close()
        assert isinstance(amap, AnomalyMap)
        assert whole.scores[index].maximum == pytest.approx(float(amap.values.max()), rel=0.05)


def test_the_self_test_says_what_is_found_and_what_is_not(tested: Bundle) -> None:
    told = json.loads((tested.folder / "self_test.json").read_text())
    recall = {(cell["kind"], cell["size_px"], cell["contrast"]): cell["recall"] for cell in told["cells"]}
    assert all(cell["pasted"] >= 20 for cell in told["cells"])
    assert recall["spot", 8, 0.35] == 1.0
    assert recall["dent", 4, 0.04] < 0.3
    by_contrast = [sum(v for k, v in recall.items() if k[2] == c) for c in (0.04, 0.06, 0.08, 0.12, 0.2, 0.35)]
    assert by_contrast == sorted(by_contrast)
    assert any(line.startswith("spots of >= ") for line in told["sentences"])
    changes = {change["change"]: change["allowed"] for change in told["changes"]}
    assert changes["shift_1_px_across"], "the registration takes it out"
    sheet = cv2.imread(str(tested.folder / "self_test.png"))
    assert sheet is not None
    assert sheet.shape[2] == 3


def test_the_self_test_changes_no_identity(good: Path, tested: Bundle, tmp_path: Path) -> None:
    bare = fit_to_bundle(frames_in(good), tmp_path / "bare", run=NO_TEST)
    assert tested.sha256 == bare.sha256
    assert load_bundle(tested.folder).sha256 == tested.sha256


@pytest.mark.parametrize(
    ("frames", "options", "text"),
    [
        (
            lambda: [frame(k) for k in range(3)],
            {},
            "the frames: too few good frames to fit on\n  received: 3 that can be used\n"
            "  expected: at least 5; 20 to 100 make a steady model",
        ),
        (
            lambda: [frame(1)] * 6,
            {},
            "the frames: all frames are the same picture\n  received: 6 copies of one\n"
            "  expected: frames of different good parts, so that it shows how good parts differ\n"
            "  fix: record again: the camera repeats its picture, or one file was copied",
        ),
        (
            lambda: [Frame(frame(k).meta, np.full((SIDE, SIDE), 255, np.uint8)) for k in range(6)],
            {},
            "the frames: all frames are the same picture\n  received: 6 copies of one, clipped: white all over\n"
            "  expected: frames of different good parts, so that it shows how good parts differ\n"
            "  fix: reduce exposure, and record again",
        ),
        (
            lambda: [frame(0), frame(1, side=160)],
            {"pose": "fixed"},
            "the frames: frames of a fixed pose must have one size\n  received: 001.png is 160x160, 000.png is 128x128\n"
            "  expected: frames of one camera setting\n"
            "  fix: fit on frames of one size, give --size W,H to bring them to one, or say --pose texture",
        ),
        (list, {}, "the frames: no good frame to fit on\n  expected: pictures, a recording or a video of good parts"),
        (
            lambda: [frame(0)],
            {"method": "residaul"},
            "--method: there is no such method\n  received: residaul\n  expected: residual, memory, cells, pixel\n"
            "  fix: did you mean residual?",
        ),
    ],
)
def test_what_a_user_may_get_wrong_is_said(frames: Any, options: Any, text: str) -> None:
    with pytest.raises(UserError) as caught:
        fit(frames(), FitRequest("x", **options))
    assert str(caught.value) == text


def test_a_bad_picture_a_part_elsewhere_and_clipping_are_noted(good: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for path in sorted(good.iterdir())[:8]:
        (mixed / path.name).write_bytes(path.read_bytes())
    (mixed / "0100.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    write_png(mixed / "0101.png", np.roll(part(1).pixels, 40, axis=0))
    bright = part(2).pixels.copy()
    bright[:4] = 255
    write_png(mixed / "0102.png", bright)
    notes = fit(frames_in(mixed), FitRequest("x"), NO_TEST).gathered.notes
    assert notes.unreadable == ["0100.png"]
    assert [name for name, _ in notes.out_of_place] == ["0101.png"]
    assert notes.clipped == 1


def test_frames_that_show_nothing_to_register_by_are_taken_as_they_lie() -> None:
    rng = np.random.default_rng(0)
    frames = [Frame(frame(k).meta, rng.normal(120, 2, (SIDE, SIDE)).astype(np.uint8)) for k in range(8)]
    plan = fit(frames, FitRequest("x", pose="fixed"), NO_TEST).plan
    assert plan.reference is None
    assert plan.spec.register_ is None
    assert "nothing to register by" in plan.why
