"""Known good and known bad frames go through the whole inspection: does this line, as configured now, still see them?"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import structlog

from edge.config.load import Loaded
from edge.engines.protocol import Engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.frames import AnomalyMap, Frame, Inspection, Skip, Unmapped
from edge.models.calibrate.measure import as_live
from edge.models.golden_folders import Expected, GoldenFolder, golden_folders, left_out_of_golden
from edge.preprocess.prepare import Workspace
from edge.regions.criteria import Criteria
from edge.regions.smooth import nearest_to_high
from edge.regions.to_inspection import to_inspection
from edge.report.classes import ClassRow, by_class
from edge.report.compare import FrameOutcomes
from edge.storage.pictures import frame_name
from edge.wire.encode import dumps

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judgement is about one golden frame. ``name`` is its path under the golden folder; ``found`` a verdict, or
    ``unreadable``.

    ``compared`` is, for the pixel that comes nearest to its threshold or furthest above it, the smoothed value and that
    threshold; None without a map that could be judged. ``kind`` is the frame's class: ``good``, or the kind of its defect.
    """

    name: str
    expected: Expected
    found: str
    reason: str | None
    map_max: float | None
    dropped: dict[str, int]
    compared: tuple[float, float] | None = None
    kind: str = field(default="", compare=False)

    @property
    def far(self) -> float:
        """Return how far the frame lies on the wrong side, as a share of its threshold; infinite without a map."""
        if self.compared is None:
            return inf
        value, high = self.compared
        return abs(value - high) / high if high else inf

    @property
    def right(self) -> bool:
        return self.found == self.expected

    @property
    def why(self) -> str:
        """Say why there is no region, as far as it is known; empty if there is one, or no map."""
        if self.dropped:
            return ", ".join(f"{key} {count}" for key, count in self.dropped.items())
        if self.compared is None or self.map_max is None or self.found != "pass":
            return ""
        value, high = self.compared
        if value >= high:
            return "open_px took it away"
        return "smoothed below its threshold" if self.map_max >= high else "below its threshold"


