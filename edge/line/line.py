"""One camera's line, wired: source, ring, engine, judge and outputs under three workers. Live and replay share it."""

from __future__ import annotations

import gc
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from edge.config.load import Loaded
from edge.engines.protocol import Engine
from edge.errors import UserError
from edge.frames import Fault, Heartbeat, RunIdentity
from edge.line.in_flight import OneSize
from edge.line.passage import Handoff, Maps, Passage, tell_losses
from edge.line.recipe import Recipe, Recipes
from edge.line.ring import Ring
from edge.line.snapshot import LineSnapshot
from edge.line.stages import Desk, acquire_loop, infer_loop, judge_loop
from edge.line.state import StateBook
from edge.line.supervise import LOOK_S, StageHealth, Worker, examine
from edge.line.tally import Tally
from edge.outputs.protocol import Output, OutputStatus
from edge.regions.criteria import Criteria
from edge.sources.protocol import Source
from edge.sources.recorded import of_one_camera
from edge.storage.archive import archive
from edge.wire.encode import Wire

log = structlog.get_logger()

TICK_S = 0.1
HEARTBEAT_S = 0.5
DRAIN_S = 2.0
"""Time given to frames in the ring when the daemon is told to stop; what still waits then is skipped as ``shutdown``."""
LAST_S = 0.5
"""Time given after that to the frame in the engine, and once more to the judge for the records of what was skipped."""
CLOSE_S = 1.0
"""Time given to an output, live, to write what it has queued; in replay nobody waits for us."""
CLOSE_ALL_S = 1.4
"""Time given to all outputs together; one whose turn comes later still has ``CLOSE_LEAST_S``."""
CLOSE_LEAST_S = 0.2
CLOSE_REPLAY_S = 600.0


