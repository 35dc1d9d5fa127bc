"""After the config was read nothing ends a daemon that may pass by itself: disks that come later, files on their way."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.lines import loaded

from edge.config.load import Loaded
from edge.errors import UserError
from edge.line.open_watch import open_watched
from edge.outputs.evidence.folder import take_folder
from edge.service.runtime_folder import runtime_folder
from edge.sources.open import open_source
from edge.storage.disk import make_folders

MASK = "regions.roi={units: image_px, mask: mask.png}"
CALIBRATED = ("calibration=c.yaml", "regions.threshold=calibrated")
CA = "source={kind: snapshot, address: 'https://127.0.0.1:9/a.jpg', interval_s: 1.0, ca_file: ca.pem}"
RECORDED = "source={kind: recorded, path: frames}"


def _picture(folder: Path, name: str = "mask.png") -> bytes:
    (folder / name).write_bytes(cv2.imencode(".png", np.full((64, 64), 255, np.uint8))[1].tobytes())
    return (folder / name).read_bytes()


def _torn(folder: Path) -> None:
    whole = _picture(folder)
    (folder / "mask.png").write_bytes(whole[: len(whole) // 2])


def _half_a_bundle(folder: Path) -> None:
    (folder / "bundle" / "bundle.yaml").unlink()


def _nothing(_folder: Path) -> None:
    pass


def begin(line: Loaded) -> None:
    """What a daemon does before its first frame."""
    engine, _, watch = open_watched(line)
    engine.close()
    assert watch is None
    source = open_source(line.config.source, line.config.camera, line.path.parent)
    source.open()
    source.close()


@pytest.mark.parametrize(
    ("prepare", "overrides"),
    [
        (_nothing, (MASK,)),
        (_torn, (MASK,)),
        (lambda f: (f / "mask.png").write_bytes(b""), (MASK,)),
        (lambda f: (f / "mask.png").write_bytes(bytes(4096)), (MASK,)),
        (lambda f: os.mkfifo(f / "mask.png"), (MASK,)),
        (_nothing, CALIBRATED),
        (lambda f: (f / "c.yaml").write_bytes(bytes(400)), CALIBRATED),
        (lambda f: os.mkfifo(f / "c.yaml"), CALIBRATED),
        (_half_a_bundle, ()),
        (lambda f: (f / "disk").mkdir(), ("model.bundle=disk",)),
        (_nothing, (RECORDED,)),
        (lambda f: (f / "frames").mkdir(), (RECORDED,)),
        (_nothing, (CA,)),
        (lambda f: (f / "ca.pem").write_bytes(b""), (CA,)),
        (lambda f: os.mkfifo(f / "ca.pem"), (CA,)),
    ],
    ids=[
        "mask not there", "mask torn", "mask empty", "mask of zeros", "mask a pipe",
        "calibration not there", "calibration of zeros", "calibration a pipe",
        "bundle half copied", "mount point of the bundle", "recording not there", "mount point of a recording",
        "certificate not there", "certificate empty", "certificate a pipe",
    ],
)  # fmt: skip
def test_it_is_waited_for(tmp_path: Path, prepare: Callable[[Path], object], overrides: tuple[str, ...]) -> None:
    line = loaded(tmp_path, *overrides)
    prepare(tmp_path)
    with pytest.raises(UserError) as caught:
        begin(line)
    assert caught.value.passes, caught.value


@pytest.mark.parametrize(
    ("prepare", "overrides"),
    [
        (lambda f: (f / "mask.png").mkdir(), (MASK,)),
        (lambda f: (f / "bundle2").write_bytes(b""), ("model.bundle=bundle2",)),
        (lambda f: ((f / "home").mkdir(), (f / "home" / "notes.txt").touch()), ("model.bundle=home",)),
        (lambda f: ((f / "frames").mkdir(), (f / "frames" / "notes.txt").touch()), (RECORDED,)),
    ],
    ids=["mask a folder", "bundle a file", "bundle another folder", "recording another folder"],
)
def test_what_the_config_names_wrongly_is_refused(
    tmp_path: Path, prepare: Callable[[Path], object], overrides: tuple[str, ...]
) -> None:
    line = loaded(tmp_path, *overrides)
    prepare(tmp_path)
    with pytest.raises(UserError) as caught:
        begin(line)
    assert not caught.value.passes, caught.value


def test_a_link_to_a_disk_that_is_not_mounted_is_no_file_in_the_way(tmp_path: Path) -> None:
    """``mkdir`` says "File exists" of it, which no daemon waits for."""
    link = tmp_path / "log"
    link.symlink_to(tmp_path / "disk" / "log")
    for folder in (link, link / "cam1"):
        with pytest.raises(FileNotFoundError) as caught:
            make_folders(folder)
        assert caught.value.strerror == f"a link to {tmp_path}/disk/log, which is not there"
        assert caught.value.filename == str(link)
    with pytest.raises(FileNotFoundError):
        take_folder(link, "outputs.evidence.dir")
    with pytest.raises(UserError) as refused:
        runtime_folder(loaded(tmp_path, "runtime_dir=log"))
    assert refused.value.passes
    (tmp_path / "disk" / "log").mkdir(parents=True)
    make_folders(link / "cam1")
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_folders(tmp_path / "file")
