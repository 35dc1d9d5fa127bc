"""Known frames through the whole inspection: good must pass, bad must fail, and the result is logged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson
import pytest
from structlog.testing import capture_logs
from support.graphs import nan_model, write_identity_bundle
from support.lines import Bent, loaded

from edge.engines.protocol import Engine
from edge.errors import UserError
from edge.line.recipe import open_model
from edge.models.golden import Golden, Judgement, run_golden
from edge.models.golden_folders import Expected, golden_folders
from edge.storage.log_files import segments


def picture(path: Path, value: int = 50, spot: int | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((64, 64), value, np.uint8)
    if spot is not None:
        pixels[10:20, 30:40] = spot
    assert cv2.imwrite(str(path), pixels)


def golden(folder: Path, *overrides: str, engine: Engine | None = None) -> tuple[Golden, list[dict[str, Any]]]:
    config = loaded(folder, "regions={threshold: {high: 0.5}, min_area_px: 20}", *overrides)
    opened, criteria = open_model(config)
    try:
        with capture_logs() as logs:
            return run_golden(config, engine or opened, criteria, folder / "golden"), logs
    finally:
        opened.close()


def test_frames_judged_rightly_give_an_empty_list_and_a_log_line(tmp_path: Path) -> None:
    for k in range(3):
        picture(tmp_path / "golden" / "good" / f"{k}.png")
    picture(tmp_path / "golden" / "bad" / "0.png", spot=250)
    result, logs = golden(tmp_path)
    assert result == Golden(3, 1, ())
    config = loaded(tmp_path, "regions={threshold: {high: 0.5}, min_area_px: 20}")
    engine, _ = open_model(config)
    engine.close()
    assert [event for event in logs if event["event"] == "golden_check"] == [
        {
            "event": "golden_check",
            "log_level": "info",
            "result": "pass",
            "folder": str(tmp_path / "golden"),
            "good": 3,
            "good_wrong": 0,
            "bad": 1,
            "bad_wrong": 0,
            "left_out": [],
            "camera": "cam1",
            "config_sha256": config.sha256,
            "model": "identity",
            "model_sha256": engine.bundle.sha256,
            "calibration_sha256": None,
        }
    ]


def test_a_good_frame_that_fails_and_a_bad_one_that_passes_are_named_with_why(tmp_path: Path) -> None:
    picture(tmp_path / "golden" / "good" / "0.png", spot=250)
    picture(tmp_path / "golden" / "good" / "1.png")
    picture(tmp_path / "golden" / "bad" / "scratch" / "0.png", spot=250)
    pixels = np.full((64, 64), 50, np.uint8)
    pixels[5:8, 5:8] = 255
    assert cv2.imwrite(str(tmp_path / "golden" / "bad" / "scratch" / "1.png"), pixels)
    result, logs = golden(tmp_path)
    light = float(np.float32(250 / 255))
    assert result == Golden(
        2,
        2,
        (
            Judgement("good/0.png", "pass", "fail", None, light, {}, (light, 0.5)),
            Judgement("bad/scratch/1.png", "fail", "pass", None, 1.0, {"min_area_px": 1}, (1.0, 0.5)),
        ),
    )
    assert [judgement.why for judgement in result.wrong] == ["", "min_area_px 1"]
    (event,) = [event for event in logs if event["event"] == "golden_check"]
    assert (event["log_level"], event["result"], event["good_wrong"], event["bad_wrong"]) == ("warning", "fail", 1, 1)


@pytest.mark.parametrize(
    ("override", "compared", "why"),
    [
        ("smooth={kind: box, size: 9}", (1 / 9, 0.5), "smoothed below its threshold"),
        ("zones=[{shape: [0, 0, 0.5, 1], threshold: {high: 3.0}}]", (0.0, 0.5), "smoothed below its threshold"),
        ("threshold={high: 2.0}", (1.0, 2.0), "below its threshold"),
        ("open_px=5", (1.0, 0.5), "open_px took it away"),
    ],
)
def test_a_bad_frame_that_passes_says_why_there_is_no_region(
    tmp_path: Path, override: str, compared: tuple[float, float], why: str
) -> None:
    picture(tmp_path / "golden" / "good" / "0.png", value=0)
    pixels = np.zeros((64, 64), np.uint8)
    pixels[30:33, 20:23] = 255
    (tmp_path / "golden" / "bad").mkdir()
    assert cv2.imwrite(str(tmp_path / "golden" / "bad" / "0.png"), pixels)
    [wrong] = golden(tmp_path, f"regions.{override}")[0].wrong
    assert wrong.map_max == 1.0
    assert wrong.compared == (pytest.approx(compared[0]), compared[1])
    assert wrong.why == why


def test_the_result_stays_in_the_lines_log_folder(tmp_path: Path) -> None:
    picture(tmp_path / "golden" / "good" / "0.png")
    picture(tmp_path / "golden" / "bad" / "0.png", spot=250)
    picture(tmp_path / "golden" / "bad" / "1.png")
    for _ in range(2):
        result, logs = golden(tmp_path)
    assert result.kept == tmp_path / "log" / "edge-cam1-golden.jsonl"
    first, second = (orjson.loads(line) for line in result.kept.read_bytes().splitlines())
    assert {**first, "created_ns": 0} == {**second, "created_ns": 0}
    [event] = [e for e in logs if e["event"] == "golden_check"]
    told = {key: value for key, value in event.items() if key not in ("event", "log_level")}
    assert {**second, **told} == second
    assert (second["kind"], second["result"], second["bad_wrong"]) == ("golden_check", "fail", 1)
    assert second["wrong"] == [{"frame": "bad/1.png", "verdict": "pass", "reason": None, "why": "below its threshold"}]
    assert segments(tmp_path / "log") == []


def test_a_log_folder_that_cannot_be_written_costs_no_result(tmp_path: Path) -> None:
    picture(tmp_path / "golden" / "good" / "0.png")
    picture(tmp_path / "golden" / "bad" / "0.png", spot=250)
    (tmp_path / "log").write_text("")
    result, logs = golden(tmp_path)
    assert (result, result.kept) == (Golden(1, 1, ()), None)
    assert logs[-1] == {
        "event": "golden_check_not_kept",
        "log_level": "warning",
        "file": f"{tmp_path}/log/edge-cam1-golden.jsonl",
        "error": "File exists",
    }
    assert golden(tmp_path, "outputs.jsonl=null")[0].kept is None


def test_what_cannot_be_judged_is_judged_wrongly(tmp_path: Path) -> None:
    """A bad frame that is ``invalid`` was not found to be bad."""
    picture(tmp_path / "golden" / "good" / "0.png", 0)
    whole = (tmp_path / "golden" / "good" / "0.png").read_bytes()
    (tmp_path / "golden" / "good" / "1.png").write_bytes(whole[:60])
    picture(tmp_path / "golden" / "bad" / "0.png", 0, spot=250)
    write_identity_bundle(tmp_path / "nan", model=nan_model(only_where_black=True))
    result, _ = golden(tmp_path, "model.bundle=nan")
    assert [(j.name, j.found, j.reason) for j in result.wrong] == [
        ("good/0.png", "invalid", "map_not_finite"),
        ("good/1.png", "unreadable", None),
        ("bad/0.png", "invalid", "map_not_finite"),
    ]


def test_a_model_that_raises_makes_the_frame_invalid_and_the_next_is_tried(tmp_path: Path) -> None:
    picture(tmp_path / "golden" / "good" / "0.png")
    picture(tmp_path / "golden" / "good" / "1.png")
    picture(tmp_path / "golden" / "bad" / "0.png", spot=250)
    engine, _ = open_model(loaded(tmp_path))

    def first_raises(index: int) -> None:
        if index == 0:
            raise RuntimeError("no")

    result, _ = golden(tmp_path, engine=Bent(engine, first_raises))
    engine.close()
    assert [(j.name, j.found, j.reason) for j in result.wrong] == [("good/0.png", "invalid", "engine_error")]


def test_the_deadline_does_not_count(tmp_path: Path) -> None:
    picture(tmp_path / "golden" / "good" / "0.png")
    picture(tmp_path / "golden" / "bad" / "0.png", spot=250)
    assert golden(tmp_path, "deadline_ms=0.000001")[0].wrong == ()


def folders(*names: str, under: Path) -> list[tuple[str, str]]:
    for name in names:
        (under / name).mkdir(parents=True, exist_ok=True)
    return [(group.under(under), group.expected) for group in golden_folders(under)]


def test_good_and_bad_or_good_and_a_folder_for_each_defect(tmp_path: Path) -> None:
    plain = [("good", "pass"), ("bad", "fail")]
    assert folders("good", "bad", "unsure", under=tmp_path / "a") == plain
    assert folders("good", "scratch", "dent", ".cache", under=tmp_path / "b") == [
        ("good", "pass"),
        ("dent", "fail"),
        ("scratch", "fail"),
    ]
    assert folders("train/good", "test/good", "test/crack", "ground_truth/crack", under=tmp_path / "c") == [
        ("test/good", "pass"),
        ("test/crack", "fail"),
    ]


def test_both_good_and_bad_are_needed(tmp_path: Path) -> None:
    layout = (
        "a folder with good/ and bad/, or with good/ and a folder for each defect, in it or in its test/, "
        "or with a labels.csv"
    )

    def told(folder: Path) -> str:
        with pytest.raises(UserError) as caught:
            golden_folders(folder)
        return str(caught.value)

    assert told(tmp_path / "no") == f"--golden {tmp_path}/no: no such folder\n  expected: {layout}"
    (tmp_path / "only" / "good").mkdir(parents=True)
    assert told(tmp_path / "only") == (
        f"--golden {tmp_path}/only: known good and known bad frames are needed, both\n"
        f"  received: good\n  expected: {layout}"
    )
    (tmp_path / "none").mkdir()
    assert "\n  received: no folder\n" in told(tmp_path / "none")


def test_names_that_are_no_text_are_judged_and_named_all_the_same(tmp_path: Path) -> None:
    """Latin-1 from an old camera's disk: a traceback, and exit code 1 of "golden frames judged wrongly"."""
    picture(tmp_path / "golden" / "good" / "plain.png")
    picture(tmp_path / "golden" / "bad" / "plain.png", spot=250)
    for part in ("good", "bad"):
        (tmp_path / "golden" / part / "plain.png").rename(tmp_path / "golden" / part / os.fsdecode(b"bad\xe9.png"))
    assert golden(tmp_path)[0] == Golden(1, 1, ())
    picture(tmp_path / "golden" / "bad" / "missed.png")
    (tmp_path / "golden" / "bad" / "missed.png").rename(tmp_path / "golden" / "bad" / os.fsdecode(b"missed\xff.png"))
    (wrong,) = golden(tmp_path)[0].wrong
    assert wrong.name.encode("utf-8", "backslashreplace").endswith((b"missed\\xff.png", b"missed\\udcff.png"))
    assert any(b"missed\\\\" in path.read_bytes() for path in (tmp_path / "log").rglob("*.jsonl"))


