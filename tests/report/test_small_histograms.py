"""Small histograms show every pair, whatever its values."""

import numpy as np

from edge.report.small_histograms import HistogramPair, small_histograms


def test_each_pair_has_its_picture_title_and_ends():
    line = np.linspace(0, 1, 50)
    html = small_histograms([HistogramPair("<noise>", "ln", line, line + 2, "z +3", is_marked=True)], ("a&b", "c"))
    assert html.count("<svg") == 1
    assert "<b>&lt;noise&gt;</b>" in html
    assert "a&amp;b" in html
    assert html.count("<path") == 2


def test_a_number_that_never_varies_is_drawn_too():
    html = small_histograms([HistogramPair("clipped", "share", np.zeros(5), np.zeros(7))], ("a", "b"))
    assert "nan" not in html
    assert ">-0.5<" in html
