#!/usr/bin/env python3
"""Power cuts, for real: the log and the evidence lie on a file system of their own whose device is copied at a moment
without writes, as a cut would leave it; the copy is mounted, and the daemon started on what is left.

    sudo scripts/powercut.py --cuts 20 --fs ext4 --fs xfs --sync each --sync interval

Needs root, loop devices and mkfs of the file system. Each cut has its line: when it came, whether the daemon starts
again, what it set aside, which records that a subscriber had heard are missing and how old the oldest of them was, the same
of the evidence, and how many index lines name a picture that cannot be read. Exit code 1 where a restart failed or more is
gone than was promised: with `sync: each` any record, with `interval` one that was older than the interval and a sync.
"""

from __future__ import annotations

import argparse
import json
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
from typing import Any, TypeAlias

from edge.client import Received, Subscriber
from edge.errors import UserError
from edge.frames import Skip
from edge.storage.log_files import read_records, segments
from edge.storage.recording import open_recording
from edge.storage.recording_index import INDEX, RecordedFrame

EARLY_S = (0.3, 15.0)
LATE_S = (15.0, 45.0)
START_S = 60.0
INTERVAL_S = 1.0
SYNC_S = 1.0
"""Time in s that a sync may take before what it was to save counts as lost against the promise of ``interval``."""
EVIDENCE_S = 3.0
"""Age in s that evidence may have and be gone: its index is synced each second, and a few pictures may wait."""
BUNDLE = Path(__file__).parents[1] / "configs" / "bundles" / "synthetic-part"
CONFIG = """\
camera: cam1
runtime_dir: {run}
source: {{kind: synthetic, preset: easy, seed: 1, fps: {fps}, defect_rate: 0.3}}
model: {{bundle: {bundle}}}
regions: {{smooth: {{kind: median, size: 3}}, threshold: {{high: 6.0, low: 4.0}}, min_area_px: 8}}
outputs:
  zmq: {{}}
  jsonl: {{dir: {disk}/log, sync: {sync}, min_free_gb: 0, compress_min_free_gb: 0, rotate_mb: 1}}
  evidence: {{dir: {disk}/evidence, keep: [fail], min_free_gb: 0, quota_gb: {quota_gb}}}
"""
Heard: TypeAlias = dict[tuple[str, int], tuple[int, str]]
"""When each record was made, in ns UTC, and its verdict, by run and seq."""


@contextmanager
def mounted(image: Path, place: Path, fs: str) -> Iterator[str]:
    """The image's file system at ``place``; yields the name of its device, as in /sys/block."""
    place.mkdir(exist_ok=True)
    # another mount namespace, a container's for example, may hold the original for a while, whose UUID the copy has
    options = "loop,nouuid" if fs == "xfs" else "loop"
    subprocess.run(["mount", "-t", fs, "-o", options, str(image), str(place)], check=True)
    try:
        found = subprocess.run(["findmnt", "-no", "SOURCE", str(place)], check=True, capture_output=True, text=True)
        yield Path(found.stdout.strip()).name
    finally:
        for _ in range(50):
            if subprocess.run(["umount", str(place)], check=False, capture_output=True).returncode == 0:
                break
            time.sleep(0.1)


def copied_at_a_moment(image: Path, device: str, to: Path, process: subprocess.Popen[bytes]) -> int:
    """Copy the device as it is at one moment: the daemon stands still, and no write of the kernel's came meanwhile.

    Returns the moment, in ns UTC. Raises TimeoutError where no such moment comes within a minute.
    """
    end = time.monotonic() + 60
    process.send_signal(signal.SIGSTOP)
    while time.monotonic() < end:
        moment, before = time.time_ns(), written(device)
        subprocess.run(["cp", "--sparse=always", str(image), str(to)], check=True)
        if before is not None and written(device) == before:
            return moment
    raise TimeoutError(f"{device} was written to for a minute")


def written(device: str) -> int | None:
    """Number of writes that the device has done; None while one is on its way. Documentation/block/stat.rst."""
    fields = Path(f"/sys/block/{device}/stat").read_text().split()
    return int(fields[4]) if int(fields[8]) == 0 else None


def daemon(config: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "edge", "run", "-c", str(config)], stderr=subprocess.DEVNULL)


def heard_for(endpoint: str, seconds: float) -> Heard:
    """Records that come within ``seconds`` of the first one; none where a minute goes by without one."""
    found: Heard = {}
    end, late = None, time.monotonic() + START_S
    with Subscriber(endpoint, "cam1", keep_s=0) as line:
        while (left := (end or late) - time.monotonic()) > 0:
            event = line.receive(left)
            if end is None and isinstance(event, Received) and event.kind == "inspection":
                end = time.monotonic() + seconds
            if isinstance(event, Received) and event.kind in ("inspection", "skip"):
                record = event.message
                found[record["instance_id"], record["seq"]] = record["created_ns"], record["verdict"]
    return found


