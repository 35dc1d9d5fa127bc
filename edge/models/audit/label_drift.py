"""Whether labels hold: flipped ones, masks that moved or shrank, regions of a kind that nobody has named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frames import Frame
from edge.models.audit.expectation import LEAST_FRAMES, MOST_FRAMES, Evidence, Expectation, lie_alike
from edge.models.audit.finding import AuditFinding
from edge.models.audit.flips import doubtful
from edge.models.audit.mask_drift import MaskCheck, check_mask
from edge.models.audit.region_kinds import describe_region, unknown
from edge.models.sets.frame_set import UNKNOWN_KIND, FrameSet, SetFrame, why_unreadable
from edge.storage.pictures import PictureError

DOUBT: Final = 0.5
LISTED: Final = 0.1
"""Share of the frames that the list of doubtful labels holds at least."""
MOVED_PX: Final = 1.5
"""Median shift of all masks from which on they count as moved together."""
ASTRAY_PX: Final = 2.5
"""Shift of one mask, beyond that of all, from which on it is named."""
GROWTH_PX: Final = 1.0
RAGGED: Final = 1.35
_LEAST_MASKS: Final = 5
_FOUND: Final = 1.6
"""How far above a usual good frame's highest deviation a region of an unlabelled frame must reach."""
_LEAST_AREA: Final = 6


