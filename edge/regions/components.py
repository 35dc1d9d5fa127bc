"""Connected components of a binary picture are measured here, all at once from their horizontal runs. 8-connected, pure.

A pass over the picture for each component is what makes crowded maps slow, and labelling is slow on empty ones:
cv2.connectedComponentsWithStats takes 6.6 ms at 1024 x 1024 whatever it holds; cv2.findContours and the runs of a dozen
defects take 0.25 ms, of 80 defects 0.5 ms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Binary: TypeAlias = NDArray[np.uint8]
"""Array (h, w) of 0 and 1."""
Chosen: TypeAlias = NDArray[np.bool_]
"""Array (n,), True for the chosen ones of n components."""


@dataclass(slots=True, eq=False)
class Blob:
    """A blob is one component, or several reported as one; x1 and y1 are exclusive, in pixels of the picture where it was
    found.

    ``centre`` is the mean of the pixel centres, (0, 0) being that of the picture's first pixel. ``outline`` is (n, 1, 2)
    int32: the outer border, or the convex hull of several components.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    area: int
    score_max: float
    score_mean: float
    centre: tuple[float, float]
    outline: NDArray[np.int32]
    known_solidity: float | None = None

    @property
    def fill_ratio(self) -> float:
        return self.area / ((self.x1 - self.x0) * (self.y1 - self.y0))

    @property
    def aspect_ratio(self) -> float:
        width, height = self.x1 - self.x0, self.y1 - self.y0
        return width / height if width > height else height / width

    @property
    def solidity(self) -> float:
        """Return the area inside the outline divided by that of its convex hull, both through pixel centres; 1 if the hull
        has none.
        """
        if self.known_solidity is None:
            self.known_solidity = _solidity(self.outline)
        return self.known_solidity


_DENSE_FROM = 1 / 8
"""Share of foreground above which a pass over the whole picture is faster than a list of its pixels."""


