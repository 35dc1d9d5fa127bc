"""A baseline is all that ``edge calibrate --drift`` learned of a line, and what it is valid for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.drift.ladder import PlaceLimits
from edge.drift.monitor import DriftMonitor
from edge.drift.named import BREACHES, Breach
from edge.drift.reference import BLOCK, Reference, make_reference
from edge.drift.signatures import Library, Signatures
from edge.drift.template import Template
from edge.errors import UserError


@dataclass(frozen=True, slots=True)
class BaselineKey:
    """A line with another model, recipe, region or frame size needs another baseline.

    ``region_sha256``: of the part of the frame that is measured, ``drift.region`` or else ``regions.roi``.
    """

    model_sha256: str
    recipe_id: str | None
    size: tuple[int, int]
    region_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Baseline:
    """``series``: the statistics (n, 19) of each recording's measured frames, in order: blocks of any length are made of
    them.
    """

    key: BaselineKey
    template: Template
    places: PlaceLimits
    series: tuple[NDArray[np.float32], ...]
    signatures: Signatures

    def reference(self, block: int = BLOCK) -> Reference:
        """What is usual for blocks of this many measured frames.

        Raises:
            UserError: too few frames for blocks of this length.
        """
        return make_reference([part.astype(np.float64) for part in self.series], block=block)

    def monitor(
        self,
        *,
        every: int = 5,
        block: int = BLOCK,
        persist: int = 3,
        limit: float = 5.0,
        lock: Collection[Breach] = BREACHES,
    ) -> DriftMonitor:
        """A monitor with these settings, which are those of the config's section ``drift``. UserError as ``reference``."""
        reference = self.reference(block)
        library = Library(self.signatures, reference.jitter)
        return DriftMonitor(reference, library, self.places, every=every, persist=persist, limit=limit, lock=lock)


def check_baseline(key: BaselineKey, now: BaselineKey, where: str) -> None:
    """Refuse a baseline of another model, recipe or size.

    Raises:
        UserError: names what differs, with both values.
    """
    rows = (  # name, what the baseline was made for, what the line has
        ("model", f"SHA-256 {key.model_sha256[:12]}...", f"SHA-256 {now.model_sha256[:12]}..."),
        ("recipe_id", key.recipe_id or "none", now.recipe_id or "none"),
        ("drift.region or regions.roi", f"SHA-256 {key.region_sha256[:12]}...", f"SHA-256 {now.region_sha256[:12]}..."),
        ("frame size", f"{key.size[0]}x{key.size[1]}", f"{now.size[0]}x{now.size[1]}"),
    )
    differing = [row for row in rows if row[1] != row[2]]
    if differing:
        raise UserError(
            f"{where}: the drift reference was made with another {', '.join(name for name, _, _ in differing)}",
            received="; ".join(f"{name}: {now_has}" for name, _, now_has in differing),
            expected="; ".join(f"{name}: {made_for}" for name, made_for, _ in differing),
            fix="run edge calibrate --drift again, or undo the change",
        )
