"""One camera's line is wired here: source, ring, engine, judge and outputs under three workers. Live and replay share
it.
"""

from __future__ import annotations

import gc
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from functools import partial

import structlog

from edge.config.load import Loaded
from edge.engines.protocol import Engine
from edge.errors import UserError
from edge.frames import Fault, Heartbeat, RunIdentity
from edge.line.drain import close_outputs, drain, undo_start
from edge.line.drift_watch import DriftWatch, WatchStatus
from edge.line.in_flight import OneKind
from edge.line.judging import Desk
from edge.line.passage import Handoff, Maps, Passage
from edge.line.recent import Recent
from edge.line.recipe import Recipe, Recipes
from edge.line.ring import Ring
from edge.line.snapshot import LineSnapshot, heartbeat, published_verdicts, snapshot
from edge.line.stages import acquire_loop, infer_loop, judge_loop
from edge.line.state import StateBook
from edge.line.stop_sign import StopSign
from edge.line.supervise import LOOK_S, TICK_S, StageHealth, Worker, examine
from edge.line.tally import Tally
from edge.outputs.protocol import Output, OutputStatus
from edge.regions.criteria import Criteria
from edge.sources.protocol import Source
from edge.sources.recorded import is_evidence, of_one_camera
from edge.storage.archive import archive
from edge.wire.encode import Wire

log = structlog.get_logger()

HEARTBEAT_S = 0.5
NOBODY_WAITS = 24
"""How much longer than ``supervise.limit_s`` a call may take where frames wait for it: recorded pictures may have a billion
pixels, and no part leaves the station meanwhile."""


class Phase(Enum):
    """A phase says how far a line has come."""

    OPENING = "opening"
    """Lasts until the source is open; it also holds before ``start``."""
    RUNNING = "running"
    STOPPING = "stopping"
    DRAINED = "drained"
    """Every frame is in a record, as far as the stages still answered."""


