#!/usr/bin/env python3
"""Readers against atheris: `pip install atheris`, then `scripts/fuzz.py config|wire|jsonl -max_total_time=600`.

Further arguments go to libFuzzer. Anything but the documented errors ends it with a traceback and the input in a file. The
tests hold a short form on hypothesis: tests/faults/test_fuzz.py.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

import atheris

ROOT = Path(__file__).parents[1]

with atheris.instrument_imports(include=["edge", "yaml"]):
    from edge.config.load import load_config
    from edge.errors import UserError
    from edge.storage.log_files import read_messages
    from edge.wire.read import WireError, read

WORK = Path(tempfile.mkdtemp(prefix="edge-fuzz-"))


def config(data: bytes) -> None:
    path = WORK / "fuzz.yaml"
    path.write_bytes(data)
    with contextlib.suppress(UserError):
        load_config(path)


def wire(data: bytes) -> None:
    with contextlib.suppress(WireError):
        read(data)


def jsonl(data: bytes) -> None:
    path = WORK / ("edge.jsonl.zst" if data[:1] == b"\x28" else "edge.jsonl")
    path.write_bytes(data)
    for _ in read_messages(path):
        pass


def corpus(name: str) -> Path:
    """What the fuzzer begins with: the shipped configs, or messages of each kind."""
    folder = WORK / f"corpus-{name}"
    folder.mkdir()
    if name == "config":
        for path in (ROOT / "configs").glob("*.yaml"):
            (folder / path.name).write_bytes(path.read_bytes())
        return folder
    import zstandard

    sys.path.insert(0, str(ROOT / "tests"))
    from support.records import STATE, WIRE, record, skip

    lines = [record(0).line, WIRE.skip(1, skip(), 2).line, WIRE.header(1), WIRE.state(STATE, 1)]
    for number, line in enumerate(lines):
        (folder / f"{number}").write_bytes(line + b"\n")
    (folder / "all").write_bytes(b"\n".join(lines))
    (folder / "packed").write_bytes(zstandard.ZstdCompressor().compress(b"\n".join(lines)))
    return folder


def main() -> None:
    targets = {"config": config, "wire": wire, "jsonl": jsonl}
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in targets:
        sys.exit(__doc__)
    atheris.Setup([sys.argv[0], *sys.argv[2:], str(corpus(name))], targets[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
