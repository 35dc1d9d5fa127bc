"""Progress bars appear with their first step, so that an error before it stands alone; they need a terminal and go to
stderr.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from edge.cli._console import layout_console
from edge.spread import Progress as SpreadProgress

Step: TypeAlias = Callable[[int, int | None], None]
"""Called as ``step(done, total)``; ``total`` is None if nobody knows how many steps there are."""
Element = TypeVar("Element")
_hidden = False


@contextmanager
def no_bars() -> Iterator[None]:
    """Show no bar inside, whatever the terminal."""
    global _hidden
    _hidden = True
    try:
        yield
    finally:
        _hidden = False


def words_column(template: str = "{task.description}") -> TextColumn:
    """Make a column of a bar for words that may name a user's file: rich's own would read markup in them."""
    return TextColumn(template, markup=False)


def _usual_columns() -> tuple[ProgressColumn, ...]:
    """Return rich's own columns, the words as they are."""
    return (words_column(), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())


def _shows(console: Console) -> bool:
    return console.is_terminal and not _hidden


@contextmanager
def progress_bar(text: str, *columns: ProgressColumn, transient: bool = False) -> Iterator[Step]:
    """Make a bar with ``columns`` (rich's usual ones if none are given); it vanishes at its end if ``transient`` is set."""
    console = layout_console(stderr=True)
    bar = Progress(*(columns or _usual_columns()), console=console, transient=transient)
    task = bar.add_task(text, total=None)

    def step(done: int, total: int | None) -> None:
        if _shows(console):
            bar.start()
            bar.update(task, completed=done, total=total)

    try:
        yield step
    finally:
        if bar.live.is_started:  # stop writes an empty line even of a bar that never showed
            bar.stop()


@contextmanager
def build_bar() -> Iterator[Callable[[float, str], None]]:
    """Show a bar for a build that takes minutes, fed by what an engine reports."""
    columns = (words_column(), BarColumn(), TimeElapsedColumn())
    console = layout_console(stderr=True)
    bar = Progress(*columns, console=console)
    task = bar.add_task("", total=1.0)

    def tell(share: float, text: str) -> None:
        if _shows(console):
            bar.start()
            bar.update(task, completed=share, description=text)

    try:
        yield tell
    finally:
        if bar.live.is_started:
            bar.stop()


def tracked(items: Iterable[Element], text: str, total: int | None) -> Iterator[Element]:
    """Yield ``items`` as they come, under a bar that vanishes when they end."""
    with progress_bar(text, transient=True) as step:
        for done, item in enumerate(items):
            step(done, total)
            yield item


@contextmanager
def spread_bar() -> Iterator[Callable[[str, SpreadProgress], None]]:
    """A bar for spread work: frames, frames/s, when it will be done, workers, and shards that were begun again."""
    console = layout_console(stderr=True)
    columns = (words_column(), BarColumn(), MofNCompleteColumn(), words_column("{task.fields[pace]}"))
    bar = Progress(*columns, console=console, transient=True)
    tasks: dict[str, TaskID] = {}

    def show(what: str, progress: SpreadProgress) -> None:
        if not _shows(console):
            return
        bar.start()
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=progress.total, pace="")
        pace = [f"{progress.frames_per_s:.0f} frames/s"]
        if progress.eta_s is not None:
            pace.append(f"{progress.eta_s:.0f} s left")
        if progress.workers > 1:
            pace.append(f"{progress.workers} workers")
        if progress.retries:
            pace.append(f"{progress.retries} begun again")
        bar.update(tasks[what], completed=progress.frames, total=progress.total, pace=", ".join(pace))

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()
