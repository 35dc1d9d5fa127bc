"""Lines of a file that may still be written are read here: the whole ones, up to one that is torn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

LONGEST_LINE: Final = 1 << 24
"""Most bytes of a line; longer is no line, whatever it is, and must not fill the memory."""


def lines_until_torn(file: BinaryIO) -> Iterator[bytes]:
    """Yield each line with its end, from where the file stands. A last line without its end is torn: its rest may come.

    A line that is too long comes in pieces, so that the bytes of all that was yielded say how far the reading went.

    Raises:
        OSError: the file can't be read.
    """
    while line := file.readline(LONGEST_LINE):
        if not line.endswith(b"\n") and len(line) < LONGEST_LINE:
            return
        yield line