@dataclass(slots=True)
class _Regions:
    """Descriptions of regions: those of a known kind, and those whose kind is asked for."""

    known: list[NDArray[np.float64]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    asked: list[NDArray[np.float64]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class _Seen:
    """What was gathered on the way through the set."""

    frames: list[SetFrame] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    checks: list[tuple[SetFrame, MaskCheck, float]] = field(default_factory=list)
    drawn: _Regions = field(default_factory=_Regions)
    found: _Regions = field(default_factory=_Regions)
    troubles: dict[str, list[str]] = field(default_factory=dict)


def audit_labels(name: str, source: FrameSet, seen: Callable[[int], None] = lambda _: None) -> list[AuditFinding]:
    """Findings on the labels of one set, whose parts must lie alike; a note where they don't, or where too few are good."""
    good = list(_good_frames(source))
    if len(good) < LEAST_FRAMES:
        text = f"{len(good)} good frames of {name} are too few to hold labels to; {LEAST_FRAMES} would do"
        return [AuditFinding("few_good_frames", "notes", (name,), text)]
    if not lie_alike(good):
        text = f"parts of {name} don't lie alike, so there is no expectation of each pixel to hold labels and masks to"
        return [AuditFinding("no_common_pose", "notes", (name,), text)]
    expectation = Expectation(good)
    result = _Seen()
    for number, frame in enumerate(source.frames, 1):
        try:
            evidence = expectation.evidence(source.read(frame))
        except (OSError, PictureError) as error:
            result.troubles.setdefault("can't be read", []).append(f"{frame.file} ({why_unreadable(error)})")
            continue
        _take(result, source, frame, evidence, expectation)
        seen(number)
    findings = _flips(name, result)
    findings += _masks(name, result)
    findings += [
        *_unknown(name, result.drawn, "drawn"),
        *_unknown(name, result.found, "found on unlabelled frames"),
    ]
    for trouble, files in result.troubles.items():
        text = f"{len(files)} frames of {name}: {trouble}: {', '.join(files[:3])}"
        findings.append(AuditFinding("mask_trouble", "warns", (name,), text, tuple({"file": file} for file in files)))
    return findings


def _good_frames(source: FrameSet) -> list[Frame]:
    labelled = [frame for frame in source.frames if frame.label == "good"]
    frames: list[Frame] = []
    if not labelled:
        return frames
    for index in np.unique(np.linspace(0, len(labelled) - 1, min(MOST_FRAMES, len(labelled))).astype(int)).tolist():
        try:
            frames.append(source.read(labelled[index]))
        except (OSError, PictureError):
            continue
    return frames


def _take(result: _Seen, source: FrameSet, frame: SetFrame, evidence: Evidence, expectation: Expectation) -> None:
    label = frame.label
    kinds = frame.kind.split("+") if label == "defect" else []
    named = [kind for kind in kinds if kind != UNKNOWN_KIND]
    if label in ("good", "defect"):
        result.frames.append(frame)
        result.scores.append(evidence.score)
    if label == "defect":
        mask = _mask(result, source, frame, evidence)
        if mask is not None:
            result.checks.append((frame, check_mask(mask, evidence.deviation), evidence.scale))
            _describe(result.drawn, frame, named, mask, evidence, expectation)
    if label in ("defect", None):
        standing_out = expectation.standing_out(evidence.deviation, _FOUND)
        if label is None or len(named) == 1:
            _describe(result.found, frame, named, standing_out, evidence, expectation)


def _mask(result: _Seen, source: FrameSet, frame: SetFrame, evidence: Evidence) -> NDArray[np.bool_] | None:
    try:
        mask = source.read_mask(frame)
    except (OSError, PictureError) as error:
        result.troubles.setdefault("the mask can't be read", []).append(f"{frame.file} ({why_unreadable(error)})")
        return None
    if mask is None:
        result.troubles.setdefault("labelled defective without a mask", []).append(frame.file)
        return None
    if frame.size is not None and mask.shape != frame.size[::-1]:
        result.troubles.setdefault("the mask is of another size", []).append(frame.file)
        return None
    placed = evidence.in_place(mask) if mask.any() else mask
    if not placed.any():
        result.troubles.setdefault("the mask marks no pixel", []).append(frame.file)
        return None
    return placed


def _describe(
    regions: _Regions,
    frame: SetFrame,
    named: Sequence[str],
    mask: NDArray[np.bool_],
    evidence: Evidence,
    expectation: Expectation,
) -> None:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    for number in range(1, count):
        x, y, w, h, area = (int(v) for v in stats[number])
        if area < _LEAST_AREA:
            continue
        description = describe_region(labels == number, evidence.deviation, expectation.median)
        if len(named) == 1:
            regions.known.append(description)
            regions.kinds.append(named[0])
        elif not named:
            regions.asked.append(description)
            box = [round(v / evidence.scale) for v in (x, y, x + w, y + h)]
            regions.rows.append({"file": frame.file, "bbox_xyxy": box})


def _flips(name: str, result: _Seen) -> list[AuditFinding]:
    is_bad = np.array([frame.label == "defect" for frame in result.frames], bool)
    parts = [frame.part or frame.file for frame in result.frames]
    ranked = doubtful(np.array(result.scores), is_bad, parts) if len(result.frames) else []
    if not ranked:
        text = f"labels of {name} can't be held against each other: both classes are needed, in several parts"
        return [AuditFinding("labels_not_compared", "notes", (name,), text)]
    doubted = sum(one.doubt > DOUBT for one in ranked)
    listed = ranked[: max(doubted, int(np.ceil(LISTED * len(ranked))))]
    rows = tuple(
        {
            "file": result.frames[one.index].file,
            "label": result.frames[one.index].kind,
            "doubt": round(one.doubt, 3),
            "stands_out": round(result.scores[one.index], 2),
        }
        for one in listed
    )
    text = (
        f"{doubted} of {len(ranked)} labels of {name} are unlikely for what the pictures show; the likeliest mistakes first"
    )
    return [AuditFinding("labels_doubtful", "warns" if doubted else "notes", (name,), text, rows, {"doubted": doubted})]


def _masks(name: str, result: _Seen) -> list[AuditFinding]:
    findings = []
    shifts = np.array([np.array(check.shift) / scale for _, check, scale in result.checks if check.shift is not None])
    together = np.zeros(2)
    if len(shifts) >= _LEAST_MASKS:
        middle = np.median(shifts, axis=0)
        if float(np.hypot(*middle)) >= MOVED_PX:
            together = middle
            text = (
                f"masks of {name} lie {float(np.hypot(*middle)):.1f} px too far {_direction(-middle)} "
                f"(median of {len(shifts)}); move them {_direction(middle)}"
            )
            values = {"shift_px": [round(float(v), 2) for v in middle], "masks": len(shifts)}
            findings.append(AuditFinding("masks_moved", "warns", (name,), text, (), values))
    astray = []
    for frame, check, scale in result.checks:
        if check.shift is None:
            continue
        own = np.array(check.shift) / scale
        if float(np.hypot(*(own - together))) >= ASTRAY_PX:
            astray.append({"file": frame.file, "move": f"{float(np.hypot(*own)):.1f} px {_direction(own)}"})
    if astray:
        text = f"{len(astray)} masks of {name} lie beside what the picture shows"
        findings.append(AuditFinding("masks_astray", "warns", (name,), text, tuple(astray)))
    findings += _growths(name, result)
    for code, test, words in (
        ("masks_ragged", [check.ragged > RAGGED for _, check, _ in result.checks], "have ragged outlines"),
        ("masks_with_holes", [check.holes > 0 for _, check, _ in result.checks], "have holes"),
    ):
        files = tuple({"file": frame.file} for (frame, _, _), hit in zip(result.checks, test, strict=True) if hit)
        if files:
            findings.append(AuditFinding(code, "notes", (name,), f"{len(files)} masks of {name} {words}", files))
    return findings


def _growths(name: str, result: _Seen) -> list[AuditFinding]:
    by_kind: dict[str, list[float]] = {}
    for frame, check, scale in result.checks:
        if check.growth is not None:
            by_kind.setdefault(frame.kind, []).append(check.growth / scale)
    everything = [value for values in by_kind.values() for value in values]
    if len(everything) < _LEAST_MASKS:
        return []
    middle = float(np.median(everything))
    if abs(middle) < GROWTH_PX:
        return []
    small = middle > 0
    text = (
        f"masks of {name} are about {abs(middle):.1f} px too {'small' if small else 'large'} on every side "
        f"(median of {len(everything)}); {'grow' if small else 'shrink'} them"
    )
    kinds = {kind: round(float(np.median(values)), 2) for kind, values in sorted(by_kind.items())}
    values = {"growth_px": round(middle, 2), "by_kind": kinds, "masks": len(everything)}
    return [AuditFinding("masks_shrunk" if small else "masks_grown", "warns", (name,), text, (), values)]


def _unknown(name: str, regions: _Regions, how: str) -> list[AuditFinding]:
    if not regions.asked:
        return []
    distances = unknown(regions.known, regions.kinds, regions.asked)
    if not distances:
        text = (
            f"{len(regions.asked)} regions of {name} {how} have no kind; {len(regions.known)} labelled ones say too little"
        )
        return [AuditFinding("few_known_regions", "notes", (name,), text)]
    pairs = zip(distances, regions.rows, strict=True)
    strange = [(d, row) for d, row in pairs if d > 1]
    if not strange:
        return []
    strange.sort(key=lambda pair: -pair[0])
    text = (
        f"{len(strange)} of {len(regions.asked)} regions of {name} that were {how} are of no known kind "
        f"(known: {', '.join(sorted(set(regions.kinds)))})"
    )
    rows = tuple({**row, "distance": round(d, 2)} for d, row in strange)
    return [AuditFinding("unknown_kind", "warns", (name,), text, rows, {"asked": len(regions.asked)})]


def _direction(shift: NDArray[np.float64]) -> str:
    across, down = float(shift[0]), float(shift[1])
    words = []
    if abs(down) >= 0.5:
        words.append("down" if down > 0 else "up")
    if abs(across) >= 0.5:
        words.append("right" if across > 0 else "left")
    return " and ".join(words) or "nowhere"
