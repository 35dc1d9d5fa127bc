"""One page says how a line did over hours and days: verdicts, defects by kind and place, latency, losses, drift; it goes
into an e-mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.report.log_summary import LogDamage
from edge.report.moments import clock_time, zone_text
from edge.report.page import Bar, Page
from edge.report.production import SHAPE_WORDS, SHAPES, SIZES_PX, Production, places, size_words
from edge.report.production_plots import outcomes_plot, places_plot, quantiles_plot, shares_plot, step_words
from edge.storage.pictures import PictureError, encode_jpeg, read_picture
from edge.storage.record_pictures import RecordPictures

_HOURS = 72
_SPANS = 40
_CELLS = 32
_THUMB_PX = 640
_NINTHS = tuple(
    f"{up} {across}".replace("middle middle", "middle")
    for up in ("upper", "middle", "lower")
    for across in ("left", "middle", "right")
)


def production_page(
    production: Production, damage: LogDamage, kept: RecordPictures, *, in_utc: bool = False, files: int = 1
) -> bytes:
    """Return the page as UTF-8: one file that needs nothing else. ``production`` holds at least one record.

    Raises:
        UserError: the extra ``report`` isn't installed.
    """
    summary = production.summary
    assert summary.first_ns is not None
    assert summary.last_ns is not None
    first, last = (clock_time(ns, in_utc=in_utc) for ns in (summary.first_ns, summary.last_ns))
    cameras = ", ".join(production.cameras)
    page = Page(
        f"Inspection report: {cameras}",
        f"{first} to {last} ({zone_text(summary.last_ns, in_utc=in_utc)}); {production.records:,} records of "
        f"{len(summary.runs)} run(s) in {files} file(s); model {', '.join(production.models)}",
    )
    page.lead(_lead(production))
    page.notes(list(_notes(production, damage)))
    over_time = production.over_time()
    page.heading("Verdicts")
    page.plots([outcomes_plot(over_time, in_utc=in_utc), shares_plot(over_time, in_utc=in_utc)], fluid=True)
    _totals(page, production)
    _hours(page, production, in_utc=in_utc)
    _defects(page, production, kept)
    _worst(page, production, kept, in_utc=in_utc)
    page.heading("Latency")
    _latency(page, production)
    plot = quantiles_plot("latency, from frame to verdict", "ms", over_time, over_time.total_ms, in_utc=in_utc, at=None)
    page.plots([plot], fluid=True)
    _losses(page, production, damage)
    page.heading("Drift")
    page.text(
        "How near passing frames come to the threshold: the highest value of each one's map as a share of the threshold in "
        "force, from 0 to 1. A line that climbs means that parts, light or camera change; at 1 good parts begin to fail."
    )
    title = f"passes: highest value of the map / threshold, per {step_words(over_time.step_s)}"
    page.plots(
        [quantiles_plot(title, "share of the threshold", over_time, over_time.share, in_utc=in_utc, at=1.0)], fluid=True
    )
    _drift(page, production, in_utc=in_utc)
    return page.render()


def _lead(production: Production) -> str:
    verdicts = production.summary.verdicts
    inspected, lost = sum(verdicts.values()), sum(production.summary.skipped.values())
    judged = verdicts["pass"] + verdicts["fail"]
    rate = f"{100 * verdicts['fail'] / judged:.2f} % failed" if judged else "none was judged"
    parts = [f"{inspected:,} frames were inspected; {rate} ({verdicts['fail']:,} of {judged:,})"]
    if verdicts["invalid"]:
        parts.append(f"{verdicts['invalid']:,} got no verdict")
    parts.append(f"{lost:,} were lost" if lost else "none was lost")
    return ", ".join(parts) + "."


def _notes(production: Production, damage: LogDamage) -> list[str]:
    simulated = production.simulated
    texts = {
        f"{simulated:,} of {production.records:,} records are of replayed or simulated frames": simulated,
        f"{damage.missing_records:,} record(s) are missing: the log could not be written then": damage.missing_records,
        f"{damage.torn_files:,} file(s) end in half a line, which is left out": damage.torn_files,
        f"{damage.unreadable_lines:,} line(s) that are no record are passed over": damage.unreadable_lines,
        f"records of {len(production.cameras)} cameras stand in these logs": len(production.cameras) > 1,
    }
    return [text for text, holds in texts.items() if holds]


def _totals(page: Page, production: Production) -> None:
    summary = production.summary
    total = sum(summary.verdicts.values()) + sum(summary.skipped.values())
    rows: list[Sequence[str | Bar]] = []
    for name in ("pass", "fail", "invalid"):
        count = summary.verdicts[name]
        rows.append([name, f"{count:,}", Bar(count / total, f"{100 * count / total:.2f} %")])
        if name == "invalid":
            rows += [[f"  invalid: {reason}", f"{n:,}", ""] for reason, n in summary.invalid.most_common()]
    lost = sum(summary.skipped.values())
    rows.append(["lost", f"{lost:,}", Bar(lost / total, f"{100 * lost / total:.2f} %")])
    page.table(["result", "frames", "share"], rows)


def _hours(page: Page, production: Production, *, in_utc: bool) -> None:
    hours = production.summary.hours
    starts = sorted(hours)[-_HOURS:]
    page.smaller_heading("Verdicts per hour" + (f", the last {_HOURS} of {len(hours)}" if len(hours) > _HOURS else ""))
    rows: list[Sequence[str | Bar]] = []
    for start in starts:
        counts = hours[start]
        judged = counts["pass"] + counts["fail"]
        share = counts["fail"] / judged if judged else None
        cells = [f"{counts[name]:,}" for name in ("pass", "fail", "invalid", "skipped")]
        text = "" if share is None else f"{100 * share:.2f} %"
        rows.append([clock_time(start, in_utc=in_utc)[:16], *cells, Bar(share, text)])
    page.table(["hour", "pass", "fail", "invalid", "lost", "fails of the judged"], rows)


def _defects(page: Page, production: Production, kept: RecordPictures) -> None:
    page.heading("Defects")
    boxes = production.boxes
    if not len(boxes):
        page.text("No frame had a defect region.")
        return
    page.text(f"{len(boxes):,} defect regions by shape and by area in px of the frame. {SHAPE_WORDS}")
    classes = range(len(SIZES_PX) + 1)
    rows: list[Sequence[str | Bar]] = []
    for shape in SHAPES:
        counts = [production.kinds[shape, number] for number in classes]
        if sum(counts):
            worst = production.worst_of_kind.get(shape)
            share = Bar(sum(counts) / len(boxes), f"{sum(counts):,}")
            rows.append([shape, *(f"{n:,}" if n else "" for n in counts), share, "" if worst is None else f"{worst:.4g}"])
    page.table(["shape", *(size_words(number) for number in classes), "all", "highest score"], rows)
    frame = kept.frame_size or (float(boxes[:, 2].max()), float(boxes[:, 3].max()))
    page.plots([places_plot(places(boxes, frame, _CELLS), frame, _backdrop(kept))])
    if kept.frame_size is None:
        page.text("The frame's size is not in the records: the heat map reaches to the outermost defect.")
    page.text(_where(boxes, frame))


def _where(boxes: NDArray[np.float32], frame: tuple[float, float]) -> str:
    """Say which ninths of the frame hold the most centres of defects."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    column, row = (np.clip((3 * centres[:, k] / frame[k]).astype(int), 0, 2) for k in (0, 1))
    counts = np.bincount(3 * row + column, minlength=9)
    shares = [
        f"{100 * counts[k] / len(boxes):.0f} % {_NINTHS[k]}" for k in np.argsort(-counts, kind="stable")[:3] if counts[k]
    ]
    return "Of the frame's ninths these hold the most defects: " + ", ".join(shares) + "."