@dataclass(frozen=True, slots=True)
class Golden:
    """How many good and bad frames there were, and those that were judged wrongly. ``kept``: the file that has it now."""

    good: int
    bad: int
    wrong: tuple[Judgement, ...]
    kept: Path | None = field(default=None, compare=False)
    left_out: tuple[str, ...] = ()
    """What lies in the golden folders and was not judged, in words for each folder."""
    classes: tuple[ClassRow, ...] = field(default=(), compare=False)
    """What became of the frames of each class."""

    def worst(self, most: int) -> list[Judgement]:
        """Return the frames that were judged most wrongly: missed defects and good frames that don't pass, half of each
        if there are so many, those without a map first and the furthest from their threshold next.
        """
        missed, rejected = (
            sorted((j for j in self.wrong if j.expected == expected), key=lambda j: -j.far) for expected in ("fail", "pass")
        )
        room = max(most - len(rejected), most // 2)
        shown = missed[:room]
        return shown + rejected[: most - len(shown)]


def run_golden(
    loaded: Loaded,
    engine: Engine,
    criteria: Criteria,
    folder: Path,
    seen: Callable[[int], None] = lambda _: None,
    bits: int | None = None,
    measure: Callable[[Frame], object] = lambda _: None,
    show: Callable[[Judgement, Frame, Inspection], object] = lambda *_: None,
) -> Golden:
    """Judge every golden frame by ``criteria``; the deadline doesn't count.

    The result is logged as ``golden_check``, and appended to ``golden_log``. A frame that can't be read, or whose verdict
    is ``invalid``, is judged wrongly. A folder from which something was left out makes the result ``fail``, too.
    ``seen`` hears how many are done. ``bits``: as ``open_reel``'s. ``measure`` gets each good frame, ``show`` each one that
    was judged wrongly.

    Raises:
        UserError: no such folders, or no frame in one of them.
    """
    folders = golden_folders(folder)
    judge = _Judge(engine, criteria, ready_workspace(engine.bundle))
    counts: dict[Expected, int] = {"pass": 0, "fail": 0}
    judged: list[Judgement] = []
    for group, frame in _frames(folders, loaded, bits):
        if group.expected == "pass" and isinstance(frame, Frame):
            measure(frame)
        judgement, inspection = judge(frame, group.under(folder), group)
        judged.append(judgement)
        counts[group.expected] += 1
        if not judgement.right and inspection is not None and isinstance(frame, Frame):
            show(judgement, frame, inspection)
        seen(len(judged))
    wrong = tuple(judgement for judgement in judged if not judgement.right)
    left_out = tuple(left_out_of_golden(folders))
    summary = {
        "result": "fail" if wrong or left_out else "pass",
        "folder": str(folder),
        "good": counts["pass"],
        "good_wrong": sum(j.expected == "pass" for j in wrong),
        "bad": counts["fail"],
        "left_out": list(left_out),
        "bad_wrong": sum(j.expected == "fail" for j in wrong),
        "camera": loaded.config.camera,
        "config_sha256": loaded.sha256,
        "model": engine.bundle.spec.name,
        "model_sha256": engine.bundle.sha256,
        "calibration_sha256": criteria.calibration_sha256,
    }
    (log.warning if wrong or left_out else log.info)("golden_check", **summary)
    return Golden(
        counts["pass"],
        counts["fail"],
        wrong,
        kept=_keep(loaded, summary, wrong),
        left_out=left_out,
        classes=_classes(judged),
    )


def _frames(
    folders: Sequence[GoldenFolder], loaded: Loaded, bits: int | None
) -> Iterator[tuple[GoldenFolder, Frame | Skip]]:
    for group in folders:
        for entry in group.read(bits):
            yield group, as_live(entry, loaded.config.source)


def _classes(judged: Sequence[Judgement]) -> tuple[ClassRow, ...]:
    outcomes = (FrameOutcomes(judgement.name, None, judgement.found, seq) for seq, judgement in enumerate(judged))
    return tuple(by_class(outcomes, {judgement.name: judgement.kind for judgement in judged}, compared=False))


def golden_log(loaded: Loaded) -> Path | None:
    """The file in the line's log folder that keeps the results, one JSON object per line; None if there is no log."""
    jsonl = loaded.config.outputs.jsonl
    return None if jsonl is None else loaded.resolve(jsonl.dir) / f"edge-{loaded.config.camera}-golden.jsonl"


def _keep(loaded: Loaded, summary: dict[str, Any], wrong: Sequence[Judgement]) -> Path | None:
    """The file, None without one. A log that can't be written costs no result: it is warned of."""
    path = golden_log(loaded)
    if path is None:
        return None
    frames = [{"frame": j.name, "verdict": j.found, "reason": j.reason, "why": j.why} for j in wrong]
    message = {"kind": "golden_check", "created_ns": time.time_ns(), **summary, "wrong": frames}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(dumps(message) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        log.warning("golden_check_not_kept", file=str(path), error=error.strerror)
        return None
    return path


@dataclass(frozen=True, slots=True)
class _Judge:
    """Judges golden frames, with an engine that is used by this alone."""

    engine: Engine
    criteria: Criteria
    workspace: Workspace

    def __call__(self, frame: Frame | Skip, under: str, group: GoldenFolder) -> tuple[Judgement, Inspection | None]:
        """Return the judgement and, of a frame that could be read, its inspection."""
        title = frame.frame_ref if isinstance(frame, Skip) else frame_name(frame.meta.frame_ref, frame.meta.frame_id)
        name = f"{under}/{title}" if under else str(title)
        kind = group.kind_of(str(title))
        if isinstance(frame, Skip):
            return Judgement(name, group.expected, frame.reason, None, None, {}, kind=kind), None
        inspection, compared = self._inspect(frame)
        judgement = Judgement(
            name=name,
            expected=group.expected,
            found=inspection.verdict,
            reason=inspection.reason,
            map_max=inspection.map_max,
            dropped=dict(inspection.regions_dropped),
            compared=compared,
            kind=kind,
        )
        return judgement, inspection

    def _inspect(self, frame: Frame) -> tuple[Inspection, tuple[float, float] | None]:
        amap: AnomalyMap | Unmapped
        try:
            amap = self.criteria.frames.doubt(frame) or to_map(frame, self.engine, self.workspace)
        except Exception as error:  # noqa: BLE001  (as live: the frame is invalid, and the next one is tried)
            amap = Unmapped("engine_error", f"{type(error).__name__}: {error}")
        inspection, found = to_inspection(frame, amap, self.criteria)
        if found is None or isinstance(amap, Unmapped):
            return inspection, None
        return inspection, nearest_to_high(amap.values, self.criteria.plan(amap, frame.meta.width, frame.meta.height))
