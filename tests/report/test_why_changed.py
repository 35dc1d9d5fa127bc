"""A region that is gone since an earlier run has a reason, and the picture says it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from edge.config.regions import RegionsConfig, RoiConfig, SmoothConfig
from edge.frames import AnomalyMap, Frame, FrameMeta, Inspection
from edge.regions.criteria import Criteria
from edge.regions.to_inspection import to_inspection
from edge.report import changed_picture as module
from edge.report.changed_picture import draw_change
from edge.report.explain import Basis
from edge.report.labels import DROPPED
from edge.report.picture_names import PictureOf
from edge.report.why_changed import why_gone

META = FrameMeta(12, "device", 320, 240, "Mono8", 0, 0)
FRAME = Frame(META, np.full((240, 320), 90, np.uint8))


def judged(config: RegionsConfig, high: float = 0.5) -> tuple[Inspection, Basis, Criteria]:
    """A bent stroke of 0.9 at (40, 40), and one pixel of 0.8 at (200, 200), of a map with 10 px of the frame a pixel."""
    values = np.zeros((24, 32), np.float32)
    values[4, 4:10] = values[4:10, 4] = 0.9
    values[20, 20] = 0.8
    criteria = Criteria(config, high, explain=True)
    amap = AnomalyMap(values, (10.0, 10.0, 0.0, 0.0))
    inspection, found = to_inspection(FRAME, amap, criteria)
    assert found is not None
    return inspection, Basis(amap, found), criteria


BEFORE = judged(RegionsConfig())[0]


@pytest.mark.parametrize(
    ("config", "high", "reasons"),
    [
        (RegionsConfig(min_solidity=0.8), 0.5, {"solidity 0.04 < 0.80"}),
        (RegionsConfig(min_area_px=2), 0.5, {"area 1 < 2"}),
        (RegionsConfig(), 0.85, {"max 0.8 < high 0.85"}),
        (RegionsConfig(roi=RoiConfig(include=((0.0, 0.0, 1.0, 0.5),))), 0.5, {"outside the ROI, highest 0.80"}),
        (RegionsConfig(border_px=5), 0.5, {"in the border, highest 0.80"}),
        (RegionsConfig(smooth=SmoothConfig(kind="median", size=3)), 0.5, {"smoothed away, 0.00 < 0.50"}),
        (RegionsConfig(open_px=3), 0.5, {"opened away, narrower side 1, opening 3"}),
        (RegionsConfig(), 0.5, set()),
    ],
)
def test_each_way_of_going_has_its_reason(config: RegionsConfig, high: float, reasons: set[str]) -> None:
    now, basis, _ = judged(config, high)
    told = {text for _, text in why_gone(FRAME, BEFORE.regions, now, basis)}
    assert told >= reasons
    assert bool(told) == bool(reasons)


def test_the_changed_picture_shows_the_dropped_candidate_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    real = module.write_labels

    def heard(picture: Any, regions: Any, dropped: Any, text_px: float) -> list[str]:
        texts.extend(text for _, text in dropped)
        return real(picture, regions, dropped, text_px)

    monkeypatch.setattr(module, "write_labels", heard)
    now, basis, criteria = judged(RegionsConfig(min_solidity=0.8))
    before: dict[str, Any] = {"kind": "inspection", "verdict": "fail", "reason": None, "map_max": 0.9, "threshold": 0.5}
    before["regions"] = [asdict(region) for region in BEFORE.regions]
    picture = draw_change(FRAME, before, now, criteria, PictureOf("cam1", 3), basis)
    assert "solidity 0.04 < 0.80" in texts
    left, right = picture[:, : picture.shape[1] // 2], picture[:, picture.shape[1] // 2 :]
    assert (right == DROPPED).all(axis=2).any()
    assert not (left == DROPPED).all(axis=2).any()
