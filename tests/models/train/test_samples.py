"""Every picture comes with what each of its places is to be called; masks that don't fit are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.sets import save, vote
from support.trainings import remembered, request, surfaces

from edge.errors import UserError
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.train.feature_cache import CachedPicture
from edge.models.train.samples import _Maker, count_samples, place_targets, samples, with_usable_labels
from edge.models.train.train import good_pictures, prepared

MEMORY = remembered()


def made(root: Path, bad: int = 0, **options: Any) -> tuple[list[CachedPicture], int]:
    source, asked = surfaces(root, bad=bad), request(**options)
    roles, plan = prepared(source, asked)
    donors = good_pictures(source, roles, plan, 4)
    found = samples(source, roles, plan, MEMORY, donors, options=asked.options)
    return list(found), count_samples(roles, asked.options, mirrored=True)


def test_a_place_is_defective_by_the_share_of_its_square() -> None:
    mask = np.zeros((96, 112), np.bool_)
    mask[32:48, 48:64] = True
    targets = place_targets(mask, MEMORY.net, (6, 7))
    assert targets[2, 3] == 1
    assert targets.sum() == 1, "a square on the grid touches no other place"
    mask[:] = False
    mask[33, 48:64] = True
    assert place_targets(mask, MEMORY.net, (6, 7))[2, 3] == pytest.approx(10 / 16), "a line of a px is a sixteenth of it"


def test_each_good_frame_gives_itself_and_its_synthetic_copies(tmp_path: Path) -> None:
    found, most = made(tmp_path, versions=2)
    assert len(found) <= most == 12 * 5 + 4 * 3
    good = [p for p in found if p.group == "good"]
    assert sum(p.role == "validation" for p in good) == 4
    assert 12 < sum(p.role == "train" for p in good) <= 36, "those that were mirrored come as they are, too"
    assert all(p.targets is not None and not p.targets.any() for p in good)
    synthetic = [p for p in found if p.group == "synthetic"]
    assert len(synthetic) >= 20
    assert all(p.targets is not None and np.nanmax(p.targets) > 0 for p in synthetic)
    again, _ = made(tmp_path, versions=2)
    assert all(np.array_equal(a.features, b.features) for a, b in zip(found, again, strict=True))


def test_a_drawn_defect_counts_where_it_shows_and_what_it_touches_beside_it_does_not(tmp_path: Path) -> None:
    source, asked = surfaces(tmp_path), request(versions=2, randaugment=2)
    roles, plan = prepared(source, asked)
    maker = _Maker(source, plan, good_pictures(source, roles, plan, 4), asked.options, 2)
    drawn = [one for one in maker.all(roles) if one.clean is not None]
    assert len(drawn) > 20
    apart = [np.abs(one.picture.astype(int) - one.clean)[:, :, 0] for one in drawn if one.clean is not None]
    beside = [float(np.median(by[~one.mask])) for by, one in zip(apart, drawn, strict=True) if one.mask is not None]
    assert len(beside) == len(drawn)
    assert max(beside) <= 1, "noise, blur and light are the same with and without the defect"
    found, _ = made(tmp_path, versions=2)
    unclear = [np.isnan(p.targets).any() for p in found if p.group == "synthetic" and p.targets is not None]
    assert np.mean(unclear) > 0.9


def test_corruptions_at_random_come_on_top_of_the_good_frames_and_change_the_others(tmp_path: Path) -> None:
    plain, _ = made(tmp_path, versions=1)
    found, most = made(tmp_path, versions=1, randaugment=2)
    assert len(found) <= most == 12 * 3 + 4 * 2

    def of(pictures: list[CachedPicture], role: str, group: str) -> list[Any]:
        return [p.features for p in pictures if (p.role, p.group) == (role, group)]

    good, as_they_are = of(found, "train", "good"), of(plain, "train", "good")
    assert len(good) == 2 * 12
    assert len({one.tobytes() for one in good} & {one.tobytes() for one in as_they_are}) == 12, "the frames themselves"
    for group in ("good", "synthetic"):
        judged = (of(pictures, "validation", group) for pictures in (found, plain))
        assert all(np.array_equal(a, b) for a, b in zip(*judged, strict=True)), "what is judged by stays as it is"


def test_labelled_defects_are_disturbed_where_their_features_are_kept_and_not_where_each_draw_is(tmp_path: Path) -> None:
    source, asked = surfaces(tmp_path, bad=8), request(versions=1, randaugment=2)
    roles, plan = prepared(source, asked)
    donors = good_pictures(source, roles, plan, 4)

    def labelled(drawn: int) -> list[Any]:
        made_ = _Maker(source, plan, donors, asked.options, drawn).all(roles)
        return [one.picture for one in made_ if (one.role, one.group) == ("train", "labelled")]

    kept, drawn_anew = labelled(1), labelled(0)
    assert len(drawn_anew) == len(roles.defects) == 4
    assert len(kept) == 3 * 4, "as it is, disturbed, and on another frame"
    as_they_are = {one.tobytes() for one in drawn_anew}
    assert sum(one.tobytes() in as_they_are for one in kept) == 4


def test_labels_whose_masks_are_empty_are_counted_out_and_that_is_said(tmp_path: Path) -> None:
    source, asked = surfaces(tmp_path, bad=8), request()
    roles, plan = prepared(source, asked)
    assert with_usable_labels(source, roles, plan) is roles
    first, second, third, last = roles.defects
    assert first.mask is not None
    save(tmp_path / first.mask, np.zeros((96, 112), np.uint8))
    (tmp_path / third.file).write_bytes(b"no picture")
    left = with_usable_labels(source, roles, plan)
    assert left.defects == (second, last)
    assert left.validated_defects == roles.validated_defects
    assert left.notes[-1] == "2 of 4 labelled defects are not learned from: an empty mask, or an unusable frame"


def test_a_labelled_defect_is_shown_as_it_is_and_on_other_frames(tmp_path: Path) -> None:
    found, _ = made(tmp_path, bad=4, versions=3)
    learned = [p for p in found if p.group == "labelled" and p.role == "train"]
    assert len(learned) == 2 * (1 + 3)
    assert {p.kind for p in learned} == {"blot"}
    alone, _ = made(tmp_path, bad=4, transplant=False)
    assert sum(p.group == "labelled" and p.role == "train" for p in alone) == 2


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    surfaces(tmp_path, bad=2)
    source = surfaces(tmp_path, bad=2)
    for number in range(2):
        save(tmp_path / f"masks/{number:03d}.png", np.full((20, 30), 255, np.uint8))
    asked = request()
    roles, plan = prepared(source, asked)
    with pytest.raises(UserError) as caught:
        list(samples(source, roles, plan, MEMORY, good_pictures(source, roles, plan, 2), options=asked.options))
    name = roles.defects[0].file.removeprefix("bad/")
    assert str(caught.value) == (
        f"{tmp_path}/masks/{name}: the mask is not of its frame's size\n"
        "  received: 30x20\n"
        f"  expected: 112x96, as bad/{name}\n"
        "  fix: draw it on the frame itself, or leave labelled defects out: --no-labels"
    )


def test_the_mask_goes_where_registration_brings_the_defect(tmp_path: Path) -> None:
    ground = np.random.default_rng(0).integers(0, 2, (12, 16)).astype(np.float32) * 120 + 60
    whole = cv2.GaussianBlur(cv2.resize(ground, (208, 160), interpolation=cv2.INTER_NEAREST), (0, 0), 2)
    frames, shifts = (
        [],
        [(0, 0), (5, -4), (-6, 3), (2, 6), (-3, -5), (4, 4), (0, 5), (-5, 0), (3, -2), (1, 1), (6, 2), (-2, -3)],
    )
    for number, (dx, dy) in enumerate(shifts):
        pixels = whole[16 + dy : 144 + dy, 16 + dx : 192 + dx].astype(np.uint8)
        file, label = f"{number}.png", "good"
        more: dict[str, Any] = {}
        if number >= 10:
            pixels = pixels.copy()
            mask = np.zeros_like(pixels)
            mask[60:72, 70:82] = 255
            pixels[mask > 0] = 5
            save(tmp_path / f"mask{number}.png", mask)
            label, more = "defect", {"defects": ("hole",), "mask": f"mask{number}.png"}
        save(tmp_path / file, pixels)
        frames.append(SetFrame(file, part=f"p{number}", votes=(vote(file, label, **more),)))
    source, asked = FrameSet(tmp_path, tmp_path, tuple(frames)), request()
    asked = replace(asked, fit=replace(asked.fit, pose="fixed"))
    roles, plan = prepared(source, asked)
    assert plan.reference is not None
    maker = _Maker(source, plan, [], asked.options, 0)
    for frame in (*roles.defects, *roles.validated_defects):
        picture, where = maker._picture(frame)
        assert picture is not None
        assert where is not None
        dark = picture[:, :, 0] < 40
        assert (dark & where).sum() / (dark | where).sum() > 0.85
