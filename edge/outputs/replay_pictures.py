"""People who tune get these pictures beside a replay's records: overlays, masks, explanations, frames whose verdict
changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from edge.frames import Frame, Inspection, Judged, Record
from edge.outputs.sink import Sink
from edge.regions.criteria import Criteria
from edge.report.changed_picture import draw_change
from edge.report.colour_scale import Scale
from edge.report.compare import Outcomes, outcome
from edge.report.explain import Basis, ModelView, draw_explanation, explain_dropped
from edge.report.inspected_part import InspectedPart
from edge.report.marks import MaskOnFrame
from edge.report.overlay import Heat, draw_overlay
from edge.report.picture_names import PictureOf, file_stem
from edge.report.run_lengths import run_lengths
from edge.storage.disk import write_whole
from edge.storage.pictures import encode_jpeg, encode_png
from edge.wire.encode import dumps

CHANGED = "changed"
AsModelSees: TypeAlias = Callable[[Frame], ModelView | None]


@dataclass(frozen=True, slots=True)
class WantedPictures:
    """These options say which pictures are written.

    ``overlays`` are drawn of what doesn't pass, ``heatmap`` lays the map over them. ``masks`` are pictures or run lengths.
    ``explain`` draws how each verdict came about. ``before`` selects the frames whose outcome was another one then.

    ``only`` keeps to frames with these verdicts, or to those that ``changed``; of overlays, too, it is then the only
    choice. ``limit`` is the most pictures of a kind. Pictures are JPEG, or PNG with ``png``; masks are always PNG.
    ``range`` gives the ends of the map's colours, None from 0 to twice ``high``.
    """

    overlays: bool = False
    masks: Literal["png", "rle"] | None = None
    explain: bool = False
    before: Outcomes | None = None
    heatmap: bool = False
    only: frozenset[str] = frozenset()
    limit: int | None = None
    png: bool = False
    range: tuple[float, float] | None = None

    @property
    def folders(self) -> list[str]:
        chosen = {
            "overlays": self.overlays,
            "masks": self.masks == "png",
            "explain": self.explain,
            CHANGED: self.before is not None,
        }
        return [name for name, wanted in chosen.items() if wanted]

    @property
    def any(self) -> bool:
        """Return True if anything is wanted at all."""
        return bool(self.folders) or self.masks is not None


NO_PICTURES = WantedPictures()


@dataclass(frozen=True, slots=True)
class _Kept:
    """Pictures by folder are kept with their files' name, the text about dropped candidates and the mask's line of
    ``masks.jsonl``.
    """

    stem: str
    pictures: dict[str, NDArray[np.uint8]]
    dropped: str
    line: bytes | None


class PictureSink(Sink):
    """The sink writes ``FOLDER/NAME.jpg``, ``explain/NAME.txt`` and ``masks.jsonl`` under ``folder``; names are those of
    ``edge.report.picture_names``.

    It is for replay, which waits, because the judge's thread draws.
    """

    name = "pictures"

    def __init__(
        self,
        folder: Path,
        criteria: Criteria,
        wanted: WantedPictures,
        camera: str | None = None,
        as_model_sees: AsModelSees | None = None,
    ) -> None:
        """Take the folder, the judge's own criteria, and what is wanted.

        Raises:
            UserError: ``wanted.range`` leaves out a threshold in force.
        """
        self._folder = folder
        self._criteria, self._part = criteria, InspectedPart.of(criteria)
        self._scale = Scale.of(criteria, wanted.range)
        self._wanted, self._camera = wanted, camera
        self._as_model_sees = as_model_sees
        self._masks: BinaryIO | None = None
        self._drawn: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        """Number of pictures of each kind that the limit left out."""

    @property
    def counters(self) -> Mapping[str, int]:
        return {f"{name}_left_out": count for name, count in self.left_out.items()}

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
        inspection, wanted = record.body, self._wanted
        assert isinstance(inspection, Inspection)
        before = None if wanted.before is None else wanted.before.of(frame.meta)
        changed = before is not None and outcome(before) != inspection.verdict
        if wanted.only and not (inspection.verdict in wanted.only or (changed and CHANGED in wanted.only)):
            return None
        of = PictureOf(self._camera, record.seq)
        basis = Basis(judged.amap, judged.found) if judged else None
        pictures: dict[str, NDArray[np.uint8]] = {}
        dropped = ""
        if wanted.overlays and (wanted.only or inspection.verdict != "pass") and self._has_room("overlays"):
            pictures["overlays"] = self._overlay(frame, inspection, of, basis)
        if wanted.explain and self._has_room("explain"):
            seen = None if self._as_model_sees is None else self._as_model_sees(frame)
            pictures["explain"] = draw_explanation(frame, inspection, basis, self._scale, self._part, of, seen=seen)
            dropped = explain_dropped(frame.meta, basis.amap, basis.found) if basis else ""
        if before is not None and changed and self._has_room(CHANGED):
            pictures[CHANGED] = draw_change(frame, before, inspection, self._criteria, of, basis)
        line = None
        if judged is not None and wanted.masks == "png" and self._has_room("masks"):
            pictures["masks"] = judged.found.mask.copy()
        elif judged is not None and wanted.masks == "rle":
            line = _mask_line(record, inspection, judged.found.mask)
        return _Kept(file_stem(frame.meta, of), pictures, dropped, line) if pictures or line else None

    def write(self, _record: Record, kept: _Kept | None) -> None:
        if kept is None:
            return
        for name, picture in kept.pictures.items():
            exact = self._wanted.png or name == "masks"
            data = encode_png(picture) if exact else encode_jpeg(picture)
            write_whole(self._folder / name / f"{kept.stem}.{'png' if exact else 'jpg'}", data)
        if kept.dropped:
            write_whole(self._folder / "explain" / f"{kept.stem}.txt", kept.dropped.encode())
        if kept.line is not None:
            assert self._masks is not None
            self._masks.write(kept.line)

    def close(self) -> None:
        if self._masks is not None:
            self._masks.close()

    def _has_room(self, name: str) -> bool:
        """Count one more picture of this kind; return False if the limit leaves it out."""
        if self._wanted.limit is not None and self._drawn[name] >= self._wanted.limit:
            self.left_out[name] += 1
            return False
        self._drawn[name] += 1
        return True

    def _overlay(self, frame: Frame, inspection: Inspection, of: PictureOf, basis: Basis | None) -> NDArray[np.uint8]:
        if basis is None:
            return draw_overlay(frame, inspection, self._part, of)
        mask = MaskOnFrame(basis.found.mask, basis.amap.map_to_image)
        heat = Heat(basis.amap, self._scale) if self._wanted.heatmap else None
        return draw_overlay(frame, inspection, self._part, of, mask=mask, heat=heat)


def _mask_line(record: Record, inspection: Inspection, mask: NDArray[np.uint8]) -> bytes:
    facts: dict[str, Any] = {
        "seq": record.seq,
        "frame_id": inspection.meta.frame_id,
        "frame_ref": inspection.meta.frame_ref,
        "size": mask.shape,
        "counts": run_lengths(mask),
    }
    return dumps(facts) + b"\n"
