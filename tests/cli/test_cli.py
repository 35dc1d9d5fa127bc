"""Bad input through the command line, as a person meets it: the whole text, the exit code, and no traceback."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import orjson
import pytest
import typer
from support.commands import edge
from support.graphs import nan_model, write_identity_bundle, wrong_model
from support.lines import frame_ids, loaded, records
from support.waits import PATIENCE_S

from edge.cli import NAMES, app
from edge.config.bundle_spec import BundleSpec
from edge.models.write import write_bundle
from edge.service.instance_lock import InstanceLock

SIMULATED = "source={kind: genicam, producer: simulated, serial: '0', buffers: 4}"


def refused(result: subprocess.CompletedProcess[str]) -> str:
    """What a command that was refused says: exit code 2, nothing on standard output."""
    assert (result.returncode, result.stdout) == (2, ""), result
    return result.stderr.strip()


def picture(path: Path, value: int = 50, shape: tuple[int, ...] = (64, 64)) -> None:
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), np.full(shape, value, np.uint8))


@pytest.fixture
def line(tmp_path: Path) -> Path:
    """A folder with cam1.yaml, its bundle, and three good pictures under pictures/."""
    loaded(tmp_path)
    for index in range(3):
        picture(tmp_path / "pictures" / f"{index}.png")
    return tmp_path


def spec(**changes: Any) -> BundleSpec:
    base: dict[str, Any] = {"name": "m", "input": {"channels": 1, "size": "any"}, "resize": {"where": "none"}}
    return BundleSpec.model_validate(base | changes)


def test_a_missing_bundle(line: Path) -> None:
    path = line / "models/none"
    assert refused(edge(line, "check", "cam1.yaml", "--set", "model.bundle=models/none")) == (
        f"{path}: there is no such bundle\n  expected: a bundle's folder\n"
        f"  fix: make one: `edge build MODEL.onnx -o {path}` or `edge fit FOLDER_OF_GOOD_FRAMES -o {path}`"
    )


def test_an_unreadable_bundle(line: Path) -> None:
    (line / "bundle" / "bundle.yaml").write_bytes(b"\xff\xfe")
    text = refused(edge(line, "check", "cam1.yaml"))
    assert text.splitlines()[-1] == f"{line}/bundle/bundle.yaml: not UTF-8 text: invalid start byte at byte 0"


def test_a_bundle_whose_model_was_changed(line: Path) -> None:
    with (line / "bundle" / "model.onnx").open("ab") as file:
        file.write(b"x")
    text = refused(edge(line, "check", "cam1.yaml"))
    assert re.sub(r"[0-9a-f]{64}", "HASH", text) == (
        f"{line}/bundle/model.onnx: the file is not the one that the bundle was built with\n"
        "  received: SHA-256 HASH\n  expected: SHA-256 HASH\n  fix: copy the bundle again, or build it again"
    )


def test_a_bare_onnx_file(line: Path) -> None:
    onnx.save(nan_model(), line / "model.onnx")
    assert refused(edge(line, "check", "cam1.yaml", "--set", "model.bundle=model.onnx")) == (
        f"{line}/model.onnx: a bare ONNX file is no bundle\n  expected: a bundle's folder\n"
        f"  fix: run `edge build {line}/model.onnx -o FOLDER` and name FOLDER here"
    )


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (
            "no_map",
            "the graph's outputs are not a bundle's\n  received: result\n"
            "  expected: map, and optionally score and embedding\n  fix: run `edge build` on the original model",
        ),
        ("float64_map", "output 'map' has a wrong type\n  received: tensor(double)\n  expected: tensor(float)"),
        ("rank_4_map", "output 'map' has a wrong shape\n  received: (n, 16, 16, 1)\n  expected: (n, h, w)"),
        ("two_inputs", "the graph's inputs are not a bundle's\n  received: frame, mask\n  expected: frame"),
        ("float_frame", "input 'frame' has a wrong type\n  received: tensor(float)\n  expected: tensor(uint8)"),
    ],
)
def test_a_graph_with_wrong_outputs_or_inputs(line: Path, kind: Any, text: str) -> None:
    write_bundle(line / "wrong", wrong_model(kind), spec(input={"channels": 1, "size": (16, 16)}))
    assert refused(edge(line, "check", "cam1.yaml", "--set", "model.bundle=wrong")) == f"{line}/wrong/model.onnx: {text}"


def test_a_model_that_always_gives_nan_is_refused(line: Path) -> None:
    write_bundle(line / "nan", nan_model(), spec())
    text = (
        f"{line}/nan/model.onnx: the model's map is NaN or infinite on every picture\n"
        "  received: tried on noise, soft shapes, a nearly black picture, a blank picture, with onnx in fp32\n"
        "  expected: finite numbers\n"
        "  fix: run `edge build` on the original model, or use the bundle that ran before"
    )
    assert refused(edge(line, "check", "cam1.yaml", "--set", "model.bundle=nan")) == text
    assert refused(edge(line, "bundle", "check", line / "nan")) == text


def test_a_model_that_gives_nan_gives_invalid_records(line: Path) -> None:
    write_bundle(line / "nan", nan_model(only_where_black=True), spec())
    for path in (line / "pictures").iterdir():
        picture(path, 0)
    result = edge(line, "replay", "pictures", "-c", "cam1.yaml", "--set", "model.bundle=nan", "--out", "out")
    assert result.returncode == 0
    assert [(r["verdict"], r["reason"]) for r in records(line / "out")] == [("invalid", "map_not_finite")] * 3


def test_a_replay_in_batches(line: Path) -> None:
    text = refused(edge(line, "replay", "pictures", "-c", "cam1.yaml", "--pace", "original", "--batch-size", "8"))
    assert text == (
        "--batch-size: frames of a batch wait for each other, and with --pace original each comes at its own time\n"
        "  received: 8\n  expected: --pace max, or no --batch-size"
    )
    result = edge(line, "replay", "pictures", "-c", "cam1.yaml", "--batch-size", "2", "--out", "out")
    assert result.returncode == 0
    assert [r["verdict"] for r in records(line / "out")] == ["pass"] * 3


def test_an_empty_folder(line: Path) -> None:
    (line / "empty").mkdir()
    assert refused(edge(line, "replay", "empty", "-c", "cam1.yaml", "--out", "out")) == (
        "empty: holds no pictures\n  received: an empty folder\n"
        "  expected: PNG, JPEG, TIFF or BMP files, in it or in folders under it, or a recording"
    )
    assert refused(edge(line, "calibrate", "empty", "-c", "cam1.yaml", "-o", "x.yaml")).startswith(
        "empty: holds no pictures\n"
    )
    assert refused(edge(line, "fit", "empty", "-o", "fitted")).startswith("empty: holds no pictures\n")


def test_a_truncated_picture_in_the_middle_is_skipped_and_replay_goes_on(line: Path) -> None:
    whole = (line / "pictures" / "1.png").read_bytes()
    (line / "pictures" / "1.png").write_bytes(whole[: len(whole) // 2])
    result = edge(line, "replay", "pictures", "-c", "cam1.yaml", "--out", "out")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "incomplete: 1 of 3 frames could not be read"
    found = records(line / "out")
    assert [(r["kind"], r["verdict"], r["reason"], r["frame_ref"]) for r in found] == [
        ("inspection", "pass", None, "0.png"),
        ("skip", "invalid", "unreadable", "1.png"),
        ("inspection", "pass", None, "2.png"),
    ]
    assert frame_ids(found) == [0, 1, 2]


def test_bad_yaml(line: Path) -> None:
    (line / "bad.yaml").write_text("camera: cam1\nsource: {kind: synthetic\nmodel: 3\n")
    assert refused(edge(line, "check", "bad.yaml")) == (
        "bad.yaml:3: not valid YAML: expected ',' or '}', but got ':', while parsing a flow mapping that begins in line 2"
    )


def test_a_duplicate_key(line: Path) -> None:
    text = (line / "cam1.yaml").read_text() + "camera: cam2\n"
    (line / "bad.yaml").write_text(text)
    number = len(text.splitlines())
    assert refused(edge(line, "check", "bad.yaml")) == (
        f"bad.yaml:{number}: camera: the key stands twice\n  received: line 1 and line {number}\n  fix: keep one of them"
    )


def test_an_unknown_key_names_the_nearest(line: Path) -> None:
    (line / "bad.yaml").write_text((line / "cam1.yaml").read_text().replace("regions: {", "regions: {min_aera_px: 4, "))
    assert refused(edge(line, "check", "bad.yaml")) == (
        "bad.yaml:5: regions.min_aera_px: unknown key\n  expected: did you mean 'min_area_px'?"
    )


def test_on_as_a_feature_value_reaches_the_camera_as_text(line: Path) -> None:
    """YAML 1.1 would have made a boolean of it; this camera has no trigger, and says so by the feature's name."""
    (line / "on.yaml").write_text(
        (line / "cam1.yaml")
        .read_text()
        .replace(
            "source: {kind: synthetic, width: 64, height: 64, fps: null, frames: 50}",
            "source: {kind: genicam, producer: simulated, serial: '0', "
            "features: [[GenDCStreamingMode, Off], [TriggerMode, On]]}",
        )
    )
    assert edge(line, "check", "on.yaml").returncode == 0
    text = refused(edge(line, "run", "-c", "on.yaml"))
    assert text[text.index("on.yaml") :] == (
        "on.yaml:3: source.features[1]: TriggerMode: the camera has no such feature\n  received: TriggerMode\n"
        "  expected: a feature of this camera\n  fix: edge cameras --producer PRODUCER --serial SERIAL lists them"
    )


