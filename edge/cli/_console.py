"""Every console of the command line is made here. Text comes out of it as it went in, whatever it holds.

Rich would take ``[left]`` in a folder's name for markup and drop it, make ``:x:`` a picture, and colour numbers. Names,
paths and keys are the user's, so none of that happens; what is coloured is a ``Text``, or is printed with a ``style``.
"""

from __future__ import annotations

from rich.console import Console
from rich.text import Text


def text_console(*, stderr: bool = False) -> Console:
    """Make a console for lines. A line longer than the terminal is never cut or broken by rich, so it can be copied."""
    return _plain(stderr=stderr, soft_wrap=True)


def layout_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Make a console for tables, bars and what is shown live, which fill ``width`` columns, or those of the terminal."""
    return _plain(stderr=stderr, width=width)


def labelled(label: str, style: str, text: str) -> Text:
    """Return ``label`` in a style and, after a space, ``text`` as it is."""
    return Text.assemble((label, style), " ", text)


def _plain(*, stderr: bool, soft_wrap: bool = False, width: int | None = None) -> Console:
    return Console(stderr=stderr, soft_wrap=soft_wrap, width=width, markup=False, emoji=False, highlight=False)
