#!/usr/bin/env python3
"""Power cuts, for real: the log, the evidence and the runtime folder lie on a file system of their own whose device is
copied at a moment, as a cut would leave it; the copy is mounted, and the daemon started on what is left.

    sudo scripts/powercut.py --cuts 20 --fs ext4

Needs root, loop devices and mkfs of the file system. Each cut is told in a line: when it came, whether the daemon starts
again, what it set aside, which records that a subscriber had heard are missing, and how many index lines name a picture
that cannot be read. Exit code 1 where a restart failed, or with `sync: each` a heard record is missing.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.client import Received, Subscriber
from edge.errors import UserError
from edge.frames import Skip
from edge.storage.log_files import read_records, segments
from edge.storage.recording import open_recording
from edge.storage.recording_index import RecordedFrame

EARLY_S = (0.3, 15.0)
LATE_S = (15.0, 45.0)
START_S = 60.0
CONFIG = """\
camera: cam1
runtime_dir: {run}
source: {{kind: synthetic, width: 320, height: 240, fps: 20, defect_rate: 0.5}}
model: {{bundle: {bundle}}}
regions: {{threshold: {{high: {high}}}}}
outputs:
  zmq: {{}}
  jsonl: {{dir: {disk}/log, sync: {sync}, min_free_gb: 0, compress_min_free_gb: 0}}
  evidence: {{dir: {disk}/evidence, keep: [pass, fail, invalid], min_free_gb: 0}}
"""


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[None]:
    """The image's file system at ``place``."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
    try:
        yield
    finally:
        for _ in range(50):
            if subprocess.run(["umount", str(place)], check=False, capture_output=True).returncode == 0:
                break
            time.sleep(0.1)


def daemon(config: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "edge", "run", "-c", str(config)], stderr=subprocess.DEVNULL)


def heard_for(endpoint: str, seconds: float) -> set[tuple[str, int]]:
    """Records that come within ``seconds`` of the first one, run and seq; none where a minute goes by without one."""
    found: set[tuple[str, int]] = set()
    end, late = None, time.monotonic() + START_S
    with Subscriber(endpoint, "cam1", keep_s=0) as line:
        while (left := (end or late) - time.monotonic()) > 0:
            event = line.receive(left)
            if end is None and isinstance(event, Received) and event.kind == "inspection":
                end = time.monotonic() + seconds
            if isinstance(event, Received) and event.kind in ("inspection", "skip"):
                found.add((event.message["instance_id"], event.message["seq"]))
    return found


def cut(folder: Path, options: argparse.Namespace, after_s: float) -> dict[str, object]:
    """One cut ``after_s`` seconds after the first record of a daemon that was started on an empty disk."""
    image, left, disk = folder / "disk", folder / "left", folder / "mnt"
    image.write_bytes(b"")
    with image.open("r+b") as file:
        file.truncate(options.size_mb * 1_000_000)
    subprocess.run([f"mkfs.{options.fs}", "-q", str(image)], check=True)
    config = folder / "cam1.yaml"
    config.write_text(
        CONFIG.format(run=folder / "run", bundle=options.bundle, high=options.high, disk=disk, sync=options.sync)
    )
    with mounted(image, disk):
        process = daemon(config)
        try:
            heard = heard_for(f"ipc://{folder}/run/pub", after_s)
            subprocess.run(["cp", "--sparse=always", str(image), str(left)], check=True)
        finally:
            process.kill()
            process.wait()
    with mounted(left, disk):
        return {"after_s": round(after_s, 1), **look(folder, disk, config, heard)}


def look(folder: Path, disk: Path, config: Path, heard: set[tuple[str, int]]) -> dict[str, object]:
    """What the cut left, and whether a daemon starts on it."""
    process = daemon(config)
    again = heard_for(f"ipc://{folder}/run/pub", 1.0)
    code = process.poll()
    process.send_signal(signal.SIGTERM)
    process.wait()
    log = disk / "log"
    kept = {(r["instance_id"], r["seq"]) for path in (segments(log) if log.is_dir() else []) for r in read_records(path)}
    try:
        recording = open_recording(disk / "evidence")
        frames = [entry for entry in recording.entries if isinstance(entry, RecordedFrame)]
        unreadable = sum(isinstance(recording.load(entry), Skip) for entry in frames)
    except UserError as error:
        frames, unreadable = [], str(error)  # type: ignore[assignment]
    return {
        "restarted": code is None and bool(again),
        "exit": code,
        "heard": len(heard),
        "missing": len(heard - kept),
        "pictures": len(frames),
        "unreadable": unreadable,
        "set_aside": sorted(path.name for path in disk.rglob("*.damaged*")),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--bundle", type=Path, required=True, help="a model for 320x240 frames")
    parser.add_argument("--high", type=float, default=2.0, help="its threshold (%(default)s)")
    parser.add_argument("--cuts", type=int, default=20, help="half of them within 15 s of the first record (%(default)s)")
    parser.add_argument("--fs", default="ext4", choices=["ext4", "xfs"])
    parser.add_argument("--sync", default="each", choices=["each", "interval"])
    parser.add_argument("--size-mb", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.bundle = options.bundle.absolute()
    chance, bad = random.Random(options.seed), 0
    for number in range(options.cuts):
        folder = Path(tempfile.mkdtemp(prefix="powercut"))
        try:
            told = cut(folder, options, chance.uniform(*(EARLY_S if number % 2 == 0 else LATE_S)))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(told, flush=True)
        bad += not told["restarted"] or (options.sync == "each" and bool(told["missing"]))
    print(f"{options.cuts - bad} of {options.cuts} as promised")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
