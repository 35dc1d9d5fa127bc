"""A line goes into one file and comes out as the same line elsewhere; a file that was tampered with is refused whole."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.graphs import write_identity_bundle
from support.sets import picture, save

from edge.config.calibration import Calibration
from edge.config.load import Loaded, load_config
from edge.errors import UserError
from edge.line.recipe import open_model
from edge.models.calibrate.measure import measure
from edge.service.pack import INDEX, MOST_FILES, pack
from edge.service.unpack import unpack
from edge.storage.calibration_file import save_calibration
from edge.storage.frames_on_disk import read_frames

TEXT = """\
camera: cam1            # the left one
runtime_dir: /run/line1
source: {kind: recorded, path: good}
model: {bundle: ROOT/deep/models/tile, engine: onnx}  # fitted in May
calibration: "../calibrations/a b.yaml"
regions:
  roi: {units: norm, include: [[0, 0, 1, 1]], mask: ROOT/roi.png}
  threshold: calibrated
outputs: {zmq: null, jsonl: {dir: log}}
"""


@pytest.fixture
def line(tmp_path: Path) -> Loaded:
    """A calibrated line whose files lie all over the place."""
    root = tmp_path / "here"
    write_identity_bundle(root / "deep" / "models" / "tile")
    save(root / "roi.png", picture(0, (24, 32)) * 0 + 255)
    for index in range(20):
        save(root / "lines" / "good" / f"{index}.png", picture(index))
    path = root / "lines" / "line1.yaml"
    path.write_text(TEXT.replace("ROOT", str(root)))
    loaded = load_config(path)
    good = root / "lines" / "good"
    calibration, _ = measure(loaded.resolved, lambda: read_frames(good), source="good", outliers="keep")
    save_calibration(calibration, root / "calibrations" / "a b.yaml")
    return loaded


def test_a_line_is_the_same_elsewhere(line: Loaded, tmp_path: Path) -> None:
    packed = pack(line, tmp_path / "line.edge.zip")
    assert list(packed.files) == [
        "line1.yaml",
        "models/tile/bundle.yaml",
        "models/tile/model.onnx",
        "a b.yaml",
        "masks/roi.png",
    ]
    assert packed.outside == {"runtime_dir": "/run/line1", "source.path": "good", "outputs.jsonl.dir": "log"}
    there = unpack(packed.path, tmp_path / "there")
    assert there.path == tmp_path / "there" / "line1.yaml"
    changed = TEXT.replace("ROOT/deep/", "").replace('"../calibrations/a b.yaml"', "'a b.yaml'")
    assert there.text == changed.replace("ROOT/roi.png", "masks/roi.png")
    config = there.resolved
    assert (
        Calibration.load(tmp_path / "there" / "a b.yaml").sha256
        == Calibration.load(line.resolved.calibration or Path()).sha256
    )
    engine, criteria = open_model(there)
    engine.close()
    assert criteria.high == Calibration.load(config.calibration or Path()).high
    assert stat.S_IMODE((tmp_path / "there").stat().st_mode) == 0o755


def test_the_same_line_gives_the_same_files_and_is_not_overwritten(line: Loaded, tmp_path: Path) -> None:
    one, two = pack(line, tmp_path / "a.zip"), pack(line, tmp_path / "b.zip")
    assert one.files == two.files
    with pytest.raises(UserError, match=r"a\.zip: exists already"):
        pack(line, one.path)
    assert pack(line, one.path, force=True).files == one.files
    unpack(one.path, tmp_path / "out")
    with pytest.raises(UserError, match="out: is there already"):
        unpack(one.path, tmp_path / "out")


def test_a_line_with_something_missing_is_not_packed(line: Loaded, tmp_path: Path) -> None:
    (line.path.parent.parent / "roi.png").unlink()
    with pytest.raises(UserError, match=r"roi\.png: No such file"):
        pack(line, tmp_path / "a.zip")
    assert list(tmp_path.glob("*.zip")) == []
    with pytest.raises(UserError, match="the file does not say what is to be packed\n  received: an override from --set"):
        pack(load_config(line.path, ["regions.min_area_px=9", "regions.roi=null"]), tmp_path / "a.zip")


Entries = list[tuple[zipfile.ZipInfo, bytes]]


def tampered(source: Path, target: Path, change: Callable[[Entries, dict[str, Any]], None]) -> Path:
    """Write the packed line again with its entries and its index changed."""
    with zipfile.ZipFile(source) as pack_file:
        entries = [(entry, pack_file.read(entry)) for entry in pack_file.infolist() if entry.filename != INDEX]
        index = orjson.loads(pack_file.read(INDEX))
    change(entries, index)
    with zipfile.ZipFile(target, "w") as pack_file:
        for entry, data in entries:
            pack_file.writestr(entry, data, entry.compress_type)
        pack_file.writestr(INDEX, orjson.dumps(index))
    return target


def renamed(name: str) -> Callable[[Entries, dict[str, Any]], None]:
    def change(entries: Entries, index: dict[str, Any]) -> None:
        entry, _ = entries[-1]
        index["files"][name] = index["files"].pop(entry.filename)
        entry.filename = name

    return change


def linked(entries: Entries, _index: dict[str, Any]) -> None:
    entries[-1][0].external_attr = (stat.S_IFLNK | 0o777) << 16


def unlisted(entries: Entries, _index: dict[str, Any]) -> None:
    entries.append((zipfile.ZipInfo("more.py"), b"import os"))


def other_bytes(entries: Entries, _index: dict[str, Any]) -> None:
    entry, data = entries[-1]
    entries[-1] = (entry, bytes([data[0] ^ 1]) + data[1:])


def longer(entries: Entries, _index: dict[str, Any]) -> None:
    entry, data = entries[-1]
    entries[-1] = (entry, data + b"x")


def bomb(entries: Entries, index: dict[str, Any]) -> None:
    entry = zipfile.ZipInfo("models/tile/zeros")
    entry.compress_type = zipfile.ZIP_DEFLATED
    zeros = bytes(80 << 20)
    entries.append((entry, zeros))
    index["files"][entry.filename] = {"bytes": len(zeros), "sha256": "0" * 64}


def newer(_entries: Entries, index: dict[str, Any]) -> None:
    index["schema"] = 2


def elsewhere(entries: Entries, index: dict[str, Any]) -> None:
    import hashlib

    entry, data = entries[0]
    data = data.replace(b"models/tile", b"../tile    ")
    entries[0] = (entry, data)
    index["files"][entry.filename] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (renamed("../evil.yaml"), r"\.\./evil\.yaml: leads out of the folder"),
        (renamed("/etc/evil.yaml"), r"/etc/evil\.yaml: leads out of the folder"),
        (renamed("models/../../evil"), "leads out of the folder"),
        (renamed("models\\..\\evil"), "a name that is no plain path"),
        (renamed("C:evil"), "a name that is no plain path"),
        (linked, "a link or a special file"),
        (unlisted, r"what it holds is not what pack\.json lists\n  received: more\.py"),
        (other_bytes, "is not the file that was packed\n  received: SHA-256"),
        (longer, r"bytes, pack\.json says"),
        (bomb, "times larger when unpacked"),
        (newer, "schema 2 is newer than this installation"),
        (elsewhere, r"line1\.yaml: model\.bundle: lies outside the packed line"),
    ],
)
def test_a_file_that_was_tampered_with_is_refused_whole(
    line: Loaded, tmp_path: Path, change: Callable[[Entries, dict[str, Any]], None], text: str
) -> None:
    packed = pack(line, tmp_path / "a.zip")
    bad = tampered(packed.path, tmp_path / "bad.zip", change)
    with pytest.raises(UserError, match=text):
        unpack(bad, tmp_path / "there" / "line")
    assert list((tmp_path / "there").glob("*")) == []
    assert not (tmp_path / "evil.yaml").exists()


def test_what_is_no_packed_line_is_refused(line: Loaded, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(UserError, match=r"text\.zip: not a packed line, or a damaged one"):
        unpack(tmp_path / "text.zip", tmp_path / "there")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("readme.txt", "x")
    with pytest.raises(UserError, match=r"other\.zip: holds no pack\.json"):
        unpack(tmp_path / "other.zip", tmp_path / "there")
    with pytest.raises(UserError, match=r"none\.zip: No such file"):
        unpack(tmp_path / "none.zip", tmp_path / "there")
    packed = pack(line, tmp_path / "a.zip")
    with pytest.raises(UserError, match="too large when unpacked"):
        unpack(packed.path, tmp_path / "there", most_gb=1e-6)
    assert not (tmp_path / "there").exists()


def test_damage_inside_a_compressed_file_is_refused_whole(line: Loaded, tmp_path: Path) -> None:
    """A decompressor that finds nonsense raises errors of its own."""
    packed = pack(line, tmp_path / "a.zip")
    whole = packed.path.read_bytes()
    with zipfile.ZipFile(packed.path) as pack_file:
        entry = pack_file.infolist()[0]
    begin = entry.header_offset + 30 + len(entry.filename)
    for at in range(begin, begin + entry.compress_size, 3):
        bad = tmp_path / "bad.zip"
        bad.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with pytest.raises(UserError, match=r"bad\.zip: "):
            unpack(bad, tmp_path / "there" / "line")
        assert list((tmp_path / "there").glob("*")) == []


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["2026-11-30T07:33:57.png"], "07:33:57.png: a name that is no plain path\n  fix: give the file another name"),
        (["a\\b.png"], "a name that is no plain path"),
        ([os.fsdecode(b"\xff.png")], r"\udcff.png: a name that is no plain path"),
        (["a.png", "A.png"], "differ in capitals alone\n  fix: give one of them another name"),
        ([f"{number}.png" for number in range(MOST_FILES)], "too many files to pack\n"),
    ],
    ids=["colon", "backslash", "no UTF-8", "capitals", "many"],
)
def test_what_could_not_be_unpacked_is_not_packed(line: Loaded, tmp_path: Path, names: list[str], text: str) -> None:
    (tmp_path / "samples").mkdir()
    for name in names:
        (tmp_path / "samples" / name).touch()
    with pytest.raises(UserError) as refused:
        pack(load_config(line.path, [f"model.sample_frames={tmp_path}/samples"]), tmp_path / "a.zip")
    assert text in str(refused.value)
    assert not (tmp_path / "a.zip").exists()
