"""Pixel metrics over any number of maps in one pass and bounded memory: AUROC, average precision, AU-PRO.

Pixels are counted by value: exactly, until there are a million different values, and then by as many leading bits as keep
it at that, so that ties within a bin move AUROC and AP by less than 1e-6. AU-PRO needs no list of regions: a defect's
pixels carry the weight 1 / area, and their sum above a threshold is the sum of all regions' overlaps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.models.evaluate.intervals import Interval, draws, interval_of
from edge.models.evaluate.part_histograms import PartHistogram, PartHistograms
from edge.models.evaluate.ranking import Floats

_MOST = 1 << 20
"""Bins that are kept, with 32 bytes each; half as many values wait to be put into them."""
_FULL = 1e-3
"""Share of all pixels from which on a bin holds equal values: a map that is cut off at 1, a background of 0."""
_TINY = np.float32(2.0**-30)
_GAP = int(_TINY.view(np.int32))
_COARSE_BITS = 18
"""Bits that a part's own histogram drops: 32 bins for each power of two."""
PRO_LIMITS = (0.3, 0.05)
"""Largest false-positive rates of the two usual AU-PRO: MVTec AD, and MVTec AD 2."""


@dataclass(frozen=True, slots=True)
class PixelMetrics:
    """Metrics over all pixels; NaN if there is no defective pixel, or no good one.

    ``tie_bound``: by how much at most the bins' width can have moved ``auroc``.
    """

    auroc: float
    average_precision: float
    au_pro_30: float
    au_pro_05: float
    regions: int
    defective_pixels: int
    pixels: int
    tie_bound: float