class Components:
    """The components of a binary picture (at least one) are held together, in no meaningful order; ``len`` counts them.

    ``area``, ``x0``, ``y0``, ``x1``, ``y1`` (exclusive), ``score_max``, ``score_mean`` (float32): one value for each.
    """

    def __init__(self, binary: Binary, values: NDArray[np.float32], borders: Sequence[Any], parents: Any) -> None:
        """See ``find_components``. ``parents`` gives, for each border of a hole, the outer border around it, and -1 for
        others.
        """
        self._binary = binary
        outer = parents < 0
        self._outlines = [borders[index] for index in np.flatnonzero(outer).tolist()]
        owners = (np.cumsum(outer) - 1)[np.where(outer, np.arange(len(outer)), parents)]
        self._starts, self._lengths, self._owner = _runs(
            binary, np.concatenate(borders)[:, 0], np.repeat(owners, [len(border) for border in borders])
        )
        self._rows, self._columns = np.divmod(self._starts, binary.shape[1])
        self._begins = np.cumsum(self._lengths) - self._lengths
        self._dense = self._lengths.sum() >= _DENSE_FROM * binary.size
        self.area = self._sum(self._lengths).astype(np.intp)
        self.x0, self.y0 = self._least(self._columns), self._least(self._rows)
        self.x1, self.y1 = self._most(self._columns + self._lengths), self._most(self._rows) + 1
        # a full rectangle, as most specks are, or a line across or down: hulls are the one thing here done one by one
        self._solidity = np.where(self.fill_ratio == 1, 1.0, np.nan)
        self._scores = self._of_pixels(values)
        self.score_max = self._most(np.maximum.reduceat(self._scores, self._begins))
        mean = self._sum(np.add.reduceat(self._scores, self._begins, dtype=np.float64)) / self.area
        # a mean in float32 may round above the maximum
        self.score_mean = np.minimum(mean.astype(np.float32), self.score_max)

    def __len__(self) -> int:
        return len(self._outlines)

    @property
    def fill_ratio(self) -> NDArray[np.float64]:
        ratio: NDArray[np.float64] = self.area / ((self.x1 - self.x0) * (self.y1 - self.y0))
        return ratio

    @property
    def aspect_ratio(self) -> NDArray[np.float64]:
        width, height = self.x1 - self.x0, self.y1 - self.y0
        ratio: NDArray[np.float64] = np.maximum(width / height, height / width)
        return ratio

    def solidity(self, chosen: Chosen) -> NDArray[np.float64]:
        """Return ``Blob.solidity`` of the chosen components; it is NaN for others if it isn't known."""
        for index in np.flatnonzero(chosen & np.isnan(self._solidity)).tolist():
            self._solidity[index] = _solidity(self._outlines[index])
        return self._solidity

    def reaching(self, level: NDArray[np.float32]) -> Chosen:
        """Return which components have a pixel at or above ``level``, which is 0-d or has one value for each pixel of the
        picture.
        """
        if not level.ndim:
            return np.asarray(self.score_max >= level)
        hot = np.logical_or.reduceat(self._scores >= self._of_pixels(level), self._begins)
        return self._sum(hot) > 0

    def touching(self, picture: Binary) -> Chosen:
        """Return which components have a pixel that is above 0 in ``picture``, which has the binary picture's shape."""
        return self._sum(np.logical_or.reduceat(self._of_pixels(picture), self._begins)) > 0

    def peaks(self) -> NDArray[np.intp]:
        """Return where in the flattened picture each component has its highest pixel, the first of equals."""
        owner = np.repeat(self._owner, self._lengths)
        highest = np.flatnonzero(self._scores == self.score_max[owner])
        highest = highest[np.unique(owner[highest], return_index=True)[1]]
        run = np.searchsorted(self._begins, highest, side="right") - 1
        at: NDArray[np.intp] = self._starts[run] + highest - self._begins[run]
        return at

    def paint(self, out: NDArray[np.uint8], chosen: Chosen, value: int, *, filled: bool = False) -> None:
        """Set the pixels of the chosen components in ``out``, which has the picture's shape and is 0 everywhere.

        ``filled`` paints their holes too, with whatever lies in them.
        """
        if filled:
            for index in np.flatnonzero(chosen).tolist():
                # one by one: of several at once, one inside another would be cut out of it
                cv2.drawContours(out, self._outlines, index, value, cv2.FILLED)
            return
        runs = chosen[self._owner]
        if self._dense:
            out[self._binary.view(bool)] = np.repeat(runs * np.uint8(value), self._lengths)
        else:
            rows, pixels = np.repeat(self._rows[runs], self._lengths[runs]), self._pixels(runs)
            out[rows, pixels - rows * out.shape[1]] = value

    def blobs(self, chosen: Chosen) -> list[Blob]:
        """Return the chosen components one by one."""
        columns = self._sum(self._lengths * self._columns + self._lengths * (self._lengths - 1) / 2) / self.area
        rows = self._sum(self._lengths * self._rows) / self.area
        which = np.flatnonzero(chosen)
        box = self.x0, self.y0, self.x1, self.y1
        arrays = *box, self.area, self.score_max, self.score_mean, columns, rows, self._solidity
        entries = []
        for index, x0, y0, x1, y1, area, score_max, score_mean, x, y, solidity in zip(
            which.tolist(), *(of[which].tolist() for of in arrays), strict=True
        ):
            known = None if isnan(solidity) else solidity
            entries.append(
                Blob(
                    x0=x0,
                    y0=y0,
                    x1=x1,
                    y1=y1,
                    area=area,
                    score_max=score_max,
                    score_mean=score_mean,
                    centre=(x, y),
                    outline=self._outlines[index],
                    known_solidity=known,
                )
            )
        return entries

    def _pixels(self, runs: Chosen) -> NDArray[np.intp]:
        """Return the flat index of every pixel of some of the runs, run after run."""
        lengths = self._lengths[runs]
        pixels: NDArray[np.intp] = np.repeat(self._starts[runs] - (np.cumsum(lengths) - lengths), lengths)
        pixels += np.arange(len(pixels))
        return pixels

    def _of_pixels(self, picture: NDArray[Any]) -> NDArray[Any]:
        """Return the picture's value at every pixel of the components, run after run."""
        values: NDArray[Any]
        if self._dense:
            values = picture[self._binary.view(bool)]
        else:
            values = picture.ravel().take(self._pixels(np.ones(len(self._starts), bool)))
        return values

    def _sum(self, of_runs: NDArray[Any]) -> NDArray[Any]:
        return np.bincount(self._owner, of_runs, len(self))

    def _least(self, of_runs: NDArray[np.intp]) -> NDArray[np.intp]:
        least = np.full(len(self), np.iinfo(np.intp).max)
        np.minimum.at(least, self._owner, of_runs)
        return least

    def _most(self, of_runs: NDArray[Any]) -> NDArray[Any]:
        most = np.full(len(self), -np.inf if of_runs.dtype.kind == "f" else -1, of_runs.dtype)
        np.maximum.at(most, self._owner, of_runs)
        return most


