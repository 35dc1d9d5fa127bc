"""People who tune get these pictures beside a replay's records: overlays, masks, explanations, frames whose verdict
changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from edge.config.regions import RoiConfig
from edge.errors import UserError
from edge.frames import Frame, Inspection, Judged, Record
from edge.outputs.sink import Sink
from edge.report.compare import Outcomes, draw_change, outcome
from edge.report.explain import Scale, draw_explanation, explain_dropped
from edge.report.overlay import draw_overlay
from edge.report.run_lengths import run_lengths
from edge.storage.disk import write_whole
from edge.storage.pictures import encode_png
from edge.wire.encode import dumps


@dataclass(frozen=True, slots=True)
class WantedPictures:
    """These options say which pictures are written.

    ``overlays`` are drawn of what doesn't pass. ``masks`` are pictures or run lengths. ``explain`` draws how each verdict
    came about, with the map in these colours. ``before`` selects the frames whose outcome was another one then.
    """

    overlays: bool = False
    masks: Literal["png", "rle"] | None = None
    explain: Scale | None = None
    before: Outcomes | None = None

    @property
    def folders(self) -> list[str]:
        chosen = {
            "overlays": self.overlays,
            "masks": self.masks == "png",
            "explain": self.explain is not None,
            "changed": self.before is not None,
        }
        return [name for name, wanted in chosen.items() if wanted]


@dataclass(frozen=True, slots=True)
class _Kept:
    """Pictures by folder are kept with the text about dropped candidates and the mask's line of ``masks.jsonl``."""

    pictures: dict[str, NDArray[np.uint8]]
    dropped: str
    line: bytes | None


class PictureSink(Sink):
    """The sink writes ``FOLDER/SEQ.png``, ``explain/SEQ.txt`` and ``masks.jsonl`` under ``folder``.

    It is for replay, which waits, because the judge's thread draws.
    """

    name = "pictures"

    def __init__(
        self, folder: Path, roi: RoiConfig | None, wanted: WantedPictures, mask: NDArray[np.uint8] | None = None
    ) -> None:
        """Take the folder and what is wanted; ``roi`` and its ``mask`` picture, (H, W), are drawn."""
        self._folder = folder
        self._roi, self._mask = roi, mask
        self._wanted = wanted
        self._masks: BinaryIO | None = None

    def open(self) -> None:
        path = self._folder
        try:
            for path in (self._folder / name for name in self._wanted.folders):
                path.mkdir(parents=True, exist_ok=True)
            if self._wanted.masks == "rle":
                path = self._folder / "masks.jsonl"
                self._masks = path.open("wb")
        except OSError as error:
            raise UserError(f"{path}: cannot be made: {error.strerror}", fix="choose another --out") from None

    def keep(self, record: Record, frame: Frame, judged: Judged | None) -> _Kept | None:
        inspection, wanted, roi, mask, seq = record.body, self._wanted, self._roi, self._mask, record.seq
        assert isinstance(inspection, Inspection)
        pictures: dict[str, NDArray[np.uint8]] = {}
        dropped = ""
        if wanted.overlays and inspection.verdict != "pass":
            pictures["overlays"] = draw_overlay(frame, inspection, roi, mask, seq=seq)
        if wanted.explain is not None:
            amap, found = (judged.amap, judged.found) if judged else (None, None)
            pictures["explain"] = draw_explanation(
                frame, inspection, amap=amap, found=found, scale=wanted.explain, roi=roi, mask=mask, seq=seq
            )
            dropped = explain_dropped(frame.meta, amap, found) if amap and found else ""
        if wanted.before is not None:
            before = wanted.before.of(frame.meta)
            if before is not None and outcome(before) != inspection.verdict:
                pictures["changed"] = draw_change(frame, before, inspection, roi, mask, seq=seq)
        line = None
        if judged is not None and wanted.masks == "png":
            pictures["masks"] = judged.found.mask.copy()
        elif judged is not None and wanted.masks == "rle":
            line = _mask_line(record, inspection, judged.found.mask)
        return _Kept(pictures, dropped, line) if pictures or line else None

    def write(self, record: Record, kept: _Kept | None) -> None:
        if kept is None:
            return
        for name, picture in kept.pictures.items():
            write_whole(self._folder / name / f"{record.seq:08d}.png", encode_png(picture))
        if kept.dropped:
            write_whole(self._folder / "explain" / f"{record.seq:08d}.txt", kept.dropped.encode())
        if kept.line is not None:
            assert self._masks is not None
            self._masks.write(kept.line)

    def close(self) -> None:
        if self._masks is not None:
            self._masks.close()


def _mask_line(record: Record, inspection: Inspection, mask: NDArray[np.uint8]) -> bytes:
    told: dict[str, Any] = {
        "seq": record.seq,
        "frame_id": inspection.meta.frame_id,
        "frame_ref": inspection.meta.frame_ref,
        "size": mask.shape,
        "counts": run_lengths(mask),
    }
    return dumps(told) + b"\n"
