"""Who listens to a line for days stays as small as it began: `edge fleet` and the Modbus gateway beside a real daemon."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.graphs import write_identity_bundle

from edge.client import Received, Subscriber

CONFIG = """\
camera: cam1
runtime_dir: run
source: {kind: synthetic, width: 200, height: 160}
ring: {slots: 64}
model: {bundle: bundle, engine: onnx}
regions: {threshold: {high: 0.5}, min_area_px: 1}
outputs: {zmq: {}}
"""
DAEMON = """\
import sys
from pathlib import Path
import numpy as np
from edge.config.load import load_config
from edge.service.daemon import run_daemon
from edge.service.logs import set_up_logs
from edge.sources.in_memory import MemorySource

set_up_logs("warning")
picture = np.zeros((160, 200), np.uint8)
picture[8:152:18, 8:196:19] = 255  # 80 defects of a pixel
sys.exit(run_daemon(load_config(Path(sys.argv[1])), source=MemorySource([picture], None, fps=200.0)))
"""


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def rss_mb(process: subprocess.Popen[bytes]) -> float:
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def hear(folder: Path, records: int, timeout_s: float) -> int:
    """Number of regions of the last of so many records."""
    with Subscriber(f"ipc://{folder}/run/pub", "cam1", keep_s=0) as line:
        end, heard, regions = time.monotonic() + timeout_s, 0, 0
        while heard < records:
            assert time.monotonic() < end, f"{heard} records"
            event = line.receive(1.0)
            if isinstance(event, Received) and event.kind == "inspection":
                heard, regions = heard + 1, len(event.message["regions"])
    return regions


@pytest.mark.soak
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("records", [20_000])
def test_listeners_to_200_large_records_a_second_do_not_grow(tmp_path: Path, records: int) -> None:
    """At 20 a second `edge fleet` grew by 8.6 MB a minute, to 594 MB, for it kept the last 10,000 as dictionaries."""
    write_identity_bundle(tmp_path / "bundle")
    config = tmp_path / "cam1.yaml"
    config.write_text(CONFIG)
    listeners: dict[str, Sequence[str]] = {
        "fleet": ("-m", "edge", "fleet", str(tmp_path / "run")),
        "gateway": ("-m", "edge", "gateway", "modbus", str(config), "--port", "0", "--allow-simulated"),
    }
    with running("-c", DAEMON, str(config)):
        assert hear(tmp_path, 1, 60.0) == 80
        with running(*listeners["fleet"]) as fleet, running(*listeners["gateway"]) as gateway:
            hear(tmp_path, 2000, 300.0)
            began = time.monotonic()
            before = {"fleet": rss_mb(fleet), "gateway": rss_mb(gateway)}
            hear(tmp_path, records, 1200.0)
            after = {"fleet": rss_mb(fleet), "gateway": rss_mb(gateway)}
            rate = records / (time.monotonic() - began)
    assert min(before.values()) > 20
    print(f"{rate:.0f} records a second; MB before {before}, after {after}")
    assert {name: round(after[name] - before[name], 1) for name in after if after[name] - before[name] > 10} == {}
