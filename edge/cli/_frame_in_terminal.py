"""A frame drawn in a terminal of 24-bit colours, two pixels to a character, and keys that are read one at a time."""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.style import Style
from rich.text import Text

UPPER_HALF = "\u2580"
END = "\x04"
_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Z])")
"""What a terminal sends for arrows and other keys without a character (ECMA-48, 5.4)."""


def drawn(pixels: NDArray[np.uint8], columns: int, rows: int) -> Text:
    """A picture, (H, W) or (H, W, 3) RGB uint8, in at most so many columns and rows of characters."""
    height, width = pixels.shape[:2]
    scale = min(columns / width, 2 * rows / height)
    size = max(1, round(width * scale)), max(2, 2 * round(height * scale / 2))
    small: Any = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    if small.ndim == 2:
        small = cv2.cvtColor(small, cv2.COLOR_GRAY2RGB)
    text = Text(no_wrap=True)
    for row in range(0, size[1], 2):
        for upper, lower in zip(small[row].tolist(), small[row + 1].tolist(), strict=True):
            text.append(UPPER_HALF, Style(color=_hex(upper), bgcolor=_hex(lower)))
        text.append("\n")
    return text


def _hex(rgb: list[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*rgb)


@contextmanager
def keys() -> Iterator[Callable[[], str]]:
    """Read single keys from standard input, without Return where it is a terminal; else a line is a key.

    An arrow or another key that a terminal sends as several characters comes as one. At the end of input comes Ctrl-D.
    """
    if not sys.stdin.isatty():
        yield lambda: sys.stdin.readline()[:1] or END
        return
    import termios
    import tty

    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        yield KeysOf(lambda: os.read(fd, 64)).read
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


class KeysOf:
    """Keys out of a terminal's bytes, as many as ``take`` gives at once."""

    def __init__(self, take: Callable[[], bytes]) -> None:
        self._take = take
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._waiting = ""

    def read(self) -> str:
        """The next key; Ctrl-D at the end."""
        while not self._waiting:
            data = self._take()
            if not data:
                return END
            self._waiting = self._decoder.decode(data)
        found = _SEQUENCE.match(self._waiting)
        key = found[0] if found else self._waiting[0]
        self._waiting = self._waiting[len(key) :]
        return key
