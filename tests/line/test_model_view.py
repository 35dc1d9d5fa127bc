"""The picture that the model takes is shown where it isn't the frame itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
from support.graphs import identity_model, write_identity_bundle

from edge.config.bundle import load_bundle
from edge.config.bundle_spec import BundleSpec
from edge.frames import Frame
from edge.line.model_view import ModelViews
from edge.models.write import write_bundle
from edge.storage.frames_on_disk import counted_frame


def views(folder: Path, **keys: object) -> ModelViews:
    write_identity_bundle(folder, **keys)  # type: ignore[arg-type]
    return ModelViews(load_bundle(folder))


def grey(width: int, height: int) -> Frame:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width)).astype(np.uint8)
    return counted_frame(pixels, 8, 0, "a.png")


def test_a_model_that_takes_the_frame_as_it_is_has_no_view_of_its_own(tmp_path: Path) -> None:
    assert views(tmp_path / "b").of(grey(64, 48)) is None
    assert views(tmp_path / "rgb", channels=3).of(grey(64, 48)) is None  # three equal channels look the same


def test_a_resized_picture_is_shown_at_the_models_size(tmp_path: Path) -> None:
    view = views(tmp_path / "b", size=(32, 24), resize=True).of(grey(128, 96))
    assert view is not None
    assert (view.picture.shape, view.words, view.tiles) == ((24, 32, 3), "as the model sees it: 32x24", ())


def test_tiles_and_illumination_are_shown(tmp_path: Path) -> None:
    tiles = {"size": [24, 24], "stride": [18, 15], "border_px": 2}
    told = {"name": "tiled", "input": {"channels": 1, "size": [24, 24]}, "resize": {"where": "none"}, "tile": tiles}
    spec = BundleSpec.model_validate_json(orjson.dumps(told | {"illumination": {"gamma": 0.5}}))
    write_bundle(tmp_path / "b", identity_model(1, (24, 24)), spec)
    made = ModelViews(load_bundle(tmp_path / "b"))
    frame = grey(60, 54)
    view = made.of(frame)
    assert view is not None
    assert view.words == "as the model sees it: 60x54, illumination, 9 tiles"
    assert view.tiles[0] == (0, 0, 24, 24)
    assert view.tiles[-1] == (36, 30, 24, 24)
    assert view.picture.mean() > frame.pixels.mean() + 10
    first = view.picture.copy()
    made.of(grey(60, 54))
    np.testing.assert_array_equal(view.picture, first)  # its own: the next frame changes nothing in it


def test_a_frame_that_the_model_cannot_take_has_no_view(tmp_path: Path) -> None:
    assert views(tmp_path / "b", size=(32, 24)).of(grey(128, 96)) is None
