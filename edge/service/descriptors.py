"""The three standard descriptors of the process are opened here, and there are more than strangers can take."""

from __future__ import annotations

import os
import resource
import sys
from typing import Final

ENOUGH: Final = 4096
"""Soft limit that the daemon asks for. What others can make it open is bounded far below: 256 connections to each endpoint
and 8 to the health server."""


def open_standard_streams() -> None:
    """Open /dev/null where a standard stream was closed: the next file that is opened would take its number, and what is
    printed would go into the log of records.
    """
    for fd, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            opened = os.open(os.devnull, mode)
            if opened != fd:
                os.dup2(opened, fd)
                os.close(opened)
            os.set_inheritable(fd, True)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115


def use_descriptors() -> None:
    """Raise the soft limit; the hard one is the service manager's (``LimitNOFILE=``)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
