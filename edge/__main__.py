"""``python -m edge`` and the command ``edge``: Ctrl-C is no traceback, not even during the imports."""

from __future__ import annotations

import signal


def run() -> None:
    """Run the command line; a command that wants SIGINT for itself takes it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from edge.service.descriptors import open_standard_streams

    open_standard_streams()  # before anything opens a file
    from edge.cli import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()


if __name__ == "__main__":
    run()
