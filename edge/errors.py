"""UserError is the one exception for what a person at the line can mend; the command line prints it without a traceback."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """A command ends with one of these codes; a supervisor (systemd, a script) decides by it what to do next."""

    OK = 0
    NO = 1
    """The answer is no: a check failed, or a search found nothing."""
    CONFIG = 2
    """A person must mend a mistake; a restart would meet it again."""
    STAGE = 3
    """A stage failed more often than its budget allows."""
    HUNG = 4
    """A stage hangs."""
    RECONNECTS = 5
    """The camera is lost again after ``source.max_reconnects`` reconnections, and the process must start anew."""
    LOCKED = 6
    """Another instance, or another program, holds what this one needs."""
    INTERRUPTED = 130
    """Ctrl-C, as shells number it."""


class UserError(Exception):
    """A config, a file, a model or an argument has a mistake, and the message says in words how to mend it.

    ``what`` names the thing; ``received``, ``expected`` and ``fix`` complete the message, each on its own line, and are
    left out when they would say nothing. ``exit_code`` is the process's exit status. ``passes`` is True if the trouble may
    end without anyone changing anything here, such as a disk that isn't mounted yet or a port that another program has: a
    command ends, a daemon waits and tries again. ``code`` is a word by which a program tells this mistake from others.
    """

    def __init__(
        self,
        what: str,
        *,
        received: object = None,
        expected: object = None,
        fix: str | None = None,
        exit_code: ExitCode = ExitCode.CONFIG,
        passes: bool = False,
        code: str | None = None,
    ) -> None:
        lines = [what]
        for label, text in (("received", received), ("expected", expected), ("fix", fix)):
            if text is not None:
                lines.append(f"  {label}: {text}")
        super().__init__("\n".join(lines))
        self.what, self.received, self.expected, self.fix = what, received, expected, fix
        self.exit_code = exit_code
        self.passes = passes
        self.code = code

    def at(self, where: str) -> UserError:
        """Return the same mistake with the key, file or line where it stands in front."""
        located = UserError(f"{where}: {self}", exit_code=self.exit_code, passes=self.passes, code=self.code)
        located.what = f"{where}: {self.what}"
        located.received, located.expected, located.fix = self.received, self.expected, self.fix
        return located


_MENDABLE = frozenset(
    {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG}
)


def may_pass(error: OSError) -> bool:
    """Return True if an error of a file or an address may end by itself.

    All may, except a few that only another config or another user right mends: no permission, a file in the way, an
    impossible name. Disks fill and empty, shares and switches come back after a power cut later than we do, and each has
    errors of its own.
    """
    return error.errno not in _MENDABLE


def text_of(error: BaseException) -> str:
    """Return an error as a person reads it in ``state``."""
    if isinstance(error, UserError):
        return error.what
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"


def first_few(names: Sequence[str], most: int = 3) -> str:
    """Return the first ``most`` names in a row, and how many there are beside: "a, b, c and 4 more"."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
