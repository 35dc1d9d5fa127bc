"""On SIGHUP the config is read again, its model loaded and warmed beside the old one, and both exchanged between two
frames.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from edge.config.line import Config
from edge.config.load import Loaded, load_config
from edge.engines.protocol import Engine
from edge.errors import UserError, text_of
from edge.line.drift_watch import DriftWatch
from edge.line.line import Line
from edge.regions.criteria import Criteria
from edge.service.free_memory import give_back_memory
from edge.service.runtime_folder import ReloadReport

log = structlog.get_logger()

RELOADED = ("recipe_id", "deadline_ms", "model", "calibration", "regions", "score", "drift")
"""Keys that take effect at once; any other needs a restart."""
FAULT = "reload_refused"
SLOW = "reload_slow"
SLOW_S = 120.0
"""Time in s after which a load is a fault, for as long as it takes: no other reload begins before it ends."""

TIDY_S = 2.0
"""Time in s after a reload in which the last frames leave the old model, before its memory is given back."""

OpenModel = Callable[[Loaded], tuple[Engine, Criteria, DriftWatch | None]]
TryModel = Callable[[Loaded], object]
Report = Callable[[ReloadReport], object]


class Reloader:
    """A signal handler calls ``ask``, and the supervisor ``turn``, which never waits for a model to load."""

    def __init__(self, loaded: Loaded, open_model: OpenModel, try_model: TryModel | None = None) -> None:
        """Take ``try_model``, which is called first, and raises if the model must not be opened in this process."""
        self._try_model = try_model
        self._loaded = loaded
        self._open_model = open_model
        self._asked = False
        self._thread: threading.Thread | None = None
        self._result: tuple[Loaded, Engine, Criteria, DriftWatch | None] | str | None = None
        self._number = 0
        self._began_ns = 0
        self._tidy_at: float | None = None
        self._tried: str | None = None
        self.report: Report = lambda _: None
        """Called when a reload is over. May raise OSError."""

    def ask(self) -> None:
        """Ask for a reload. Safe in a signal handler: an event's lock may be held by the very thread that the signal
        interrupts.
        """
        self._asked = True

    def turn(self, line: Line) -> None:
        """Begin what was asked for and exchange the recipe when it is ready. A failure is a fault; the old one runs on."""
        if self._tidy_at is not None and time.monotonic() >= self._tidy_at:
            self._tidy_at = None
            give_back_memory()
        if self._thread is not None:
            if not self._thread.is_alive():
                self._thread = None
                line.fault.pop(SLOW, None)
                self._finish(line)
            elif time.monotonic_ns() - self._began_ns > SLOW_S * 1e9:
                line.fault[SLOW] = (
                    f"a reload has been loading for more than {SLOW_S:g} s; until it ends no other one begins"
                )
        elif self._asked:
            self._asked = False
            log.info("reload", path=str(self._loaded.path))
            self._began_ns, self._tried = time.monotonic_ns(), None
            self._thread = threading.Thread(target=self._load, name="reload", daemon=True)
            self._thread.start()

    def _load(self) -> None:
        try:
            loaded = load_config(self._loaded.path, self._loaded.overrides)
            self._tried = loaded.sha256
            changed = needs_restart(self._loaded.config, loaded.config)
            if changed:
                raise UserError(
                    f"{', '.join(changed)}: changed, and needs a restart", fix="restart the service, or undo it"
                )
            if self._try_model is not None:
                self._try_model(loaded)
            self._result = (loaded, *self._open_model(loaded))
        except Exception as error:  # noqa: BLE001  (whatever a model's runtime raises: the old one goes on)
            self._result = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"

    def _finish(self, line: Line) -> None:
        result, self._result = self._result, None
        if isinstance(result, tuple):
            self._loaded, engine, criteria, _ = result
            line.inspect_with(*result)
            line.fault.pop(FAULT, None)
            log.info("reloaded", bundle=engine.bundle.spec.name, high=criteria.high, config_sha256=self._loaded.sha256)
        else:
            text = result or "the load ended without a result"
            if line.fault.get(FAULT) == text:  # a fault is logged when it begins and when its text changes
                log.warning("reload_refused_again", text=text)
            line.fault[FAULT] = text
        self._number += 1
        self._tidy_at = time.monotonic() + TIDY_S
        refused = line.fault.get(FAULT)
        try:
            self.report(ReloadReport(self._number, self._began_ns, self._tried, self._loaded.sha256, refused))
        except OSError as error:  # a full disk, say: no reason to stop inspecting
            log.warning("reload_not_reported", error=text_of(error))


def needs_restart(old: Config, new: Config) -> list[str]:
    """Return the top-level keys that differ and can't be changed while the line runs."""
    return [name for name in Config.model_fields if name not in RELOADED and getattr(old, name) != getattr(new, name)]
