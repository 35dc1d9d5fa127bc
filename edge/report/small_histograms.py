"""Many numbers of two sets at a glance: a small histogram pair each, as SVG that needs no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

_BINS: Final = 28
_WIDTH, _HEIGHT = 224, 92
_BASE: Final = 78
"""Where the bars stand, in px from the top; below are the ends of the range."""
_COLOURS: Final = ("#1a5fb4", "#e66100")


@dataclass(frozen=True, slots=True)
class HistogramPair:
    """One number in both sets, (n,) and (m,). ``note``: stands behind the title."""

    title: str
    unit: str
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    note: str = ""
    is_marked: bool = False


def small_histograms(pairs: Sequence[HistogramPair], names: tuple[str, str]) -> str:
    """HTML of all pairs side by side, each a share of its set's frames; marked ones have a stronger title."""
    key = "".join(
        f'<i style="background:{colour}"></i>{escape(name)}' for name, colour in zip(names, _COLOURS, strict=True)
    )
    return f'<p class="key">{key}</p><div class="small-plots">{"".join(map(_one, pairs))}</div>'


def _one(pair: HistogramPair) -> str:
    everything = np.concatenate((pair.first, pair.second))
    low, high = (float(v) for v in np.quantile(everything, [0.005, 0.995]))  # one outlier must not squeeze the rest
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, _BINS + 1)
    shares = [np.histogram(np.clip(v, low, high), edges)[0] / max(len(v), 1) for v in (pair.first, pair.second)]
    top = max(float(share.max()) for share in shares) or 1.0
    step = _WIDTH / _BINS
    bars = []
    for share, colour in zip(shares, _COLOURS, strict=True):
        path = "".join(
            f"M{n * step:.1f} {_BASE}v{-value / top * (_BASE - 4):.1f}h{step:.1f}V{_BASE}z"
            for n, value in enumerate(share.tolist())
            if value
        )
        bars.append(f'<path d="{path}" fill="{colour}" fill-opacity=".5" stroke="{colour}" stroke-opacity=".6"/>')
    ends = (
        f'<text x="0" y="{_HEIGHT - 2}">{low:.3g}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 2}" text-anchor="end">{high:.3g}</text>'
    )
    title = f"<b>{escape(pair.title)}</b>" if pair.is_marked else escape(pair.title)
    label = escape(f"{pair.title} {pair.unit}, from {low:.3g} to {high:.3g}")
    beside = f'<span class="dim">{escape(pair.unit)} {escape(pair.note)}</span>'
    return (
        f'<figure class="small"><figcaption>{title} {beside}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f'<line x1="0" x2="{_WIDTH}" y1="{_BASE}" y2="{_BASE}" stroke="#9aa1ab"/>{"".join(bars)}{ends}</svg></figure>'
    )
