"""One page for people in one file: text, tables, plots and pictures, opened offline without a single request.

Scripts stand at the end, so that text and pictures show before a plot is drawn. Needs the extra ``report`` for plots.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from edge.errors import UserError

_STYLE = """
:root { color-scheme: light; --line: #d8dbe0; --dim: #5d6570; --bad: #b3202c; --good: #1e7b3a; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; margin: 0; color: #1b1f24; background: #fff; }
main { max-width: 1320px; margin: 0 auto; padding: 0 24px 64px; }
header { border-bottom: 1px solid var(--line); margin-bottom: 20px; padding: 26px 0 14px; }
h1 { font-size: 25px; margin: 0 0 4px; font-weight: 640; }
h2 { font-size: 19px; margin: 42px 0 10px; font-weight: 620; }
h3 { font-size: 15px; margin: 22px 0 6px; font-weight: 620; }
p { margin: 6px 0; max-width: 92ch; }
.dim { color: var(--dim); }
nav a { margin-right: 16px; color: #1a5fb4; text-decoration: none; }
table { border-collapse: collapse; margin: 8px 0 18px; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: 4px 16px 4px 0; text-align: left; vertical-align: top;
  white-space: pre-line; }
th { font-weight: 600; color: var(--dim); }
td.bar { position: relative; min-width: 150px; }
td.bar i { position: absolute; left: 0; top: 3px; bottom: 3px; background: #dbe7f5; z-index: 0; }
td.bar b { position: relative; font-weight: 400; z-index: 1; padding-left: 4px; }
.wide { overflow-x: auto; }
.notes { background: #fff7e0; border-left: 4px solid #e0a800; padding: 8px 14px; margin: 14px 0; }
.notes p { margin: 3px 0; }
.plots { display: flex; flex-wrap: wrap; gap: 18px; }
.plot { min-height: 330px; max-width: 100%; overflow: auto hidden; }
.fluid .plot { flex: 1 1 480px; min-width: min(300px, 100%); max-width: 640px; min-height: 300px; }
.fluid .plot > * { width: 100%; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 16px; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 6px; overflow: hidden; background: #202226; }
figure img { display: block; width: 100%; height: 250px; object-fit: contain; image-rendering: auto; }
figcaption { background: #fff; padding: 7px 10px; font-size: 13px; overflow-wrap: anywhere; }
.lead { font-size: 18px; font-weight: 560; border-left: 4px solid #1a5fb4; padding: 2px 0 2px 14px; margin: 14px 0; }
.controls { display: flex; flex-wrap: wrap; gap: 6px 16px; align-items: center; margin: 8px 0; font-size: 14px; }
.controls select { font: inherit; padding: 2px 6px; }
.key i { display: inline-block; width: 11px; height: 11px; border-radius: 6px; margin: 0 5px 0 10px; vertical-align: -1px; }
.small-plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 12px 18px; }
figure.small { border: 0; background: none; overflow: visible; } figure.small svg { display: block; width: 100%; }
figure.small figcaption { padding: 0 0 3px; } figure.small text { font-size: 10px; fill: var(--dim); }
.wrong { color: var(--bad); font-weight: 600; } .right { color: var(--good); font-weight: 600; }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """A cell that shows a share from 0 to 1 as a bar behind its text; None shows the text alone."""

    share: float | None
    text: str


@dataclass(slots=True)
class Page:
    """A page that is put together from top to bottom, then written with ``render``."""

    title: str
    subtitle: str = ""
    _body: list[str] = field(default_factory=list)
    _links: list[tuple[str, str]] = field(default_factory=list)
    _plots: list[Any] = field(default_factory=list)
    _scripts: list[str] = field(default_factory=list)
    _components: set[str] = field(default_factory=set)

    def heading(self, text: str) -> None:
        """Begin a section; its link stands at the top."""
        name = f"s{len(self._links) + 1}"
        self._links.append((name, text))
        self._body.append(f'<h2 id="{name}">{escape(text)}</h2>')

    def smaller_heading(self, text: str) -> None:
        self._body.append(f"<h3>{escape(text)}</h3>")

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self._body.append(f"<p>{escape(text)}</p>")

    def lead(self, text: str) -> None:
        """Add the one sentence that the page is about."""
        self._body.append(f'<p class="lead">{escape(text)}</p>')

    def notes(self, notes: Sequence[str]) -> None:
        """Add what a reader must know before the figures."""
        if notes:
            self._body.append(f'<div class="notes">{"".join(f"<p>{escape(note)}</p>" for note in notes)}</div>')

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str | Bar]]) -> None:
        """Add a table; a line end in a cell begins a new line."""
        cells = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
        names = "".join(f"<th>{escape(name)}</th>" for name in head)
        self._body.append(f'<div class="wide"><table><thead><tr>{names}</tr></thead><tbody>{cells}</tbody></table></div>')

    def drawn(self, html: str) -> None:
        """Add HTML that a function of this room made, its texts escaped."""
        self._body.append(html)

    def plots(self, figures: Sequence[Any], *, fluid: bool = False) -> None:
        """Add Bokeh figures side by side. ``fluid``: they are as wide as there is room."""
        places = []
        for figure in figures:
            places.append(f'<div class="plot"><!--plot {len(self._plots)}--></div>')
            self._plots.append(figure)
        kind = "plots fluid" if fluid else "plots"
        self._body.append(f'<div class="{kind}">{"".join(places)}</div>')

    def controlled(self, figures: Sequence[Any], controls: str, script: str) -> None:
        """Add Bokeh figures below ``controls`` (HTML), with a ``script`` that runs once they are drawn; all of it our own.

        Many points are drawn by WebGL where the browser has it.
        """
        self._body.append(controls)
        self.plots(figures, fluid=True)
        self._scripts.append(script)
        self._components.add("bokeh-gl")

    def gallery(self, pictures: Sequence[tuple[bytes, str, str]], *, are_wrong: bool = True) -> None:
        """Add JPEG pictures, each with a headline and a text below it. ``are_wrong``: mistakes, so headlines are red."""
        figures = []
        for data, headline, text in pictures:
            source = "data:image/jpeg;base64," + base64.b64encode(data).decode()
            tone = "wrong" if are_wrong else "dim"
            caption = f'<span class="{tone}">{escape(headline)}</span><br>{escape(text)}'
            figures.append(
                f'<figure><img src="{source}" alt="{escape(headline)}" decoding="async">'
                f"<figcaption>{caption}</figcaption></figure>"
            )
        self._body.append(f'<div class="gallery">{"".join(figures)}</div>')

    def render(self) -> bytes:
        """The whole page as UTF-8.

        Raises:
            UserError: there are plots, and the extra ``report`` isn't installed.
        """
        body = "\n".join(self._body)
        scripts = ""
        if self._plots:
            embed, resources = _bokeh()
            script, places = embed.components(tuple(self._plots))
            for number, place in enumerate(places):
                body = body.replace(f"<!--plot {number}-->", place)
            parts = ["bokeh", *sorted(self._components)]
            own = "".join(f"<script>{text}</script>" for text in self._scripts)
            scripts = resources.Resources(mode="inline", components=parts).render_js() + script + own
        links = "".join(f'<a href="#{name}">{escape(text)}</a>' for name, text in self._links)
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
            f"<title>{escape(self.title)}</title><style>{_STYLE}</style></head><body><main><header>"
            f'<h1>{escape(self.title)}</h1><p class="dim">{escape(self.subtitle)}</p><nav>{links}</nav></header>\n'
            f"{body}\n</main>{scripts}</body></html>\n"
        ).encode()


def _cell(cell: str | Bar) -> str:
    if isinstance(cell, str):
        return f"<td>{escape(cell)}</td>"
    if cell.share is None:
        return f"<td>{escape(cell.text)}</td>"
    width = 100 * min(max(cell.share, 0.0), 1.0)
    return f'<td class="bar"><i style="width:{width:.1f}%"></i><b>{escape(cell.text)}</b></td>'


def _bokeh() -> tuple[Any, Any]:
    try:
        from bokeh import embed, resources
    except ImportError:
        raise missing_report() from None
    return embed, resources


def missing_report(what: str = "the page's plots") -> UserError:
    """The error for whoever asks for a page without the extra; ``what`` is what needs it."""
    return UserError(
        f"{what} need{'' if what.endswith('s') else 's'} the extra 'report', which is not installed",
        fix="pip install 'edge-inspect[report]', or write a .json file instead",
    )
