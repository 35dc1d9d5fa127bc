"""An evidence sink and what it is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson

from edge.config.outputs import EvidenceConfig
from edge.config.regions import RoiConfig
from edge.frames import Frame, FrameMeta, Inspection, Record, Region, RunIdentity, Skip, Verdict
from edge.outputs.evidence.sink import EvidenceSink
from edge.report.inspected_part import InspectedPart

IDENTITY = RunIdentity("run1", "cam1", None, False, "a" * 64, "m", "b" * 64, None)


def frame(k: int, *, size: int = 40, bits: int = 8) -> Frame:
    """Noise: its PNG is as large as its pixels."""
    pixels = np.random.default_rng(k).integers(0, 1 << bits, (size, size)).astype(np.uint8 if bits == 8 else np.uint16)
    return Frame(FrameMeta(k, "device", size, size, f"Mono{bits}", 1_000 + k, 5), pixels, bits)


def inspected(of: Frame, verdict: Verdict, reason: str | None = None) -> Record:
    box = Region(0, (5, 6, 15, 16), 100.0, (9.5, 10.5), 0.9, 0.8, 1.0, 1.0, 1.0)
    regions = (box,) if verdict == "fail" else ()
    body = Inspection(meta=of.meta, verdict=verdict, reason=reason, map_max=0.9, threshold=0.6, regions=regions)
    return Record(of.meta.frame_id, body, orjson.dumps({"seq": of.meta.frame_id, "verdict": verdict}))


def lost(k: int) -> Record:
    return Record(k, Skip("frame_id_gap", 2, k, k + 1, 1_000 + k), b"{}")


def sink_in(folder: Path, roi: RoiConfig | None = None, **keys: object) -> EvidenceSink:
    config = EvidenceConfig.model_validate({"dir": folder, **keys})
    return EvidenceSink(config, folder, IDENTITY, InspectedPart(roi))


def deliver(sink: EvidenceSink, record: Record, of: Frame | None = None) -> None:
    sink.write(record, None if of is None else sink.keep(record, of, None))
