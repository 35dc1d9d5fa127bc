"""Coarse histograms of each part's pixels, which the pixel metrics' bootstrap draws from, in bounded memory (pure)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.models.evaluate.ranking import Floats

MOST_PARTS: Final = 1000
"""Parts that have a histogram of their own; of more parts those whose names hash alike share one."""
GROUPS: Final = 500
"""Histograms that they share: a bootstrap over 500 groups of parts is as wide as one over the parts to about 3 %."""


@dataclass(slots=True)
class PartHistogram:
    """One part's pixels over wide bins. ``numbers``: (k,) ascending bin numbers. ``counts``: (3, k) good, defective, and
    defective pixels weighted by 1 / area of their region.
    """

    numbers: NDArray[np.int32]
    counts: Floats

    def with_more(self, other: PartHistogram) -> PartHistogram:
        numbers, place = np.unique(np.concatenate((self.numbers, other.numbers)), return_inverse=True)
        counts = np.concatenate((self.counts, other.counts), axis=1)
        summed = np.stack([np.bincount(place, weights=row, minlength=len(numbers)).astype(np.float64) for row in counts])
        return PartHistogram(numbers, summed)


@dataclass(slots=True)
class PartHistograms:
    """A histogram for each part, about 5 KB each; from 1,001 parts on 500 that they share, whatever comes."""

    by_name: dict[str, PartHistogram] = field(default_factory=dict)
    grouped: bool = False

    def add(self, part: str, more: PartHistogram) -> None:
        """Count more pixels of a part."""
        name = group_of(part) if self.grouped else part
        mine = self.by_name.get(name)
        self.by_name[name] = more if mine is None else mine.with_more(more)
        if not self.grouped and len(self.by_name) > MOST_PARTS:
            self._group()

    def merge(self, other: PartHistograms) -> None:
        """Add what another one counted."""
        if other.grouped and not self.grouped:
            self._group()
        for name, histogram in other.by_name.items():
            if other.grouped:
                mine = self.by_name.get(name)
                self.by_name[name] = histogram if mine is None else mine.with_more(histogram)
            else:
                self.add(name, histogram)

    def names_of(self, parts: Iterable[str]) -> set[str]:
        """The names under which these parts are counted."""
        return {group_of(part) if self.grouped else part for part in parts}

    def classes(self, defective: Mapping[str, bool]) -> tuple[list[str], list[list[int]]]:
        """Names in order, and the places of those with a defective part and of those without one, which are drawn apart."""
        names = sorted(self.by_name)
        bad = self.names_of(part for part, is_bad in defective.items() if is_bad)
        groups = [[i for i, name in enumerate(names) if (name in bad) is flag] for flag in (True, False)]
        return names, [group for group in groups if group]

    def stacked(self, names: list[str]) -> tuple[Floats, Floats, Floats]:
        """Good, defective and weighted counts, each (len(names), bins), bins ascending."""
        chosen = [self.by_name[name] for name in names]
        numbers = np.unique(np.concatenate([one.numbers for one in chosen]))
        table = np.zeros((3, len(chosen), len(numbers)))
        for row, one in enumerate(chosen):
            table[:, row, np.searchsorted(numbers, one.numbers)] = one.counts
        return table[0], table[1], table[2]

    def _group(self) -> None:
        mine, self.by_name, self.grouped = self.by_name, {}, True
        for part, histogram in mine.items():
            self.add(part, histogram)


def group_of(part: str) -> str:
    """The group that a part shares a histogram with, the same in every run."""
    return f"group {zlib.crc32(part.encode()) % GROUPS}"
