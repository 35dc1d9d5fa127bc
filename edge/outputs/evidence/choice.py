"""Verdicts decide, as they come, which frames become evidence."""

from __future__ import annotations

from edge.config.outputs import EvidenceConfig
from edge.frames import Frame, Inspection
from edge.outputs.evidence.novelty import Novelty


class Choice:
    """The choice is asked for every inspection, in order. ``losses`` is True if skips are wanted: their verdict is
    ``invalid``.
    """

    def __init__(self, config: EvidenceConfig) -> None:
        self._config = config
        self._passes = 0
        self._after = 0
        self._frames = 0
        self._novelty = Novelty(config.novel_limit) if "novel" in config.keep else None
        self.losses = "invalid" in config.keep

    def why(self, inspection: Inspection, frame: Frame) -> str | None:
        """Return ``fail``, ``invalid``, ``near_threshold``, ``pass``, ``novel``, ``sample``, ``pass_sample`` or
        ``after_fail``.

        None says that it is not wanted. ``sample`` doesn't depend on the verdict, so it stands where a frame is wanted for
        nothing else.
        """
        novel = self._novelty is not None and self._novelty.is_novel(frame.pixels, frame.bits)
        sample = "sample" in self._config.keep and self._frames % self._config.sample_every == 0
        self._frames += 1
        verdict = inspection.verdict
        after = self._after > 0
        self._after = self._config.after_fail if verdict == "fail" else max(self._after - 1, 0)
        sampled = False
        if verdict == "pass":
            sampled = self._config.pass_every is not None and self._passes % self._config.pass_every == 0
            self._passes += 1
            if "near_threshold" in self._config.keep and is_near(inspection, self._config.near_margin):
                return "near_threshold"
        if verdict in self._config.keep:
            return verdict
        if novel or sample:
            return "novel" if novel else "sample"
        return "pass_sample" if sampled else "after_fail" if after else None


def is_near(inspection: Inspection, margin: float) -> bool:
    """Return True if ``map_max`` is at least ``threshold - margin * |threshold|``: below, above or at it, but hardly a
    pass.
    """
    high = inspection.threshold
    return inspection.map_max is not None and inspection.map_max >= high - margin * abs(high)