def test_an_empty_folder_of_golden_frames_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "golden" / "good" / "0.png")
    (tmp_path / "golden" / "bad").mkdir()
    with pytest.raises(UserError, match="bad: holds no pictures"):
        golden(tmp_path)


def test_each_class_has_a_row_whatever_names_it(tmp_path: Path) -> None:
    root = tmp_path / "golden"
    picture(root / "ok" / "0.png", spot=250)
    picture(root / "NG" / "0.png", spot=250)
    picture(root / "NG" / "dent" / "1.png")
    expected = [("good", 1, 1, 0), ("defect", 1, 1, 0), ("dent", 1, 0, 1)]
    result, _ = golden(tmp_path)
    assert [(row.name, row.frames, row.now.failed, row.now.passed) for row in result.classes] == expected
    for index, name in enumerate(("ok/0.png", "NG/0.png", "NG/dent/1.png")):
        (root / name).rename(root / f"{index}.png")
        (root / name).parent.rmdir() if index != 1 else None
    (root / "NG").rmdir()
    (root / "labels.csv").write_text("file,label\n0.png,ok\n1.png,ng\n2.png,dent\n")
    result, _ = golden(tmp_path)
    assert [(row.name, row.frames, row.now.failed, row.now.passed) for row in result.classes] == expected
    assert [(j.name, j.kind) for j in result.wrong] == [("0.png", "good"), ("2.png", "dent")]
    picture(root / "3.png")
    assert golden(tmp_path)[0].left_out == (f"{root}: 1 pictures without a label, or of which people say different things",)


def test_the_worst_are_missed_defects_and_false_rejects_half_of_each() -> None:
    def judged(expected: Expected, value: float | None) -> Judgement:
        found: Expected = "fail" if expected == "pass" else "pass"
        compared = None if value is None else (value, 1.0)
        return Judgement(f"{expected}{value}", expected, found, None, value, {}, compared)

    missed = [judged("fail", value) for value in (0.9, 0.1, None, 0.5)]
    rejected = [judged("pass", value) for value in (1.1, 3.0, 2.0)]
    result = Golden(5, 5, tuple(missed + rejected))
    assert [j.name for j in result.worst(4)] == ["failNone", "fail0.1", "pass3.0", "pass2.0"]
    assert [j.name for j in result.worst(6)] == ["failNone", "fail0.1", "fail0.5", "pass3.0", "pass2.0", "pass1.1"]
    assert len(result.worst(20)) == 7
