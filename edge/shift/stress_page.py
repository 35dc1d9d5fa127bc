"""The page of a stress test: one table, and for each corruption its curves. Needs the extra ``report``."""

from __future__ import annotations

import math

import numpy as np

from edge.report.curves import Curve, curves
from edge.report.page import Bar, Page
from edge.shift.coverage import Covered
from edge.shift.stress import LineLimits, Stress, StressCurve
from edge.shift.subject import Subject


def stress_page(result: Stress, subject: Subject, limits: LineLimits, gaps: tuple[Covered, ...] = ()) -> bytes:
    """The whole page as UTF-8.

    Raises:
        UserError: the extra ``report`` isn't installed.
    """
    page = Page(
        f"What {subject.bundle.spec.name} stands",
        f"{result.good} good frames, {result.defective} with a defect ({result.defects_source}); threshold "
        f"{subject.threshold:.4g} from {subject.threshold_from}, frozen; limits: false rejects {limits.false_rejects:.0%}, "
        f"recall {limits.recall_loss:.0%} below that of the frames as they are",
    )
    page.notes([*result.notes(limits), *(f"{file}: {why}" for file, why in result.unreadable)])
    page.heading("Up to where it stands")
    page.table(
        ("corruption", "group", "breaks", "false rejects at the third step", "recall at the third step"),
        [_row(curve) for curve in result.curves],
    )
    if gaps:
        page.heading("What the training's augmentation covers")
        page.table(("cause", "state"), [(row.cause, row.summary) for row in gaps])
    page.heading("Curves")
    page.plots([_plot(curve) for curve in result.curves])
    return page.render()


def _row(curve: StressCurve) -> tuple[str | Bar, ...]:
    third = curve.points[3]
    return (
        curve.way.name,
        curve.way.corruption.group,
        curve.verdict,
        Bar(third.false_rejects, f"{third.false_rejects:.0%} at {curve.way.words(third.strength)}"),
        Bar(None if math.isnan(third.recall) else third.recall, f"{third.recall:.0%}"),
    )


def _plot(curve: StressCurve) -> object:
    x = np.array([point.strength for point in curve.points])
    lines = [
        Curve("false rejects", x, np.array([point.false_rejects for point in curve.points])),
        Curve("recall", x, np.array([point.recall for point in curve.points])),
        Curve("AUROC", x, np.array([point.auroc for point in curve.points])),
    ]
    row = curve.way.corruption
    shown = [Curve(line.name, line.x[ok], line.y[ok]) for line in lines if (ok := np.isfinite(line.y)).any()]
    return curves(curve.verdict, f"{curve.way.name}, {row.unit} {row.meaning}", "share", shown, upto=float(x[-1]))
