"""Points of many frames in one or more plots, coloured by what a reader chooses, with the picture under the pointer.

Needs the extra ``report``. 50,000 points without pictures take about 3 MB: coordinates as 32-bit floats, values as bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from edge.report.page import missing_report

SHADES: Final = (
    "#1a5fb4", "#e66100", "#26a269", "#a51d2d", "#813d9c", "#e5a50a", "#2190a4", "#865e3c", "#77767b", "#c061cb",
)  # fmt: skip
_NOTHING: Final = "#c0c4ca"
"""Colour of frames that have no such value."""
_WIDTH, _HEIGHT = 600, 470
_FEW: Final = 2000
"""Points up to which they are drawn large."""


@dataclass(frozen=True, slots=True)
class ScatterView:
    """One plot. ``xy``: (n, 2), NaN if a frame isn't drawn."""

    title: str
    xy: NDArray[np.float64]
    across: str = ""
    up: str = ""


def scatter(
    projections: Sequence[ScatterView],
    names: Sequence[str],
    values: Mapping[str, Sequence[str | None]],
    pictures: Sequence[bytes],
) -> tuple[list[Any], str, str]:
    """The plots, the HTML of their controls, and the script that recolours them: as ``Page.controlled`` takes them.

    ``names``: of the n frames. ``values``: for each thing to colour by the frames' values, None if one has none; the
    first is chosen at first. ``pictures``: JPEG files, empty if there are none.
    """
    try:
        from bokeh.models import ColumnDataSource, HoverTool, LinearColorMapper
        from bokeh.plotting import figure
    except ImportError:
        raise missing_report() from None
    coded = {name: _codes(own, as_they_come=not number) for number, (name, own) in enumerate(values.items())}
    data: dict[str, Any] = {"name": list(names)}
    for number, projection in enumerate(projections):
        data[f"x{number}"], data[f"y{number}"] = (column.astype(np.float32) for column in projection.xy.T)
    for number, (codes, _) in enumerate(coded.values()):
        data[f"c{number}"] = codes
    first = next(iter(coded.values()))
    data["shade"] = first[0].copy()
    has_pictures = any(pictures)
    if has_pictures:
        data["picture"] = ["data:image/jpeg;base64," + base64.b64encode(one).decode() for one in pictures]
    source = ColumnDataSource(data, name="points")
    mapper = LinearColorMapper(palette=[_NOTHING, *SHADES], low=-0.5, high=len(SHADES) + 0.5)
    plots: list[Any] = []
    for number, projection in enumerate(projections):
        plot: Any = figure(
            title=projection.title,
            width=_WIDTH,
            height=_HEIGHT,
            tools="pan,wheel_zoom,box_zoom,reset",
            toolbar_location="above",
            output_backend="webgl" if len(names) > _FEW else "canvas",
        )
        plot.xaxis.axis_label, plot.yaxis.axis_label = projection.across, projection.up
        plot.toolbar.logo = None
        plot.toolbar.active_drag = None
        plot.title.text_font_size = "14px"
        plot.xgrid.grid_line_color = plot.ygrid.grid_line_color = "#eceef1"
        plot.sizing_mode = "scale_width"
        plot.scatter(
            f"x{number}",
            f"y{number}",
            source=source,
            size=8 if len(names) <= _FEW else 4,
            line_color=None,
            fill_alpha=0.75,
            fill_color={"field": "shade", "transform": mapper},
        )
        plot.add_tools(HoverTool(tooltips=_tooltip(has_pictures), attachment="right"))
        plots.append(plot)
    return plots, _controls(coded), _script(coded)


def _codes(values: Sequence[str | None], *, as_they_come: bool) -> tuple[NDArray[np.uint8], list[tuple[str, int]]]:
    """0 if there is no value, else 1 and up by the values' order; the tenth stands for all the others. Names, counts.

    ``as_they_come``: in the order of their first frames, otherwise sorted.
    """
    counts: dict[str, int] = {}
    for value in values:
        if value is not None:
            counts[value] = counts.get(value, 0) + 1
    often = sorted(counts, key=lambda name: -counts[name])
    kept = often if len(often) <= len(SHADES) else often[: len(SHADES) - 1]
    kept = [name for name in counts if name in kept] if as_they_come else sorted(kept, key=_natural)
    place = {name: number for number, name in enumerate(kept, 1)}
    codes = np.array([0 if v is None else place.get(v, len(SHADES)) for v in values], np.uint8)
    named = [(name, counts[name]) for name in kept]
    if len(often) > len(SHADES):
        named.append((f"{len(often) - len(kept)} others", sum(counts.values()) - sum(count for _, count in named)))
    return codes, named


def _natural(text: str) -> tuple[int, float, str]:
    try:
        return 0, float(text), ""
    except ValueError:
        return 1, 0.0, text


def _tooltip(has_pictures: bool) -> str:
    picture = '<img src="@picture" alt="" style="display:block;margin:0 0 4px">' if has_pictures else ""
    return f'<div style="font:12px system-ui;max-width:260px;overflow-wrap:anywhere">{picture}@name</div>'


def _controls(coded: Mapping[str, tuple[NDArray[np.uint8], list[tuple[str, int]]]]) -> str:
    options = "".join(f'<option value="{number}">{escape(name)}</option>' for number, name in enumerate(coded))
    return (
        f'<div class="controls"><label>coloured by <select id="shade-by">{options}</select></label>'
        '<span class="key" id="shade-key"></span></div>'
    )


def _script(coded: Mapping[str, tuple[NDArray[np.uint8], list[tuple[str, int]]]]) -> str:
    keys = orjson.dumps([named for _, named in coded.values()]).decode().replace("<", "\\u003c")
    shades = orjson.dumps([_NOTHING, *SHADES]).decode()
    return """
(function () {
  const keys = KEYS, shades = SHADES, chosen = document.getElementById("shade-by");
  function key(number) {
    const place = document.getElementById("shade-key");
    place.textContent = "";
    keys[number].forEach(function (entry, at) {
      const dot = document.createElement("i");
      dot.style.background = shades[at + 1];
      place.append(dot, entry[0] + " (" + entry[1] + ")");
    });
  }
  function colour() {
    const number = chosen.selectedIndex;
    key(number);
    for (const root of Bokeh.documents) {
      const source = root.get_model_by_name("points");
      if (source) { source.data.shade = source.data["c" + number].slice(); source.change.emit(); }
    }
  }
  chosen.addEventListener("change", colour);
  key(0);
})();
""".replace("KEYS", keys).replace("SHADES", shades)
