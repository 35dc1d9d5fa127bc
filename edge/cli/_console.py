"""Every console of the command line is made here. Brackets, colons and numbers in a text come out as they went in.

Rich would take ``[left]`` in a folder's name for markup and drop it, make ``:x:`` a picture, and colour numbers. Names,
paths and keys are the user's, so none of that happens; what is coloured is a ``Text``, or is printed with a ``style``.
Characters that a terminal would obey, or that turn the direction of a text, are shown as U+FFFD, in a pipe as well; a tab
becomes spaces. Whoever wants every byte asks for ``--json``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

_OBEYED: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class TextConsole(Console):
    """A console whose texts no terminal obeys."""

    def render_str(self, text: str, **kind: Any) -> Text:
        """Make a ``Text``, which a table then measures."""
        return super().render_str(not_obeyed(text), **kind)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Give the pieces of what is printed; colours come to them later, and control segments are rich's own."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(not_obeyed(piece.text), piece.style)


def text_console(*, stderr: bool = False) -> Console:
    """Make a console for lines. A line longer than the terminal is never cut or broken by rich, so it can be copied."""
    return _plain(stderr=stderr, soft_wrap=True)


def say(text: str, *, stderr: bool = False) -> None:
    """Print a line."""
    text_console(stderr=stderr).print(text)


def layout_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Make a console for tables, bars and what is shown live, which fill ``width`` columns, or those of the terminal."""
    return _plain(stderr=stderr, width=width)


def labelled(label: str, style: str, text: str) -> Text:
    """Return ``label`` in a style and, after a space, ``text`` as it is."""
    return Text.assemble((label, style), " ", not_obeyed(text))


def not_obeyed(text: str) -> str:
    """Return the text with U+FFFD in place of what a terminal would obey: control characters, but for a line's end and a
    tab, and those that turn the direction of a text.
    """
    return _OBEYED.sub("\ufffd", text)


def _plain(*, stderr: bool, soft_wrap: bool = False, width: int | None = None) -> Console:
    return TextConsole(stderr=stderr, soft_wrap=soft_wrap, width=width, markup=False, emoji=False, highlight=False)
