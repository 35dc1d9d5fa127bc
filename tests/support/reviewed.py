"""A recording to review in a test: frames written as a line writes its evidence, and a page on them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from fastapi.testclient import TestClient

from edge.frames import Frame, FrameMeta
from edge.service.instances import Instance
from edge.storage.recording_writer import RecordingWriter
from edge.web.doors.roles import Role
from edge.web.logs.indexer import look_at_frames
from edge.web.review.frame_index import FrameIndex
from edge.web.site import Site
from support.pages import client_of, log_in, site_in

START = 1_796_000_000_000_000_000
SIZE = (48, 64)
CONFIG = """\
camera: cam1
runtime_dir: run
source: {{kind: synthetic, width: 64, height: 48}}
model: {{bundle: bundle}}
regions: {{threshold: {{high: 2.0}}}}
outputs: {{zmq: null, evidence: {{dir: {folder}}}}}
"""


def picture(number: int) -> Frame:
    """Grey 40 + number, with one bright pixel that tells where it is."""
    pixels = np.full(SIZE, 40 + number % 100, np.uint8)
    pixels[number % SIZE[0], 5] = 150 + number % 90
    meta = FrameMeta(number, "device", SIZE[1], SIZE[0], "Mono8", START + number * 1_000_000_000, 5, part_id=number // 2)
    return Frame(meta, pixels, 8)


def record(number: int, **other: Any) -> bytes:
    """The record of a frame: each fifth fails, and each fourth had a region that a filter dropped."""
    fails = number % 5 == 4
    fields = {
        "seq": number,
        "instance_id": "run1",
        "verdict": "fail" if fails else "pass",
        "reason": None,
        "map_max": 0.7 if fails else 0.1 + 0.04 * (number % 10),
        "threshold": 0.5,
        "regions": [{"bbox_xyxy": [3, 4, 13, 14]}] if fails else [],
        "regions_dropped": {"min_area_px": 1, "min_solidity": 0} if number % 4 == 0 else {},
    }
    return orjson.dumps(fields | other)


def write_frames(folder: Path, numbers: range, **other: Any) -> None:
    """Append frames to an evidence folder, or begin one."""
    writer = RecordingWriter(folder, camera="cam1", source="evidence", append=True)
    for number in numbers:
        writer.frame(picture(number), record(number, **other), "fail" if number % 5 == 4 else "pass")
    writer.close()


def line_of(folder: Path) -> Instance:
    """An instance whose config keeps evidence in ``folder/evidence``."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "cam1.yaml"
    config.write_text(CONFIG.format(folder=folder / "evidence"))
    return Instance("cam1", folder / "run", None, {}, config, ())


@contextlib.contextmanager
def reviewed(folder: Path, frames: int, role: Role = Role.REVIEWER) -> Iterator[tuple[Site, TestClient, FrameIndex]]:
    """A page whose camera has so many frames of evidence, with a visitor of this role, and the index of its frames."""
    instance = line_of(folder / "line")
    if frames:
        write_frames(folder / "line" / "evidence", range(frames))
    with site_in(folder, "cam1", "cam2") as site:
        instance_fields = {"camera": "cam1", "config": str(instance.config), "overrides": []}
        (folder / "run" / "cam1" / "instance.json").write_bytes(orjson.dumps(instance_fields))
        index = FrameIndex(site.folder)
        try:
            look_at_frames(index, site.config.lines, ())
            with client_of(site) as client:
                log_in(client, site, role)
                yield site, client, index
        finally:
            index.close()
