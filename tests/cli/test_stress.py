"""``edge stress`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.judged import fitted, parts_folder
from typer.testing import CliRunner

from edge.cli import app

AUGMENT = "augment:\n  noise: {to: 1}\n"
SHIFT = {"schema": 1, "kind": "edge.shift", "causes": [], "ranges": {"noise": {"p5": 0.0, "p95": 2.0, "unit": "%"}}}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stress")
    fitted(root)
    parts_folder(root / "set", good=12, bad=4)
    (root / "augment.yaml").write_text(AUGMENT)
    (root / "shift.json").write_text(json.dumps(SHIFT))
    return root


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False, env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_table_names_the_strength_at_which_limits_break(place: Path) -> None:
    told = run("stress", place / "set", "-m", place / "bundle", "--only", "noise", "--threshold", 9)
    assert "12 good frames, 4 with a defect (the set's own)" in told
    assert "false rejects" in told
    assert "noise" in told
    assert "fitted on" not in told


def test_good_frames_that_the_model_was_fitted_on_are_counted(place: Path) -> None:
    told = run("stress", place / "good", "-m", place / "bundle", "--only", "noise", "--threshold", 9, "--frames", 10)
    assert "note: 10 of the 10 good frames are those that the model was fitted on; others it stands less" in told


def test_covers_stresses_by_what_was_measured_and_writes_the_mended_file(place: Path) -> None:
    told = run(
        *("stress", place / "set", "-m", place / "bundle", "--threshold", 9, "--json"),
        *("--covers", place / "augment.yaml", place / "shift.json", "--mend", place / "mended.yaml"),
    )
    report = json.loads(told[told.index("{\n") :])  # after the log
    assert [curve["corruption"] for curve in report["curves"]] == ["noise"]
    assert [point["strength"] for point in report["curves"][0]["points"]] == [0, 0.8, 1.4, 2.0, 3.2, 5.0]
    assert report["covers"] == [
        {"cause": "noise", "state": "too narrow", "told": "too narrow: measured 0 to 2 %, trained with 0 to 1 %"}
    ]
    assert "noise: {from: 0.0, to: 2.2, share: 0.5}" in (place / "mended.yaml").read_text()


def test_a_page_has_a_curve_for_each_corruption(place: Path) -> None:
    pytest.importorskip("bokeh", reason="the plots need the extra report: pip install 'edge-inspect[report]'")
    page = place / "stress.html"
    words = ("stress", place / "set", "-m", place / "bundle", "--only", "noise", "--only", "gradient", "--threshold", 9)
    assert f"wrote {page}" in run(*words, "-o", page).replace("\n", "")
    text = page.read_text()
    assert "What x stands" in text or "What bundle stands" in text
    assert text.count('class="plot"') == 2


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--only", "fog"), "--only\n  received: fog"),
        (("--mend", "x.yaml"), "--mend: writes what --covers finds"),
        (("-o", "page.pdf"), "a name that ends in .html or .json"),
    ],
)
def test_what_cannot_be_done_is_said(place: Path, words: tuple[str, ...], text: str) -> None:
    from edge.errors import UserError

    with pytest.raises(UserError) as caught:
        CliRunner().invoke(app, ["stress", str(place / "set"), "-m", str(place / "bundle"), *words], catch_exceptions=False)
    assert text in str(caught.value)
