"""A line runs here from its start to its exit code."""

from __future__ import annotations

from collections.abc import Callable

from edge.errors import ExitCode
from edge.line.line import Line
from edge.line.stop_sign import StopSign
from edge.line.supervise import TICK_S, StageHealth


def run_line(line: Line, stop: StopSign, each_turn: Callable[[Line, StageHealth], None]) -> ExitCode:
    """Turn a started line until ``stop``, its end, or a failure. Return the exit code; the line is then stopped."""
    while True:
        health = line.turn()
        each_turn(line, health)
        if health.hung is not None:
            line.stop()
            return ExitCode.HUNG
        if health.failed is not None:
            line.stop()
            return ExitCode.STAGE
        if line.over or stop.is_set() or line.worn_out:
            code = ExitCode.RECONNECTS if line.worn_out and not stop.is_set() else ExitCode.OK
            well = line.stop()
            # what failed or hung in the last moment is no clean end
            return ExitCode.STAGE if line.failed else code if well else ExitCode.HUNG
        stop.wait(TICK_S)


EachTurn = Callable[[Line, StageHealth], None]
