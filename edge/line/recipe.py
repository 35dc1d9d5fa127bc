"""What frames are inspected with, and its swap between two frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge.engines import Engine
from edge.regions.criteria import Rules
from edge.wire.encode import Wire


@dataclass(frozen=True, slots=True)
class Setup:
    """Model, rules and the identity that records carry: one config's worth. A frame keeps the one it began with."""

    engine: Engine
    rules: Rules
    wire: Wire

    @property
    def told(self) -> dict[str, Any]:
        """What ``state`` tells of model and thresholds."""
        engine, rules = self.engine, self.rules
        return {
            "name": engine.name,
            "precision": engine.precision,
            "why": engine.why,
            "bundle": engine.bundle.spec.name,
            "threshold": "explicit" if rules.calibration_sha256 is None else "calibrated",
            "calibration_overridden": rules.overridden,
        }


class Swap:
    """The setup in force: ``put`` by the supervisor, read before each frame by the infer stage, followed by the judge.

    An older engine may be freed only once the judge is past the last map that it made.
    """

    def __init__(self, setup: Setup) -> None:
        self.current = setup
        self.judging = setup
        """Of the frame that the judge saw last: what the records of losses carry."""
        self._open = [setup]

    def put(self, setup: Setup) -> None:
        """From the next frame on."""
        self._open.append(setup)
        self.current = setup

    def judge(self, setup: Setup) -> None:
        """The judge has a frame that was inspected with ``setup``."""
        self.judging = setup

    def close_retired(self) -> None:
        """Free the models that no frame will use again. For the thread that puts."""
        while self._open[0] is not self.judging:
            self._open.pop(0).engine.close()

    def close(self) -> None:
        """Free every model, when the stages have ended."""
        for setup in self._open:
            setup.engine.close()