def _backdrop(kept: RecordPictures) -> NDArray[np.uint8] | None:
    """Return a kept frame, small, for the heat map to lie on."""
    if kept.a_frame is None:
        return None
    try:
        pixels = read_picture(kept.a_frame)
    except (OSError, PictureError):
        return None
    if pixels.dtype != np.uint8:
        pixels = np.right_shift(pixels, 8 if int(pixels.max()) > 4095 else 4).astype(np.uint8)
    shown = _at_most(np.asarray(pixels, np.uint8), 400)
    return np.asarray(cv2.cvtColor(shown, cv2.COLOR_GRAY2RGB) if shown.ndim == 2 else shown, np.uint8)


def _worst(page: Page, production: Production, kept: RecordPictures, *, in_utc: bool) -> None:
    regions = production.summary.worst_regions()
    if not regions:
        return
    page.heading("Worst regions")
    rows: list[Sequence[str | Bar]] = []
    pictures: list[tuple[bytes, str, str]] = []
    shown: set[Path] = set()
    for region in regions:
        path = kept.of(region["instance_id"], region["seq"])
        part = "-" if region["part_id"] is None else str(region["part_id"])
        when = clock_time(region["created_ns"], in_utc=in_utc)
        box = " ".join(f"{edge:g}" for edge in region["bbox_xyxy"])
        score = f"{region['score_max']:.4g}"
        name = region["frame_ref"] or f"frame {region['frame_id']}"
        rows.append(
            [score, when, str(region["seq"]), name, part, f"{region['area_px']:g}", box, path.name if path else "-"]
        )
        data = None if path is None or path in shown else _thumbnail(path)
        if path is not None and data is not None:
            shown.add(path)
            pictures.append((data, f"{score}, part {part}, {when}", path.name))
    page.gallery(pictures)
    if not pictures:
        page.text("No picture of these frames was kept, or none was named: --pictures DIR, or the line's config.")
    page.table(["score", "time", "seq", "frame", "part", "area px", "box", "picture"], rows)


