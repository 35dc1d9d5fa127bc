"""The page of a shift: its first line, whether and in what the sets differ, embeddings, and what the model gets wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edge.drift.signatures import squeezed
from edge.drift.statistics import INDEX, NAMES
from edge.models.evaluate.judge import SecondLook, look_again, on_frame
from edge.models.sets.frame_set import SetFrame
from edge.regions.verdict import box_to_image
from edge.report.curves import histogram_pair
from edge.report.overlay import canvas_of
from edge.report.page import Page
from edge.report.scatter import scatter
from edge.report.small_histograms import HistogramPair, small_histograms
from edge.report.thumbnail import thumbnail
from edge.shift.look import ShiftSide
from edge.shift.points import FramePoints
from edge.shift.shift import Shift
from edge.storage.pictures import encode_jpeg

WORST: Final = 12
"""Pictures of each kind of mistake, and of the frames that differ most."""
_QUALITY: Final = 82
_GALLERY_PX: Final = 480


def page_of_shift(done: Shift, report: dict[str, Any], points: FramePoints | None) -> bytes:
    """The page as UTF-8; ``report`` as ``report_of`` gave it, ``points`` as ``points_of`` did.

    Raises:
        UserError: the extra ``report`` isn't installed.
    """
    names = [side.name for side in done.sides]
    counts = ", ".join(f"{one['name']}: {one['frames']} frames of {one['parts']} parts" for one in report["sets"])
    page = Page(f"Shift from {names[0]} to {names[1]}", f"{counts}; {report['created']}")
    page.lead(report["headline"])
    page.notes(report["notes"])
    _what(page, done, report)
    _statistics(page, done)
    _embeddings(page, points, sum(len(side.seen) for side in done.sides))
    if done.judge is not None:
        _mistakes(page, done)
    _unlike(page, done)
    return page.render()


def _what(page: Page, done: Shift, report: dict[str, Any]) -> None:
    page.heading("What differs")
    if report["causes"]:
        rows = [
            [one["group"], one["words"], "-" if one["strength"] is None else f"{one['strength']:.2g}"]
            for one in report["causes"]
        ]
        page.table(["group", "cause and size", "of the strongest that edge stress tries"], rows)
    if (apart := done.apart) is not None:
        low, high = apart.interval
        rows = [
            [
                "classifier of the sets, AUROC on unseen parts",
                f"{apart.auroc:.3f} ({low:.2f} to {high:.2f})",
                "0.5: no difference",
            ],
            [
                "maximum mean discrepancy",
                f"{apart.mmd:.4f}, p {apart.p:.3g}",
                "p: share of deals of the parts that reach it",
            ],
            ["Mahalanobis distance", f"{apart.mahalanobis:.2f}", f"1: as far as held-out frames of {done.sides[0].name}"],
        ]
        page.table([f"by {done.embedding}", "", ""], rows)
    rows = [
        [cause.replace("_", " "), f"{r['p5']:.3g} to {r['p95']:.3g} {r['unit']}"] for cause, r in report["ranges"].items()
    ]
    page.table([f"range over {done.sides[1].name}", "5 to 95 % of its frames"], rows)
    if (model := report["model"]) is not None:
        rows = [[name, f"{100 * share:.1f} %"] for name, share in model["rejected"].items()]
        page.table([f"{model['name']} rejects", f"at {model['threshold']['high']:.5g}"], rows)
        page.text(f"Threshold from {model['threshold']['from']}.")


def _statistics(page: Page, done: Shift) -> None:
    page.heading("Statistics")
    names = [side.name for side in done.sides]
    page.text(
        f"z: by how many robust deviations of single frames of {names[0]} the middle moved. Cliff's delta: from -1 to 1, "
        "how far the two distributions lie apart. Those that changed beyond chance come first."
    )
    rows = [
        [
            effect.name.replace("_", " "),
            effect.unit,
            *(f"{value:.4g}" for value in effect.middles),
            f"{effect.z:+.2f}",
            f"{effect.delta:+.2f}",
            "changed" if effect.is_changed else "",
        ]
        for effect in done.effects
    ]
    page.table(["statistic", "unit", names[0], names[1], "z", "Cliff's delta", ""], rows)
    a, b = done.statistics()

    pairs = [
        HistogramPair(
            effect.name.replace("_", " "),
            effect.unit,
            a[:, INDEX[effect.name]],
            b[:, INDEX[effect.name]],
            f"z {effect.z:+.1f}",
            is_marked=effect.is_changed,
        )
        for effect in done.effects
    ]
    page.drawn(small_histograms(pairs, (names[0], names[1])))


def _embeddings(page: Page, points: FramePoints | None, frames: int) -> None:
    page.heading("Embeddings")
    if points is None:
        page.text(f"{frames} frames are too few to project.")
        return
    shown = "its picture and name stand" if all(points.pictures) else "its name stands"  # more than 5,000 have no pictures
    page.text(f"Each point is a frame, by {points.embedding}; {shown} under the pointer.")
    names = [f"{points.names[side]}: {file}" for side, file in zip(points.sides, points.files, strict=True)]
    page.controlled(*scatter(points.views, names, points.values, points.pictures))


def _mistakes(page: Page, done: Shift) -> None:
    page.heading("What the model gets wrong")
    assert done.judge is not None
    high = done.judge.subject.threshold
    scores = [np.array([s for s in side.scores if s is not None], np.float64) for side in done.sides]
    names = (done.sides[0].name, done.sides[1].name)
    page.plots([histogram_pair("score", f"threshold {high:.4g}", scores[0], scores[1], names, at=high)])
    for side in done.sides:
        judged = list(zip(side.seen, side.scores, side.verdicts, strict=True))
        wrong = [(f, s) for f, s, v in judged if v != "pass" and f.label == "good"]
        missed = [(f, s) for f, s, v in judged if v == "pass" and f.label == "defect"]
        unsaid = [(f, s) for f, s, v in judged if v != "pass" and f.label is None]
        _gallery(page, done, side, f"{side.name}: good frames that are rejected", sorted(wrong, key=_score, reverse=True))
        _gallery(page, done, side, f"{side.name}: defects that pass", sorted(missed, key=_score))
        _gallery(
            page,
            done,
            side,
            f"{side.name}: rejected, and nobody said what they are",
            sorted(unsaid, key=_score, reverse=True),
        )


def _score(pair: tuple[SetFrame, float | None]) -> float:
    return float("inf") if pair[1] is None else pair[1]


def _gallery(page: Page, done: Shift, side: ShiftSide, title: str, rows: Sequence[tuple[SetFrame, float | None]]) -> None:
    if not rows:
        return
    assert done.judge is not None
    page.smaller_heading(title)
    page.text(f"The worst {min(WORST, len(rows))} of {len(rows)}.")
    scores = {frame.file: score for frame, score in rows}
    pictures = []
    for frame, seen in look_again(done.judge.subject.inspector, side.source, [frame for frame, _ in rows[:WORST]]):
        score = scores[frame.file]
        text = f"{frame.kind}; {'no score' if score is None else f'score {score:.4g}'}"
        pictures.append((encode_jpeg(_picture(done, seen), _QUALITY), frame.file, text))
    page.gallery(pictures)


def _picture(done: Shift, seen: SecondLook) -> Any:
    assert done.judge is not None
    size = (seen.frame.meta.width, seen.frame.meta.height)
    regions = [
        (box_to_image(region.bbox_xyxy, seen.amap.map_to_image, *size), f"{region.score_max:.3g}")
        for region in seen.found.regions
    ]
    values = on_frame(seen.amap.values, seen.amap, seen.frame)
    return thumbnail(seen.frame, values, done.judge.subject.threshold, truth=seen.truth, regions=regions)


def _unlike(page: Page, done: Shift) -> None:
    """The second set's frames that lie farthest from the first set, by their statistics."""
    page.heading(f"Frames of {done.sides[1].name} that differ most")
    side, z = done.sides[1], done.deviations()
    pictures = []
    for at in np.argsort(-np.linalg.norm(squeezed(z), axis=1))[:WORST].tolist():
        loaded = side.read(side.seen[at])
        if loaded is None:
            continue
        worst = np.argsort(-np.abs(z[at]))[:2].tolist()
        text = ", ".join(f"{NAMES[number].replace('_', ' ')} {z[at, number]:+.1f}" for number in worst)
        share = min(1.0, _GALLERY_PX / max(loaded.meta.width, loaded.meta.height))
        pictures.append((encode_jpeg(canvas_of(loaded, share), _QUALITY), side.seen[at].file, text))
    page.gallery(pictures, are_wrong=False)
