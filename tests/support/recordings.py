"""Small recordings."""

from __future__ import annotations

from pathlib import Path

from support.evidence import deliver, frame, inspected, lost, sink_in


def recorded(folder: Path) -> Path:
    """Two frames of 12 bits with their records, and a loss of two between them."""
    sink = sink_in(folder)
    sink.open()
    deliver(sink, inspected(frame(1, bits=12), "fail"), frame(1, bits=12))
    deliver(sink, lost(10))
    deliver(sink, inspected(frame(20, bits=12), "invalid", "late"), frame(20, bits=12))
    sink.close()
    return folder
