"""A line ends here: every frame that was read gets a record and every output closes, within what a supervisor waits for."""

from __future__ import annotations

import time
from collections.abc import Sequence

from edge.line.passage import Maps, Passage, tell_losses
from edge.line.ring import Ring
from edge.line.supervise import TICK_S, Worker
from edge.outputs.protocol import Output

DRAIN_S = 2.0
"""Time in s for the frames in the ring when the daemon is asked to stop; what still waits then is skipped as
``shutdown``."""
LAST_S = 0.5
"""Time in s after that for the frame in the engine, and once more for the judge to record what was skipped."""
CLOSE_S = 1.0
"""Time in s that a live output has to write what it has queued; in replay nobody waits for us."""
CLOSE_ALL_S = 1.4
"""Time in s for all outputs together; one whose turn comes later still has ``CLOSE_LEAST_S``."""
CLOSE_LEAST_S = 0.2
CLOSE_REPLAY_S = 600.0


def drain(workers: Sequence[Worker], passage: Passage, ring: Ring, maps: Maps, limit_s: float) -> None:
    """Turn every frame that was read into a record, as long as the judge still writes them.

    A stage that hangs, without progress for ``limit_s``, is not waited for, and one in the middle of a long call only for a
    short time. What the infer stage holds is then recorded as lost, and so is all that waits. The infer stage is ended only
    when the source has no more frames to give, or no time left, so that a frame of its last call is recorded, too.
    """
    acquire, infer, judge = workers
    acquire.stop()
    _wait_for_maps(workers, ring, DRAIN_S, limit_s)
    if not (acquire.done and infer.done):
        ring.abandon()
        _wait_for_maps(workers, ring, LAST_S, limit_s)
    ring.close()
    end = time.monotonic() + LAST_S
    if not acquire.done and not _hangs(infer, limit_s):
        infer.join(LAST_S / 2)  # it waited for the source, and hears only now that nothing comes
    if not infer.done or infer.failed is not None:
        tell_losses(passage, ring, maps, lambda: not judge.done and time.monotonic() < end)
    judge.join(end - time.monotonic())


def undo_start(workers: Sequence[Worker], ring: Ring) -> bool:
    """End the stages of a line that has read nothing. Return False if one hangs."""
    running = [worker for worker in workers if worker.started]
    for worker in running:
        worker.stop()
    ring.close()
    return all(worker.join(1.0) for worker in running)


def close_outputs(outputs: Sequence[Output], *, live: bool) -> None:
    """Close one output after the other, in the order that they rely on; live, one that hangs leaves less time for the next
    ones.
    """
    end = time.monotonic() + CLOSE_ALL_S
    for output in outputs:
        left = min(max(end - time.monotonic(), CLOSE_LEAST_S), CLOSE_S)
        output.close(left if live else CLOSE_REPLAY_S)


def _wait_for_maps(workers: Sequence[Worker], ring: Ring, seconds: float, limit_s: float) -> None:
    """Wait until the source has given its last frame and the infer stage has passed it on, but not for a stage that
    hangs.
    """
    acquire, infer, judge = workers
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        read = acquire.done or _hangs(acquire, limit_s)
        if read:
            ring.close()
        inferred = infer.done or _hangs(infer, limit_s) or _hangs(judge, limit_s)
        if read and inferred:
            return
        (acquire if inferred else infer).join(min(TICK_S, left))


def _hangs(worker: Worker, limit_s: float) -> bool:
    return worker.age_s() > limit_s
