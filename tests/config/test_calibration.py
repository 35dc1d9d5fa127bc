"""The calibration file: read, written, and refused where it belongs to another line."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from edge.config.calibration import Calibration, CalibrationKey, calibration_key, check_key
from edge.config.regions import RegionsConfig, RoiConfig, SmoothConfig, ThresholdConfig, ZoneConfig
from edge.errors import UserError
from edge.storage.calibration_file import save_calibration

MODEL = "a" * 64
REGIONS = RegionsConfig(
    roi=RoiConfig(include=((0.1, 0.1, 0.9, 0.9),), mask=Path("roi.png")),
    border_px=2,
    smooth=SmoothConfig(kind="median", size=3),
)


def key(
    regions: RegionsConfig = REGIONS, model: str = MODEL, precision: str = "fp32", mask: bytes | None = b"x"
) -> dict[str, Any]:
    return calibration_key(regions, model, precision, mask)


def calibration(**changes: Any) -> Calibration:
    fields: dict[str, Any] = {
        "created": "2026-02-03T04:05:06Z",
        "high": 0.6099999904632568,
        "low": 0.25,
        "false_rejects": 0.001,
        "quantile": 0.999,
        "frames": 1200,
        "left_out": ("bad 1.png",),
        "source": "/data/good: 2026",
        "note": "on",
        "key": CalibrationKey.model_validate({**key(), "smooth": REGIONS.smooth}),
    }
    return Calibration(**{**fields, **changes})


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        Calibration.load(path)
    return str(caught.value)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    for made in (calibration(), calibration(low=None, quantile=None, high=1e-7, note='1e3 "x" # y\nz', source="123e4")):
        save_calibration(made, tmp_path / "deep" / "cam1.calibration.yaml")
        loaded = Calibration.load(tmp_path / "deep" / "cam1.calibration.yaml")
        assert loaded == made
        assert loaded.sha256 == made.sha256


def test_the_file_is_for_people_to_read(tmp_path: Path) -> None:
    save_calibration(calibration(), tmp_path / "c.yaml")
    assert (tmp_path / "c.yaml").read_text() == (
        "# Written by edge calibrate, and written anew by the next run.\n"
        "schema: 1\n"
        'created: "2026-02-03T04:05:06Z"\n'
        "high: 0.6099999904632568\n"
        "low: 0.25\n"
        "false_rejects: 0.001\n"
        "quantile: 0.999\n"
        "frames: 1200\n"
        "left_out: [bad 1.png]\n"
        "source: '/data/good: 2026'\n"
        "note: 'on'\n"
        "key:\n"
        f"  model_sha256: {MODEL}\n"
        f"  roi_sha256: {key()['roi_sha256']}\n"
        "  border_px: 2\n"
        "  smooth: {kind: median, size: 3, sigma: null}\n"
        "  zones_sha256: null\n"
        "  precision: fp32\n"
        "  samples_sha256: null\n"
        "  frames: null\n"
        "  source: {}\n"
        "frames_used: null\n"
    )


def test_saving_replaces_the_file_as_a_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    save_calibration(calibration(), path)
    save_calibration(calibration(frames=7), path)
    assert Calibration.load(path).frames == 7
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_path_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        save_calibration(calibration(), tmp_path / "file" / "c.yaml")
    assert str(caught.value) == f"{tmp_path}/file/c.yaml: cannot be written: File exists"


def test_the_hash_is_of_the_values_not_of_comments_or_order(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    lines = calibration().text.splitlines()
    path.write_text("\n".join(["# mine", *lines[2:], lines[1]]))
    assert Calibration.load(path).sha256 == calibration().sha256
    assert calibration(high=0.7).sha256 != calibration().sha256


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (
            "high: 0.6099999904632568",
            "high: high",
            "{}:4: high\n  received: 'high'\n  expected: input should be a valid number",
        ),
        ("low: 0.25", "low: 0.75", "{}: calibration: low (0.75) must not be above high (0.6099999904632568)"),
        (
            "frames: 1200",
            "framez: 1200",
            "{}:8: framez: unknown key\n  expected: did you mean 'frames'?\n"
            "{}: frames: missing\n  expected: a value: this key has no default",
        ),
        (
            "precision: fp32",
            "precision: 32",
            "{}:18: key.precision\n  received: 32\n  expected: text: write it in quotes, exactly as it stands there",
        ),
        (
            "border_px: 2",
            "border_px: -2",
            "{}:15: key.border_px\n  received: -2\n  expected: input should be greater than or equal to 0",
        ),
    ],
)
def test_a_file_that_was_edited_badly_is_refused_with_line_and_key(tmp_path: Path, old: str, new: str, text: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(calibration().text.replace(old, new))
    fix = "\n  fix: run edge calibrate again rather than to edit its file"
    assert refusal(path) == text.replace("{}", str(path)) + fix


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(calibration().text.replace("schema: 1", "schema: 2"))
    assert refusal(path) == (
        f"{path}: the calibration file was written by a newer version\n"
        "  received: schema 2\n"
        "  expected: schema 1\n"
        "  fix: update this installation, or run edge calibrate with it again"
    )


@pytest.mark.parametrize(("text", "received"), [("", "an empty file"), ("[1]", "no mapping of keys")])
def test_what_is_no_calibration_file_is_refused(tmp_path: Path, text: str, received: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    assert refusal(path) == f"{path}: not a calibration file\n  received: {received}\n  fix: run edge calibrate"


@pytest.mark.parametrize("data", [b"", bytes(200), b"\xff\xfe", b"schema: 1\nhigh: 'torn", b"schema: 1\nhigh: high\n"])
def test_a_damaged_file_is_waited_for(tmp_path: Path, data: bytes) -> None:
    """It is ours, and no config is wrong: a daemon that ended with 2 would be down also after the next calibration."""
    path = tmp_path / "c.yaml"
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        Calibration.load(path)
    assert caught.value.passes


def test_a_pipe_is_no_calibration_file_and_is_not_waited_at(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.yaml")
    assert "received: a pipe or a device" in refusal(tmp_path / "c.yaml")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert refusal(tmp_path / "c.yaml") == f"{tmp_path}/c.yaml: cannot be read: No such file or directory"


# --- the key


def changed(**changes: Any) -> RegionsConfig:
    return REGIONS.model_copy(update=changes)


def test_the_same_line_is_accepted() -> None:
    check_key(calibration(), key(), Path("c.yaml"))
    # what acts after the thresholds may change, and so may where the mask picture lies
    check_key(calibration(), key(changed(min_area_px=9, close_px=3)), Path("c.yaml"))
    assert REGIONS.roi is not None
    check_key(calibration(), key(changed(roi=REGIONS.roi.model_copy(update={"mask": Path("b.png")}))), Path("c.yaml"))


def test_a_roi_that_selects_everything_is_none() -> None:
    assert key(RegionsConfig(roi=RoiConfig()), mask=None) == key(RegionsConfig(), mask=None)


@pytest.mark.parametrize(
    ("other", "what", "received", "expected"),
    [
        (key(model="b" * 64), "model", "SHA-256 bbbbbbbbbbbb...", "SHA-256 aaaaaaaaaaaa..."),
        (key(changed(border_px=4)), "regions.border_px", "4", "2"),
        (key(changed(smooth=None)), "regions.smooth", "none", "median 3"),
        (
            key(changed(smooth=SmoothConfig(kind="gaussian", size=5, sigma=1.5))),
            "regions.smooth",
            "gaussian 5, sigma 1.5",
            "median 3",
        ),
        (key(precision="fp16"), "model.precision", "fp16", "fp32"),
    ],
)
def test_another_line_is_refused_and_told_what_differs(
    other: dict[str, Any], what: str, received: str, expected: str
) -> None:
    with pytest.raises(UserError) as caught:
        check_key(calibration(), other, Path("c.yaml"))
    assert str(caught.value) == (
        f"c.yaml: the calibration was made with another {what}\n"
        f"  received: {what}: {received}\n"
        f"  expected: {what}: {expected}\n"
        "  fix: run edge calibrate again, or undo the change"
    )


def zone(high: float | None = 3.0, x: float = 0.2, **changes: Any) -> ZoneConfig:
    threshold = None if high is None else ThresholdConfig(high=high)
    return ZoneConfig(**{"shape": (0.1, 0.1, x, 0.2), "threshold": threshold, "min_area_px": 2, **changes})


def test_zones_with_thresholds_of_their_own_belong_to_the_key() -> None:
    """Their pixels were not measured; what else a zone says has no effect on what was."""
    none, one = key(), key(changed(zones=(zone(),)))
    assert none["zones_sha256"] is None
    assert key(changed(zones=(zone(None),))) == none
    assert key(changed(zones=(zone(9.0, min_area_px=7), zone(None, 0.7)))) == one
    other = [
        one,
        key(changed(zones=(zone(x=0.3),))),
        key(changed(zones=(zone(units="image_px"),))),
        key(changed(zones=(zone(), zone(x=0.3)))),
        key(changed(zones=(zone(None, 0.3), zone()))),  # whose pixels it may take
    ]
    assert len({k["zones_sha256"] for k in [none, *other]}) == len(other) + 1
    made = calibration(key=CalibrationKey.model_validate({**one, "smooth": REGIONS.smooth}))
    check_key(made, one, Path("c.yaml"))
    with pytest.raises(UserError) as caught:
        check_key(made, none, Path("c.yaml"))
    assert str(caught.value) == (
        "c.yaml: the calibration was made with another regions.zones\n"
        "  received: regions.zones: none\n"
        f"  expected: regions.zones: other thresholds in zones with SHA-256 {one['zones_sha256'][:12]}...\n"
        "  fix: run edge calibrate again, or undo the change"
    )


def test_a_file_from_before_zones_belonged_to_the_key_is_one_without_them(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(calibration().text.replace("  zones_sha256: null\n", ""))
    check_key(Calibration.load(path), key(), path)
    with pytest.raises(UserError, match=r"made with another regions\.zones"):
        check_key(Calibration.load(path), key(changed(zones=(zone(),))), path)


def test_everything_that_differs_is_told_at_once() -> None:
    other = key(RegionsConfig(roi=RoiConfig(include=((0.1, 0.1, 0.9, 0.8),))), mask=None)
    with pytest.raises(UserError) as caught:
        check_key(calibration(), other, Path("c.yaml"))
    ours, theirs = other["roi_sha256"][:12], key()["roi_sha256"][:12]
    assert str(caught.value) == (
        "c.yaml: the calibration was made with another regions.roi, regions.border_px, regions.smooth\n"
        f"  received: regions.roi: SHA-256 {ours}...; regions.border_px: 0; regions.smooth: none\n"
        f"  expected: regions.roi: SHA-256 {theirs}...; regions.border_px: 2; regions.smooth: median 3\n"
        "  fix: run edge calibrate again, or undo the change"
    )


def test_every_part_of_the_roi_counts() -> None:
    roi = REGIONS.roi
    assert roi is not None
    other = [
        key(mask=b"y"),
        key(mask=None),
        key(changed(roi=None)),
        key(changed(roi=roi.model_copy(update={"units": "image_px"}))),
        key(changed(roi=roi.model_copy(update={"exclude": ((0.1, 0.1, 0.2, 0.2),)}))),
        key(changed(roi=roi.model_copy(update={"include": ((0.1, 0.1, 0.9, 0.8),)}))),
    ]
    assert len({k["roi_sha256"] for k in [key(), *other]}) == len(other) + 1
