"""No table is wider than the terminal or what a pipe is told: all go through one function, and that keeps the width."""

from __future__ import annotations

import ast
from functools import partial
from pathlib import Path

import pytest
from rich import box
from rich.console import Group
from rich.table import Column, Table

import edge.cli
from edge.cli import _console
from edge.cli._tables import PIPE_WIDTH, print_table

FILES = sorted(Path(edge.cli.__file__).parent.glob("*.py"))
LIVE = {"fleet.py", "demo.py", "run.py", "_live_table.py"}
"""They show a table that changes, in a Live of rich's, which is as wide as the terminal."""


def _is_table(node: ast.expr | None, makers: set[str], names: set[str]) -> bool:
    if isinstance(node, ast.IfExp):
        return _is_table(node.body, makers, names) or _is_table(node.orelse, makers, names)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in makers
    return isinstance(node, ast.Name) and node.id in names


def _printed_past_the_one_function(tree: ast.Module) -> list[int]:
    """Lines on which a table is given to another ``print`` than ``print_table``."""
    makers = {"Table"} | {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and isinstance(node.returns, ast.Name) and node.returns.id == "Table"
    }
    names = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _is_table(node.value, makers, set())
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "print"
        and any(_is_table(argument, makers, names) for argument in node.args)
    ]


def test_every_table_of_every_command_is_printed_by_the_one_function() -> None:
    trees = {path.name: ast.parse(path.read_text(encoding="utf-8")) for path in FILES if path.name != "_tables.py"}
    assert {name: found for name, tree in trees.items() if (found := _printed_past_the_one_function(tree))} == {}
    # what makes tables prints them that way, or returns them to what does
    making = {name for name, tree in trees.items() if _calls(tree, "Table")}
    printing = {name for name, tree in trees.items() if _calls(tree, "print_table")}
    assert making - printing - LIVE == set()
    assert len(making) > 20


def _calls(tree: ast.Module, name: str) -> bool:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(isinstance(func, ast.Name) and func.id == name for func in calls)


def test_a_table_printed_past_it_would_be_found() -> None:
    text = "def made() -> Table: ...\nt = Table()\nconsole.print('x')\nconsole.print(t)\nother.print(made() if x else '')\n"
    assert _printed_past_the_one_function(ast.parse(text)) == [4, 5]


def _tables_of_all_sorts() -> list[Table]:
    long, wide, path = "word " * 60, "検査" * 60, "/very/long/path" * 30
    plain = Table("a", "b", title="title " * 50)
    plain.add_row(path, long)
    fixed = Table(Column("name", overflow="fold"), Column("key", no_wrap=True), box=None)
    fixed.add_row("n" * 64, "k" * 40)
    figures = Table(*(Column(f"column {n}", justify="right", no_wrap=True) for n in range(14)), box=box.SIMPLE_HEAD)
    figures.add_row(*("0.123456 -> 0.654321" for _ in range(14)))
    foreign = Table(Column("part", min_width=30), "why", pad_edge=False)
    foreign.add_row(wide, wide)
    return [plain, fixed, figures, foreign]


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_a_table_is_at_most_as_wide_as_it_may_be(
    columns: int, terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    if terminal:
        monkeypatch.setattr(_console, "TextConsole", partial(_console.TextConsole, force_terminal=True, color_system=None))
    for table in _tables_of_all_sorts():
        print_table(table)
        told = capsys.readouterr().out
        assert max(map(_cells, told.splitlines())) <= columns
        assert told.strip()


def _cells(line: str) -> int:
    from rich.cells import cell_len

    return cell_len(line)


def test_a_pipe_that_is_told_nothing_gets_the_width_of_pipes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for told in (None, "", "none", "0"):
        monkeypatch.delenv("COLUMNS", raising=False) if told is None else monkeypatch.setenv("COLUMNS", told)
        for table in _tables_of_all_sorts():
            print_table(table)
            assert max(map(_cells, capsys.readouterr().out.splitlines())) <= PIPE_WIDTH


@pytest.mark.parametrize("columns", [28, 40, 80])
def test_no_cell_is_cut_on_a_narrow_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = ["threshold", "2026-11-30 21:00", "123456789"]
    table = Table("key", "hour", "frames")
    table.columns[0].no_wrap = True
    table.add_row(*rows)
    print_table(Group(table, "below"))
    printed = capsys.readouterr().out
    assert "\u2026" not in printed
    cells = [[cell.strip() for cell in line.strip("\u2502").split("\u2502")] for line in printed.splitlines()]
    body = [row for row in cells if len(row) == 3]
    assert ["".join(column).replace(" ", "") for column in zip(*body, strict=True)] == [
        one.replace(" ", "") for one in rows
    ]
    assert max(map(len, printed.splitlines())) <= columns
