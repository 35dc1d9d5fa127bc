"""Log files with known records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import zstandard

from edge.wire.encode import Wire
from support.records import IDENTITY, inspection, skip

HOUR = 3_600_000_000_000


START = 1_795_284_000_000_000_000  # 2026-11-21T18:00:00Z


def lines(run: str, seqs: range, at_ns: int = START, **changes: Any) -> list[bytes]:
    wire = Wire(replace(IDENTITY, instance_id=run))
    return [wire.inspection(seq, inspection(**changes), at_ns + seq).line for seq in seqs]


def lost(run: str, seq: int, at_ns: int, **changes: Any) -> bytes:
    return Wire(replace(IDENTITY, instance_id=run)).skip(seq, skip(**changes), at_ns).line


def write(path: Path, log_lines: list[bytes]) -> Path:
    data = b"".join(line + b"\n" for line in log_lines)
    path.write_bytes(zstandard.compress(data) if path.suffix == ".zst" else data)
    return path
