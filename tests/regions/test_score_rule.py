"""The image score is a rule beside the regions: what no region shows fails by its score, and never passes without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.graphs import write_identity_bundle
from support.lines import loaded

from edge.config.bundle import load_bundle
from edge.config.load import Loaded
from edge.config.regions import NO_MASK, RegionsConfig, ThresholdConfig
from edge.errors import UserError
from edge.frames import AnomalyMap, Frame, FrameMeta
from edge.line.recipe import open_model
from edge.models.calibrate.measure import measure
from edge.regions.criteria import Criteria, load_criteria
from edge.regions.to_inspection import to_inspection
from edge.storage.calibration_file import save_calibration
from edge.storage.frames_on_disk import read_frames

FRAME = Frame(FrameMeta(0, "counted", 8, 6, "Mono8", 0, 0), np.zeros((6, 8), np.uint8))


def criteria_of(line: Loaded) -> Criteria:
    config = line.resolved
    return load_criteria(config, load_bundle(config.model.bundle), None, NO_MASK, named=line.path)


def judged(peak: float, score: float | None, score_high: float | None) -> tuple[str, str | None, int]:
    values = np.zeros((6, 8), np.float32)
    values[2:4, 3:5] = peak
    config = Criteria(loaded_regions(), 0.5, score_high=score_high)
    inspection, _ = to_inspection(FRAME, AnomalyMap(values, (1.0, 1.0, 0.0, 0.0), score), config)
    return inspection.verdict, inspection.reason, len(inspection.regions)


def loaded_regions() -> Any:
    return RegionsConfig(threshold=ThresholdConfig(high=0.5))


@pytest.mark.parametrize(
    ("peak", "score", "score_high", "expected"),
    [
        (0.1, 0.9, None, ("pass", None, 0)),
        (0.1, 0.9, 0.8, ("fail", "score", 0)),
        (0.1, 0.8, 0.8, ("fail", "score", 0)),
        (0.1, 0.7, 0.8, ("pass", None, 0)),
        (0.9, 0.9, 0.8, ("fail", None, 1)),
        (0.9, 0.1, 0.8, ("fail", None, 1)),
        (0.1, float("nan"), 0.8, ("invalid", "score_not_finite", 0)),
        (0.1, None, 0.8, ("invalid", "score_not_finite", 0)),
        (0.9, float("nan"), 0.8, ("invalid", "score_not_finite", 0)),
        (0.1, float("nan"), None, ("pass", None, 0)),
    ],
)
def test_a_frame_fails_at_its_score_or_by_a_region(peak: float, score: Any, score_high: Any, expected: Any) -> None:
    assert judged(peak, score, score_high) == expected


def good(folder: Path, *, odd: int | None = None) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(1)
    for k in range(20):
        pixels = rng.integers(20, 40 + k % 5, (64, 64), np.uint8)
        if k == odd:
            pixels[5:9, 5:9] = 250
        assert cv2.imwrite(str(folder / f"{k}.png"), pixels)
    return folder


def test_it_is_calibrated_like_the_map(tmp_path: Path) -> None:
    config = loaded(tmp_path, "regions={threshold: calibrated}", "calibration=c.yaml", "score={}")
    folder = good(tmp_path / "good")
    calibration, result = measure(config.resolved, lambda: read_frames(folder), source="good")
    assert calibration.score_high == pytest.approx(calibration.high), "the stand-in's score is its map's maximum"
    save_calibration(calibration, tmp_path / "c.yaml")
    engine, criteria = open_model(config)
    engine.close()
    assert criteria.score_high == pytest.approx(calibration.score_high)
    plain = loaded(tmp_path, "regions={threshold: calibrated}", "calibration=c.yaml")
    assert criteria_of(plain).score_high is None
    by_hand = loaded(tmp_path, "regions={threshold: calibrated}", "calibration=c.yaml", "score={high: 0.7}")
    assert criteria_of(by_hand).score_high == 0.7
    assert result.frames == 20


def test_no_score_s_threshold_is_kept_that_an_outlier_sets_though_the_line_has_no_such_rule_yet(tmp_path: Path) -> None:
    """The rule that is added later would take it from the file, and the defect would pass."""
    loud = good(tmp_path / "good", odd=7)
    regions = "regions={threshold: calibrated, roi: {include: [[0.5, 0.5, 1, 1]]}}"
    config = loaded(tmp_path, regions, "calibration=c.yaml")
    calibration, result = measure(config.resolved, lambda: read_frames(loud), source="good")
    assert result.score is None
    assert calibration.score_high is None
    assert "score.high is not measured: 7.png: its score is unlike the other good frames'" in calibration.note
    save_calibration(calibration, tmp_path / "c.yaml")
    later = loaded(tmp_path, regions, "calibration=c.yaml", "score={}")
    with pytest.raises(UserError, match="no threshold of the score was measured"):
        criteria_of(later)
    with pytest.raises(UserError, match=r"^7.png: its score is unlike the other good frames', and sets score.high"):
        measure(later.resolved, lambda: read_frames(loud), source="good")


def test_a_threshold_that_no_score_can_reach_is_refused_whoever_set_it(tmp_path: Path) -> None:
    write_identity_bundle(tmp_path / "b", 1, (64, 64), resize=True)
    text = (tmp_path / "b" / "bundle.yaml").read_text()
    assert "score_highest: null" in text
    (tmp_path / "b" / "bundle.yaml").write_text(text.replace("score_highest: null", "score_highest: 1.0"))
    by_hand = loaded(tmp_path, "regions={threshold: {high: 0.5}}", "score={high: 1.5}", "model.bundle=b")
    with pytest.raises(UserError) as caught:
        criteria_of(by_hand)
    assert str(caught.value) == (
        "score.high: no score can reach it, so no frame would fail by it\n"
        "  received: 1.5\n"
        "  expected: at most 1, the highest value that the model can give (score_highest in bundle.yaml)\n"
        "  fix: set a lower one, or build the bundle from a model whose score is not bounded there"
    )
    keys = ("regions={threshold: calibrated}", "calibration=c.yaml", "model.bundle=b", "score={}")
    calibrated = loaded(tmp_path, *keys)
    folder = good(tmp_path / "good")
    calibration, _ = measure(calibrated.resolved, lambda: read_frames(folder), source="good")
    save_calibration(calibration.model_copy(update={"score_high": 1.02}), tmp_path / "c.yaml")
    with pytest.raises(UserError, match=r"c.yaml: score_high: no score can reach it"):
        criteria_of(calibrated)


def test_what_does_not_go_together_is_told(tmp_path: Path) -> None:
    both = loaded(tmp_path, "regions={threshold: {high: 0.5}}", "score={}")
    with pytest.raises(UserError) as caught:
        criteria_of(both)
    assert str(caught.value) == (
        f"{both.path}: score.high is 'calibrated', and regions.threshold gives numbers\n"
        "  expected: both from the calibration file, or both by hand\n"
        "  fix: set score: {high: NUMBER}, or regions.threshold: calibrated"
    )
    write_identity_bundle(tmp_path / "mute", 1, (64, 64), resize=True, score=False)
    mute = loaded(tmp_path, "regions={threshold: {high: 0.5}}", "score={high: 0.5}", "model.bundle=mute")
    with pytest.raises(UserError) as caught:
        open_model(mute)
    assert str(caught.value) == (
        "score: the model gives no score\n"
        "  expected: a bundle whose model gives one (edge build --score NAME)\n"
        "  fix: leave score out, or use another bundle"
    )
