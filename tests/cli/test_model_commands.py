"""``edge build``, ``edge fit`` and ``edge bundle check`` as a person sees them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import numpy as np
import onnx
import orjson
import pytest
from support.commands import edge as in_folder
from support.graphs import anomalib_model, write_identity_bundle
from typer.testing import CliRunner

from edge.cli import app
from edge.cli.fit import FEW_OUTLIERS
from edge.config.bundle import load_bundle


def edge(*arguments: object) -> subprocess.CompletedProcess[str]:
    return in_folder(Path.cwd(), *arguments)


def pictures(folder: Path, count: int = 4) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(count):
        cv2.imwrite(str(folder / f"{k:02}.png"), rng.integers(90, 110, (24, 32), np.uint8))
    return folder


def test_build_tells_what_it_found_and_what_it_wrote(tmp_path: Path) -> None:
    path, out = tmp_path / "m.onnx", tmp_path / "b"
    onnx.save(anomalib_model(), path)
    done = edge("build", path, "-o", out, "--kernel", "linear", "--frames", pictures(tmp_path / "frames"))
    assert done.stderr == ""
    assert done.returncode == 0
    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        "frames  RGB, resize to 32x32, linear, on the host",
        "map     anomalib's 0 to 1 scale was removed: its 0.5 is 0.3 here",
        "score   anomalib's 0 to 1 scale was removed: its 0.5 is 0.25 here",
        "check   10 pictures, largest difference 0.0e+00 of the map's range",
        f"wrote {out}, model {load_bundle(out).sha256[:12]}",
    ]
    again = ("build", path, "-o", out, "--kernel", "linear", "--frames", tmp_path / "frames", "--force")
    detailed = edge(*again, "-v")
    assert [line.rstrip() for line in detailed.stdout.splitlines()][-7:-2] == [
        "model input   input, float32 nchw, 3 channels",
        "values fed    0 to 1",
        "map           anomaly_map, 32x32, raw, in front of clip((raw - 0.3) / 0.8 + 0.5, 0, 1)",
        "score         pred_score, raw, in front of clip((raw - 0.25) / 0.5 + 0.5, 0, 1)",
        "map to image  1, 1, 0, 0; measured 1, 1, 0.24, -0.13",
    ]
    told = orjson.loads(edge(*again, "--json").stdout)
    assert (told["sha256"], told["warnings"], told["map_size"]) == (load_bundle(out).sha256, [], [32, 32])
    assert orjson.loads(edge("bundle", "check", out, "--json").stdout)["sha256"] == told["sha256"]


def test_fit_tells_what_it_skipped(tmp_path: Path) -> None:
    folder, out = pictures(tmp_path / "good"), tmp_path / "b"
    cv2.imwrite(str(folder / "04.png"), np.full((30, 40), 100, np.uint8))
    (folder / "05.png").write_bytes((folder / "04.png").read_bytes()[:40])
    several = edge("fit", folder, "-o", out, "--max-side", "16")
    assert several.returncode == 2
    assert [line for line in several.stderr.splitlines() if "picture_unreadable" not in line] == [
        f"{folder}: the good frames have several sizes",
        "  received: 1 of 40x30 (04.png), 4 of 32x24",
        "  expected: one size, as one camera setting gives it; each frame would be squeezed or stretched to it",
        "  fix: leave the others out, or say to which size all are brought: --size WIDTH,HEIGHT",
    ]
    done = edge("fit", folder, "-o", out, "--size", "16,12", "--method", "pixel", "--keep-outliers")
    assert [line for line in done.stderr.splitlines() if "picture_unreadable" not in line] == [
        "incomplete: 1 frame could not be read"
    ]
    assert done.returncode == 1
    assert done.stdout.splitlines()[:4] == [
        "fitted on 5 frames, 16x12 grey, method pixel",
        "pose: fixed: pixel takes frames as they lie",
        "note: frames of 2 sizes, 32 to 40 px wide and 24 to 30 px high: each is squeezed or stretched to 16x12",
        "skipped: 05.png cannot be read",
    ]
    assert done.stdout.splitlines()[-1] == f"wrote {out}, model {load_bundle(out).sha256[:12]}"


def test_fit_leaves_out_one_frame_that_does_not_belong_and_asks_about_many(tmp_path: Path) -> None:
    folder, out = tmp_path / "good", tmp_path / "b"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(20):
        picture = rng.normal(100, 2, (24, 32))
        if number == 7:
            picture[8:14, 10:18] = 250
        cv2.imwrite(str(folder / f"{number:02d}.png"), picture.clip(0, 255).astype(np.uint8))
    run, command = CliRunner(env={"COLUMNS": "200"}), ["fit", str(folder), "-o", str(out), "--method", "pixel"]
    done = run.invoke(app, command)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("fitted on 19 frames")
    told = " ".join(done.stdout.split())
    assert "note: 1 of 20 frames is unlike the others and not in the model, so that no defect is learned as good" in told
    assert "if they show good parts, --keep-outliers takes them in" in told
    assert "outlier: 07.png: maximum" in told
    kept = run.invoke(app, [*command, "--keep-outliers", "--force"])
    assert kept.stdout.startswith("fitted on 20 frames")
    for number in (3, 5, 12):
        cv2.imwrite(str(folder / f"{number:02d}.png"), np.full((24, 32), 180, np.uint8))
    made = load_bundle(out).sha256
    many = str(run.invoke(app, [*command, "--force"]).exception)
    assert many.startswith(f"{folder}: some good frames are unlike the others\n  received: ")
    assert many.endswith("fix: look at them, then say --leave-out-outliers, or --keep-outliers if they are good")
    assert load_bundle(out).sha256 == made  # nothing was written


@pytest.mark.parametrize("installed", [True, False])
def test_fit_says_that_better_features_are_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    monkeypatch.setattr("edge.models.backbone.lite0.is_installed", lambda: installed)
    folder = pictures(tmp_path / "good", 6)
    options = ["--method", "memory", "--backbone", "gabor", "--size", "64,64", "--keep-outliers"]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["fit", str(folder), "-o", str(tmp_path / "b"), *options])
    assert done.exit_code == 0, done.output
    assert ("pip install 'edge-inspect[backbone]'" in done.stdout) is not installed


def test_mirrored_frames_are_refused_where_they_are_of_no_use(tmp_path: Path) -> None:
    folder, run = pictures(tmp_path / "good"), CliRunner(env={"COLUMNS": "200"})
    fit = ["fit", str(folder), "-o", str(tmp_path / "b"), "--mirror"]
    said = str(run.invoke(app, [*fit, "--method", "pixel"]).exception)
    assert "mirrored frames are of no use here" in said
    assert "expected: method memory, and parts that may lie either way" in said
    said = str(run.invoke(app, [*fit, "--like", str(tmp_path / "other")]).exception)
    assert said == (
        "--mirror is of a new fit\n  received: --like, whose bundle has its own way\n  expected: frames alone\n"
        "  fix: leave --mirror out, or fit anew on all frames"
    )


def test_fit_says_what_clipped_frames_and_copies_are_worth(tmp_path: Path) -> None:
    folder, out = pictures(tmp_path / "good"), tmp_path / "b"
    first = sorted(folder.iterdir())[0]
    bright = cv2.imread(str(first), cv2.IMREAD_UNCHANGED)
    bright[:6] = 255  # a quarter of 24 rows
    cv2.imwrite(str(folder / "10.png"), bright)
    (folder / "11.png").write_bytes(first.read_bytes())
    done = edge("fit", folder, "-o", out, "--method", "pixel", "--keep-outliers")
    assert done.returncode == 0, done.stderr
    count = len(list(folder.iterdir()))
    assert [line for line in done.stdout.splitlines() if line.startswith("note:")] == [
        f"note: clipped: in 1 of {count} frames 25.0% of the pixels are at the highest level, where nothing can be seen: "
        "reduce exposure",
        f"note: 1 of {count} frames are copies of another; they show nothing new",
    ]


def test_bundle_check_prints_the_contract(tmp_path: Path) -> None:
    bundle = write_identity_bundle(tmp_path / "b", 3, (32, 24), resize=True)
    done = edge("bundle", "check", bundle.folder)
    assert done.stderr == ""
    assert done.returncode == 0
    for text in (bundle.sha256, "RGB, 8 bit", "to 32x24, area, on the host", "sx 1, sy 1, ox 0, oy 0"):
        assert text in done.stdout
    assert "warning" not in done.stdout
    (bundle.folder / "evil.so").write_bytes(b"x")
    done = edge("bundle", "check", bundle.folder)
    assert done.returncode == 0
    warning = "warning: evil.so is not listed in bundle.yaml: it has no hash, and nothing reads it"
    assert done.stdout.splitlines()[-2] == warning
    assert done.stdout.splitlines()[-1] == "ok: every listed file has its hash, the graph keeps the contract, and it runs"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("build", "{t}/m.onnx", "-o", "{t}/b"), "{t}/m.onnx: cannot be read: No such file or directory\n"),
        (
            ("build", "{t}/m.onnx", "-o", "{t}/b", "--size", "256"),
            "--size\n  received: 256\n  expected: WIDTH,HEIGHT in px, for example 256,256\n",
        ),
        (
            ("build", "{t}/m.onnx", "-o", "{t}/b", "--mean", "a,b"),
            "--mean\n  received: a,b\n  expected: numbers with commas, for example 0.485,0.456,0.406\n",
        ),
        (
            ("fit", "{t}", "-o", "{t}"),
            "{t}: exists and is no bundle, so it is not replaced\n  expected: a new folder, an empty one, or a bundle\n"
            "  fix: name another folder\n",
        ),
        (
            ("bundle", "check", "{t}"),
            "{t}: not a bundle\n  received: a folder without bundle.yaml\n  expected: a bundle's folder\n",
        ),
    ],
)
def test_mistakes_are_told_in_words(tmp_path: Path, arguments: tuple[str, ...], text: str) -> None:
    (tmp_path / "something").write_text("x")
    done = edge(*(a.format(t=tmp_path) for a in arguments))
    assert (done.returncode, done.stdout, done.stderr) == (2, "", text.format(t=tmp_path))


def test_fit_tells_a_script_what_it_fitted(tmp_path: Path) -> None:
    out = tmp_path / "b"
    done = edge("fit", pictures(tmp_path / "good", 6), "-o", out, "--method", "pixel", "--json")
    told = orjson.loads(done.stdout)
    assert (told["sha256"], told["frames"], told["size"]) == (load_bundle(out).sha256, 6, [32, 24])
    assert (told["method"], told["outliers"], told["unreadable"]) == ("pixel", [], [])
    assert told["self_test"] is None  # too few frames for one


def test_the_help_of_fit_says_what_becomes_of_outliers_unasked() -> None:
    told = " ".join(CliRunner(env={"COLUMNS": "200"}).invoke(app, ["fit", "--help"]).stdout.replace("│", " ").split())
    assert f"Default: one, or up to {FEW_OUTLIERS:.0%} of the frames".replace("%", " %") in told


def test_outliers_of_two_folders_are_named_with_their_folder_each_with_its_own_picture(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(20):
            picture = rng.normal(100, 2, (24, 32))
            if number == 7:
                picture[8:14, 10:18] = 250 if name == "a" else 240
            cv2.imwrite(str(tmp_path / name / f"{number:02d}.png"), picture.clip(0, 255).astype(np.uint8))
    out, places = tmp_path / "m", [str(tmp_path / name) for name in "ab"]
    done = CliRunner().invoke(app, ["fit", *places, "-o", str(out), "--method", "pixel", "--json"])
    assert done.exit_code == 0, done.output
    told = orjson.loads(done.stdout)
    names = {f"{place}/07.png" for place in places}
    assert (told["frames"], set(told["left_out"])) == (38, names)
    assert {one["frame"] for one in told["outliers"]} == names
    assert len({one["picture"] for one in told["outliers"]}) == 2
    assert all(Path(one["picture"]).is_file() for one in told["outliers"])