def test_an_roi_outside_the_picture(line: Path) -> None:
    sets = ["--set", "regions.roi={units: image_px, include: [[100, 100, 200, 200]]}"]
    text = (
        "cam1.yaml: regions.roi.include.0: outside the frame\n  received: reaches x = 200, y = 200\n"
        "  expected: at most x = 64, y = 64: the frame is 64 x 64 pixels\n"
        "  fix: correct the shape, or give it in units norm"
    )
    assert refused(edge(line, "check", "cam1.yaml", *sets)) == text
    assert refused(edge(line, "run", "-c", "cam1.yaml", *sets)).endswith(text)
    sets = ["--set", "regions.roi={include: [[5, 5, 9, 9]]}"]
    assert refused(edge(line, "check", "cam1.yaml", *sets)) == (
        "cam1.yaml: regions.roi: include.0: 5 lies outside the frame, 0 to 1 in units norm (pixels are units image_px)"
    )


def test_an_roi_in_pixels_is_held_against_the_replayed_frames_not_the_configs_source(line: Path) -> None:
    for index in range(3):
        picture(line / "pictures" / f"{index}.png", shape=(128, 128))
    sets = ["--set", "regions.roi={units: image_px, include: [[70, 70, 100, 100]]}"]
    assert edge(line, "replay", "pictures", "-c", "cam1.yaml", "--out", "out", *sets).returncode == 0
    assert [r["verdict"] for r in records(line / "out")] == ["pass"] * 3
    picture(line / "small" / "0.png")
    assert edge(line, "replay", "small", "-c", "cam1.yaml", "--out", "small_out", *sets).returncode == 0
    assert [(r["verdict"], r["reason"]) for r in records(line / "small_out")] == [("invalid", "frame_size")]


