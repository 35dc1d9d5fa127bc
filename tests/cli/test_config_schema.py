"""``edge config-schema`` and ``edge --version``, as a person calls them."""

from __future__ import annotations

from pathlib import Path

from support.commands import edge

import edge as package
from edge.config.editor_schema import editor_schema


def test_the_schema_goes_to_standard_output_or_a_file(tmp_path: Path) -> None:
    assert edge(tmp_path, "config-schema").stdout == editor_schema()
    path = tmp_path / "line.schema.json"
    assert edge(tmp_path, "config-schema", "-o", str(path)).returncode == 0
    assert path.read_text() == editor_schema()


def test_the_version_stands_in_the_first_line(tmp_path: Path) -> None:
    done = edge(tmp_path, "--version")
    assert done.returncode == 0
    assert done.stdout.startswith(f"edge-inspect {package.__version__}, Python 3.")
    assert done.stdout.splitlines()[1].startswith("engines: onnx")
