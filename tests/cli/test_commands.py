"""The command line brings in a command's file only when that command is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from edge.cli import app


@pytest.mark.parametrize("command", ["subscribe", "log", "keys"])
def test_who_only_reads_needs_no_model_runtime(command: str) -> None:
    code = f"import sys, edge.cli.{command}; print(*{{'onnx', 'onnxruntime', 'openvino', 'cv2'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_misspelt_command_names_the_nearest() -> None:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["repla"])
    assert result.exit_code == 2
    assert "No such command 'repla'. Did you mean 'replay'" in result.output


def test_groups_list_their_commands() -> None:
    for group, command in (("bundle", "check"), ("keys", "revoke")):
        assert command in CliRunner().invoke(app, [group, "--help"]).output


def test_a_dead_standard_error_does_not_change_the_exit_code() -> None:
    """What could not be written is flushed by the interpreter once more, and its failure would make the code 120."""
    code = """
import os, sys
import edge.cli
def app():
    read, write = os.pipe()
    os.close(read)
    os.dup2(write, 2)
    sys.stderr = open(2, "w", closefd=False)
    sys.stderr.write("a line")
edge.cli.app = app
edge.cli.main()
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
