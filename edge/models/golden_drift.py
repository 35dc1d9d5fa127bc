"""Known good frames of today are compared with those of the calibration: is the world before the camera the same?"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.drift.baseline import Baseline
from edge.drift.meter import Meter
from edge.drift.named import Named
from edge.drift.signatures import Library
from edge.drift.statistics import NAMES
from edge.frames import Frame

LEAST_FRAMES = 3
"""Fewer frames say nothing about a day."""


@dataclass(frozen=True, slots=True)
class GoldenDrift:
    """How the frames differ. ``causes`` is empty if all statistics lie within ``limit``; ``z`` is the largest of them,
    in widened deviations of the reference's blocks of as many frames, and ``statistic`` its name.
    """

    frames: int
    causes: tuple[Named, ...]
    statistic: str
    z: float
    limit: float

    @property
    def text(self) -> str:
        """Say it in a sentence."""
        usual = f"{self.statistic} {abs(self.z):.1f} deviations away, {self.limit:g} are the limit"
        if not self.causes:
            return f"today's {self.frames} good frames look like the calibration's ({usual})"
        words = ", and ".join(cause.words for cause in self.causes)
        return f"today's {self.frames} good frames are not like the calibration's: {words} ({usual})"


@dataclass(slots=True)
class GoldenMeter:
    """Measures good frames as they come; frames of another size are passed over."""

    baseline: Baseline
    limit: float
    values: list[NDArray[np.float64]] = field(default_factory=list)
    _meter: Meter | None = None

    def __call__(self, frame: Frame) -> None:
        size = frame.pixels.shape[1], frame.pixels.shape[0]
        if size == self.baseline.template.size:
            self._meter = self._meter or Meter(self.baseline.template)
            self.values.append(self._meter.measure(frame.pixels, frame.bits))

    def compared(self) -> GoldenDrift | None:
        """Compare the median of the frames with blocks of as many of the reference; None for fewer than three frames."""
        count = len(self.values)
        if count < LEAST_FRAMES:
            return None
        longest = max(len(part) for part in self.baseline.series)
        reference = self.baseline.reference(max(LEAST_FRAMES, min(count, longest // 4)))
        middle = np.median(np.array(self.values), axis=0)
        z = reference.block_z(middle)
        worst = int(np.argmax(np.abs(z)))
        far = abs(float(z[worst])) > self.limit
        library = Library(self.baseline.signatures, reference.jitter)
        causes = library.name(reference.frame_z(middle)) if far else ()
        return GoldenDrift(count, causes, NAMES[worst], float(z[worst]), self.limit)
