"""The text of a config is read here: whole, within a bound, and without waiting for ever."""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from pathlib import Path
from typing import Final

from edge.errors import UserError, may_pass

MOST_BYTES: Final = 4 << 20
"""A thousand times a usual config; the parser takes 4 s for it."""
PIPE_S: Final = 10.0
"""Time in s in which a pipe must have given all that it will."""
_PIECE: Final = 1 << 16


def read_text_file(path: Path) -> str:
    """Return the text of a file, or of a pipe that a shell made (``edge check <(envsubst < cam1.yaml)``).

    Raises:
        UserError: it can't be read, is a device or larger than 4 MiB, isn't UTF-8, or is a pipe without an end.
    """
    try:
        data = _read(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}", passes=may_pass(error)) from None
    if len(data) > MOST_BYTES:
        raise UserError(f"{path}: too large for a config", received="more than 4 MiB", expected="a YAML file")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None


def _read(path: Path) -> bytes:
    """Return the bytes, one more than is allowed at most."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(fd, "rb") as file:
        kind = os.fstat(fd).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if stat.S_ISREG(kind):
            return file.read(MOST_BYTES + 1)
        if stat.S_ISFIFO(kind):
            return _piped(fd, path)
    raise UserError(f"{path}: not a file", received="a device", expected="a YAML file")


def _piped(fd: int, path: Path) -> bytes:
    end, data = time.monotonic() + PIPE_S, bytearray()
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    while len(data) <= MOST_BYTES:
        try:
            piece = os.read(fd, _PIECE)
        except BlockingIOError:  # whoever will write has not yet
            piece = None
        if piece:
            data += piece
            continue
        if piece is not None and data:
            break
        left_s = end - time.monotonic()
        if left_s <= 0:
            raise UserError(
                f"{path}: a pipe that gave no whole text in {PIPE_S:g} s", fix="name a file, or write into the pipe"
            )
        if piece is not None and poller.poll(0):  # its writer has come and gone; one that hasn't come yet is waited for
            raise UserError(f"{path}: an empty pipe", expected="YAML text", fix="look at the command that writes it")
        poller.poll(1000 * left_s)  # a pipe without a writer gives nothing, and no end either
    return bytes(data)