class Line:
    """Everything between a source and its outputs. ``start``, then ``turn`` every 0.1 s until it is over, then ``stop``."""

    def __init__(
        self,
        loaded: Loaded,
        source: Source,
        engine: Engine,
        criteria: Criteria,
        make_outputs: Callable[[RunIdentity], Sequence[Output]],
        *,
        drops: bool,
    ) -> None:
        config = loaded.config
        self._instance_id = uuid.uuid4().hex
        self.identity = self._identity(loaded, source, engine, criteria)
        self.config = config
        self.source = source
        self.tally = Tally()
        self.ring = Ring(config.ring.slots + engine.in_hand - 1, drops=drops)
        self.recipes = Recipes(Recipe(engine, criteria, Wire(self.identity)))
        self.outputs = list(make_outputs(self.identity))
        self._limit_s = config.supervise.limit_s * engine.batch
        maps: Maps = Handoff()
        self._maps = maps
        self._passage = Passage(self.ring, maps)
        levels = config.source.levels
        one_size = OneSize() if of_one_camera(source) else None
        worker = partial(Worker, restarts=config.supervise.restarts)
        self.workers = [
            worker(
                "acquire",
                partial(acquire_loop, source, self.ring),
                busy_until_ns=lambda: source.status().busy_until_ns,
            ),
            worker("infer", partial(infer_loop, self._passage, self.recipes, levels, one_size)),
            worker("judge", partial(judge_loop, maps, Desk(), self.ring, self.recipes, self.outputs, self.tally)),
        ]
        self._book = StateBook(self.recipes.current.told)
        self.fault: dict[str, str] = {}
        """Faults that others than the stages and outputs found, by code."""
        self._health = StageHealth(0.0, None, None)
        self._running = False
        self._drained = False
        self._started = False
        self._stopping = False
        self._next_heartbeat = 0.0
        self._looked_s = time.monotonic()

    def start(self, stop: threading.Event) -> None:
        """Open outputs and start the stages; returns when the source is open, or ``stop`` is set.

        Also when a stage failed or hangs, which ``run_line`` then tells; ``started`` says whether the line runs.

        Raises:
            UserError: an output or the source can't be opened for a reason that a person must mend.
        """
        for output in self.outputs:
            output.start()
        self._running = True
        self.turn()  # the first thing told is that the source is being opened, however fast that goes
        for worker in self.workers:
            worker.start()
        acquire = self.workers[0]
        while not acquire.wait_alive(TICK_S) and not stop.is_set():
            health = self.turn()  # a camera may take seconds to be found: meanwhile its state is told
            if health.hung is not None or health.failed is not None:
                break
        if isinstance(acquire.failed, UserError):
            raise acquire.failed
        if self.failed or self._health.hung is not None:
            return
        # what is loaded now lives as long as the process: a full collection would walk over all of it, 20 ms and more
        gc.collect()
        gc.freeze()
        self._started = True

    def inspect_with(self, loaded: Loaded, engine: Engine, criteria: Criteria) -> None:
        """From the next frame on: another model, other criteria, and records that say so. The engine must be warm."""
        identity = self._identity(loaded, self.source, engine, criteria)
        self.recipes.put(Recipe(engine, criteria, Wire(identity)))
        for output in self.outputs:
            output.made_by(identity, partial(archive, loaded, identity))
        self.identity = identity
        self._book.engine = self.recipes.current.told

    def turn(self) -> StageHealth:
        """One look at everything: state to the outputs if it changed, a heartbeat when one is due."""
        if self.ring.fill == 0:  # no frame is on its way: whatever came before the recipe in force is out of use
            self.recipes.judge(self.recipes.current)
        self.recipes.close_retired()
        frozen_s, self._looked_s = self._frozen_s(), time.monotonic()
        for worker in self.workers:
            worker.excuse(frozen_s)
        self._health = examine(self.workers, self._limit_s)
        statuses = self.output_statuses()
        state = self._book.update(
            self.source.status(),
            statuses,
            self._health,
            started=self._started,
            stopping=self._stopping,
            extra_faults=self._sum_fault() | self._stage_faults() | self._map_fault() | self.fault,
        )
        if state is not None:
            for output in self.outputs:
                output.state(state)
        now = time.monotonic()
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + HEARTBEAT_S
            beat = self.heartbeat()
            for output in self.outputs:
                output.tick(beat)
        return self._health

    @property
    def started(self) -> bool:
        """The source was opened."""
        return self._started

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is wrong now, as ``state`` told it last."""
        return self._book.faults

    @property
    def worn_out(self) -> bool:
        """The camera is gone after as many reconnections as the config allows: the best moment for a new process."""
        source, limit = self.source.status(), self.config.source.reconnect_limit
        return limit is not None and source.state in ("lost", "backoff") and source.counters.get("reconnects", 0) >= limit

    @property
    def failed(self) -> bool:
        """A stage was given up."""
        return any(worker.failed is not None for worker in self.workers)

    @property
    def over(self) -> bool:
        """The source ended and everything it gave is in records."""
        return all(w.done for w in self.workers)

    def stop(self) -> bool:
        """Stop the source, inspect what is in the ring, close the outputs. False when a stage hangs."""
        self._stopping = True
        if not self._started and self.source.status().announced == 0:  # the reason is told by who raised it
            return self._undo_start()
        self.turn()
        self._drain()
        well = not any(self._hangs(worker) for worker in self.workers)
        self._next_heartbeat = 0.0  # the last one names the last record
        self._drained = True
        self.turn()
        self._close_outputs()
        status = self.source.status()
        log.info(
            "stopped",
            announced=status.announced,
            accounted=self.tally.accounted,
            verdicts=self.verdicts,
            skipped=self.tally.skipped_frames,
            drained=well and self.workers[2].done,
            **self._sum_fault(),  # once more: a call of the source's may have come back meanwhile
        )
        return well

    def _drain(self) -> None:
        """Every frame that was read into a record, as far as the judge still writes them.

        A stage that hangs is not waited for, and one in the middle of a long call not for long: what the infer stage holds
        is then told as lost, and so is all that waits. The infer stage has its end only when the source has none to give,
        or no time: a frame of its last call is told, too.
        """
        acquire, infer, judge = self.workers
        acquire.stop()
        self._wait_for_maps(DRAIN_S)
        if not (acquire.done and infer.done):
            self.ring.abandon()
            self._wait_for_maps(LAST_S)
        self.ring.close()
        end = time.monotonic() + LAST_S
        if not acquire.done and not self._hangs(infer):
            infer.join(LAST_S / 2)  # it waited for the source, and hears only now that nothing comes
        if not infer.done or infer.failed is not None:
            tell_losses(self._passage, self.ring, self._maps, lambda: not judge.done and time.monotonic() < end)
        judge.join(end - time.monotonic())

    def _wait_for_maps(self, seconds: float) -> None:
        """Until the source has given its last frame and the infer stage has passed it on; for none that hangs."""
        acquire, infer, judge = self.workers
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            read = acquire.done or self._hangs(acquire)
            if read:
                self.ring.close()
            inferred = infer.done or self._hangs(infer) or self._hangs(judge)
            if read and inferred:
                return
            (acquire if inferred else infer).join(min(TICK_S, left))

    def _frozen_s(self) -> float:
        """How long the one who looks at the workers has been kept from it."""
        return max(0.0, time.monotonic() - self._looked_s - LOOK_S)

    def _hangs(self, worker: Worker) -> bool:
        return worker.age_s() > self._limit_s

    def _undo_start(self) -> bool:
        for worker in self.workers if self._running else ():
            worker.stop()
        self.ring.close()
        ended = all(worker.join(1.0) for worker in self.workers) if self._running else True
        self._close_outputs()
        return ended

    def _close_outputs(self) -> None:
        """One after the other, in an order that they rely on; live, one that hangs leaves the next ones less time."""
        end = time.monotonic() + CLOSE_ALL_S
        for output in self.outputs:
            left = min(max(end - time.monotonic(), CLOSE_LEAST_S), CLOSE_S)
            output.close(left if self.ring.drops else CLOSE_REPLAY_S)

    @property
    def verdicts(self) -> dict[str, int]:
        """As they were published: a log that must have every record has made some ``invalid`` after they were judged."""
        verdicts = dict(self.tally.verdicts)
        for status in self.output_statuses().values():
            for verdict in ("pass", "fail"):
                count = status.counters.get(f"overruled_{verdict}", 0)
                verdicts[verdict] -= count
                verdicts["invalid"] += count
        return verdicts

    def output_statuses(self) -> dict[str, OutputStatus]:
        return {output.name: output.status() for output in self.outputs}

    def heartbeat(self) -> Heartbeat:
        tally = self.tally
        counters = {**self.verdicts, **{f"skipped_{k}": v for k, v in tally.skipped_frames.items()}}
        counters |= {f"source_{k}": v for k, v in self.source.status().counters.items()}
        counters["sum_checks"] = tally.sum_checks
        counters["output_lost"] = sum(o.status().lost for o in self.outputs)
        return Heartbeat(tally.last_seq, counters, self.ring.fill, round(self._health.progress_age_s * 1e3, 1))

    def snapshot(self) -> LineSnapshot:
        """For /live, /ready and /metrics; from any thread."""
        health = examine(self.workers, self._limit_s, self._frozen_s())
        source = self.source.status()
        live = health.hung is None and health.failed is None
        streams = source.state in ("streaming", "waiting_for_trigger") and source.problem is None
        ready = live and self._started and not self._stopping and streams
        trouble = health.hung or (health.failed and health.failed[0])
        detail = source.problem or source.detail
        text = f"{source.state}{': ' + detail if detail else ''}" if live else f"stage {trouble} is not well"
        return LineSnapshot(
            self.config.camera,
            live,
            ready,
            text,
            source,
            self.output_statuses(),
            health.progress_age_s,
            {w.name: w.restarted for w in self.workers},
            tuple(fault.code for fault in self.faults),
        )

    def _identity(self, loaded: Loaded, source: Source, engine: Engine, criteria: Criteria) -> RunIdentity:
        return RunIdentity(
            instance_id=self._instance_id,
            camera=loaded.config.camera,
            recipe_id=loaded.config.recipe_id,
            simulated=source.simulated,
            config_sha256=loaded.sha256,
            model_name=engine.bundle.spec.name,
            model_sha256=engine.bundle.sha256,
            calibration_sha256=criteria.calibration_sha256,
        )

    def _sum_fault(self) -> dict[str, str]:
        """The sum rule as the judge finds it about once a second, and once more when all is told."""
        if self.over or self._drained:
            self.tally.check(self.source.status().announced)
        text = self.tally.sum_fault
        return {} if text is None else {"sum_rule": text}

    def _map_fault(self) -> dict[str, str]:
        """A model that gave a map with NaN or infinity, until finite ones have come for a while."""
        text = self.tally.map_trouble()
        return {} if text is None else {"map_not_finite": text}

    def _stage_faults(self) -> dict[str, str]:
        """Stages that were restarted a short while ago."""
        told = ((worker.name, worker.trouble()) for worker in self.workers)
        return {f"stage_{name}": f"raised and was restarted: {text}" for name, text in told if text is not None}