class Line:
    """A line holds everything between a source and its outputs. ``start``, ``turn`` every 0.1 s until it is over, then
    ``stop``.
    """

    def __init__(
        self,
        loaded: Loaded,
        source: Source,
        engine: Engine,
        criteria: Criteria,
        make_outputs: Callable[[RunIdentity], Sequence[Output]],
        *,
        drops: bool,
        waits: bool = False,
        watch: DriftWatch | None = None,
    ) -> None:
        """Wire the line. ``drops`` is the ring's. With ``waits`` the line waits for what the source needs and isn't there
        yet, instead of failing. ``watch`` is what ``open_watch`` gives for the config.
        """
        config = loaded.config
        self._instance_id = uuid.uuid4().hex
        self.identity = self._identity(loaded, source, engine, criteria)
        self.config = config
        self.source = source
        self.tally = Tally()
        self.ring = Ring(config.ring.slots + engine.in_hand - 1, drops=drops)
        self._measures = not is_evidence(source)
        self.recipes = Recipes(self._recipe(loaded, self.identity, engine, criteria, watch))
        self.outputs = list(make_outputs(self.identity))
        self._limit_s = config.supervise.limit_s * engine.batch * (1 if drops else NOBODY_WAITS)
        maps: Maps = Handoff()
        self._maps = maps
        self._passage = Passage(self.ring, maps)
        levels = config.source.levels
        one_kind = OneKind() if of_one_camera(source) else None
        worker = partial(Worker, restarts=config.supervise.restarts)
        self.workers = [
            worker(
                "acquire",
                partial(acquire_loop, source, self.ring),
                busy_until_ns=lambda: source.status().busy_until_ns,
                waits=waits,
            ),
            worker("infer", partial(infer_loop, self._passage, self.recipes, levels, one_kind)),
            worker("judge", partial(judge_loop, maps, Desk(self.ring, self.recipes, self.outputs, self.tally))),
        ]
        self._recent = Recent()
        self._book = StateBook(self.recipes.current.summary)
        self.fault: dict[str, str] = {}
        """Faults, by code, that others than the stages and outputs report."""
        self._health = StageHealth(0.0, None, None)
        self.phase = Phase.OPENING
        self.started = False
        """True once the source was opened."""
        self._next_heartbeat = 0.0
        self._looked_s = time.monotonic()

    def start(self, stop: StopSign) -> None:
        """Open outputs and start the stages; return when the source is open, or ``stop`` is set.

        It also returns when a stage failed or hangs, which ``run_line`` then reports; ``started`` says whether the line
        runs.

        Raises:
            UserError: an output or the source can't be opened for a reason that a person must mend.
        """
        for output in self.outputs:
            output.start()
        self.turn()  # the first thing reported is that the source is being opened, however fast that goes
        for worker in self.workers:
            worker.start()
        acquire = self.workers[0]
        while not acquire.wait_alive(TICK_S) and not stop.is_set():
            health = self.turn()  # a camera may take seconds to be found: meanwhile its state is reported
            if health.hung is not None or health.failed is not None:
                break
        if isinstance(acquire.failed, UserError):
            raise acquire.failed
        if self.failed or self._health.hung is not None:
            return
        # what is loaded now lives as long as the process: a full collection would walk over all of it, 20 ms and more
        gc.collect()
        gc.freeze()
        self.started = True
        self.phase = Phase.RUNNING

    def inspect_with(self, loaded: Loaded, engine: Engine, criteria: Criteria, watch: DriftWatch | None = None) -> None:
        """Inspect with another recipe from the next frame on, and name it in records. Its engine must be warm.

        Where ``watch`` would compare with the same reference in the same way, the one at work goes on: a reload ends no
        lock.
        """
        identity = self._identity(loaded, self.source, engine, criteria)
        before = self.recipes.current.watch
        if watch is not None and before is not None and before.key == watch.key:
            watch = before
        self.recipes.put(self._recipe(loaded, identity, engine, criteria, watch))
        for output in self.outputs:
            output.made_by(identity, partial(archive, loaded.texts, identity))
        self.identity = identity
        self._book.engine = self.recipes.current.summary

    def turn(self) -> StageHealth:
        """Look at everything once: publish the state if it changed, and a heartbeat when one is due."""
        if self.ring.fill == 0:  # no frame is on its way: whatever came before the recipe in force is out of use
            self.recipes.judge(self.recipes.current)
        self.recipes.close_retired()
        frozen_s, self._looked_s = self._frozen_s(), time.monotonic()
        for worker in self.workers:
            worker.excuse(frozen_s)
        self._health = examine(self.workers, self._limit_s)
        statuses, watch = self.output_statuses(), self.recipes.current.watch
        self._recent.look(self.tally, published_verdicts(self.tally, statuses), self._looked_s)
        state = self._book.update(
            self.source.status(),
            statuses,
            self._health,
            started=self.started,
            stopping=self.phase in (Phase.STOPPING, Phase.DRAINED),
            extra_faults=self._line_faults() | self.fault,
            drift=None if watch is None else watch.in_state,
            drift_block=None if watch is None else watch.block,
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
    def faults(self) -> tuple[Fault, ...]:
        """Return what is wrong now, as the last ``state`` had it."""
        return self._book.faults

    @property
    def worn_out(self) -> bool:
        """Return True if the camera is gone after as many reconnections as the config allows: the best moment for a new
        process.
        """
        source, limit = self.source.status(), self.config.source.reconnect_limit
        return limit is not None and source.state in ("lost", "backoff") and source.counters.get("reconnects", 0) >= limit

    @property
    def failed(self) -> bool:
        """Return True if a stage was given up."""
        return any(worker.failed is not None for worker in self.workers)

    @property
    def over(self) -> bool:
        """Return True if the source ended and everything it gave is in records."""
        return all(w.done for w in self.workers)

    def stop(self) -> bool:
        """Stop the source, inspect what is in the ring, close the outputs. Return False if a stage hangs."""
        self.phase = Phase.STOPPING
        if not self.started and self.source.status().announced == 0:  # whoever raised it gives the reason
            ended = undo_start(self.workers, self.ring)
            close_outputs(self.outputs, live=self.ring.drops)
            return ended
        self.turn()
        drain(self.workers, self._passage, self.ring, self._maps, self._limit_s)
        well = not any(worker.age_s() > self._limit_s for worker in self.workers)
        self._next_heartbeat = 0.0  # the last one names the last record
        self.phase = Phase.DRAINED
        self.turn()
        close_outputs(self.outputs, live=self.ring.drops)
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

    def _frozen_s(self) -> float:
        """Return how long, in s, the thread that looks at the workers has been kept from it."""
        return max(0.0, time.monotonic() - self._looked_s - LOOK_S)

    @property
    def verdicts(self) -> dict[str, int]:
        """Return counts of verdicts as they were published."""
        return published_verdicts(self.tally, self.output_statuses())

    def output_statuses(self) -> dict[str, OutputStatus]:
        return {output.name: output.status() for output in self.outputs}

    def heartbeat(self) -> Heartbeat:
        """Count everything once, and what came in the last minutes."""
        drift, statuses = self._drift(), self.output_statuses()
        beat = heartbeat(self.tally, self.ring, self.source.status(), statuses, self._health, drift)
        return replace(beat, counters={**beat.counters, **self._recent.counters()})

    def snapshot(self) -> LineSnapshot:
        """Return one look at the line for /live, /ready and /metrics; any thread may call this."""
        return snapshot(
            self.config.camera,
            examine(self.workers, self._limit_s, self._frozen_s()),
            self.source.status(),
            self.output_statuses(),
            running=self.phase is Phase.RUNNING,
            restarts={worker.name: worker.restarted for worker in self.workers},
            faults=tuple(fault.code for fault in self.faults),
            drift=self._drift(),
        )

    def _recipe(
        self,
        loaded: Loaded,
        identity: RunIdentity,
        engine: Engine,
        criteria: Criteria,
        watch: DriftWatch | None,
    ) -> Recipe:
        drift = loaded.config.drift
        wire = Wire(identity, tells_drift=drift is not None and drift.in_records)
        if watch is not None:
            watch.measures = self._measures
        return Recipe(engine, criteria, wire, watch)

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

    def _line_faults(self) -> dict[str, str]:
        return self._sum_fault() | self._stage_faults() | self._map_fault() | self._drift_faults() | self._recent.faults()

    def _sum_fault(self) -> dict[str, str]:
        """Return the fault of the sum rule, which the judge checks about once a second, and once more when every frame is
        in a record.
        """
        if self.over or self.phase is Phase.DRAINED:
            self.tally.check(self.source.status().announced)
        text = self.tally.sum_fault
        return {} if text is None else {"sum_rule": text}

    def _map_fault(self) -> dict[str, str]:
        """Return the fault of a model that gave a map with NaN or infinity, until finite ones have come for a while."""
        text = self.tally.map_trouble()
        return {} if text is None else {"map_not_finite": text}

    def _drift(self) -> WatchStatus | None:
        watch = self.recipes.current.watch
        return None if watch is None else watch.status()

    def _drift_faults(self) -> dict[str, str]:
        """Return the faults of a picture that can't be judged: its frames are invalid. Any other drift is no fault."""
        watch = self.recipes.current.watch
        return {} if watch is None else watch.faults()

    def _stage_faults(self) -> dict[str, str]:
        """Return the faults of stages that were restarted a short while ago, and what the source waits for."""
        troubles = ((worker.name, worker.trouble()) for worker in self.workers)
        faults = {f"stage_{name}": f"raised and was restarted: {text}" for name, text in troubles if text is not None}
        waits_for = self.workers[0].waits_for
        return faults if waits_for is None else faults | {"source_missing": waits_for}
