"""An explanation shows what the verdict rests on: the map, the candidates, and why each one that is missing was dropped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.lines import loaded, make_line, records, run

from edge.config.regions import RegionsConfig, RoiConfig, SmoothConfig
from edge.frames import AnomalyMap, Found, Frame, FrameMeta, Inspection, Rejected, Unmapped
from edge.outputs.queued import Queued
from edge.outputs.replay_pictures import PictureSink, WantedPictures
from edge.regions.criteria import Criteria
from edge.regions.find import find_regions
from edge.regions.plan import RegionPlan
from edge.regions.roi import Grid
from edge.regions.smooth import peak_inside
from edge.regions.to_inspection import to_inspection
from edge.regions.verdict import invalid, judge
from edge.report import explain as module
from edge.report.colour_scale import Scale
from edge.report.explain import Basis, by_weight, draw_explanation, explain_dropped, rejected_summary, rejected_text
from edge.report.labels import DROPPED, write_labels
from edge.report.marks import DEFECT
from edge.report.picture_names import PictureOf

FOOT = 12 + 22
"""Height of the bar of colours and of one row of numbers below it."""


def rejected(key: str, value: float, limit: float) -> Rejected:
    return Rejected((0, 0, 1, 1), 1, key, value, limit)


@pytest.mark.parametrize(
    ("key", "value", "limit", "text"),
    [
        ("min_solidity", 0.71, 0.8, "solidity 0.71 < 0.80"),
        ("min_fill_ratio", 0.149, 0.15, "fill_ratio 0.149 < 0.150"),
        ("max_aspect_ratio", 8.25, 6.0, "aspect_ratio 8.25 > 6.00"),
        ("min_area_px", 7, 16, "area 7 < 16"),
        ("max_area_px", 700, 160, "area 700 > 160"),
        ("min_score_max", 0.41, 0.6, "score_max 0.41 < 0.60"),
        ("min_score_mean", 5.9999, 6.0, "score_mean 5.9999 < 6.0000"),
        ("max_regions", 3, 2, "region number 3 > 2"),
    ],
)
def test_a_label_names_filter_value_and_limit(key: str, value: float, limit: float, text: str) -> None:
    assert rejected_text(rejected(key, value, limit)) == text


def test_a_label_has_decimals_enough_to_tell_value_and_limit_apart() -> None:
    assert rejected_text(rejected("min_solidity", 0.7999, 0.8)) == "solidity 0.7999 < 0.8000"
    assert rejected_text(rejected("min_solidity", 0.5, 0.5)) == "solidity 0.5000000 < 0.5000000"


def test_the_summary_counts_by_filter_in_their_order() -> None:
    told = [rejected("min_area_px", 1, 5), rejected("min_area_px", 2, 5), rejected("min_solidity", 0.1, 0.5)]
    assert rejected_summary(told) == "2 by min_area_px, 1 by min_solidity"
    assert rejected_summary([]) == ""


def explained(
    values: np.ndarray, config: RegionsConfig, size: tuple[int, int], high: float = 0.5, low: float | None = None
) -> tuple[Frame, Inspection, AnomalyMap, Found]:
    h, w = values.shape
    to_frame = (size[0] / w, size[1] / h, 0.0, 0.0)
    controls = RegionPlan.for_size(config, Grid((h, w), size, to_frame), high=high, low=low)
    found = find_regions(values, controls, explain=True)
    meta = FrameMeta(12, "device", *size, "Mono8", 0, 0)
    frame = Frame(meta, np.full((size[1], size[0]), 40, np.uint8))
    amap = AnomalyMap(values, to_frame)
    return frame, judge(meta, amap, float(values.max()), found, high), amap, found


def two_spots(shape: tuple[int, int]) -> np.ndarray:
    """A spot of 4x4 and one of a single pixel, both of value 0.9."""
    values = np.zeros(shape, np.float32)
    values[4:8, 4:8] = values[12, 20] = 0.9
    return values


def test_found_has_the_candidates_and_each_that_was_dropped_and_only_when_asked() -> None:
    values = two_spots((24, 32))
    values[20, 5:9] = 0.8
    config = RegionsConfig(min_area_px=2, max_regions=1)
    _, _, _, found = explained(values, config, (32, 24))
    assert found.rejected == (
        Rejected((20, 12, 21, 13), 1, "min_area_px", 1, 2),
        Rejected((5, 20, 9, 21), 4, "max_regions", 2, 1),
    )
    assert found.candidates is not None
    np.testing.assert_array_equal(found.candidates, np.where(values > 0.5, 255, 0))
    assert sum(found.dropped.values()) == len(found.rejected)
    controls = RegionPlan.for_size(config, Grid((24, 32), (32, 24), (1.0, 1.0, 0.0, 0.0)), high=0.5)
    plain = find_regions(values, controls)
    assert (plain.rejected, plain.candidates) == ((), None)
    assert (plain.regions, plain.dropped) == (found.regions, found.dropped)
    np.testing.assert_array_equal(plain.mask, found.mask)


def shows(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture == colour).all(axis=2).any())


@pytest.mark.parametrize(
    ("size", "shape", "stacked"),
    [
        ((32, 24), (24, 32), False),  # enlarged
        ((640, 480), (24, 32), False),
        ((4000, 3000), (24, 32), False),  # shrunk
        ((1200, 300), (24, 96), True),
        ((8000, 200), (20, 800), True),
        ((60, 2000), (400, 24), False),
    ],
)
def test_three_pictures_side_by_side_and_stacked_where_the_frame_is_wide(
    size: tuple[int, int], shape: tuple[int, int], stacked: bool
) -> None:
    frame, inspection, amap, found = explained(two_spots(shape), RegionsConfig(min_area_px=2), size)
    picture = draw_explanation(frame, inspection, Basis(amap, found), Scale(0.5, 0.3), of=PictureOf(seq=3))
    assert (picture.dtype, picture.ndim, picture.shape[2]) == (np.uint8, 3, 3)
    assert 360 <= picture.shape[1] <= 2 * 8 + 3 * 800
    assert 100 <= picture.shape[0] <= 2900
    if stacked:
        assert picture.shape[1] <= 1800
    assert tuple(picture[0, 0]) == (200, 30, 40)  # fail
    assert shows(picture, DEFECT)
    assert shows(picture, DROPPED)


def test_the_panels_are_the_frame_the_map_in_colours_and_the_candidates() -> None:
    frame, inspection, amap, found = explained(two_spots((24, 32)), RegionsConfig(), (640, 480))
    picture = draw_explanation(frame, inspection, Basis(amap, found), Scale(0.5, wanted=(0.0, 0.9)))
    body = picture[-480 - FOOT : -FOOT]  # above the bar of colours
    left, middle, right = body[:, :640], body[:, 648:1288], body[:, 1296:]
    assert tuple(left[10, 10]) == (40, 40, 40)
    turbo = cv2.applyColorMap(np.array([[0, 255]], np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    assert (tuple(middle[10, 10]), tuple(middle[120, 120])) == (tuple(turbo[0, 0]), tuple(turbo[0, 1]))
    assert (tuple(right[10, 10]), tuple(right[120, 120])) == ((0, 0, 0), (255, 255, 255))


def test_a_dropped_candidate_has_another_grey_than_one_that_became_a_region() -> None:
    frame, inspection, amap, found = explained(two_spots((24, 32)), RegionsConfig(min_area_px=2), (640, 480))
    picture = draw_explanation(frame, inspection, Basis(amap, found), Scale(0.5))
    right = picture[-480 - FOOT : -FOOT, 1296:]
    assert tuple(right[120, 120]) == (255, 255, 255)
    assert tuple(right[12 * 20 + 10, 20 * 20 + 10]) == (150, 120, 20)


def test_a_single_hot_pixel_of_a_large_map_is_not_lost_when_it_is_shrunk() -> None:
    values = np.zeros((1500, 2000), np.float32)
    values[701, 1003] = 1.0
    frame, inspection, amap, found = explained(values, RegionsConfig(min_area_px=2), (2000, 1500))
    picture = draw_explanation(frame, inspection, Basis(amap, found), Scale(0.5))
    middle = picture[-600 - FOOT : -FOOT, 808:1608]
    hottest = tuple(cv2.applyColorMap(np.array([[255]], np.uint8), cv2.COLORMAP_TURBO)[0, 0, ::-1])
    assert int((middle == hottest).all(axis=2).sum()) == 1
    assert tuple(middle[int(701 * 0.4), int(1003 * 0.4)]) == hottest


def test_where_there_is_no_map_the_frame_stands_alone_with_the_reason() -> None:
    meta = FrameMeta(12, "device", 640, 480, "Mono8", 0, 0)
    frame = Frame(meta, np.full((480, 640), 40, np.uint8))
    picture = draw_explanation(frame, invalid(meta, "map_not_finite", 0.5), None, Scale(0.5))
    assert picture.shape[1] == 640
    assert tuple(picture[0, 0]) == (215, 130, 0)


def crowded() -> tuple[np.ndarray, RegionsConfig]:
    """1,200 specks of one pixel below 60 bent strokes of 8 to 20; the strokes fall to solidity, the specks to area."""
    values = np.zeros((240, 320), np.float32)
    values[100::4, ::5] = 0.9
    for k in range(60):
        y, x = 4 + 15 * (k // 10), 4 + 30 * (k % 10)
        values[y, x : x + 7 + k // 5] = values[y : y + 8, x] = 0.9
    return values, RegionsConfig(min_area_px=2, min_solidity=0.9)


def test_of_many_those_that_came_furthest_are_told_first_and_then_the_largest() -> None:
    values, config = crowded()
    frame, _, amap, found = explained(values, config, (320, 240))
    told = by_weight(found.rejected)
    assert sorted(told, key=str) == sorted(found.rejected, key=str)
    assert [r.filter for r in told] == ["min_solidity"] * 60 + ["min_area_px"] * (len(told) - 60)
    assert [r.area_px for r in told[:60]] == sorted((r.area_px for r in told[:60]), reverse=True)
    assert told[0].area_px > told[59].area_px
    funnel, _, listed = explain_dropped(frame.meta, amap, found).partition("\n\n")
    count = len(told)
    assert [line.split() for line in funnel.splitlines()] == [
        ["map", "px", "areas", "gone", "step"],
        [str(found.funnel[0].pixels), str(count), "above", "the", "lower", "threshold"],
        [str(found.funnel[1].pixels), "60", str(count - 60), "min_area_px"],
        ["0", "0", "60", "min_solidity"],
        ["0", "0", "kept"],
    ]
    text = listed.splitlines()
    summary = f"{count} dropped: {count - 60} by min_area_px, 60 by min_solidity; 0 gone before the filters"
    assert text[0] == f"{summary}; boxes in px of the frame"
    assert text[2].split("  ")[0] == "number"
    assert len(text) == len(told) + 3
    first = told[0]
    assert text[3].split() == ["1", *map(str, first.bbox_xyxy), str(first.area_px), *rejected_text(first).split()]
    assert text[-1].split() == [str(len(told)), *map(str, told[-1].bbox_xyxy), "1", "area", "1", "<", "2"]


def test_what_went_before_the_filters_is_listed_with_its_reason() -> None:
    values = np.zeros((60, 80), np.float32)
    values[0:2, 30:40] = 0.9  # in the border
    values[20:24, 4:8] = 0.9  # outside the ROI
    values[30:34, 40:44] = 0.35  # above low alone
    values[40, 50:58] = 0.9  # narrower than the opening
    values[50, 60] = 0.9  # one pixel, which a median takes
    roi = RoiConfig(include=((0.2, 0.0, 1.0, 1.0),))
    config = RegionsConfig(roi=roi, border_px=3, smooth=SmoothConfig(kind="median", size=3), open_px=3)
    plan = RegionPlan.for_size(config, Grid((60, 80), (80, 60), (1.0, 1.0, 0.0, 0.0)), high=0.5, low=0.3)
    result = find_regions(values, plan, explain=True)
    frame, _, amap, _ = explained(values, RegionsConfig(), (80, 60))
    text = explain_dropped(frame.meta, amap, result)
    assert "0 dropped; 5 gone before the filters; boxes in px of the frame" in text
    assert [line.split("  ")[-1] for line in text.splitlines()[-5:]] == [
        "never reaches high, 0.35 < 0.50",
        "smoothed away, 0.00 < 0.30",
        "smoothed away, 0.00 < 0.30",
        "in the border, highest 0.90",
        "outside the ROI, highest 0.90",
    ]


def test_nothing_dropped_gives_no_text() -> None:
    frame, _, amap, found = explained(np.zeros((24, 32), np.float32), RegionsConfig(), (32, 24))
    assert explain_dropped(frame.meta, amap, found) == ""


def test_of_regions_that_were_all_kept_the_text_is_the_funnel_alone() -> None:
    frame, _, amap, found = explained(two_spots((24, 32)), RegionsConfig(), (32, 24))
    text = explain_dropped(frame.meta, amap, found)
    assert [line.split()[-1] for line in text.splitlines()] == ["step", "threshold", "kept"]


def test_of_many_only_the_first_forty_are_marked_so_that_the_pictures_stay_visible() -> None:
    values, config = crowded()
    frame, inspection, amap, found = explained(values, config, (320, 240))
    picture = draw_explanation(frame, inspection, Basis(amap, found), Scale(0.5))
    left = picture[: picture.shape[0] // 2, :640]
    assert shows(left, DROPPED)
    specks = picture[round(1.8 * 14) + 240 : 480, :640]
    assert not shows(specks, DROPPED)
    marked = (picture == DROPPED).all(axis=2).mean()
    assert marked < 0.1


def test_texts_never_cover_each_other() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    boxes = [((x, 40, x + 4, 44), f"solidity 0.{x:02d} < 0.90") for x in range(10, 190, 6)]
    lines = write_labels(picture, [((5, 40, 8, 44), "1: 0.9")], boxes, 14.0)
    numbers = [int(line.split(":")[0]) for line in lines]
    assert numbers == sorted(numbers)
    assert set(numbers) < set(range(1, 31))
    assert lines[0] == f"{numbers[0]}: {boxes[numbers[0] - 1][1]}"
    again = np.zeros_like(picture)
    for box, text in boxes:  # one alone always has room for its whole text
        assert write_labels(again.copy(), [], [(box, text)], 14.0) == []


def test_the_map_is_shown_as_the_thresholds_are_compared_with_it() -> None:
    frame, inspection, amap, found = explained(
        two_spots((24, 32)), RegionsConfig(smooth=SmoothConfig(kind="median", size=3)), (640, 480)
    )
    smoothing = SmoothConfig(kind="median", size=3)
    picture = draw_explanation(frame, inspection, Basis(amap, found), Scale(0.5, smooth=smoothing, wanted=(0.0, 0.9)))
    middle = picture[-480 - FOOT : -FOOT, 648:1288]
    cold, hot = cv2.applyColorMap(np.array([[0, 255]], np.uint8), cv2.COLORMAP_TURBO)[0, :, ::-1]
    assert tuple(middle[120, 120]) == tuple(hot)
    assert tuple(middle[12 * 20 + 10, 20 * 20 + 10]) == tuple(cold)  # the single pixel


def test_hundreds_of_dropped_candidates_are_drawn_in_bounded_space() -> None:
    values = np.zeros((240, 320), np.float32)
    values[::4, ::4] = 0.9
    frame, inspection, amap, found = explained(values, RegionsConfig(min_area_px=2), (320, 240))
    assert len(found.rejected) == 60 * 80
    picture = draw_explanation(frame, inspection, Basis(amap, found), Scale(0.5))
    assert picture.shape[0] < 900


def test_the_peak_is_the_first_highest_pixel_that_takes_part() -> None:
    values = two_spots((24, 32))
    values[12, 20] = 0.95
    plain = RegionPlan.for_size(RegionsConfig(), Grid((24, 32), (32, 24), (1.0, 1.0, 0.0, 0.0)), high=0.5)
    assert peak_inside(values, plain) == (20, 12)
    roi = RoiConfig(units="image_px", include=((3.0, 3.0, 18.0, 18.0),))
    inside = RegionPlan.for_size(RegionsConfig(roi=roi), Grid((24, 32), (32, 24), (1.0, 1.0, 0.0, 0.0)), high=0.5)
    assert peak_inside(values, inside) == (4, 4)
    triangle = RoiConfig(units="image_px", include=([(0.0, 0.0), (32.0, 0.0), (32.0, 24.0)],))
    slanted = RegionPlan.for_size(RegionsConfig(roi=triangle), Grid((24, 32), (32, 24), (1.0, 1.0, 0.0, 0.0)), high=0.5)
    assert peak_inside(values, slanted) == (20, 12)


def test_the_explanation_comes_from_the_inspection_that_gave_the_record() -> None:
    """The criteria ask for it, and the inspection is the same as without."""
    seen: list[Found] = []
    values = two_spots((24, 32))
    criteria = Criteria(RegionsConfig(min_area_px=2), 0.5)
    meta = FrameMeta(1, "counted", 32, 24, "Mono8", 0, 0)
    frame = Frame(meta, np.zeros((24, 32), np.uint8))
    for explain in (False, True):
        criteria.explain = explain
        inspection, found = to_inspection(frame, AnomalyMap(values, (1.0, 1.0, 0.0, 0.0)), criteria)
        assert found is not None
        assert dict(inspection.regions_dropped) == {"min_area_px": 1}
        seen.append(found)
    assert [len(found.rejected) for found in seen] == [0, 1]
    assert to_inspection(frame, Unmapped("engine_error", ""), criteria)[1] is None


def test_replay_writes_one_explanation_for_each_inspection(tmp_path: Path) -> None:
    config = loaded(tmp_path, "regions.threshold={high: 0.5}", "source.frames=3")
    sink = PictureSink(tmp_path / "out", Criteria(RegionsConfig(), 0.5), WantedPictures(explain=True, masks="rle"))
    assert run(make_line(config, more_outputs=[Queued(sink, 8, "wait")])) == 0
    assert sorted(p.name[:8] for p in (tmp_path / "out" / "explain").glob("*.jpg")) == [f"{k:08d}" for k in range(3)]
    assert len(records(tmp_path / "log")) == 3
    assert len((tmp_path / "out" / "masks.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("score", "score_high", "fact"),
    [(0.83, 0.7, "score 0.83 >= 0.7"), (0.5, 0.7, "score 0.5 < 0.7"), (None, 0.7, None), (0.5, None, None)],
)
def test_the_strip_says_how_the_score_compares_with_its_threshold(
    monkeypatch: pytest.MonkeyPatch, score: float | None, score_high: float | None, fact: str | None
) -> None:
    frame, inspection, amap, found = explained(two_spots((24, 32)), RegionsConfig(), (64, 48))
    seen: list[str] = []
    monkeypatch.setattr(module, "under_strip", lambda picture, _title, _colour, facts, _px: seen.extend(facts) or picture)
    scale = Scale(0.5, score_high=score_high)
    draw_explanation(frame, replace(inspection, score=score), Basis(amap, found), scale)
    assert [text for text in seen if text.startswith("score")] == ([] if fact is None else [fact])


def test_candidates_that_came_equally_far_are_marked_all_over_the_picture() -> None:
    """They are listed row by row: the first forty of five hundred must not crowd in one corner."""
    found = [Rejected((0, row, 1, row + 1), 1, "min_area_px", 1, 2) for row in range(500)]
    rows = sorted(
        one.bbox_xyxy[1] for one in by_weight([*found, Rejected((9, 9, 12, 12), 9, "min_solidity", 0.1, 0.8)])[:41]
    )
    assert np.diff([row for row in rows if row != 9]).max() < 30
    assert by_weight([*found[:3], replace(found[3], area_px=7)])[0].area_px == 7