def find_components(binary: Binary, values: NDArray[np.float32]) -> Components | None:
    """Find the components of ``binary``, with their scores in ``values``; return None if there are none.

    Both are C-contiguous and of one shape. ``binary`` must stay as it is while the result is used.
    """
    borders, hierarchy = cv2.findContours(binary, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return Components(binary, values, borders, hierarchy[0][:, 3]) if borders else None


def _solidity(outline: NDArray[np.int32]) -> float:
    hull = cv2.contourArea(cv2.convexHull(outline))
    return cv2.contourArea(outline) / hull if hull > 0 else 1.0


def _runs(
    binary: Binary, points: NDArray[np.int32], owner: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return first pixel (flat index), length and component of every horizontal run, row after row.

    Both ends of a run have background or the picture's edge beside them, so they lie on a border of their component, an
    outer one or a hole's. ``points``: (n, 2), x and y of every border's pixels, ``owner``: (n,), their components.
    """
    pixels, width = binary.ravel(), binary.shape[1]
    columns = points[:, 0]
    flat = points[:, 1].astype(np.intp) * width + columns
    first = (columns == 0) | (pixels.take(flat - 1) == 0)
    last = (columns == width - 1) | (pixels.take(flat + 1, mode="clip") == 0)
    starts, owner = np.divmod(_distinct(flat[first] * len(owner) + owner[first]), len(owner))
    return starts, _distinct(flat[last]) - starts + 1, owner


def _distinct(values: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the sorted values, each once: np.unique takes four times as long for a few thousand."""
    values = np.sort(values)
    distinct: NDArray[np.intp] = values[np.concatenate([[True], values[1:] != values[:-1]])]
    return distinct


def merge_blobs(blobs: list[Blob], gap: int, mask: NDArray[np.uint8]) -> list[Blob]:
    """Merge blobs whose nearest pixels have at most ``gap`` empty pixels between them (the larger of across and down
    counts).

    ``mask`` is above 0 on the pixels of these blobs and nowhere else, and isn't changed.
    """
    merged: list[Blob] = []
    for cluster in _clusters(blobs, gap):
        merged += cluster if len(cluster) == 1 else [_joined(group) for group in _touching(cluster, gap, mask)]
    return merged


def _touching(cluster: list[Blob], gap: int, mask: NDArray[np.uint8]) -> Iterable[list[Blob]]:
    """Return the groups that belong together: two pixel sets grown by a square of side gap + 1 touch if that gap lies
    between.
    """
    x0, y0 = min(b.x0 for b in cluster), min(b.y0 for b in cluster)
    crop = mask[y0 : max(b.y1 for b in cluster), x0 : max(b.x1 for b in cluster)]
    grown = cv2.dilate(crop, np.ones((gap + 1, gap + 1), np.uint8), anchor=(0, 0))
    labels = cv2.connectedComponents(grown, None, 8, cv2.CV_32S)[1]
    groups: dict[int, list[Blob]] = {}
    for blob in cluster:
        x, y = blob.outline[0, 0]
        groups.setdefault(int(labels[y - y0, x - x0]), []).append(blob)
    return groups.values()


_PAIRS_UP_TO = 256
"""Number of blobs up to which every pair of boxes is compared; above, all are one cluster."""


def _clusters(blobs: list[Blob], gap: int) -> list[list[Blob]]:
    """Group blobs by chains of boxes with at most ``gap`` between them, because no others can belong together."""
    if len(blobs) > _PAIRS_UP_TO:
        return [blobs]
    x0, y0, x1, y1 = np.array([(b.x0, b.y0, b.x1, b.y1) for b in blobs]).T
    across, down = x0[:, None] <= x1 + gap, y0[:, None] <= y1 + gap
    cluster_of = list(range(len(blobs)))
    for i, j in np.argwhere(np.triu(across & across.T & down & down.T, 1)).tolist():
        old, new = cluster_of[j], cluster_of[i]
        if old != new:
            cluster_of = [new if number == old else number for number in cluster_of]
    clusters: dict[int, list[Blob]] = {}
    for blob, number in zip(blobs, cluster_of, strict=True):
        clusters.setdefault(number, []).append(blob)
    return list(clusters.values())


def _joined(group: list[Blob]) -> Blob:
    if len(group) == 1:
        return group[0]
    area = sum(b.area for b in group)
    hull = np.asarray(cv2.convexHull(np.concatenate([b.outline for b in group])), np.int32)
    around = cv2.contourArea(hull)
    return Blob(
        x0=min(b.x0 for b in group),
        y0=min(b.y0 for b in group),
        x1=max(b.x1 for b in group),
        y1=max(b.y1 for b in group),
        area=area,
        score_max=max(b.score_max for b in group),
        score_mean=sum(b.score_mean * b.area for b in group) / area,
        centre=(sum(b.centre[0] * b.area for b in group) / area, sum(b.centre[1] * b.area for b in group) / area),
        outline=hull,
        known_solidity=sum(cv2.contourArea(b.outline) for b in group) / around if around > 0 else 1.0,
    )
