"""A frame drawn in a terminal of 24-bit colours, two pixels to a character, and keys that are read one at a time."""

from __future__ import annotations

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
    """Read single keys from standard input, without Return where it is a terminal; else a line is a key."""
    if not sys.stdin.isatty():
        yield lambda: sys.stdin.readline()[:1] or "q"
        return
    import termios
    import tty

    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        yield lambda: sys.stdin.read(1) or "q"
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
