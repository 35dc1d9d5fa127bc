"""Labels that were spoiled on purpose are found, and sound ones are left alone."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from support.sets import AT, save

from edge.models.audit.label_drift import audit_labels
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.sets.manifest import LabelLine
from edge.models.sets.open import open_set
from edge.sources.synthetic.parts import part_scene

SIDE, COUNT = 160, 110


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Generated parts, half of them with one defect, each with its mask and its kind."""
    root = tmp_path_factory.mktemp("parts")
    scene, frames, index = part_scene("medium", 0, SIDE, SIDE), [], 0
    while len(frames) < COUNT:
        pixels, mask = np.empty((SIDE, SIDE), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
        defects = scene.render(index, 0.55, pixels, mask)
        index += 1
        if len(defects) > 1 or (defects and cv2.erode(mask, np.ones((3, 3), np.uint8)).max() == 0):
            continue
        file = f"frames/{len(frames):03d}.png"
        save(root / file, pixels)
        if defects:
            save(root / "masks" / f"{len(frames):03d}.png", mask)
            vote = said(file, "defect", (defects[0].kind,), f"masks/{len(frames):03d}.png")
        else:
            vote = said(file, "good")
        frames.append(SetFrame(file, size=(SIDE, SIDE), part=file, votes=(vote,)))
    return FrameSet(root, root, tuple(frames))


def said(file, label, defects=(), mask=None):
    return LabelLine(file=file, label=label, defects=defects, mask=mask, by="anna", at=AT)


def found(frames):
    return {finding.code: finding for finding in audit_labels("set", frames)}


def changed(parts, tmp_path, change):
    """The set with every mask changed."""
    frames = []
    for frame in parts.frames:
        if frame.mask is not None:
            mask = change(cv2.imread(str(parts.root / frame.mask), cv2.IMREAD_GRAYSCALE))
            path = save(tmp_path / frame.mask, mask)
            frame = replace(frame, votes=(frame.votes[0].model_copy(update={"mask": str(path)}),))
        frames.append(frame)
    return parts.with_frames(frames)


def test_sound_labels_and_masks_give_no_warning(parts):
    findings = found(parts)
    assert findings["labels_doubtful"].weight == "notes"
    assert not {code for code, finding in findings.items() if finding.weight == "warns"}


def test_flipped_labels_stand_at_the_top_of_the_list(parts):
    flipped = set(np.random.default_rng(1).choice(COUNT, 6, replace=False).tolist())
    frames = []
    for index, frame in enumerate(parts.frames):
        if index in flipped:
            word = "good" if frame.label == "defect" else "defect"
            frame = replace(frame, votes=(said(frame.file, word),))
        frames.append(frame)
    finding = found(parts.with_frames(frames))["labels_doubtful"]
    first = [row["file"] for row in finding.frames[: COUNT // 10]]
    hits = sum(parts.frames[index].file in first for index in flipped)
    assert hits >= 5
    assert finding.weight == "warns"


def test_masks_moved_together_are_told_with_their_direction(parts, tmp_path):
    moved = changed(parts, tmp_path, lambda m: np.roll(m, 4, axis=1))
    finding = found(moved)["masks_moved"]
    assert finding.text.startswith("masks of set lie 4.0 px too far right")
    assert finding.text.endswith("move them left")
    assert finding.values["shift_px"] == pytest.approx([-4, 0], abs=0.5)


def test_one_mask_that_lies_elsewhere_is_named_alone(parts):
    index = next(i for i, f in enumerate(parts.frames) if f.mask is not None)
    mask = cv2.imread(str(parts.root / parts.frames[index].mask), cv2.IMREAD_GRAYSCALE)
    save(parts.root / "masks" / "astray.png", np.roll(mask, -5, axis=0))
    frames = list(parts.frames)
    vote = frames[index].votes[0].model_copy(update={"mask": "masks/astray.png"})
    frames[index] = replace(frames[index], votes=(vote,))
    finding = found(parts.with_frames(frames))["masks_astray"]
    assert [(row["file"], row["move"][-7:]) for row in finding.frames] == [(frames[index].file, "px down")]


@pytest.mark.parametrize(
    ("change", "code", "growth"), [(cv2.erode, "masks_shrunk", 2.0), (cv2.dilate, "masks_grown", -2.0)]
)
def test_masks_shrunk_or_grown_by_two_px_are_told_with_the_amount(parts, tmp_path, change, code, growth):
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    findings = found(changed(parts, tmp_path, lambda m: change(m, shape)))
    assert findings[code].values["growth_px"] == pytest.approx(growth, abs=0.6)
    assert "masks_moved" not in findings


def test_missing_empty_and_misshapen_masks_are_named(parts, tmp_path):
    frames = list(parts.frames)
    bad = [i for i, f in enumerate(frames) if f.mask is not None]
    holed = np.zeros((SIDE, SIDE), np.uint8)
    holed[60:90, 60:90] = 255
    holed[70:75, 70:75] = 0
    for index, mask in zip(
        bad, (None, np.zeros((SIDE, SIDE), np.uint8), np.full((9, 9), 255, np.uint8), holed), strict=False
    ):
        path = None if mask is None else str(save(tmp_path / f"{index}.png", mask))
        frames[index] = replace(frames[index], votes=(frames[index].votes[0].model_copy(update={"mask": path}),))
    findings = audit_labels("set", parts.with_frames(frames))
    texts = " | ".join(finding.text for finding in findings)
    for trouble, index in (
        ("labelled defective without a mask", bad[0]),
        ("the mask marks no pixel", bad[1]),
        ("the mask is of another size", bad[2]),
    ):
        assert f"1 frames of set: {trouble}: {frames[index].file}" in texts
    assert "1 masks of set have holes" in texts


@pytest.mark.parametrize("held", ["chip", "stain"])
def test_a_kind_that_the_labels_lack_is_named_as_unknown(parts, held):
    frames = []
    for frame in parts.frames:
        if frame.kind == held:
            vote = frame.votes[0].model_copy(update={"defects": ()})
            frame = replace(frame, votes=(vote,))
        frames.append(frame)
    asked = sum(frame.kind == held for frame in parts.frames)
    finding = found(parts.with_frames(frames))["unknown_kind"]
    assert len(finding.frames) >= 0.7 * asked
    assert held not in finding.text.partition("known: ")[2]


def test_too_few_good_frames_and_parts_that_do_not_lie_alike_are_said(parts, tmp_path):
    assert set(found(parts.with_frames(parts.frames[:5]))) == {"few_good_frames"}
    rng = np.random.default_rng(0)
    for index in range(12):
        save(tmp_path / "good" / f"{index}.png", rng.integers(0, 255, (60, 60)).astype(np.uint8))
    assert set(found(open_set(tmp_path / "good"))) == {"no_common_pose"}
