"""A line's evidence with maps, made by the line itself, and the verdicts that ``edge replay`` gives for it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import orjson

from edge.config.load import load_config
from edge.line.replay import ReplayOptions, replay
from edge.sources.recorded import RecordedSource
from support.lines import make_line, records, run

BUNDLE = Path(__file__).parents[2] / "configs" / "bundles" / "synthetic-part"
BASE = f"""\
camera: cam1
runtime_dir: run
source: {{kind: synthetic, preset: easy, seed: 1, defect_rate: 0.4, fps: null, frames: 40}}
model: {{bundle: {BUNDLE}}}
regions:
  smooth: {{kind: median, size: 3}}
  threshold: {{high: 6.0, low: 4.0}}   # by hand
  min_area_px: 8
outputs:
  zmq: null
  evidence: {{dir: evidence, keep: [pass, fail, invalid], before_fail: 40, maps: true, min_free_gb: 0}}
"""
"""``before_fail`` gives the evidence memory for all frames: nothing is lost however fast they come."""


def evidence(folder: Path, *overrides: str, frames: int = 40) -> Path:
    """Run the line; return its config. Evidence lies in ``folder/evidence``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run").mkdir()
    config = folder / "cam1.yaml"
    config.write_text(BASE)
    loaded = load_config(config, (*overrides, f"source.frames={frames}"))
    assert run(make_line(loaded)) == 0
    return config


def replayed(config: Path, folder: Path, out: Path, *overrides: str) -> dict[int, str]:
    """Return the verdict of each frame by its id, as ``edge replay`` of the folder gives them."""
    with_overrides = load_config(config, overrides)
    options = ReplayOptions(out=out)
    code, _ = replay(with_overrides, RecordedSource(folder, "max"), options, threading.Event(), lambda *_: None)
    assert code == 0
    return {record["frame_id"]: record["verdict"] for record in records(out)}


def session_message(config: Path, folder: Path, cache: Path, **more: Any) -> dict[str, Any]:
    """Return what a session is opened with."""
    return {"config": str(config), "recording": str(folder), "cache": str(cache), **more}


def index_lines(folder: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (folder / "frames.jsonl").read_bytes().splitlines()]
