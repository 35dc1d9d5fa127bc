"""Plots of a line's production: outcomes and latency over time, and where on the part defects lie. Needs the extra
``report``.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.report.page import missing_report
from edge.report.production import OUTCOMES, OverTime

TONES: Final = {"pass": "#2a9d5c", "fail": "#c01c28", "invalid": "#d78200", "skipped": "#5d6570"}
_WIDTH, _HEIGHT = 620, 300
_WORDS: Final = {
    10: "10 s",
    60: "minute",
    300: "5 minutes",
    900: "15 minutes",
    3600: "hour",
    14400: "4 hours",
    86400: "day",
}


def step_words(step_s: int) -> str:
    """Name a step of time: ``hour``, ``5 minutes``."""
    return _WORDS[step_s]


def outcomes_plot(series: OverTime, *, in_utc: bool) -> Any:
    """Draw stacked bars of the frames of each step by their outcome."""
    plot = _figure(f"frames per {step_words(series.step_s)}", "frames", in_utc=in_utc)
    at = clock_ms(series.starts, in_utc=in_utc)
    below = np.zeros(len(at))
    for name in reversed(OUTCOMES):  # what is seldom stands at the bottom
        counts = series.frames[name]
        if not counts.any():
            continue
        plot.vbar(
            x=(at + 500 * series.step_s).tolist(),
            width=900 * series.step_s,
            bottom=below.tolist(),
            top=(below + counts).tolist(),
            fill_color=TONES[name],
            line_color=None,
            legend_label="lost" if name == "skipped" else name,
        )
        below = below + counts
    plot.y_range.start = 0
    _legend(plot)
    return plot


def shares_plot(series: OverTime, *, in_utc: bool) -> Any:
    """Draw which part of the judged frames failed in each step."""
    plot = _figure("fails, share of the judged frames", "%", in_utc=in_utc)
    judged = series.frames["pass"] + series.frames["fail"]
    some = judged > 0
    share = 100 * series.frames["fail"][some] / judged[some]
    at = clock_ms(series.starts[some], in_utc=in_utc) + 500 * series.step_s
    plot.line(at.tolist(), np.round(share, 4).tolist(), line_color=TONES["fail"], line_width=2)
    plot.scatter(at.tolist(), np.round(share, 4).tolist(), size=5, fill_color=TONES["fail"], line_color=None)
    plot.y_range.start = 0
    plot.y_range.end = max(1.0, 1.1 * float(share.max())) if len(share) else 1.0
    return plot


def quantiles_plot(
    title: str, unit: str, series: OverTime, values: NDArray[np.float64], *, in_utc: bool, at: float | None
) -> Any:
    """Draw median and 95th percentile, (n, 2), over time; ``at`` marks a value."""
    plot = _figure(title, unit, in_utc=in_utc)
    known = np.isfinite(values[:, 0])
    x = (clock_ms(series.starts[known], in_utc=in_utc) + 500 * series.step_s).tolist()
    for column, name, tone in ((0, "median", "#1a5fb4"), (1, "95 %", "#c64600")):
        y = np.round(values[known, column].astype(float), 5).tolist()
        plot.line(x, y, line_color=tone, line_width=2, legend_label=name)
        plot.scatter(x, y, size=4, fill_color=tone, line_color=None)
    plot.y_range.start = 0
    highest = float(np.nanmax(values)) if known.any() else 1.0
    plot.y_range.end = 1.1 * max(highest, at or 0.0, 1e-6)
    if at is not None:
        plot.hspan(y=at, line_color="#c01c28", line_width=2, line_dash="dashed")
    _legend(plot)
    return plot


def places_plot(counts: NDArray[np.int64], frame: tuple[float, float], picture: NDArray[np.uint8] | None) -> Any:
    """Draw where defects lie, as a heat map over the frame: ``counts`` (rows, columns). ``picture`` is a frame, (H, W, 3)
    RGB, that is drawn below it.
    """
    figure = _bokeh_figure()
    width, height = frame
    wide = 620
    plot: Any = figure(
        title="defects at each place",
        width=wide,
        height=min(max(round(wide * height / width), 160) + 60, 900),
        x_range=(0, width),
        y_range=(height, 0),
        tools="hover,reset,wheel_zoom,pan",
        match_aspect=True,
    )
    if picture is not None:
        plot.image_rgba(image=[_rgba(picture)], x=0, y=0, dw=width, dh=height)
    top = max(int(counts.max(initial=0)), 1)
    share = counts / top
    tones = cv2.applyColorMap(np.rint(255 * share).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    alpha = np.where(counts > 0, 90 + 150 * share, 0).astype(np.uint8)
    heat = np.dstack((tones, alpha)).astype(np.uint8)
    plot.image_rgba(image=[_packed(heat)], x=0, y=0, dw=width, dh=height)
    rows, columns = counts.shape
    y, x = np.nonzero(counts)
    cells = plot.rect(
        x=((x + 0.5) * width / columns).tolist(),
        y=((y + 0.5) * height / rows).tolist(),
        width=width / columns,
        height=height / rows,
        fill_alpha=0,
        line_alpha=0,
    )
    cells.data_source.data["defects"] = counts[y, x].tolist()
    plot.hover.renderers = [cells]
    plot.hover.tooltips = [("defects", "@defects"), ("at", "@x{0}, @y{0} px")]
    plot.xaxis.axis_label, plot.yaxis.axis_label = "px of the frame", "px"
    plot.toolbar.logo = None
    plot.grid.visible = False
    plot.title.text_font_size = "14px"
    return plot


def clock_ms(ns: NDArray[np.int64], *, in_utc: bool) -> NDArray[np.float64]:
    """Return moments in ms as a plot's axis takes them, which knows no zones: those of this machine's clock, or of UTC."""
    shift = [0.0 if in_utc else _offset_s(int(moment)) for moment in ns]
    return ns / 1e6 + 1000 * np.asarray(shift, np.float64)


def _offset_s(ns: int) -> float:
    offset = datetime.fromtimestamp(ns // 1_000_000_000, timezone.utc).astimezone().utcoffset()
    return 0.0 if offset is None else offset.total_seconds()


def _rgba(picture: NDArray[np.uint8]) -> NDArray[np.uint32]:
    return _packed(np.dstack((picture // 2 + 90, np.full(picture.shape[:2], 255, np.uint8))).astype(np.uint8))


def _packed(rgba: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the picture as bokeh takes it, (H, W) uint32; the first row is the lowest of an axis that points down."""
    rows: Any = np.ascontiguousarray(rgba)
    return np.asarray(rows.view(np.uint32)[..., 0])


def _figure(title: str, up: str, *, in_utc: bool) -> Any:
    plot: Any = _bokeh_figure()(
        title=title, width=_WIDTH, height=_HEIGHT, x_axis_type="datetime", tools="pan,box_zoom,wheel_zoom,reset"
    )
    plot.xaxis.axis_label, plot.yaxis.axis_label = "UTC" if in_utc else "local time", up
    plot.toolbar.logo = None
    plot.toolbar.active_drag = None
    plot.title.text_font_size = "14px"
    plot.xgrid.grid_line_color = plot.ygrid.grid_line_color = "#eceef1"
    plot.yaxis.formatter.use_scientific = False
    return plot


def _bokeh_figure() -> Any:
    try:
        from bokeh.plotting import figure
    except ImportError:
        raise missing_report() from None
    return figure


def _legend(plot: Any) -> None:
    if not plot.legend:
        return
    plot.add_layout(plot.legend[0], "right")
    plot.legend.label_text_font_size = "12px"
    plot.legend.padding = 6
    plot.legend.border_line_color = None
