"""A line from its start to its exit code."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edge.line.line import TICK_S, Line
from edge.line.supervise import StageHealth

EXIT_OK, EXIT_STAGE, EXIT_HUNG, EXIT_RECONNECTS = 0, 3, 4, 5


def run_line(line: Line, stop: threading.Event, each_turn: Callable[[Line, StageHealth], None]) -> int:
    """Turn a started line until ``stop``, its end, or a failure. Returns the exit code; the line is then stopped."""
    while True:
        health = line.turn()
        each_turn(line, health)
        if health.hung is not None:
            line.stop()
            return EXIT_HUNG
        if health.failed is not None:
            line.stop()
            return EXIT_STAGE
        if line.over or stop.is_set() or line.worn_out:
            code = EXIT_RECONNECTS if line.worn_out and not stop.is_set() else EXIT_OK
            well = line.stop()
            # what failed or hung in the last moment is no clean end
            return EXIT_STAGE if line.failed else code if well else EXIT_HUNG
        stop.wait(TICK_S)


EachTurn = Callable[[Line, StageHealth], None]
