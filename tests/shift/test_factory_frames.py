"""Frames to adapt by, for the threshold and to judge on are disjoint; what can't be adapted to is refused in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.factories import HEIGHT, WIDTH, factory_set, lab_bundle, parts
from support.sets import save

from edge.config.bundle import Bundle
from edge.errors import UserError
from edge.models.sets.frame_set import FrameSet
from edge.models.sets.open import open_set
from edge.shift.factory_frames import FactoryFrames, factory_frames


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return lab_bundle(tmp_path_factory.mktemp("lab"), "pixel", test=False)


def handed_out(source: FrameSet, bundle: Bundle, **more: Any) -> FactoryFrames:
    return factory_frames(source, bundle, (16, None), **more)


def sizes(frames: FactoryFrames) -> tuple[int, int, int]:
    return len(frames.adapt), len(frames.threshold), len(frames.judged)


def test_28_frames_are_8_to_adapt_by_and_20_for_the_threshold_the_same_each_time(tmp_path: Path, bundle: Bundle) -> None:
    source = open_set(parts(tmp_path, 28, 5000))
    first = handed_out(source, bundle)
    assert sizes(first) == (8, 20, 0)
    backwards = source.with_frames(reversed(source.frames))
    assert {f.file for f in handed_out(backwards, bundle).adapt} == {f.file for f in first.adapt}
    sides = [{first.ids[f.file] for f in side} for side in (first.adapt, first.threshold)]
    assert not sides[0] & sides[1]
    assert first.notes == (f"no frame of {tmp_path} has a label: all 28 count as good",)
    assert sizes(handed_out(source, bundle, adapt=12)) == (12, 16, 0)


def test_copies_of_a_frame_and_frames_of_a_part_stay_on_one_side(tmp_path: Path, bundle: Bundle) -> None:
    parts(tmp_path, 24, 5000)
    for index in range(8):
        (tmp_path / f"copy{index}.png").write_bytes((tmp_path / f"{5000 + index:05d}.png").read_bytes())
    source = open_set(tmp_path)
    found = handed_out(source, bundle)
    assert sum(sizes(found)) == 24  # each picture once
    by_part = source.with_frames(replace(f, part=f"part {number // 4}") for number, f in enumerate(source.frames))
    found = handed_out(by_part, bundle)
    own = [{f.part for f in side} for side in (found.adapt, found.threshold)]
    shared = {found.ids[f.file] for f in found.adapt} & {found.ids[f.file] for f in found.threshold}
    assert not own[0] & own[1]
    assert not shared


def test_the_sides_of_a_split_are_taken_as_they_are(tmp_path: Path, bundle: Bundle) -> None:
    source = factory_set(tmp_path, count=16)
    assert sizes(handed_out(source, bundle)) == (5, 11, 0)


def test_sides_that_share_a_picture_are_refused_and_both_names_are_told(tmp_path: Path, bundle: Bundle) -> None:
    source = factory_set(tmp_path, count=16)
    (tmp_path / source.frames[8].file).write_bytes((tmp_path / source.frames[0].file).read_bytes())
    with pytest.raises(UserError, match=r"must be disjoint\n  received: 05008.png is 05000.png"):
        handed_out(source, bundle)


@pytest.mark.parametrize("count", [1, 13])
def test_too_few_frames_make_no_claim(tmp_path: Path, bundle: Bundle, count: int) -> None:
    with pytest.raises(UserError, match=r"too few good frames for a claim\n .*\n  expected: at least 4 and 10; 8 and 20"):
        handed_out(open_set(parts(tmp_path, count, 5000)), bundle)


def test_frames_of_another_size_are_refused_and_both_sizes_named(tmp_path: Path, bundle: Bundle) -> None:
    for index in range(14):
        save(tmp_path / f"{index}.png", np.random.default_rng(index).integers(0, 200, (64, 64)).astype(np.uint8))
    with pytest.raises(UserError) as caught:
        handed_out(open_set(tmp_path), bundle)
    assert "frames of another size than" in str(caught.value)
    assert "received: 64x64 grey (0.png)" in str(caught.value)
    assert f"expected: {WIDTH}x{HEIGHT}, as the model's own" in str(caught.value)


def test_frames_of_another_colour_are_refused(tmp_path: Path, bundle: Bundle) -> None:
    for index in range(14):
        save(tmp_path / f"{index}.png", np.random.default_rng(index).integers(0, 200, (HEIGHT, WIDTH, 3)).astype(np.uint8))
    with pytest.raises(UserError, match=r"another colour than .*\n  received: .*RGB.*\n  expected: grey frames"):
        handed_out(open_set(tmp_path), bundle)


def test_clipped_frames_are_refused_with_what_to_do(tmp_path: Path, bundle: Bundle) -> None:
    def bright(picture: Any) -> Any:
        return np.clip(picture.astype(int) * 2, 0, 255).astype(np.uint8)

    source = open_set(parts(tmp_path, 16, 5000, bright))
    with pytest.raises(UserError, match=r"(?s)the frames are clipped, .*fix: reduce exposure, or the light, and rec"):
        handed_out(source, bundle)
    assert sum(sizes(handed_out(source, bundle, lab_clipped=0.9))) == 16  # the lab's frames were clipped as well


@pytest.mark.parametrize(
    ("change", "text"), [("even", "shows one level alone"), ("same", "all frames are the same picture")]
)
def test_constant_frames_are_refused(tmp_path: Path, bundle: Bundle, change: str, text: str) -> None:
    picture = np.full((HEIGHT, WIDTH), 90, np.uint8)
    if change == "same":
        picture[::2] = 100
    for index in range(14):
        save(tmp_path / f"{index}.png", picture)
    with pytest.raises(UserError, match=text):
        handed_out(open_set(tmp_path), bundle)


def test_frames_that_the_model_was_fitted_on_are_refused(tmp_path: Path, bundle: Bundle) -> None:
    parts(tmp_path, 16, 5000)
    parts(tmp_path, 2, 0)  # of the fit
    with pytest.raises(UserError, match=r"2 of 18 frames were used before: .*\n  received: 00000.png, 00001.png"):
        handed_out(open_set(tmp_path), bundle)


def test_a_set_without_a_good_frame_is_refused(tmp_path: Path, bundle: Bundle) -> None:
    for index in range(3):
        save(tmp_path / "bad" / f"{index}.png", np.full((HEIGHT, WIDTH), index, np.uint8))
    with pytest.raises(UserError, match="no frame of it is labelled good, so there is nothing to adapt by"):
        handed_out(open_set(tmp_path), bundle)


def test_a_damaged_picture_is_named_and_left_out(tmp_path: Path, bundle: Bundle) -> None:
    parts(tmp_path, 16, 5000)
    (tmp_path / "torn.png").write_bytes((tmp_path / "05000.png").read_bytes()[:2000])
    found = handed_out(open_set(tmp_path), bundle)
    assert sum(sizes(found)) == 16
    assert any(note.startswith("torn.png can't be read") for note in found.notes)
