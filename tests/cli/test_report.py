"""``edge report`` as a person meets it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.lines import loaded, make_line, run
from typer.testing import CliRunner

from edge.cli import app
from edge.errors import UserError


def report(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["report", *arguments])
    if isinstance(result.exception, UserError):
        return 2, "", str(result.exception)
    return result.exit_code, result.stdout, result.stderr


def test_a_run_with_evidence_becomes_one_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("bokeh")
    config = loaded(tmp_path, "regions.threshold={high: 0.1}", "source.frames=4", "outputs.evidence={dir: kept}")
    assert run(make_line(config)) == 0
    monkeypatch.chdir(tmp_path)
    code, told, _ = report("log", "--pictures", "kept", "-o", "shift.html")
    assert code == 0
    assert told.startswith("wrote shift.html: 4 records, ")
    page = (tmp_path / "shift.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 4
    assert "100.00 % failed (4 of 4)" in page


def test_what_it_cannot_do_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert report("nothing.jsonl")[2] == (
        "nothing.jsonl: no such file or folder\n  expected: a log file, a folder of them, or a line's config"
    )
    assert report("x", "-o", "a.pdf")[2] == "--out a.pdf\n  received: .pdf\n  expected: a name that ends in .html"
    (tmp_path / "edge-cam1-20261121T180000Z-000000.jsonl").write_text("")
    assert report(".") == (1, "", "no record matches in 1 file(s), which hold none\n")
    assert not (tmp_path / "report.html").exists()
