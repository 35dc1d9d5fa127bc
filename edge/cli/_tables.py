"""Tables are printed for terminals and for pipes."""

from __future__ import annotations

import os
from typing import Final

from rich.console import Console, Group
from rich.table import Table

from edge.cli._console import layout_console

PIPE_WIDTH: Final = 120
"""Columns of a table in a pipe, which has no width of its own."""


def width_of_pipe() -> int | None:
    """Return the width for what goes into a pipe: ``COLUMNS`` if it is set, as ``man`` and ``ls`` do, else 120; None on a
    terminal, which knows its own.
    """
    if layout_console().is_terminal:
        return None
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdecimal() and int(columns) > 0 else PIPE_WIDTH


def print_table(table: Table | Group) -> None:
    """Print a table, or one with lines below it, as wide as the terminal; into a pipe at most ``COLUMNS``, else 120, wide.

    Its cells, headers and titles are text as it is; a ``Text`` among them has colours. What is too wide is folded.
    """
    console = layout_console(width=width_of_pipe())
    for one in table.renderables if isinstance(table, Group) else (table,):
        if isinstance(one, Table):
            _fold(one, console)
    console.print(table)


def _fold(table: Table, console: Console) -> None:
    """Let cells go on below where there is no room beside; those that shouldn't, only where nothing else helps."""
    for column in table.columns:
        column.overflow = "fold"
    if console.measure(table).minimum > console.width:
        for column in table.columns:
            column.no_wrap = False


def columns_of_output() -> int:
    """Return how many columns a table has, on a terminal or in a pipe."""
    return width_of_pipe() or layout_console().width
