"""Worker threads are supervised: their progress, restarts within a budget, and what the watchdog may claim."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from edge.errors import UserError

log = structlog.get_logger()

LOOK_S = 1.0
"""Most time in s between two looks at the workers that counts against them. Beyond that, whoever looks was held up as well,
for example by a camera library that holds the interpreter lock. A call that holds it for ever feeds no watchdog."""
TICK_S = 0.1
"""Time in s between two looks at a line."""
AGAIN_S = 1.0
"""Time in s between two looks for what isn't there yet."""
WINDOW_S = 60.0
"""Time in s over which the restart budget is counted."""


class Worker:
    """A worker runs one stage in its thread. The stage calls ``beat`` on every turn of its loop.

    A stage that raises is started again at once, at most ``restarts`` times within 60 s; then ``failed`` holds the error. A
    ``UserError`` is never retried, because starting again doesn't mend a config; but with ``waits`` one that may pass by
    itself is retried each second and for ever.
    """

    def __init__(
        self,
        name: str,
        stage: Callable[[Callable[[], bool]], None],
        *,
        restarts: int,
        busy_until_ns: Callable[[], int] = lambda: 0,
        waits: bool = False,
    ) -> None:
        """Take ``busy_until_ns``: ``time.monotonic_ns()`` until which the stage may be in one call; a past one counts as a
        beat.
        """
        self.name = name
        self.failed: BaseException | None = None
        self.last_error: str | None = None
        self.restarted = 0
        self.done = False
        self.waits_for: str | None = None
        """What isn't there yet, while that keeps the stage from its work."""
        self._waits = waits
        self._stage = stage
        self._busy_until_ns = busy_until_ns
        self._restarts = restarts
        self._raised: deque[float] = deque()
        self._last_raised: float | None = None
        self._stop = threading.Event()
        self._beat_ns = time.monotonic_ns()
        self._beaten = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._beat_ns = time.monotonic_ns()
        self._thread.start()

    @property
    def started(self) -> bool:
        return self._thread.ident is not None

    def stop(self) -> None:
        """Ask the stage to end: its next ``beat`` returns False."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Return True if the thread has ended within ``timeout_s``."""
        self._thread.join(max(timeout_s, 0.0))
        return not self._thread.is_alive()

    def beat(self) -> bool:
        """Note that progress was made. Return False if the stage should end."""
        self.waits_for = None
        return self._alive()

    def _alive(self) -> bool:
        self._beat_ns = time.monotonic_ns()
        self._beaten.set()
        return not self._stop.is_set()

    def wait_alive(self, timeout_s: float) -> bool:
        """Return True once the stage has beaten or ended; False after ``timeout_s``."""
        return self._beaten.wait(timeout_s)

    def age_s(self) -> float:
        """Return the seconds since the last sign of progress; 0 when the stage has ended."""
        last_ns = max(self._beat_ns, self._busy_until_ns())
        return 0.0 if self.done else max(0, time.monotonic_ns() - last_ns) / 1e9

    def excuse(self, seconds: float) -> None:
        """Forgive a time in which nobody could run: the last sign of progress counts as that much younger."""
        self._beat_ns = min(self._beat_ns + int(seconds * 1e9), time.monotonic_ns())

    def trouble(self) -> str | None:
        """Return what the stage raised within the last 60 s before its restart; None if it is well, or given up."""
        recent = self._last_raised is not None and time.monotonic() - self._last_raised <= WINDOW_S
        return self.last_error if recent and self.failed is None else None

    def _run(self) -> None:
        while True:
            try:
                self._stage(self.beat)
            except UserError as error:
                if self._waits and error.passes and self._wait(error):
                    continue
                if not self._stop.is_set():
                    self.failed = error
                break
            except Exception as error:
                self.last_error = f"{type(error).__name__}: {error}"
                if not self._may_restart():
                    self.failed = error  # before the log: a traceback takes long to write on a busy machine
                    log.exception("stage_given_up", stage=self.name, error=self.last_error)
                    break
                self.restarted += 1
                log.exception("stage_restarted", stage=self.name, error=self.last_error, restarts=self.restarted)
            else:
                break
        self.done = True
        self._beaten.set()

    def _wait(self, error: UserError) -> bool:
        """Wait until the next attempt; return False if the stage should end meanwhile."""
        if error.what != self.waits_for:
            log.warning("waiting", stage=self.name, error=str(error))
        self.waits_for = error.what
        end = time.monotonic() + AGAIN_S
        while self._alive() and time.monotonic() < end:
            self._stop.wait(LOOK_S / 10)
        return not self._stop.is_set()

    def _may_restart(self) -> bool:
        now = time.monotonic()
        self._last_raised = now
        self._raised.append(now)
        while now - self._raised[0] > WINDOW_S:
            self._raised.popleft()
        return len(self._raised) <= self._restarts


@dataclass(frozen=True, slots=True)
class StageHealth:
    """The health of the stages says how old the oldest progress is, who is hung and who failed."""

    progress_age_s: float
    hung: str | None
    failed: tuple[str, BaseException] | None


def examine(workers: Sequence[Worker], limit_s: float, frozen_s: float = 0.0) -> StageHealth:
    """Find the stage that is hung: without progress for longer than ``limit_s``, the last ``frozen_s`` not counted."""
    ages = [max(0.0, worker.age_s() - frozen_s) for worker in workers]
    age = max(ages)
    oldest = workers[ages.index(age)]
    failed = next(((w.name, w.failed) for w in workers if w.failed is not None), None)
    return StageHealth(age, oldest.name if age > limit_s else None, failed)
