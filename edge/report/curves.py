"""Plots of an evaluation: histograms with the threshold, and ROC, precision-recall and PRO curves. Needs the extra
``report``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.report.page import missing_report

COLOURS: Final = ("#1a5fb4", "#c64600", "#26a269", "#813d9c")
_GOOD, _BAD = "#2a9d5c", "#c01c28"
_WIDTH, _HEIGHT = 420, 330
_BINS = 60
_PAIR_BINS = 30


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a plot: ``name`` stands in the legend; ``x``, ``y`` from 0 to 1."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def score_histogram(title: str, good: NDArray[np.float64], bad: NDArray[np.float64], threshold: float) -> Any:
    """Scores of good and of defective frames, as shares of each, with the threshold between them."""
    plot = _figure(f"{title}, threshold {threshold:.4g}", "score", "share of frames")
    everything = np.concatenate((good, bad, [threshold]))
    low, high = float(everything.min()), float(everything.max())
    edges = np.linspace(low, high + 1e-9 + 1e-6 * abs(high), _BINS + 1)
    for values, colour, name in ((good, _GOOD, "good"), (bad, _BAD, "defective")):
        if len(values):
            counts, _ = np.histogram(values, edges)
            plot.quad(
                top=(counts / len(values)).tolist(),
                bottom=0,
                left=edges[:-1].tolist(),
                right=edges[1:].tolist(),
                fill_color=colour,
                fill_alpha=0.45,
                line_color=colour,
                line_alpha=0.7,
                legend_label=f"{name} ({len(values)})",
            )
    span = _models().Span(location=threshold, dimension="height", line_color="#1b1f24", line_width=2, line_dash="dashed")
    plot.add_layout(span)
    plot.y_range.start = 0
    _legend(plot, "top_right")
    return plot


def histogram_pair(
    title: str,
    across: str,
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    names: tuple[str, str],
    *,
    at: float | None = None,
) -> Any:
    """One number in two sets, (n,) and (m,), as shares of each; ``at`` marks a value. The outermost 0.5 % are drawn at the
    rim, so that one outlier doesn't squeeze the rest.
    """
    plot = _figure(title, across, "share of frames")
    everything = np.concatenate((first, second, [] if at is None else [at]))
    low, high = (float(v) for v in np.quantile(everything, [0.005, 0.995]))
    if at is not None:
        low, high = min(low, at), max(high, at)
    edges = np.linspace(low, high + 1e-9 + 1e-6 * abs(high), _PAIR_BINS + 1)
    for values, colour, name in ((first, COLOURS[0], names[0]), (second, COLOURS[1], names[1])):
        counts, _ = np.histogram(np.clip(values, low, high), edges)
        plot.quad(
            top=(counts / max(len(values), 1)).tolist(),
            bottom=0,
            left=edges[:-1].tolist(),
            right=edges[1:].tolist(),
            fill_color=colour,
            fill_alpha=0.45,
            line_color=colour,
            line_alpha=0.7,
            legend_label=f"{name} ({len(values)})",
        )
    if at is not None:
        span = _models().Span(location=at, dimension="height", line_color="#1b1f24", line_width=2, line_dash="dashed")
        plot.add_layout(span)
    plot.y_range.start = 0
    _legend(plot, "top_right")
    return plot


def curves(title: str, across: str, up: str, lines: Sequence[Curve], *, upto: float = 1.0, diagonal: bool = False) -> Any:
    """Curves of one or more models over rates from 0 to ``upto``."""
    plot = _figure(title, across, up)
    plot.x_range.start, plot.x_range.end = 0, upto
    plot.y_range.start, plot.y_range.end = 0, 1.02
    if diagonal:
        plot.line([0, 1], [0, 1], line_color="#b8bdc4", line_dash="dotted")
    for number, line in enumerate(lines):
        plot.line(
            np.round(line.x, 6).tolist(),
            np.round(line.y, 6).tolist(),
            line_width=2,
            line_color=COLOURS[number % len(COLOURS)],
            legend_label=line.name,
        )
    if lines:
        _legend(plot, "bottom_right")
    return plot


def _figure(title: str, across: str, up: str) -> Any:
    try:
        from bokeh.plotting import figure
    except ImportError:
        raise missing_report() from None
    plot: Any = figure(
        title=title, width=_WIDTH, height=_HEIGHT, tools="pan,box_zoom,wheel_zoom,reset,hover", toolbar_location="above"
    )
    plot.xaxis.axis_label, plot.yaxis.axis_label = across, up
    plot.toolbar.logo = None
    plot.toolbar.active_drag = None
    plot.title.text_font_size = "14px"
    plot.xgrid.grid_line_color = plot.ygrid.grid_line_color = "#eceef1"
    return plot


def _legend(plot: Any, place: str) -> None:
    plot.legend.location = place
    plot.legend.label_text_font_size = "12px"
    plot.legend.background_fill_alpha = 0.7
    plot.legend.padding = 6


def _models() -> Any:
    from bokeh import models

    return models
