"""A fail's overlay lies beside its frame: its name and its strip say which record it belongs to."""

from __future__ import annotations

from pathlib import Path

from edge.frames import Inspection
from edge.outputs.evidence.pool import KeptFrame
from edge.report.inspected_part import InspectedPart
from edge.report.overlay import draw_overlay
from edge.report.picture_names import PictureOf, file_stem
from edge.storage.disk import write_whole
from edge.storage.pictures import encode_jpeg


class FailOverlays:
    """Overlays are written as ``00001321-seq1515-cam1-20261130T073357+0900-part12-frame1531.jpg``: the number of the frame
    in the recording, the record's seq, camera, local time, part and the frame's own name.
    """

    def __init__(self, folder: Path, part: InspectedPart, camera: str) -> None:
        self.folder = folder
        self._part, self._camera = part, camera

    def write(self, number: int, seq: int, inspection: Inspection, kept: KeptFrame) -> tuple[Path, int]:
        """Draw and write one overlay; return its path and its size in bytes. Raises OSError."""
        mask = None if kept.mask is None else kept.mask.unpacked()
        drawn = draw_overlay(kept.frame, inspection, self._part, PictureOf(self._camera, seq), mask=mask)
        data = encode_jpeg(drawn)
        path = self.folder / f"{number:08d}-seq{seq}-{file_stem(kept.frame.meta, PictureOf(self._camera))}.jpg"
        write_whole(path, data)
        return path, len(data)