def cut(folder: Path, options: argparse.Namespace, after_s: float) -> dict[str, Any]:
    """One cut ``after_s`` seconds after the first record of a daemon that was started on an empty disk."""
    image, left, disk = folder / "disk", folder / "left", folder / "mnt"
    image.write_bytes(b"")
    with image.open("r+b") as file:
        file.truncate(options.size_mb * 1_000_000)
    subprocess.run([f"mkfs.{options.fs}", "-q", str(image)], check=True)
    config = folder / "cam1.yaml"
    config.write_text(CONFIG.format(run=folder / "run", disk=disk, bundle=BUNDLE, **vars(options)))
    with mounted(image, disk, options.fs) as device:
        process = daemon(config)
        try:
            heard = heard_for(f"ipc://{folder}/run/pub", after_s)
            moment = copied_at_a_moment(image, device, left, process)
        finally:
            process.kill()
            process.wait()
    shutil.rmtree(folder / "run")  # it lies in memory, and is gone with the power
    with mounted(left, disk, options.fs):
        return {"fs": options.fs, "sync": options.sync, "after_s": round(after_s, 1)} | look(
            folder, disk, config, heard, moment
        )


def look(folder: Path, disk: Path, config: Path, heard: Heard, moment: int) -> dict[str, Any]:
    """What the cut left, and whether a daemon starts on it."""
    process = daemon(config)
    again = heard_for(f"ipc://{folder}/run/pub", 1.0)
    code = process.poll()
    process.send_signal(signal.SIGTERM)
    process.wait()
    log = disk / "log"
    kept = {(r["instance_id"], r["seq"]) for path in (segments(log) if log.is_dir() else []) for r in read_records(path)}
    pictured, evidence_counts = evidence(disk / "evidence")
    failed = {key: made for key, made in heard.items() if made[1] == "fail"}
    return {
        "restarted": code is None and bool(again),
        "exit": code,
        "heard": len(heard),
        "missing": len(heard.keys() - kept),
        "oldest_missing_s": oldest(heard, kept, moment),
        "oldest_without_picture_s": oldest(failed, pictured, moment),
        **evidence_counts,
        "set_aside": sorted(path.name for path in disk.rglob("*.damaged*")),
    }


def evidence(folder: Path) -> tuple[set[tuple[str, int]], dict[str, int]]:
    """The records that the evidence holds, its frames, those whose picture can't be read, and frames that came too fast."""
    try:
        recording = open_recording(folder)
    except UserError as error:
        print(error, file=sys.stderr)
        return set(), {"pictures": 0, "unreadable": 0, "too_fast": 0}
    frames = [entry for entry in recording.entries if isinstance(entry, RecordedFrame)]
    unreadable = sum(isinstance(recording.load(entry), Skip) for entry in frames)
    lines = [json.loads(line) for path in sorted(folder.glob(f"*{INDEX}*")) for line in path.read_bytes().splitlines()]
    records = [line["record"] for line in lines if "record" in line]
    counts = {"pictures": len(frames), "unreadable": unreadable, "too_fast": recording.missing}
    return {(record["instance_id"], record["seq"]) for record in records}, counts


def oldest(heard: Heard, kept: set[tuple[str, int]], moment: int) -> float:
    """Age in s of the oldest heard record that was not kept; 0.0 where all were."""
    return round(max(((moment - made) / 1e9 for key, (made, _) in heard.items() if key not in kept), default=0.0), 2)


def is_as_promised(outcome: dict[str, Any]) -> bool:
    log = outcome["missing"] == 0 if outcome["sync"] == "each" else outcome["oldest_missing_s"] <= INTERVAL_S + SYNC_S
    pictures = outcome["unreadable"] == 0 and (outcome["too_fast"] > 0 or outcome["oldest_without_picture_s"] <= EVIDENCE_S)
    return bool(outcome["restarted"] and log and pictures)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--fps", type=float, default=20.0)
    parser.add_argument("--cuts", type=int, default=20, help="half of them within 15 s of the first record (%(default)s)")
    parser.add_argument("--fs", action="append", choices=["ext4", "xfs"], help="may be given twice (ext4)")
    parser.add_argument("--sync", action="append", choices=["each", "interval"], help="may be given twice (each)")
    parser.add_argument("--size-mb", type=int, default=800)
    parser.add_argument("--quota-gb", type=float, default=0.4, help="of the evidence (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    bad = cuts = 0
    for fs, sync in [(fs, sync) for fs in options.fs or ["ext4"] for sync in options.sync or ["each"]]:
        chance = random.Random(options.seed)
        for number in range(options.cuts):
            folder = Path(tempfile.mkdtemp(prefix="powercut"))
            one = argparse.Namespace(**vars(options) | {"fs": fs, "sync": sync})
            try:
                outcome = cut(folder, one, chance.uniform(*(EARLY_S if number % 2 == 0 else LATE_S)))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            print(json.dumps(outcome), flush=True)
            cuts, bad = cuts + 1, bad + (not is_as_promised(outcome))
    print(f"{cuts - bad} of {cuts} as promised")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
