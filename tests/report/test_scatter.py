"""Points of frames: coloured by what a reader chooses, and 50,000 of them in a page that still opens."""

import numpy as np
import pytest

from edge.report.page import Page

pytest.importorskip("bokeh", reason="the extra 'report' is not installed")
from edge.report.scatter import ScatterView, _codes, scatter


def test_the_set_keeps_its_order_and_other_values_are_sorted_and_counted():
    codes, named = _codes(["lab", "gold", None, "lab"], as_they_come=True)
    assert codes.tolist() == [1, 2, 0, 1]
    assert named == [("lab", 2), ("gold", 1)]
    assert _codes(["10", "9", "9"], as_they_come=False)[1] == [("9", 2), ("10", 1)]


def test_many_values_share_the_last_colour():
    codes, named = _codes([str(n) for n in range(30)] + ["0"] * 5, as_they_come=False)
    assert codes.max() == 10
    assert named[-1] == ("21 others", 21)
    assert ("0", 6) in named


def test_fifty_thousand_points_without_pictures_take_less_than_5_mb():
    rng = np.random.default_rng(0)
    count = 50_000
    xy = rng.normal(size=(count, 2))
    some = np.full((count, 2), np.nan)
    some[:5000] = xy[:5000]
    names = [f"line: frames/{n:08d}.png" for n in range(count)]
    values = {
        "set": ["lab" if n % 2 else "line" for n in range(count)],
        "day": [f"2026-01-{1 + n % 9:02d}" for n in range(count)],
    }
    page = Page("many")
    page.controlled(*scatter([ScatterView("PCA", xy), ScatterView("t-SNE", some)], names, values, []))
    html = page.render()
    assert len(html) < 5e6
    assert b"webgl" in html


def test_texts_are_escaped_in_controls_and_script():
    _, controls, script = scatter([ScatterView("PCA", np.zeros((2, 2)))], ["a", "b"], {"<set>": ["<b>", "x"]}, [b"", b""])
    assert "&lt;set&gt;" in controls
    assert "<b>" not in script
