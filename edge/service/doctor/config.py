"""One line's config is checked against the machine: producer, folders, disks, and the systemd unit's limits."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge.config.bundle import load_bundle
from edge.config.load import Loaded
from edge.engines.line_engine import scales_sha256
from edge.errors import UserError
from edge.regions.criteria import load_criteria
from edge.service.doctor import Finding
from edge.service.unit_files import service_files
from edge.sources.open import device_findings
from edge.storage.disk import space
from edge.storage.mask_picture import read_mask

_SYNCS: Final = 20
_SLOW_SYNC_MS: Final = 20.0


def line_findings(loaded: Loaded) -> list[Finding]:
    """Check everything but model and capacity."""
    return [*source_findings(loaded), frames_finding(loaded), *folder_findings(loaded), *watchdog_findings(loaded)]


def source_findings(loaded: Loaded) -> Iterator[Finding]:
    """Check the device of the source, if it has one."""
    for finding in device_findings(loaded.config.source, loaded.path.parent):
        yield Finding(finding.level, finding.what, finding.text, finding.fix)


def frames_finding(loaded: Loaded) -> Finding:
    """Check the kind of frames that the thresholds were measured on against what the config says of its source."""
    config = loaded.resolved
    try:
        bundle = load_bundle(config.model.bundle)
        scales = scales_sha256(config.model, config.source, bundle)
        kind = load_criteria(config, bundle, scales, read_mask(config.regions.roi), named=loaded.path).frames
    except UserError:  # the finding on the model says why
        return Finding("warn", "frames", "not known, as model or thresholds can't be used", f"edge check {loaded.path}")
    if kind.size is None:
        return Finding(
            "warn",
            "frames",
            f"{kind}: neither bundle nor calibration says how large the good frames were, so that the first frame decides",
            "set model.frame_size, or calibrate on frames of one size",
        )
    size = config.source.frame_size
    if size is not None and size != kind.size:
        given = f"{size[0]}x{size[1]}"
        text = f"the source gives {given}, and the good frames were {kind}: every frame would be invalid"
        return Finding("fail", "frames", text, "set the source's size, or fit and calibrate on such frames")
    return Finding("ok", "frames", f"every frame must be {kind}, as the good frames were")


def folder_findings(loaded: Loaded) -> Iterator[Finding]:
    """Check that folders are writable, with room for what the config promises, and how long a sync takes there."""
    for section in loaded.config.outputs.sections.values():
        if (disk := section.disk) is not None:
            folder = _plain(loaded.resolve(disk.dir))
            yield from _folder_findings(disk.what, folder, disk.min_free_gb, disk.quota_gb)
            if disk.sync is not None:
                yield from _sync_findings(folder, disk.sync)


def watchdog_findings(loaded: Loaded) -> Iterator[Finding]:
    """Check that systemd waits longer than the daemon's own limit: otherwise it kills a daemon that would have said why."""
    unit = service_files(loaded.config.camera)[0].text
    match = re.search(r"^WatchdogSec=(\d+)$", unit, flags=re.M)
    limit = loaded.config.supervise.limit_s
    if match and 2 * limit > int(match[1]):
        yield Finding(
            "warn",
            "watchdog",
            f"supervise.limit_s is {limit:g} s, and the unit's WatchdogSec of {match[1]} s is less than twice that",
            f"systemctl edit edge@{loaded.config.camera}: [Service] WatchdogSec={2 * limit + 5:.0f}",
        )


def _folder_findings(what: str, folder: Path, least_gb: float, quota_gb: float | None) -> Iterator[Finding]:
    there = _nearest(folder)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        fix = f"install -d -o edge -g edge -m 0750 {folder}, or choose another"
        yield Finding("fail", what, f"{folder}: this user can't write {'it' if there == folder else there}", fix)
        return
    free_gb, size_gb = (n / 1e9 for n in space(there))
    used_gb = _size_gb(folder) if there == folder else 0.0
    text = f"{folder}: {free_gb:.1f} of {size_gb:.0f} GB free"
    if free_gb < least_gb:
        yield Finding("fail", what, f"{text}; nothing is written below {least_gb:g}", "make room, or lower min_free_gb")
    elif quota_gb is not None and quota_gb - used_gb > free_gb - least_gb:
        fix = f"a smaller quota_gb, {max(used_gb + free_gb - least_gb, 0.1):.1f} say, or a bigger disk"
        yield Finding("warn", what, f"{text}; the disk will be full before its quota of {quota_gb:g} GB is", fix)
    else:
        yield Finding("ok", what, text)


def _sync_findings(folder: Path, sync: str) -> Iterator[Finding]:
    there = _nearest(folder)
    try:
        times = sync_times_ms(there)
    except OSError as error:
        yield Finding("fail", "fsync", f"{there}: {error.strerror}", "a disk that can be written")
        return
    text = f"{there}: fdatasync takes {statistics.median(times):.2g} ms, {max(times):.2g} at the most"
    if sync == "each" and max(times) > _SLOW_SYNC_MS:
        fix = "sync: interval, or a disk with power-loss protection"
        yield Finding("warn", "fsync", f"{text}; with sync: each every record waits for it", fix)
    else:
        yield Finding("ok", "fsync", text)


def sync_times_ms(folder: Path) -> list[float]:
    """Return the milliseconds of each of 20 appended lines, synced. Raises OSError."""
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_SYNCS):
            os.write(file.fileno(), b"x" * 400)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(1e3 * (time.perf_counter() - began))
    return times


def _plain(path: Path) -> Path:
    """Return a path without ``..``, for people."""
    return Path(os.path.normpath(path))


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    while not os.path.exists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def _size_gb(folder: Path) -> float:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # a running line deletes and renames
            found = path.stat()
            total += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return total / 1e9
