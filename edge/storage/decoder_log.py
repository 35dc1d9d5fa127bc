"""FFmpeg's decoders say in their log what they fill in: a checksum of FFV1 that is wrong, a header of AV1 that can't be
read. They raise nothing then, whatever ``err_detect`` says, and no flag of the frame shows it.

The log is heard in files alone, while a packet is decoded in this thread. A live stream has threads of FFmpeg's own that
write to it, too, and waiting for those with the interpreter's lock held could stop the program.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def heard(*, live: bool) -> Iterator[list[Any]]:
    """Give a list that gets the log's errors, each a level, who said it, and a text; of a live stream it stays empty."""
    if live:
        yield []
        return
    from av import logging

    logging.set_skip_repeated(False)  # else the second packet with the same error says nothing
    logging.set_level(logging.ERROR)
    try:
        with logging.Capture() as said:
            yield said
    finally:
        logging.set_level(None)


def first_error(said: list[Any]) -> str | None:
    """Return the text of the first entry; None if nothing was said."""
    return " ".join(str(said[0][2]).split()) if said else None