def test_a_busy_endpoint_of_a_replay_is_told_of_the_option_that_named_it(line: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        result = edge(line, "replay", "pictures", "-c", "cam1.yaml", "--out", "out", "--publish", endpoint)
    assert refused(result) == (
        f"--publish: {endpoint} cannot be bound: Address already in use (EADDRINUSE)\n"
        "  fix: stop the program that has it, or choose another; tcp port 0 takes any free one"
    )


def test_a_log_folder_that_cannot_be_written(line: Path) -> None:
    (line / "file").write_text("")
    result = edge(line, "run", "-c", "cam1.yaml", "--set", "outputs.jsonl.dir=file/log")
    assert refused(result).endswith(
        f"outputs.jsonl: {line}/file/log: the log cannot be written\n  received: {line}/file is a file, not a folder\n"
        "  expected: a folder that this user may write\n  fix: choose another folder, or change its owner"
    )


@pytest.mark.parametrize("command", [["check"]])  # `edge run` waits for it: tests/service/test_daemon.py
def test_a_producer_that_does_not_exist(line: Path, command: list[str]) -> None:
    result = edge(line, *command, "cam1.yaml", "--set", "source={kind: genicam, producer: /opt/none.cti}")
    text = refused(result)
    assert text[text.rindex("source.producer: no") :] == (
        "source.producer: no such file\n"
        "  received: /opt/none.cti\n"
        "  expected: the path of a GenTL producer (.cti), or simulated\n"
        "  fix: install the camera vendor's GenTL producer, or correct the path"
    )


def test_a_camera_that_is_not_found_is_waited_for_and_those_present_are_listed(line: Path) -> None:
    command = [sys.executable, "-m", "edge", "run", "-c", "cam1.yaml", "--set", SIMULATED.replace("'0'", "'77'")]
    with subprocess.Popen(command, cwd=line, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        seen: list[dict[str, Any]] = []
        while not any(event["event"] == "ready" for event in seen):
            seen.append(orjson.loads(process.stderr.readline()))
        time.sleep(1.0)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(PATIENCE_S) == 0
    seen += [orjson.loads(text) for text in rest.splitlines()]
    missing = [event for event in seen if event["event"] == "camera_not_found"]
    assert len(missing) == 1
    assert missing[0]["serial"] == "77"
    assert [text.split(" ")[0] for text in missing[0]["present"]] == ["0", "1", "2"]
    assert "Traceback" not in rest


def test_a_frame_whose_size_changes_in_mid_stream(line: Path) -> None:
    write_identity_bundle(line / "fixed", size=(64, 64))
    picture(line / "pictures" / "1.png", shape=(48, 80))
    result = edge(line, "replay", "pictures", "-c", "cam1.yaml", "--set", "model.bundle=fixed", "--out", "out")
    assert result.returncode == 0
    assert [(r["verdict"], r["reason"]) for r in records(line / "out")] == [
        ("pass", None),
        ("invalid", "frame_size"),
        ("pass", None),
    ]


def test_a_folder_with_a_replay_in_it_is_not_overwritten(line: Path) -> None:
    assert edge(line, "replay", "pictures", "-c", "cam1.yaml", "--out", "out").returncode == 0
    before = (line / "out" / "records.jsonl").read_bytes()
    assert refused(edge(line, "replay", "pictures", "-c", "cam1.yaml", "--out", "out")) == (
        "out: there is a replay in it already\n  fix: choose another --out, or delete that folder"
    )
    assert (line / "out" / "records.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--publish", "tcp://*:5556"], "--publish: bind: 'tcp://*:5556' would open the records to the network without "
         "keys; expected ipc:// or tcp:// on 127.0.0.1, or keys under curve"),
        (["--set", "ring"], "--set\n  received: ring\n  expected: key=value, for example regions.min_area_px=16"),
    ],
)  # fmt: skip
def test_a_wrong_option_of_replay(line: Path, arguments: list[str], text: str) -> None:
    assert refused(edge(line, "replay", "pictures", "-c", "cam1.yaml", "--out", "out", *arguments)) == text


