"""The section ``drift:`` makes the line notice that the world before the camera changed, and say what changed.

What is usual was measured by ``edge calibrate --drift`` and stands in the calibration file.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field

from edge.config.regions import RoiConfig
from edge.config.yaml_reader import Section

LockCause: TypeAlias = Literal["clipped", "out_of_focus", "out_of_place"]
"""Breaches of validity: with any of them a verdict means nothing, whatever the map shows."""
LOCK_CAUSES: Final[tuple[LockCause, ...]] = ("clipped", "out_of_focus", "out_of_place")


class DriftConfig(Section):
    """Every ``every``-th frame is measured, ``block`` of those make a block, and blocks are compared with the reference of
    the calibration file.
    """

    every: Annotated[int, Field(ge=1, le=1000)] = 5
    """Number of frames to each one that is measured: 5 measures every fifth. Measuring one takes about 5 ms of the judge's
    thread, which waits for the model most of the time."""
    block: Annotated[int, Field(ge=10, le=1000)] = 50
    """Number of measured frames to a block. A cause is named once for each block."""
    persist: Annotated[int, Field(ge=1, le=100)] = 3
    """Number of blocks in a row that must lie beyond ``limit`` before it is a warning."""
    limit: Annotated[float, Field(ge=2, le=100)] = 5.0
    """How far a block may lie from the reference, in deviations of the reference's own blocks, widened where the reference
    is short."""
    region: RoiConfig | None = None
    """Part of the frame that is measured, as in ``regions.roi``; for a place that looks the same on every part. null: the
    ROI."""
    lock: tuple[LockCause, ...] = LOCK_CAUSES
    """Causes that make every frame ``invalid: drift_CAUSE`` from the next block on, until a block is well again: no picture
    that is overexposed, out of focus or of a part out of place can be judged. Empty: none; the cause is then reported
    only."""
    in_records: bool = False
    """Whether each record has the object ``drift`` while there is one. Otherwise `state`, /metrics and the log have it."""