def _thumbnail(path: Path) -> bytes | None:
    try:
        picture = read_picture(path)
    except (OSError, PictureError):
        return None
    if picture.dtype != np.uint8:
        return None
    return encode_jpeg(_at_most(np.asarray(picture, np.uint8), _THUMB_PX), 80)


def _at_most(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    zoom = side / max(picture.shape[:2])
    if zoom >= 1:
        return picture
    size = max(round(picture.shape[1] * zoom), 1), max(round(picture.shape[0] * zoom), 1)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _latency(page: Page, production: Production) -> None:
    stages = production.summary.latency_ms()
    if not stages:
        page.text("No frame was inspected.")
        return
    rows = [[stage, *(f"{value:.1f}" for value in values.values())] for stage, values in stages.items()]
    page.table(["stage, ms", "p50", "p95", "p99", "max"], rows)


def _losses(page: Page, production: Production, damage: LogDamage) -> None:
    page.heading("Losses")
    skipped, missing = production.summary.skipped, damage.missing_records
    if not skipped and not missing:
        page.text("No frame was lost, and no record is missing.")
        return
    rows = [[reason, f"{count:,}"] for reason, count in skipped.most_common()]
    if missing:
        rows.append(["records that the log could not be written of", f"{missing:,}"])
    page.table(["why", "frames"], rows)


def _drift(page: Page, production: Production, *, in_utc: bool) -> None:
    spans = production.summary.spans()
    if not spans:
        page.text("The log names no drift: none was in force, or the line's config has no drift section.")
        return
    rows = []
    for span in spans[-_SPANS:]:
        until = "" if span.until_ns is None else clock_time(span.until_ns, in_utc=in_utc)
        rows.append([clock_time(span.since_ns, in_utc=in_utc), until, span.level, span.words])
    page.table(["from", "to", "level", "what"], rows)
