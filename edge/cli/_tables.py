"""Tables for terminals and for pipes."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


def print_table(table: Table) -> None:
    """As wide as the terminal; a pipe has no width, and nothing in it is folded."""
    console = Console(highlight=False)
    if not console.is_terminal:
        widest = console.measure(table, options=console.options.update(max_width=1 << 16)).maximum
        console = Console(highlight=False, width=widest)
    console.print(table)