@dataclass(slots=True)
class PixelCurves:
    """Good pixels, defective pixels, and defective pixels weighted by 1 / area of their region, counted by value.

    About 50 MB whatever is counted, and for moments three times that while what waits is sorted in. ``by_part``: coarse
    histograms for the intervals, at most 10 MB.
    """

    most: int = _MOST
    regions: int = 0
    by_part: PartHistograms = field(default_factory=PartHistograms)
    _dropped_bits: int = 0
    _waiting: list[PixelCounts] = field(default_factory=list)
    _entries: int = 0

    def add(
        self,
        values: NDArray[np.float32],
        mask: NDArray[np.bool_] | None,
        part: str,
        where: NDArray[np.bool_] | None = None,
    ) -> None:
        """Count one map, (h, w) float32 and finite; ``mask``: (h, w) True on defective pixels, None if there are none.

        ``part`` names what is drawn in the bootstrap. ``where``: (h, w) True on pixels that count, None: all do.
        """
        if mask is not None and mask.shape != values.shape:
            raise ValueError(f"a mask of {mask.shape} for a map of {values.shape}")
        keys = _ordered(np.ascontiguousarray(values, np.float32).ravel()) >> self._dropped_bits
        chosen = slice(None) if where is None else where.ravel()
        weight, count = None, 0
        if mask is not None and mask.any():
            named, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
            place = np.asarray(labels).ravel()[chosen]
            area = np.bincount(place, minlength=named).astype(np.float64)
            count = int(np.count_nonzero(area[1:]))
            area[0] = np.inf
            weight = 1 / area[place]
        keys = keys[chosen]
        if not len(keys):
            return
        counts = _counted(keys, weight)
        self.regions += count
        wide = counts.coarser(max(_COARSE_BITS - self._dropped_bits, 0))
        self.by_part.add(part, PartHistogram(wide.keys.astype(np.int32), np.stack((wide.good, wide.bad, wide.overlap))))
        self._put(counts)

    def merge(self, other: PixelCurves) -> None:
        """Add what another one counted; the order of merging changes the last digits."""
        theirs = other._settled()
        bits = max(self._dropped_bits, other._dropped_bits)
        if bits > self._dropped_bits:
            mine = self._settled().coarser(bits - self._dropped_bits)
            self._waiting, self._entries, self._dropped_bits = [mine], len(mine.keys), bits
        self.regions += other.regions
        self.by_part.merge(other.by_part)
        self._put(theirs.coarser(bits - other._dropped_bits))

    def settle(self) -> None:
        """Sum up what waits, so that as little as possible is kept or sent to another process."""
        self._settled()

    def metrics(self) -> PixelMetrics:
        """The metrics of everything that was counted."""
        counts = self._settled()
        good, bad, overlap = counts.from_the_top()
        total_good, total_bad = (float(a[-1]) if len(a) else 0.0 for a in (good, bad))
        both = total_good * total_bad
        shared = float(np.dot(counts.good, counts.bad)) if self._dropped_bits else 0.0
        bound = shared / 2 / both if both else math.nan
        return PixelMetrics(
            auroc=float(_auroc(good, bad)),
            average_precision=float(_average_precision(good, bad, spread=self._dropped_bits > 0)),
            au_pro_30=float(au_pro(good, overlap, PRO_LIMITS[0])),
            au_pro_05=float(au_pro(good, overlap, PRO_LIMITS[1])),
            regions=self.regions,
            defective_pixels=int(total_bad),
            pixels=int(total_good + total_bad),
            tie_bound=bound,
        )

    def pro_points(self, most: int = 400) -> tuple[Floats, Floats]:
        """False-positive rate and mean overlap along the PRO curve up to a rate of 0.3, thinned to ``most`` points."""
        good, _, overlap = self._settled().from_the_top()
        if not len(good) or not good[-1] or not self.regions:
            return np.zeros(0), np.zeros(0)
        rate = good / good[-1]
        upto = int(np.searchsorted(rate, PRO_LIMITS[0], side="right"))
        keep = np.unique(np.searchsorted(rate, np.linspace(0, PRO_LIMITS[0], most)).clip(0, max(upto - 1, 0)))
        return rate[keep], (overlap / self.regions)[keep]

    def intervals(self, defective: dict[str, bool], *, replicates: int = 500, seed: int = 0) -> dict[str, Interval]:
        """Bootstrap intervals over parts, from the parts' coarse histograms, moved by what coarseness changes.

        ``defective``: for each part whether it holds a defect; parts of both kinds are drawn apart.
        """
        names, groups = self.by_part.classes(defective)
        exact = self.metrics()
        result: dict[str, Interval] = {}
        if not names or math.isnan(exact.auroc):
            return dict.fromkeys(_NAMES, (math.nan, math.nan))
        good, bad, overlap = self.by_part.stacked(names)
        rng = np.random.default_rng(seed)
        counts = np.zeros((replicates, len(names)))
        for group in groups:
            counts[:, group] = draws(len(group), replicates, rng)
        bad_parts = sum(defective.values())
        fewest = min((n for n in (bad_parts, len(defective) - bad_parts) if n), default=0)
        one = np.ones((1, len(names)))
        sums = [np.vstack((one @ a, counts @ a))[:, ::-1].cumsum(axis=1) for a in (good, bad, overlap)]
        values = {
            "auroc": _auroc(sums[0], sums[1]),
            "average_precision": _average_precision(sums[0], sums[1]),
            "au_pro_30": au_pro(sums[0], sums[2], PRO_LIMITS[0]),
            "au_pro_05": au_pro(sums[0], sums[2], PRO_LIMITS[1]),
        }
        for name in _NAMES:
            moved = values[name][1:] + (getattr(exact, name) - values[name][0])
            low, high = interval_of(moved, fewest)
            result[name] = (min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0))
        return result

    def _put(self, counts: PixelCounts) -> None:
        self._waiting.append(counts)
        self._entries += len(counts.keys)
        if self._entries > 1.5 * self.most:
            self._settled()

    def _settled(self) -> PixelCounts:
        """All that waits, as one; with more bits dropped where it has too many different values."""
        together = _joined(self._waiting)
        if len(together.keys) > self.most:
            # from here on a map is counted into bins side by side, which is ten times as fast as sorting its values
            while together.keys[-1] - together.keys[0] >= self.most // 2:
                together = together.coarser(1)
                self._dropped_bits += 1
        self._waiting, self._entries = [together], len(together.keys)
        return together


@dataclass(frozen=True, slots=True)
class PixelCounts:
    """Ascending keys, and for each how many good and defective pixels it has, and the weight of the latter: (k,) each."""

    keys: NDArray[np.int64]
    good: Floats
    bad: Floats
    overlap: Floats

    def coarser(self, bits: int) -> PixelCounts:
        return self if not bits else _reduced(self.keys >> bits, self.good, self.bad, self.overlap)

    def from_the_top(self) -> tuple[Floats, Floats, Floats]:
        """Sums over all values at or above each, from the highest value down."""
        return np.cumsum(self.good[::-1]), np.cumsum(self.bad[::-1]), np.cumsum(self.overlap[::-1])


