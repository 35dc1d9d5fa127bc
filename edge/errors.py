"""The one exception for what a person at the line can mend. The command line prints it without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in a config, a file, a model or an argument, told in words.

    ``what`` names the thing; ``received``, ``expected`` and ``fix`` complete the message, each on its own line,
    and are left out when they would say nothing.
    ``exit_code`` is the process's exit status (2: configuration, 6: another instance holds the lock).
    """

    def __init__(
        self,
        what: str,
        *,
        received: object = None,
        expected: object = None,
        fix: str | None = None,
        exit_code: int = 2,
    ) -> None:
        lines = [what]
        for label, text in (("received", received), ("expected", expected), ("fix", fix)):
            if text is not None:
                lines.append(f"  {label}: {text}")
        super().__init__("\n".join(lines))
        self.what = what
        self.exit_code = exit_code

    def at(self, where: str) -> UserError:
        """The same mistake, told of the key, file or line that it stands in."""
        told = UserError(f"{where}: {self}", exit_code=self.exit_code)
        told.what = f"{where}: {self.what}"
        return told


def text_of(error: BaseException) -> str:
    """An error as a person reads it in ``state``."""
    if isinstance(error, UserError):
        return error.what
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"
