"""``edge fit`` by memory from files to a bundle that every engine runs, on pictures of any size."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.config.line import ModelConfig
from edge.disturb.flaws import KINDS
from edge.engines.open import open_engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.errors import UserError
from edge.frames import AnomalyMap, Frame, FrameMeta
from edge.models.fit.continued import add_frames
from edge.models.fit.fit import FitRun, fit, fit_to_bundle, write_fit
from edge.models.fit.fit_plan import FitRequest
from edge.models.fit.protocol import MethodOptions
from edge.models.frame_sequence import FrameSequence
from edge.models.good_frames import good_frames
from edge.storage.pictures import write_png

ENGINES = ["onnx"]
with contextlib.suppress(ImportError):
    import openvino  # noqa: F401  (here and not in a test: its telemetry starts a thread that stays)

    ENGINES.append("openvino")
OPTIONS = MethodOptions(backbone=Path("gabor"), vectors=300)


def texture(seed: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Upright stripes that begin anywhere, with noise."""
    rng = np.random.default_rng(seed)
    x = np.arange(size[0]) + rng.uniform(0, 8)
    return np.clip(120 + 30 * np.sin(x * np.pi / 4) + rng.normal(0, 4, (size[1], size[0])), 0, 255).astype(np.uint8)


def frame(pixels: NDArray[np.uint8]) -> Frame:
    return Frame(FrameMeta(0, "counted", pixels.shape[1], pixels.shape[0], "Mono8", 0, 0), pixels)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Of ten good pictures, each of a size of its own."""
    root = tmp_path_factory.mktemp("memory")
    (root / "good").mkdir()
    for seed in range(10):
        write_png(root / "good" / f"{seed}.png", texture(seed, (150 + 7 * seed, 120 + 5 * seed)))
    frames = FrameSequence.of(good_frames(root / "good"))
    return fit_to_bundle(frames, root / "bundle", run=FitRun(test=False), pose="texture", options=OPTIONS)


def test_frames_go_in_at_their_own_scale_and_the_map_follows(bundle: Bundle) -> None:
    spec = bundle.spec
    assert (spec.input.size, spec.resize.where, spec.map_size) == ("any", "none", None)
    assert spec.map_to_image == (8.0, 8.0, 0.0, 0.0)
    assert spec.provenance["method"] == "memory"
    assert spec.provenance["backbone"] == {"name": "gabor", "backbone": "Gabor filters, without weights"}
    assert spec.provenance["frames_of_another_size"] == 0, "each is taken at its own size: none was resized"
    assert spec.display.threshold is not None


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_shows_the_defect_where_it_is(bundle: Bundle, name: str) -> None:
    engine = open_engine(ModelConfig(bundle=bundle.folder, engine=name, precision="fp32"), bundle)
    for size in ((160, 128), (203, 97)):
        good = texture(77, size)
        bad = good.copy()
        bad[40:72, 80:112] = good[40:72, 80:112].T
        maps = []
        for pixels in (good, bad):
            amap = to_map(frame(pixels), engine, ready_workspace(engine.bundle))
            assert isinstance(amap, AnomalyMap)
            assert amap.values.shape == (size[1] // 8, size[0] // 8)
            maps.append(amap.values.copy())
        assert maps[1].max() > 1.5 * maps[0].max()
        row, column = np.unravel_index(maps[1].argmax(), maps[1].shape)
        assert 40 <= row * 8 + 4 <= 72
        assert 80 <= column * 8 + 4 <= 112
    engine.close()


def test_the_self_test_of_a_coarse_map_plants_defects_that_such_a_map_can_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.models.fit.self_test.CONTRASTS", (0.35,))
    monkeypatch.setattr("edge.models.fit.self_test.KINDS", {"dent": KINDS["dent"]})
    (tmp_path / "good").mkdir()
    for seed in range(8):
        write_png(tmp_path / "good" / f"{seed}.png", texture(seed, (160, 120)))
    frames = FrameSequence.of(good_frames(tmp_path / "good"))
    tested = fit(frames, FitRequest("x", pose="texture", options=OPTIONS)).tested
    assert tested is not None
    assert [(cell.size_px, cell.pasted) for cell in tested.cells] == [(12, 10), (24, 10), (48, 10)]


def test_a_bundle_grows_by_more_frames_with_the_features_of_its_first_fit(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for seed in range(20, 24):
        write_png(tmp_path / "more" / f"{seed}.png", texture(seed, (160, 120)))
    more = FrameSequence.of(good_frames(tmp_path / "more"))
    grown = write_fit(tmp_path / "grown", add_frames(bundle.folder, more, FitRequest("grown"), FitRun(test=False)), "more")
    assert grown.spec.provenance["frames"] == 14
    assert grown.spec.provenance["layers"] == bundle.spec.provenance["layers"] == ["cells (stride 16, 50 wide)"]
    assert grown.spec.provenance["vectors_seen"] > bundle.spec.provenance["vectors_seen"]


def test_layers_that_are_not_there_are_said_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    for seed in range(3):
        write_png(tmp_path / "good" / f"{seed}.png", texture(seed, (150, 120)))
    options = MethodOptions(backbone=Path("lite0"), layers=("stride64",))
    with pytest.raises(UserError) as caught:
        fit_to_bundle(FrameSequence.of(good_frames(tmp_path / "good")), tmp_path / "b", method="memory", options=options)
    assert str(caught.value).startswith(
        "--layers: lite0 has no layer stride64\n  expected: stride 2: stem (32 wide), stride2"
    )
    assert not (tmp_path / "b").exists()