@pytest.mark.parametrize(("option", "choices"), [("--pace", "'original', 'max'"), ("--masks", "'png', 'rle'")])
def test_a_choice_that_there_is_not(line: Path, option: str, choices: str) -> None:
    result = edge(line, "replay", "pictures", "-c", "cam1.yaml", option, "npy")
    assert result.returncode == 2
    told = " ".join(result.stderr.replace("│", "").split())
    assert f"Invalid value for '{option}'" in told
    assert f"'npy' is not one of {choices}" in told


def test_a_replay_of_nothing_leaves_nothing_behind(line: Path) -> None:
    assert edge(line, "replay", "pictres", "-c", "cam1.yaml", "--out", "out").returncode == 2
    assert not (line / "out").exists()


@pytest.mark.parametrize("kind", ["recorded, path", "opencv, device"])
def test_check_refuses_a_source_whose_files_are_not_there(line: Path, kind: str) -> None:
    text = refused(edge(line, "check", "cam1.yaml", "--set", f"source={{kind: {kind}: none.avi}}"))
    assert f"{line}/none.avi" in text
    assert "no such file" in text


@pytest.mark.parametrize("name", ["jsonl", "evidence"])
def test_check_refuses_a_folder_that_cannot_be_written(line: Path, name: str) -> None:
    assert refused(edge(line, "check", "cam1.yaml", "--set", f"outputs.{name}={{dir: cam1.yaml/log}}")) == (
        f"cam1.yaml: outputs.{name}.dir: cannot be written: {line}/cam1.yaml is a file, not a folder\n"
        "  fix: choose another folder"
    )


