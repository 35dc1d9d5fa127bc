"""How often each picture is drawn (pure): groups by their shares, and within a group every kind alike, however rare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

GROUPS: Final = {"good": 0.4, "synthetic": 0.35, "labelled": 0.2, "false_positive": 0.05}
"""Share of an epoch's pictures that each group gets, of the groups that there are."""
STRONGEST_OF: Final = 3
"""Synthetic defects of which a curriculum takes the strongest at its beginning."""


class Grouped(Protocol):
    """A picture with its group and kind."""

    @property
    def group(self) -> str: ...

    @property
    def kind(self) -> str: ...


def chances(samples: Sequence[Grouped]) -> NDArray[np.float64]:
    """Return the chance of each picture to be drawn; they sum up to 1."""
    kinds: dict[str, dict[str, int]] = {}
    for sample in samples:
        of = kinds.setdefault(sample.group, {})
        of[sample.kind] = of.get(sample.kind, 0) + 1
    made = [GROUPS[s.group] / len(kinds[s.group]) / kinds[s.group][s.kind] for s in samples]
    return np.array(made) / sum(made)
