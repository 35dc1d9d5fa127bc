"""Known good and known bad frames go through the whole inspection: does this line, as configured now, still see them?"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import structlog

from edge.config.load import Loaded
from edge.engines.protocol import Engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.errors import UserError
from edge.frames import AnomalyMap, Frame, Inspection, Skip, Unmapped
from edge.models.calibrate.measure import as_live
from edge.preprocess.prepare import Workspace
from edge.regions.criteria import Criteria
from edge.regions.smooth import nearest_to_high
from edge.regions.to_inspection import to_inspection
from edge.storage.frames_on_disk import left_out_of, pictures_in, read_frames
from edge.storage.pictures import frame_name
from edge.wire.encode import dumps

log = structlog.get_logger()

Expected: TypeAlias = Literal["pass", "fail"]
GOOD: Final = "good"
BAD: Final = "bad"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judgement is about one golden frame. ``name`` is its path under the golden folder; ``found`` a verdict, or
    ``unreadable``.

    ``compared`` is, for the pixel that comes nearest to its threshold or furthest above it, the smoothed value and that
    threshold; None without a map that could be judged.
    """

    name: str
    expected: Expected
    found: str
    reason: str | None
    map_max: float | None
    dropped: dict[str, int]
    compared: tuple[float, float] | None = None

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


def golden_folders(folder: Path) -> list[tuple[Path, Expected]]:
    """The folders of golden frames and the verdict that each must get.

    ``good`` and ``bad``; or as in MVTec AD, in ``folder`` or in ``folder/test``: ``good`` and one folder for each defect.

    Raises:
        UserError: no such folders.
    """
    if not folder.is_dir():
        raise UserError(f"--golden {folder}: no such folder", expected=_LAYOUT)
    root = folder if (folder / GOOD).is_dir() or not (folder / "test").is_dir() else folder / "test"
    if (root / BAD).is_dir():
        names = [BAD]
    else:
        names = sorted(p.name for p in root.iterdir() if p.is_dir() and p.name != GOOD and not p.name.startswith("."))
    if not (root / GOOD).is_dir() or not names:
        held = ", ".join(sorted(p.name for p in root.iterdir() if p.is_dir())) or "no folder"
        raise UserError(
            f"--golden {folder}: known good and known bad frames are needed, both", received=held, expected=_LAYOUT
        )
    return [(root / GOOD, "pass"), *((root / name, "fail") for name in names)]


_LAYOUT: Final = "a folder with good/ and bad/, or with good/ and a folder for each defect, in it or in its test/"


def run_golden(
    loaded: Loaded,
    engine: Engine,
    criteria: Criteria,
    folder: Path,
    seen: Callable[[int], None] = lambda _: None,
    bits: int | None = None,
    measure: Callable[[Frame], object] = lambda _: None,
) -> Golden:
    """Judge every golden frame by ``criteria``; the deadline doesn't count.

    The result is logged as ``golden_check``, and appended to ``golden_log``. A frame that can't be read, or whose verdict
    is ``invalid``, is judged wrongly. A folder from which something was left out makes the result ``fail``, too.
    ``seen`` hears how many are done. ``bits``: as ``open_reel``'s. ``measure`` gets each good frame.

    Raises:
        UserError: no such folders, or no frame in one of them.
    """
    folders = golden_folders(folder)
    counts: dict[Expected, int] = {"pass": 0, "fail": 0}
    wrong: list[Judgement] = []
    workspace = ready_workspace(engine.bundle)
    for path, expected in folders:
        frames: Iterable[Frame | Skip] = (as_live(frame, loaded.config.source) for frame in read_frames(path, bits))
        if expected == "pass":
            frames = _shown(frames, measure)
        for judgement in _judgements(frames, path.relative_to(folder).as_posix(), expected, engine, criteria, workspace):
            counts[expected] += 1
            if not judgement.right:
                wrong.append(judgement)
            seen(sum(counts.values()))
    left_out = tuple(_left_out(folders))
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
    return Golden(counts["pass"], counts["fail"], tuple(wrong), _keep(loaded, summary, wrong), left_out)


def _shown(frames: Iterable[Frame | Skip], measure: Callable[[Frame], object]) -> Iterator[Frame | Skip]:
    for frame in frames:
        if isinstance(frame, Frame):
            measure(frame)
        yield frame


def _left_out(folders: Sequence[tuple[Path, Expected]]) -> Iterator[str]:
    """What was not judged: in the golden folders, and in those beside them."""
    for path, _ in folders:
        told = left_out_of(path)
        if told:
            yield f"{path}: {told}"
    taken = {path for path, _ in folders}
    for path in sorted(folders[0][0].parent.iterdir()):
        if path.is_dir() and path not in taken and not path.name.startswith(".") and (names := pictures_in(path).names):
            yield f"{path}: {len(names)} pictures in a folder that is neither good nor bad"


def golden_log(loaded: Loaded) -> Path | None:
    """The file in the line's log folder that keeps the results, one JSON object per line; None where there is no log."""
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


def _judgements(
    frames: Iterable[Frame | Skip],
    under: str,
    expected: Expected,
    engine: Engine,
    criteria: Criteria,
    workspace: Workspace,
) -> Iterator[Judgement]:
    for frame in frames:
        if isinstance(frame, Skip):
            yield Judgement(f"{under}/{frame.frame_ref}", expected, frame.reason, None, None, {})
            continue
        name = f"{under}/{frame_name(frame.meta.frame_ref, frame.meta.frame_id)}"
        inspection, compared = _inspect(frame, engine, criteria, workspace)
        dropped = dict(inspection.regions_dropped)
        yield Judgement(
            name=name,
            expected=expected,
            found=inspection.verdict,
            reason=inspection.reason,
            map_max=inspection.map_max,
            dropped=dropped,
            compared=compared,
        )


def _inspect(
    frame: Frame, engine: Engine, criteria: Criteria, workspace: Workspace
) -> tuple[Inspection, tuple[float, float] | None]:
    amap: AnomalyMap | Unmapped
    try:
        amap = criteria.frames.doubt(frame) or to_map(frame, engine, workspace)
    except Exception as error:  # noqa: BLE001  (as live: the frame is invalid, and the next one is tried)
        amap = Unmapped("engine_error", f"{type(error).__name__}: {error}")
    inspection, found = to_inspection(frame, amap, criteria)
    if found is None or isinstance(amap, Unmapped):
        return inspection, None
    return inspection, nearest_to_high(amap.values, criteria.plan(amap, frame.meta.width, frame.meta.height))
