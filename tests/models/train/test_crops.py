"""Cut-outs are the same for one generator, hold what they are to show, and get what a factory does to pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.trainings import surface

from edge.models.train.augment import AugmentRow, displaced, disturbed
from edge.models.train.crops import Crops, valid_places
from edge.models.train.options import TrainOptions, preset_options
from edge.models.train.picture_cache import INDEX, DrawnPicture, PictureCache, fill_pictures, open_pictures

OPTIONS = preset_options("hour", crop=64)


def drawn(labelled: int = 0, size: tuple[int, int] = (112, 96)) -> list[DrawnPicture]:
    """Six good surfaces, and some with a dark square."""
    clean = np.zeros(size[::-1], np.bool_)
    made = [DrawnPicture("train", "good", "good", surface(k, size)[:, :, None], clean) for k in range(6)]
    for k in range(labelled):
        picture, mask = surface(50 + k, size)[:, :, None].copy(), clean.copy()
        mask[30:54, 40:64] = True
        picture[mask] //= 3
        made.append(DrawnPicture("train", "labelled", "blot", picture, mask))
    return made


def cache(folder: Path, pictures: list[DrawnPicture]) -> PictureCache:
    folder.mkdir(exist_ok=True)
    return fill_pictures(folder, "k", pictures)


def test_a_cache_gives_back_what_was_put_in_and_only_to_its_key(tmp_path: Path) -> None:
    made = [*drawn(1), DrawnPicture("validation", "labelled", "blot", surface(9, (40, 30))[:, :, None], None)]
    found = cache(tmp_path, made)
    for one, entry in zip(made, found.kept, strict=True):
        np.testing.assert_array_equal(found.picture(entry), one.picture)
        assert entry.has_mask == (one.mask is not None)
        np.testing.assert_array_equal(found.mask(entry), False if one.mask is None else one.mask)
    good = np.stack([one.picture for one in made[:6]]).astype(np.float64)
    assert found.mean == pytest.approx([good.mean()])
    assert found.deviation == pytest.approx([good.std()])
    assert open_pictures(tmp_path, "another") is None
    (tmp_path / INDEX).write_bytes(b"{}")
    assert open_pictures(tmp_path, "k") is None


def test_the_same_generator_gives_the_same_batch(tmp_path: Path) -> None:
    crops = Crops(cache(tmp_path, drawn(2)), OPTIONS, turns=True)
    first, again = (crops.batch(np.random.default_rng(4), 6, 0.5) for _ in range(2))
    np.testing.assert_array_equal(first.pictures, again.pictures)
    np.testing.assert_array_equal(first.targets, again.targets)
    assert first.pictures.shape == (6, 64, 64, 1)
    assert first.targets.shape == first.valid.shape == (6, 1, 8, 8)
    assert not np.array_equal(first.pictures, crops.batch(np.random.default_rng(5), 6, 0.5).pictures)


def test_good_and_defective_cut_outs_come_in_their_shares_and_targets_lie_on_the_defect(tmp_path: Path) -> None:
    others = ("cut_paste", "perlin", "poisson", "uneven_light", "uneven_finish", "smear", "chip", "crack")
    options = replace(OPTIONS, without=others)
    crops = Crops(cache(tmp_path, drawn(2)), replace(options, transplant=False), turns=False)
    batch = crops.batch(np.random.default_rng(0), 200, 0.5)
    defective = batch.targets.max(axis=(1, 2, 3)) > 0
    assert 0.45 < defective.mean() < 0.7, "0.35 + 0.2 of 0.95, less what could not be seen"
    dark = batch.pictures[:, :, :, 0] < 45
    blots = dark.sum(axis=(1, 2)) > 300
    assert 0.1 < blots.mean() < 0.3
    assert (batch.targets[blots].max(axis=(1, 2, 3)) == 1).all()


def test_a_picture_smaller_than_a_cut_out_is_continued_and_that_counts_for_nothing(tmp_path: Path) -> None:
    crops = Crops(cache(tmp_path, drawn(size=(40, 30))), OPTIONS, turns=False)
    batch = crops.batch(np.random.default_rng(0), 4, 1.0)
    assert (batch.pictures[:, 30:] == batch.pictures[:, 29:30]).all()
    np.testing.assert_array_equal(batch.valid[0, 0], valid_places((30, 40), (8, 8)))
    assert valid_places((30, 40), (8, 8)).sum() == 4 * 5
    assert batch.targets[batch.valid == 0].max() == 0


def test_a_curriculum_begins_with_stronger_defects(tmp_path: Path) -> None:
    kept = cache(tmp_path, drawn())
    crops = Crops(kept, replace(OPTIONS, curriculum=True), turns=False)
    good = kept.picture(kept.kept[0])

    def strength(progress: float) -> float:
        rng = np.random.default_rng(1)
        made = [crops._with_defect(rng, good, np.zeros(good.shape[:2], np.bool_), progress) for _ in range(40)]
        return float(np.mean([np.abs(p.astype(float) - good).mean(axis=2)[m].mean() for p, m in made if m.any()]))

    assert strength(0.0) > 1.3 * strength(1.0)


def test_measured_ranges_and_random_corruptions_change_pictures_and_keep_their_size() -> None:
    picture = surface(1)[:, :, None]
    rows = (AugmentRow("brightness", -20, -10, 1.0), AugmentRow("rotation", 1.0, 2.0, 1.0))
    rng = np.random.default_rng(0)
    darker = disturbed(rng, picture, rows)
    assert 0.78 < darker.mean() / picture.mean() < 0.92, "the rotation is not its business"
    turned = displaced(rng, picture, rows)
    assert abs(turned.mean() - picture.mean()) < 3
    assert not np.array_equal(turned, picture)
    assert np.array_equal(disturbed(rng, picture, ()), picture)
    many = [disturbed(np.random.default_rng(k), picture, (), 2) for k in range(20)]
    assert {one.shape for one in many} == {picture.shape}
    assert np.mean([np.array_equal(one, picture) for one in many]) < 0.2


def test_a_preset_is_its_own_numbers_with_what_was_given_in_their_place() -> None:
    assert preset_options("minute") == TrainOptions()
    assert (preset_options("hour").width, preset_options("night").width) == (16, 32)
    assert preset_options("hour", epochs=None, seed=3) == replace(preset_options("hour"), seed=3)
    assert preset_options("night", epochs=2).epochs == 2
    assert preset_options("night").bf16
