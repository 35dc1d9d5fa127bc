"""A line that is driven turn by turn, to exchange what it inspects with."""

from __future__ import annotations

import threading
import time
from typing import Any

from edge.config.load import Loaded
from edge.line.line import Line
from edge.line.open_watch import open_watched
from edge.line.run import run_line
from edge.service.reload import Reloader
from support.lines import make_line
from support.waits import PATIENCE_S

LIVE = ["source.fps=25", "source.frames=null", "ring.slots=64"]


class Driven:
    """A line in a thread, with the reloader that a test asks."""

    def __init__(self, config: Loaded, **more: Any) -> None:
        self.line: Line = make_line(config, **more)
        self.reloader = Reloader(config, open_watched)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.line.start(self._stop)
        self._thread.start()

    def _run(self) -> None:
        run_line(self.line, self._stop, lambda line, _health: self.reloader.turn(line))

    def wait(self, condition: Any, timeout_s: float = PATIENCE_S) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.01)

    def inspected(self, more: int) -> None:
        wanted = self.line.tally.inspections + more
        self.wait(lambda: self.line.tally.inspections >= wanted)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        self.line.recipes.close()