def test_check_takes_a_source_whose_files_are_there(line: Path) -> None:
    assert edge(line, "check", "cam1.yaml", "--set", "source={kind: recorded, path: pictures}").returncode == 0


def test_check_says_what_will_run(line: Path) -> None:
    result = edge(line, "check", "cam1.yaml")
    assert result.returncode == 0
    assert "cam1.yaml: can run" in result.stdout
    assert "high 2, low none, explicit" in result.stdout


def test_recording_and_replaying_a_video_and_a_recording(line: Path) -> None:
    assert edge(line, "record", "-c", "cam1.yaml", "--frames", "7", "--out", "rec").stdout == (
        "7 frames recorded in rec; 0 lost on the way\n"
    )
    assert edge(line, "replay", "rec", "-c", "cam1.yaml", "--out", "a").returncode == 0
    assert frame_ids(records(line / "a")) == [1, 2, 3, 4, 5, 6, 7]
    writer = cv2.VideoWriter(str(line / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 64))
    for value in (10, 20, 30):
        writer.write(np.full((64, 64, 3), value, np.uint8))
    writer.release()
    assert edge(line, "replay", "v.avi", "-c", "cam1.yaml", "--out", "b").returncode == 0
    assert frame_ids(records(line / "b")) == [0, 1, 2]
    assert refused(edge(line, "record", "-c", "cam1.yaml", "--frames", "7", "--out", "rec")) == (
        "rec: already holds a recording\n  fix: name a folder that doesn't exist yet, or delete this one"
    )


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("replay none -c cam1.yaml --out out", "none: no such file or folder\n"),
        ("export none -o out", "none: not a recording: it has no recording.json\n"),
        (
            "record -c cam1.yaml --frames 3 --out out --set source={kind:\xa0recorded,path:\xa0none}",
            "{line}/none: no such file or folder\n",
        ),
        (
            "calibrate pictures -c cam1.yaml -o out --set regions.roi={units:\xa0image_px,include:\xa0[[0,0,99,99]]}",
            "cam1.yaml: regions.roi.include.0: outside the frame\n",
        ),
    ],
)
def test_an_error_stands_alone_and_nothing_is_left_behind(line: Path, command: str, text: str) -> None:
    """No empty line of a progress bar that never showed; and the same command, once mended, finds its place free."""
    result = edge(line, *(part.replace("\xa0", " ") for part in command.split(" ")))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(text.format(line=line))
    assert result.stderr == result.stderr.strip() + "\n"
    assert not (line / "out" / "recording.json").exists()


def test_recording_a_camera_that_never_comes_leaves_nothing_behind(line: Path) -> None:
    command = [sys.executable, "-m", "edge", "record", "-c", "cam1.yaml", "--frames", "5", "--out", "rec"]
    command += ["--set", SIMULATED.replace("'0'", "'77'")]
    with subprocess.Popen(command, cwd=line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + PATIENCE_S
        while not (line / "rec" / "frames.jsonl").exists() and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        told, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, told) == (130, "")
    assert errors.splitlines()[-2:] == ["rec: not kept, for no frame came", "interrupted after 0 of 5 frames"]
    assert not (line / "rec").exists()


