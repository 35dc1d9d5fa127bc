"""Verdicts of the page are those of ``edge replay``, for filters judged from tables and for controls that look again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.tuned import evidence, replayed, session_message

from edge.errors import UserError
from edge.web.tuning.session import TuningSession

WORDS = {"p": "pass", "f": "fail", "i": "invalid"}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = evidence(tmp_path_factory.mktemp("line"))
    write_masks(config.parent)
    return config


def write_masks(folder: Path) -> None:
    """Masks of the frames' size: ``corner.png`` leaves a quarter to inspect, ``small.png`` fits no frame."""
    height, width = cv2.imread(str(next((folder / "evidence").rglob("*.png")))).shape[:2]  # type: ignore[union-attr]
    corner = np.zeros((height, width), np.uint8)
    corner[: height // 2, : width // 2] = 255
    cv2.imwrite(str(folder / "corner.png"), corner)
    cv2.imwrite(str(folder / "rest.png"), 255 - corner)
    cv2.imwrite(str(folder / "small.png"), corner[:9, :9])


def opened(config: Path, tmp_path: Path, **more: Any) -> TuningSession:
    return TuningSession(session_message(config, config.parent / "evidence", tmp_path / "cache", **more))


def settled(session: TuningSession) -> dict[str, Any]:
    while session.step():
        pass
    return session.verdicts()


def changed(session: TuningSession, view: int = 0, **keys: Any) -> dict[str, Any]:
    session.change({**session.regions.model_dump(mode="json"), **keys}, view)
    return settled(session)


MEDIAN = {"kind": "median", "size": 3, "sigma": None}
CHANGES: list[dict[str, Any]] = [
    {"min_area_px": 40},
    {"max_area_px": 60, "min_area_px": 2},
    {"min_solidity": 0.9},
    {"min_fill_ratio": 0.7, "max_aspect_ratio": 2.0},
    {"min_score_mean": 7.0, "min_score_max": 9.0},
    {"threshold": {"high": 7.5, "low": None}},
    {"threshold": {"high": 5.0, "low": 3.5}, "min_area_px": 0},
    {
        "roi": {
            "units": "norm",
            "include": [[[0.1, 0.1], [0.6, 0.2], [0.5, 0.9]]],
            "exclude": [[0.3, 0.3, 0.4, 0.4]],
            "mask": None,
        }
    },
    {"roi": {"mask": "corner.png"}},
    {"roi": {"mask": "corner.png", "exclude": [[0.2, 0.2, 0.3, 0.3]]}, "min_area_px": 12},
    {"border_px": 12, "smooth": None},
    {"smooth": {"kind": "gaussian", "size": 5, "sigma": 1.5}, "open_px": 3, "close_px": 3},
    {"zones": [{"units": "norm", "shape": [0.0, 0.0, 0.5, 1.0], "threshold": {"high": 9.0, "low": 7.0}, "min_area_px": 9}]},
    {"fill_holes": True, "dilate_px": 3, "merge_gap_px": 2, "max_regions": 1, "polygons": True, "sort_by": "area"},
]


@pytest.mark.parametrize("keys", CHANGES, ids=lambda keys: "+".join(keys))
def test_verdicts_are_those_of_a_replay_of_the_exported_config_on_every_frame(
    line: Path, tmp_path: Path, keys: dict[str, Any]
) -> None:
    session = opened(line, tmp_path)
    told = changed(session, **keys)
    exported = session.export()
    assert exported["problems"] == []
    words = shlex.split(exported["set"])
    replay = replayed(line, line.parent / "evidence", tmp_path / "out", *words[1::2])
    assert set(words[::2]) <= {"--set"}
    here = {
        frame.entry.meta.frame_id: WORDS[verdict]
        for frame, verdict in zip(session.subject.frames, told["new"], strict=True)
    }
    assert here == replay
    assert len(here) == 40
    session.close()


def test_the_old_verdicts_are_those_of_the_line_and_the_matrix_counts_both(line: Path, tmp_path: Path) -> None:
    session = opened(line, tmp_path)
    settled(session)
    told = changed(session, view=7, threshold={"high": 8.0, "low": None}, min_area_px=30)
    recorded = "".join(frame.verdict[0] for frame in session.subject.frames if frame.verdict)
    assert told["old"] == recorded
    assert told["left"] == 0
    assert sum(told["matrix"].values()) == 40
    assert told["matrix"] == {
        pair: sum(a + b == pair for a, b in zip(told["old"], told["new"], strict=True)) for pair in told["matrix"]
    }
    assert told["computed"] == 0
    assert told["distance"] is None


def test_a_filter_needs_no_map_again(line: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = opened(line, tmp_path)
    settled(session)
    loads: list[int] = []
    monkeypatch.setattr(session._maps, "load", lambda index: loads.append(index))  # type: ignore[func-returns-value]
    assert session.change({**session.regions.model_dump(mode="json"), "min_area_px": 25}, 0) == "filters"
    assert session.verdicts()["left"] == 0
    assert loads == []


def test_a_control_before_the_candidates_looks_at_the_frame_in_view_first_then_outward(line: Path, tmp_path: Path) -> None:
    session = opened(line, tmp_path)
    settled(session)
    looked: list[int] = []
    load = session._maps.load
    session._maps.load = lambda index: looked.append(index) or load(index)  # type: ignore[func-returns-value,method-assign,assignment]
    data = session.regions.model_dump(mode="json")
    assert session.change({**data, "border_px": 3}, 20) == "maps"
    for _ in range(4):
        session.step()
    assert list(dict.fromkeys(looked)) == [20, 21, 19, 22]
    assert session.verdicts()["left"] == 36
    session.change({**data, "border_px": 4}, 5)  # overtakes: what was begun is dropped
    looked.clear()
    session.step()
    assert session.verdicts()["left"] == 39
    assert settled(session)["left"] == 0


def test_maps_that_nobody_kept_are_computed_once_and_their_distance_from_the_records_is_said(tmp_path: Path) -> None:
    config = evidence(tmp_path / "line", "outputs.evidence.maps=false", frames=12)
    session = opened(config, tmp_path)
    assert session.opened["kept_maps"] == 0
    assert session.opened["notes"][-1] == (
        "12 of 12 frames have no kept map (outputs.evidence.maps): theirs are computed here, on the CPU; the line's config "
        "says auto fp32"
    )
    told = settled(session)
    assert told["computed"] == 12
    assert told["old"] == "".join(frame.verdict[0] for frame in session.subject.frames if frame.verdict)
    assert told["distance"].startswith("maps computed here by o")
    assert "map_max lies at most 0 from the record's in 12 frames, within the engine's tolerance of" in told["distance"]
    again = opened(config, tmp_path)
    assert settled(again)["computed"] == 0
    session.close()
    again.close()


def test_the_map_of_the_frame_in_view_stays_its_own_while_those_of_the_others_are_computed(tmp_path: Path) -> None:
    """An engine writes into few buffers in turn: a defect was judged by a good frame's map, and passed."""
    config = evidence(tmp_path / "line", "outputs.evidence.maps=false", frames=12)
    session = opened(config, tmp_path)
    regions = session.regions.model_dump(mode="json")
    view = next(n for n, frame in enumerate(session.subject.frames) if frame.verdict == "fail")
    session.change(regions, view)
    before, _ = session.look(view)
    settled(session)
    session.change({**regions, "threshold": {"high": 6.001, "low": 4.0}}, view)
    after, _ = session.look(view)
    assert (before["verdict"], after["verdict"]) == ("fail", "fail")
    assert after["map_max"] == before["map_max"]
    assert after["kept_count"] == before["kept_count"]
    assert settled(session)["new"][view] == "f"
    session.close()


def test_a_stretch_of_time_takes_the_frames_that_came_in_it(line: Path, tmp_path: Path) -> None:
    whole = opened(line, tmp_path)
    stamps = [frame.entry.meta.received_ns for frame in whole.subject.frames]
    part = opened(line, tmp_path, since_ns=stamps[10], until_ns=stamps[25])
    assert [frame.entry.meta.received_ns for frame in part.subject.frames] == stamps[10:25]


def test_a_look_says_what_became_of_each_candidate_and_the_funnel_where_the_rest_went(line: Path, tmp_path: Path) -> None:
    session = opened(line, tmp_path)
    told = settled(session)
    fail = told["new"].index("f")
    head, layers = session.look(fail)
    assert head["verdict"] == "fail"
    assert head["kept_count"] == len(head["kept"]) > 0
    assert layers
    changed(session, min_area_px=4000)
    head, _ = session.look(fail)
    assert (head["verdict"], head["kept"]) == ("pass", [])
    assert {one["filter"] for one in head["dropped"]} == {"min_area_px"}
    assert head["dropped"][0]["text"].startswith("area ")
    steps = session.funnel(fail)["steps"]
    assert [step["step"] for step in steps] == ["above_low", "smooth", "hysteresis", "min_area_px", "kept"]
    assert steps[-1]["areas"] == 0
    before, _ = session.look(fail, old=True)
    assert before["verdict"] == "fail"


def test_a_look_under_other_filters_is_that_of_a_session_which_looks_anew(line: Path, tmp_path: Path) -> None:
    session = opened(line, tmp_path)
    fail = settled(session)["new"].index("f")
    closes = {"close_px": 5, "fill_holes": True}
    for keys in (*CHANGES, {"merge_gap_px": 9}, {"fill_holes": True}, {"border_px": 2}, closes, {"max_regions": 1}):
        session.change({**session.base.model_dump(mode="json"), **keys}, fail)
        session.funnel(fail)  # takes memory of its own
        anew = opened(line, tmp_path)
        anew.change({**anew.base.model_dump(mode="json"), **keys}, fail)
        assert session.look(fail) == anew.look(fail), keys


def test_another_mask_picture_is_read_and_the_lines_own_verdicts_stay(line: Path, tmp_path: Path) -> None:
    session = opened(line, tmp_path)
    before = settled(session)["new"]
    corner = changed(session, roi={"mask": "corner.png"})
    rest = changed(session, roi={"mask": "rest.png"})
    assert before != corner["new"] != rest["new"]
    assert corner["old"] == rest["old"] == before
    fail = before.index("f")
    assert session.look(fail, old=True)[0]["verdict"] == "fail"
    assert changed(session, roi=None)["new"] == before


def test_a_line_with_a_mask_is_tuned_without_it_and_back(line: Path, tmp_path: Path) -> None:
    config = line.parent / "masked.yaml"
    config.write_text(line.read_text().replace("regions:\n", "regions:\n  roi: {mask: corner.png}\n"))
    session = opened(config, tmp_path)
    own = settled(session)["new"]
    without = changed(session, roi=None)
    assert without["old"] == own != without["new"]
    assert without["new"] == settled(opened(line, tmp_path))["new"]
    back = changed(session, roi={"mask": "corner.png"})
    assert back["new"] == back["old"] == own


@pytest.mark.parametrize(("mask", "text"), [("none.png", "none.png cannot be read"), ("small.png", "regions.roi.mask: ")])
def test_a_mask_that_cannot_be_used_is_refused_and_the_regions_before_stay(
    line: Path, tmp_path: Path, mask: str, text: str
) -> None:
    session = opened(line, tmp_path)
    before = settled(session)["new"]
    with pytest.raises(UserError, match=text):
        changed(session, roi={"mask": mask})
    assert session.regions == session.base
    assert settled(session)["new"] == before


@pytest.mark.parametrize("index", [-1, 40, 999])
def test_a_frame_that_is_not_there_is_refused_before_anything_changes(line: Path, tmp_path: Path, index: int) -> None:
    session = opened(line, tmp_path)
    data = {**session.regions.model_dump(mode="json"), "border_px": 3}
    text = f"view: there is no frame {index}\n  expected: 0 to 39"
    for act in (
        lambda: session.change(data, index),
        lambda: session.look(index),
        lambda: session.picture(index, "frame", 64),
        lambda: session.picture(index, "map", 64),
    ):
        with pytest.raises(UserError, match=text):
            act()
    assert (session.view, session.regions) == (0, session.base)
    assert settled(session)["left"] == 0
