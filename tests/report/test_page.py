"""The offline page: nothing in it asks for anything, and it shows before its scripts are read."""

import re

import numpy as np
import pytest

from edge.errors import UserError
from edge.report import page as module
from edge.report.page import Bar, Page


def test_text_is_escaped_and_sections_are_linked():
    page = Page("A <b>", "x & y")
    page.heading("Figures")
    page.notes(["3 < 4"])
    page.table(["a", "b"], [["<i>", Bar(0.5, "half")], ["none", Bar(None, "-")]])
    html = page.render().decode()
    assert "<title>A &lt;b&gt;</title>" in html
    assert '<a href="#s1">Figures</a>' in html
    assert "3 &lt; 4" in html
    assert "<td>&lt;i&gt;</td>" in html
    assert "width:50.0%" in html
    assert "<script" not in html


def test_plots_and_pictures_are_inside_and_scripts_come_last():
    pytest.importorskip("bokeh", reason="the extra 'report' is not installed")
    from edge.report.curves import Curve, curves, score_histogram

    page = Page("plots")
    line = np.linspace(0, 1, 20)
    page.plots(
        [score_histogram("scores", line, line + 1, 0.9), curves("ROC", "x", "y", [Curve("m", line, line)], diagonal=True)]
    )
    page.gallery([(b"jpeg", "a.png", "missed")])
    html = page.render().decode()
    assert html.index("</main>") < html.index("<script")
    assert "data:image/jpeg;base64,anBlZw==" in html
    head = html[: html.index("<script")]
    assert not re.findall(r'(?:src|href)="(?!data:|#)', head)
    assert not re.findall(r"<(?:link|img|iframe)[^>]+https?://", html)
    assert not re.findall(r"<script[^>]+src=", html)
    assert len(html) < 3e6


def test_a_page_with_plots_says_which_extra_is_missing(monkeypatch):
    def gone():
        raise module.missing_report()

    monkeypatch.setattr(module, "_bokeh", gone)
    page = Page("plots")
    page.plots([object()])
    with pytest.raises(UserError, match=r"extra 'report'.*\n  fix: pip install 'edge-inspect\[report\]'"):
        page.render()
