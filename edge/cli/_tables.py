"""Tables are printed for terminals and for pipes."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal; into a pipe, which has no width, nothing is folded."""
    console = Console(highlight=False)
    if not console.is_terminal:
        widest = console.measure(table, options=console.options.update(max_width=1 << 16)).maximum
        console = Console(highlight=False, width=widest)
    console.print(table)