def test_a_second_demo_leaves_the_folder_of_the_one_that_runs_alone(line: Path) -> None:
    (line / "demo").mkdir()
    (line / "demo" / "demo.yaml").write_text((line / "cam1.yaml").read_text())
    (line / "demo" / "run").mkdir()
    lock = InstanceLock(line / "demo" / "run", "demo")
    result = edge(line, "demo", "--out", "demo")
    lock.release()
    assert (result.returncode, result.stdout) == (6, "")
    assert result.stderr == (
        "camera demo: another instance is running\n"
        f"  received: {line}/demo/run/lock is held by process {os.getpid()}\n"
        "  fix: stop that one first, or give this one a folder of its own: another camera name, or a runtime_dir\n"
    )
    assert (line / "demo" / "demo.yaml").exists()


def shown(path: Path) -> str:
    """The name of a picture without the time in it."""
    return re.sub(r"\d{8}T\d{6}[+-]\d{4}", "TIME", path.name)


def test_overlays_and_masks_are_one_file_per_frame(line: Path) -> None:
    picture(line / "pictures" / "1.png", value=250)
    sets = ["--set", "regions.threshold={high: 0.5}"]
    result = edge(line, "replay", "pictures", "-c", "cam1.yaml", *sets, "--overlays", "--masks", "png", "--out", "out")
    assert result.returncode == 0
    assert [shown(p) for p in (line / "out" / "overlays").iterdir()] == ["00000001-cam1-TIME-1.jpg"]
    masks = [cv2.imread(str(p), cv2.IMREAD_UNCHANGED) for p in sorted((line / "out" / "masks").iterdir())]
    assert [int(m.sum()) for m in masks] == [0, 64 * 64 * 255, 0]
    region = records(line / "out")[1]["regions"][0]
    assert region["bbox_xyxy"] == [0, 0, 64, 64]
    assert region["area_px"] == 4096.0