def _counted(keys: NDArray[np.int64], weight: Floats | None) -> PixelCounts:
    """One map's pixels by key. ``weight``: (n,) above 0 on defective pixels; None if there are none."""
    low = int(keys.min())
    width = int(keys.max()) - low + 1
    if width <= max(4 * len(keys), _MOST // 2):
        local = keys - low
        everything = np.bincount(local, minlength=width)
        filled = np.flatnonzero(everything)
        names = filled + low
        place = local
    else:
        names, place, everything = np.unique(keys, return_inverse=True, return_counts=True)
        width, filled = len(names), np.arange(len(names))
    total = everything[filled].astype(np.float64)
    if weight is None:
        nothing = np.zeros(len(names))
        return PixelCounts(names, total, nothing, nothing)
    bad, overlap = (np.bincount(place, weights=w, minlength=width)[filled] for w in (weight > 0, weight))
    return PixelCounts(names, total - bad, np.asarray(bad, np.float64), np.asarray(overlap, np.float64))


def _joined(parts: list[PixelCounts]) -> PixelCounts:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return PixelCounts(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0))
    keys = np.concatenate([p.keys for p in parts])
    order = np.argsort(keys, kind="stable")
    good, bad, overlap = (np.concatenate([getattr(p, n) for p in parts])[order] for n in ("good", "bad", "overlap"))
    return _reduced(keys[order], good, bad, overlap)


def _reduced(keys: NDArray[np.int64], good: Floats, bad: Floats, overlap: Floats) -> PixelCounts:
    """Equal neighbours summed."""
    if not len(keys):
        return PixelCounts(keys, good, bad, overlap)
    starts = np.flatnonzero(np.append([True], keys[1:] != keys[:-1]))
    good, bad, overlap = (np.add.reduceat(column, starts).astype(np.float64) for column in (good, bad, overlap))
    return PixelCounts(keys[starts], good, bad, overlap)


_NAMES = ("auroc", "average_precision", "au_pro_30", "au_pro_05")


def au_pro(good: Floats, overlap: Floats, limit: float) -> Floats:
    """Mean overlap of the regions, averaged over false-positive rates from 0 to ``limit``. Sums from the top: (..., k).

    The area under (rate, overlap) by the trapezoid rule, cut at the limit by interpolation, over the limit. Bergmann et
    al., "The MVTec Anomaly Detection Dataset", IJCV 129 (2021), section 5.
    """
    good, overlap = np.atleast_1d(good), np.atleast_1d(overlap)
    if not good.shape[-1]:
        return np.asarray(np.nan)
    zero = np.zeros((*good.shape[:-1], 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.concatenate((zero, good / good[..., -1:]), axis=-1)
        mean = np.concatenate((zero, overlap / overlap[..., -1:]), axis=-1)
        width = np.diff(rate, axis=-1)
        inside = np.clip((limit - rate[..., :-1]) / np.where(width > 0, width, 1.0), 0.0, 1.0)
        end = mean[..., :-1] + inside * np.diff(mean, axis=-1)
        return np.asarray(np.sum(width * inside * (mean[..., :-1] + end) / 2, axis=-1) / limit)


def _auroc(good: Floats, bad: Floats) -> Floats:
    if not good.shape[-1]:
        return np.asarray(np.nan)
    before = np.concatenate((np.zeros((*bad.shape[:-1], 1)), bad[..., :-1]), axis=-1)
    gained = np.diff(good, axis=-1, prepend=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.sum(gained * (bad + before) / 2, axis=-1) / (bad[..., -1] * good[..., -1]))


def _average_precision(good: Floats, bad: Floats, *, spread: bool = False) -> Floats:
    """``spread``: values of a bin differ, so its pixels come one after the other; those of a very full bin are equal."""
    if not good.shape[-1]:
        return np.asarray(np.nan)
    gained = np.diff(bad, axis=-1, prepend=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        hits, misses = bad, good
        if spread:
            missed = np.diff(good, axis=-1, prepend=0)
            apart = gained + missed < _FULL * (bad[..., -1:] + good[..., -1:])
            hits = np.where(apart, bad - (gained - 1) / 2, bad)
            misses = np.where(apart, good - missed / 2, good)
        precision = np.where(gained > 0, hits / (hits + misses), 0.0)
        return np.asarray(np.sum(gained * precision, axis=-1) / bad[..., -1])


def _ordered(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Whole numbers in the order of the values, without a gap around zero; what is nearer to it than 1e-9 is zero."""
    bits = np.where(np.abs(values) < _TINY, np.float32(0), values).view(np.int32)
    numbers = (bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))).astype(np.int64)  # negative floats count down as bits count up
    return np.where(numbers > 0, numbers - _GAP + 1, np.where(numbers < 0, numbers + _GAP, 0))
