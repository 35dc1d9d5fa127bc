"""One line's config against the machine: producer, folders, disks, and the systemd unit's limits."""

from __future__ import annotations

import os
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge.config.load import Loaded
from edge.config.sources import GenicamConfig, OpencvConfig
from edge.errors import UserError
from edge.service.doctor import Finding
from edge.service.unit_files import service_files
from edge.storage.disk import space

_SYNCS: Final = 20
_SLOW_SYNC_MS: Final = 20.0


def check_line(loaded: Loaded) -> list[Finding]:
    """Everything but model and capacity."""
    return [*check_source_config(loaded), *check_folders(loaded), *check_watchdog(loaded)]


def wants_gige(loaded: Loaded | None) -> bool:
    """Whether the camera may be one on Ethernet."""
    source = None if loaded is None else loaded.config.source
    return isinstance(source, GenicamConfig) and source.producer != "simulated"


def check_source_config(loaded: Loaded) -> Iterator[Finding]:
    source = loaded.config.source
    if isinstance(source, GenicamConfig):
        try:
            from edge.sources.genicam.producers import check_loadable, producer_files

            if any(not _installed(name) for name in ("genicam", "harvesters")):
                raise UserError("the camera packages are not installed", fix="pip install 'edge-inspect[camera]'")
            files = producer_files(source.producer)
            check_loadable(files)
        except UserError as error:
            yield _failed("producer", error)
        else:
            yield Finding("ok", "producer", ", ".join(map(str, files)))
    elif isinstance(source, OpencvConfig) and isinstance(source.device, int):
        node = Path(f"/dev/video{source.device}")
        if not node.exists():
            yield Finding("warn", "device", f"{node} is not there; the daemon waits for it", "plug the camera in")
        elif not os.access(node, os.R_OK | os.W_OK):
            yield Finding("fail", "device", f"{node} is not open to this user", "usermod -aG video edge")
        else:
            yield Finding("ok", "device", str(node))


def check_folders(loaded: Loaded) -> Iterator[Finding]:
    """Writable, with room for what the config promises, and how long a sync takes there."""
    outputs = loaded.config.outputs
    if outputs.jsonl is not None:
        folder = _plain(loaded.resolve(outputs.jsonl.dir))
        yield from _check_folder("log", folder, outputs.jsonl.min_free_gb, outputs.jsonl.quota_gb)
        yield from _check_sync(folder, outputs.jsonl.sync)
    if outputs.evidence is not None:
        folder = _plain(loaded.resolve(outputs.evidence.dir))
        yield from _check_folder("evidence", folder, outputs.evidence.min_free_gb, outputs.evidence.quota_gb)


def check_watchdog(loaded: Loaded) -> Iterator[Finding]:
    """Systemd must wait longer than the daemon's own limit, or it kills what the daemon would have told."""
    unit = service_files(loaded.config.camera)[0].text
    found = re.search(r"^WatchdogSec=(\d+)$", unit, flags=re.M)
    limit = loaded.config.supervise.limit_s
    if found and 2 * limit > int(found[1]):
        yield Finding(
            "warn",
            "watchdog",
            f"supervise.limit_s is {limit:g} s, and the unit's WatchdogSec of {found[1]} s is less than twice that",
            f"systemctl edit edge@{loaded.config.camera}: [Service] WatchdogSec={2 * limit + 5:.0f}",
        )


def _check_folder(what: str, folder: Path, least_gb: float, quota_gb: float | None) -> Iterator[Finding]:
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


def _check_sync(folder: Path, sync: str) -> Iterator[Finding]:
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
    """Milliseconds of each of 20 appended lines, synced. Raises OSError."""
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_SYNCS):
            os.write(file.fileno(), b"x" * 400)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(1e3 * (time.perf_counter() - began))
    return times


def _plain(path: Path) -> Path:
    """Without ``..``, for people."""
    return Path(os.path.normpath(path))


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _size_gb(folder: Path) -> float:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e9


def _installed(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def _failed(what: str, error: UserError) -> Finding:
    text, _, fix = str(error).partition("\n  fix: ")
    return Finding("fail", what, text.replace("\n  ", "; "), fix or None)