def spotted(path: Path, spot: int = 250) -> None:
    """A picture with a bright square of 10x10."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((64, 64), 50, np.uint8)
    pixels[10:20, 30:40] = spot
    assert cv2.imwrite(str(path), pixels)


def test_every_command_that_takes_a_config_takes_set() -> None:
    group: Any = typer.main.get_command(app)
    commands: dict[str, Any] = {name: group.get_command(None, name) for name in NAMES}
    with_config = {
        name for name, command in commands.items() if any(p.name == "config" for p in getattr(command, "params", ()))
    }
    assert {"run", "replay", "record", "check", "calibrate"} <= with_config
    without = [name for name in with_config if not any("--set" in p.opts for p in commands[name].params)]
    assert without == []


def test_explain_masks_as_run_lengths_and_against(line: Path) -> None:
    spotted(line / "pictures" / "1.png")
    sets = ["--set", "regions.threshold={high: 0.5}"]
    first = edge(line, "replay", "pictures", "-c", "cam1.yaml", *sets, "--explain", "--masks", "rle", "--out", "a")
    assert first.returncode == 0
    assert "explain: a/explain (3 pictures)\nmasks: a/masks.jsonl\n" in first.stdout
    assert [shown(p) for p in (line / "a" / "explain").glob("*.txt")] == ["00000001-cam1-TIME-1.txt"]
    masks = [orjson.loads(text) for text in (line / "a" / "masks.jsonl").read_bytes().splitlines()]
    assert [mask["counts"] for mask in masks] == [[4096], [670, 10, *[54, 10] * 9, 2840], [4096]]
    assert [(mask["seq"], mask["frame_ref"], mask["size"]) for mask in masks] == [
        (k, f"{k}.png", [64, 64]) for k in range(3)
    ]
    again = ["--set", "regions.min_area_px=200", "--against", "a/records.jsonl", "--out", "b"]
    second = edge(line, "replay", "pictures", "-c", "cam1.yaml", *sets, *again)
    assert second.returncode == 0
    assert "changed: b/changed (1 pictures)\nagainst a/records.jsonl: 1 of 3 frames changed\n" in second.stdout
    (changed,) = (line / "b" / "changed").iterdir()
    rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in second.stdout.splitlines() if "│" in row]
    assert rows[-2:] == [["fail -> pass", "1", f"1.png ({changed.name})"], ["pass, as before", "2", ""]]
    assert shown(changed) == "00000001-cam1-TIME-1.jpg"
    third = edge(line, "replay", "pictures", "-c", "cam1.yaml", *sets, *again[:2], "--explain", "--out", "c")
    assert "explain: c/explain (3 pictures)\n" in third.stdout
    (text,) = (line / "c" / "explain").glob("*.txt")
    assert shown(text) == "00000001-cam1-TIME-1.txt"
    assert text.read_text().endswith(
        "1 dropped: 1 by min_area_px; 0 gone before the filters; boxes in px of the frame\n\n"
        "number  x0  y0  x1  y1  area, map px  why\n"
        "     1  30  10  40  20           100  area 100 < 200\n"
    )


def test_what_a_mask_picture_leaves_out_is_dimmed_in_every_picture(line: Path) -> None:
    spotted(line / "pictures" / "1.png")
    mask = np.zeros((64, 64), np.uint8)
    mask[:32] = 255
    assert cv2.imwrite(str(line / "roi.png"), mask)
    sets = ["--set", "regions={threshold: {high: 0.5}, roi: {mask: roi.png}}"]
    replay = ["replay", "pictures", "-c", "cam1.yaml", *sets]
    assert edge(line, *replay, "--overlays", "--explain", "--out", "a").returncode == 0
    more = ["--set", "regions.min_area_px=200", "--against", "a/records.jsonl", "--out", "b"]
    assert edge(line, *replay, *more).returncode == 0
    for path in ("a/overlays", "a/explain", "b/changed"):
        picture_of = cv2.imread(str(next((line / path).glob("00000001-*.jpg")))).astype(int)
        assert (abs(picture_of[:, 100] - 20) < 4).all(axis=1).sum() > 150, path


def test_against_something_that_is_no_log(line: Path) -> None:
    replay = ["replay", "pictures", "-c", "cam1.yaml", "--out", "out", "--against"]
    assert refused(edge(line, *replay, "none.jsonl")) == "--against none.jsonl: cannot be read: No such file or directory"
    (line / "empty.jsonl").write_text("")
    assert refused(edge(line, *replay, "empty.jsonl")) == (
        "--against empty.jsonl: holds no record of a frame\n  received: no record\n"
        "  expected: a daemon's log or a replay's records.jsonl"
    )
    (line / "other.jsonl").write_text('{"a": 1}\nnot json\n')
    assert refused(edge(line, *replay, "other.jsonl")) == (
        "--against other.jsonl: holds no record of a frame\n  received: 2 line(s) that are no record\n"
        "  expected: a daemon's log or a replay's records.jsonl"
    )
    assert not (line / "out").exists()


def test_golden_frames_decide_the_exit_code_of_check(line: Path) -> None:
    spotted(line / "golden" / "bad" / "0.png")
    picture(line / "golden" / "good" / "0.png")
    check = ["check", "cam1.yaml", "--golden", "golden", "--set"]
    right = edge(line, *check, "regions.threshold={high: 0.5}")
    assert right.returncode == 0
    assert right.stdout.endswith(
        f"good frames: 1 of 1 pass\nbad frames: 1 of 1 fail\nkept in {line}/log/edge-cam1-golden.jsonl\n"
    )
    event = next(orjson.loads(text) for text in right.stderr.splitlines() if "golden_check" in text)
    assert (event["result"], event["good"], event["bad"], event["level"]) == ("pass", 1, 1, "info")
    wrong = edge(line, *check, "regions.threshold={high: 2.0}")
    assert wrong.returncode == 1
    assert "bad frames: 0 of 1 fail\njudged wrongly, the worst first" in wrong.stdout
    [row] = [text for text in wrong.stdout.splitlines() if "bad/0" in text]
    assert row.split() == ["pass", "0.9804", "2", "below", "its", "threshold", "bad/0.png"]
    assert refused(edge(line, "check", "cam1.yaml", "--golden", "none")).splitlines()[-2:] == [
        "--golden none: no such folder",
        "  expected: a folder with good/ and bad/, or with good/ and a folder for each defect, in it or in its "
        "test/, or with a labels.csv",
    ]


def test_golden_frames_that_were_not_judged_fail_the_check(line: Path) -> None:
    """A folder of links, pictures by other names, a folder that is neither good nor bad: no golden check of those."""
    spotted(line / "golden" / "bad" / "0.png")
    picture(line / "golden" / "good" / "0.png")
    picture(line / "more" / "1.png")
    (line / "golden" / "bad" / "line2").symlink_to(line / "more")
    check = ["check", "cam1.yaml", "--golden", "golden", "--set", "regions.threshold={high: 0.5}"]
    linked = edge(line, *check)
    assert linked.returncode == 1
    assert "bad frames: 1 of 2 fail" in linked.stdout
    (line / "golden" / "bad" / "line2").unlink()
    (line / "golden" / "bad" / "1.webp").touch()
    picture(line / "golden" / "line3" / "0.png")
    left_out = edge(line, *check)
    assert left_out.returncode == 1
    assert left_out.stderr.splitlines()[-2:] == [
        "incomplete: golden/bad: 1 of a kind that is not read: 1.webp",
        "incomplete: golden/line3: 1 pictures in a folder that is neither good nor bad",
    ]


def test_a_replay_of_a_folder_with_more_than_it_reads_says_so(line: Path) -> None:
    (line / "pictures" / "0.webp").touch()
    result = edge(line, "replay", "pictures", "-c", "cam1.yaml", "--out", "out")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "incomplete: left out of pictures: 1 of a kind that is not read: 0.webp"


def test_a_recording_of_fewer_frames_than_asked_for_says_so(line: Path) -> None:
    source = ("--set", "source={kind: recorded, path: pictures, pace: max}")
    result = edge(line, "record", "-c", "cam1.yaml", "--frames", "5", "--out", "rec", *source)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "incomplete: 3 of 5 frames recorded: the source ended"


def test_outliers_of_a_calibration_are_listed_with_pictures(line: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(30):
        pixels = rng.integers(90, 110, (64, 64), np.uint8)
        pixels[20, 50] = 250 if index == 7 else pixels[20, 50]
        (line / "good").mkdir(exist_ok=True)
        assert cv2.imwrite(str(line / "good" / f"{index}.png"), pixels)
    command = ("calibrate", "good", "-c", "cam1.yaml", "-o", "c.yaml", "--false-rejects", "0.05")
    result = edge(line, *command)
    assert result.returncode == 2
    assert result.stderr.startswith("7.png: unlike the other good frames, and sets the threshold\n")
    assert not (line / "c.yaml").exists()
    assert [p.name for p in (line / "c.yaml.outliers").iterdir()] == ["outlier-001-7.png"]
    result = edge(line, *command, "--keep-outliers")
    assert result.returncode == 0
    listed = [text for text in result.stdout.splitlines() if text.startswith("outlier:")]
    assert len(listed) == 1
    assert listed[0].startswith("outlier: 7.png: maximum 0.980392, ")
    assert " times the usual spread; " in listed[0]
    assert listed[0].endswith("; c.yaml.outliers/outlier-001-7.png")
    assert [p.name for p in (line / "c.yaml.outliers").iterdir()] == ["outlier-001-7.png"]


def test_import_config_writes_a_line_that_check_takes(line: Path) -> None:
    defects = {"pixel_threshold": 0.6, "hysteresis": {"enabled": True}, "min_aera": 3}
    (line / "infer_config.json").write_bytes(orjson.dumps({"defects": defects}))
    result = edge(line, "import-config", "infer_config.json", "-o", "line.yaml", "--bundle", "bundle")
    assert result.returncode == 0
    assert "unknown: defects.min_aera\n" in result.stdout
    assert result.stdout.endswith("wrote line.yaml: set its camera and source, then edge check line.yaml\n")
    checked = edge(line, "check", "line.yaml")
    assert checked.returncode == 0
    assert "high 0.6, low 0.3, explicit" in checked.stdout
    assert refused(edge(line, "import-config", "infer_config.json", "-o", "line.yaml")) == (
        "line.yaml: exists already\n  fix: choose another name, or give --force"
    )
    (line / "bad.json").write_text("{")
    assert refused(edge(line, "import-config", "bad.json", "-o", "x.yaml")).startswith("bad.json:1: not valid JSON: ")
    assert refused(edge(line, "import-config", "none.json", "-o", "x.yaml")) == (
        "none.json: cannot be read: No such file or directory"
    )
