"""A process that writes a log and says what it has synced, to be killed; in a module that is quick to import."""

from __future__ import annotations

from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from edge.config.outputs import JsonlConfig
from edge.outputs.jsonl.sink import JsonlSink
from support.records import IDENTITY, record


def write_until_killed(folder: Path, run: str, parent: Connection) -> None:
    """Records in files of 1 MB, each synced; after each its number goes to ``parent``."""
    config = JsonlConfig(dir=folder, sync="each", rotate_mb=1, compress=False)
    sink = JsonlSink(config, folder, replace(IDENTITY, instance_id=run))
    sink.open()
    seq = 0
    while True:
        sink.write(record(seq), None)
        parent.send_bytes(seq.to_bytes(4, "big"))
        seq += 1
