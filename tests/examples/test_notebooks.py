"""The notebooks of ``examples/`` run from top to bottom, and say what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str) -> dict[str, Any]:
    """Run the cells of a notebook in order, as Jupyter does; returns its names."""
    told = json.loads((EXAMPLES / name).read_text("utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(told["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{name}, cell {number}", "exec"), names)
    return names


def test_pictures_are_inspected_from_python(capsys: pytest.CaptureFixture[str]) -> None:
    names = run("inspect_pictures.ipynb")

    result = names["result"]
    x0, y0, x1, y1 = result.regions[0].bbox_xyxy
    assert result.verdict == "fail"
    assert x0 <= 112
    assert y0 <= 114
    assert x1 >= 122
    assert y1 >= 118
    assert max(names["highest"]) < result.threshold
    assert names["seen"].verdict == "fail"
    assert {row["verdict"] for row in names["rows"]} == {"pass"}
    assert "40 records" in capsys.readouterr().out
