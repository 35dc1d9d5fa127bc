"""Cut-outs that a network learns from are drawn anew in every epoch: good ones, with synthetic defects, labelled ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.disturb.synthetic import SyntheticDefect, chosen, draw, transplanted
from edge.models.train.augment import displaced, disturbed, mirrored, mirrored_alike
from edge.models.train.network_weights import GRID_STRIDE
from edge.models.train.options import TrainOptions
from edge.models.train.picture_cache import KeptPicture, PictureCache
from edge.models.train.samples import target_grid
from edge.models.train.shares import GROUPS, STRONGEST_OF, chances

_CONTEXT = 1.5
"""Sides of the region that a defect is drawn into, in sides of the cut-out: defects at the cut-out's rim are whole ones."""
_MOVED = 0.5
"""Share of the labelled defects that are pasted onto another good frame."""


@dataclass(frozen=True, slots=True)
class Cutouts:
    """A batch: ``pictures`` uint8 (n, side, side, C); ``targets``, ``valid`` float32 (n, 1, side / s, side / s), a place
    for each square of s px.
    """

    pictures: NDArray[np.uint8]
    targets: NDArray[np.float32]
    valid: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class DrawnRegion:
    """A region of a training picture, uint8 (h, w, C), and its mask (h, w).

    ``clean``: the same region without the defect that was drawn into it, disturbed alike; None if nothing was drawn.
    """

    picture: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    clean: NDArray[np.uint8] | None = None


class Crops:
    """Draws cut-outs of the training pictures; the same ones for the same generator."""

    def __init__(self, cache: PictureCache, options: TrainOptions, *, turns: bool) -> None:
        """``turns``: parts lie in any direction, so that a cut-out may be mirrored and turned by quarters, a region
        mirrored.
        """
        self._cache, self._options, self._turns = cache, options, turns
        self._good = cache.of("train", "good", "false_positive")
        self._rejected = cache.of("train", "false_positive")
        self._labelled = cache.of("train", "labelled")
        self._labelled_chances = chances(self._labelled) if self._labelled else None
        self._kinds: Sequence[SyntheticDefect] = chosen(options.without)
        there = {"good": True, "synthetic": True, "labelled": self._labelled, "false_positive": self._rejected}
        self._groups = [name for name, some in there.items() if some]
        shares = np.array([GROUPS[name] for name in self._groups])
        self._shares = shares / shares.sum()

    def batch(self, rng: np.random.Generator, count: int, progress: float) -> Cutouts:
        """Draw ``count`` cut-outs; ``progress`` is 0 at the beginning of the training and 1 at its end."""
        drawn = [self._one(rng, progress) for _ in range(count)]
        targets, valid = np.stack([one[1] for one in drawn]), np.stack([one[2] for one in drawn])
        return Cutouts(np.stack([one[0] for one in drawn]), targets[:, None], valid[:, None])

    def region(self, rng: np.random.Generator, progress: float) -> DrawnRegion:
        """Draw a region of one and a half cut-outs a side, the whole picture where that is smaller, mirrored maybe."""
        group = self._groups[int(rng.choice(len(self._groups), p=self._shares))]
        ground: NDArray[np.uint8] | None = None
        if group == "labelled":
            picture, mask, ground = self._with_label(rng)
            if self._turns:
                picture, mask, ground = mirrored_alike(rng, picture, mask, ground)
        else:
            picture, mask = self._good_region(rng, self._rejected if group == "false_positive" else self._good)
            if group == "synthetic":
                ground = picture
                picture, mask = self._with_defect(rng, picture, mask, progress)
        alike = int(rng.integers(2**31))  # both are disturbed by the same draws, so that the defect alone differs
        changed, clean = (None if one is None else self._disturbed(alike, one) for one in (picture, ground))
        assert changed is not None
        return DrawnRegion(changed, mask, clean)

    def good_region(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Draw a region without any defect, disturbed as those of ``region`` are."""
        picture, _ = self._good_region(rng, self._good)
        return self._disturbed(int(rng.integers(2**31)), picture)

    def _good_region(
        self, rng: np.random.Generator, of: Sequence[KeptPicture]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        picture, mask = self._region(rng, of[int(rng.integers(len(of)))])
        if self._turns:
            picture = mirrored(rng, picture)
        return displaced(rng, picture, self._options.augment), mask

    def _disturbed(self, seed: int, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return disturbed(np.random.default_rng(seed), picture, self._options.augment, self._options.randaugment)

    def good(self, rng: np.random.Generator, count: int) -> Cutouts:
        """Draw ``count`` cut-outs without any defect, disturbed as those of ``batch`` are."""
        drawn = []
        for _ in range(count):
            region, mask = self._region(rng, self._good[int(rng.integers(len(self._good)))])
            picture = displaced(rng, region, self._options.augment)
            picture = disturbed(rng, picture, self._options.augment, self._options.randaugment)
            drawn.append(self._cut(rng, picture, mask))
        targets, valid = np.stack([one[1] for one in drawn]), np.stack([one[2] for one in drawn])
        return Cutouts(np.stack([one[0] for one in drawn]), targets[:, None], valid[:, None])

    def _one(
        self, rng: np.random.Generator, progress: float
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
        group = self._groups[int(rng.choice(len(self._groups), p=self._shares))]
        if group == "labelled":
            picture, mask, _ = self._with_label(rng)
        else:
            of = self._rejected if group == "false_positive" else self._good
            region, mask = self._region(rng, of[int(rng.integers(len(of)))])
            picture = displaced(rng, region, self._options.augment)
            if group == "synthetic":
                picture, mask = self._with_defect(rng, picture, mask, progress)
        picture = disturbed(rng, picture, self._options.augment, self._options.randaugment)
        return self._cut(rng, picture, mask)

    def _region(
        self, rng: np.random.Generator, one: KeptPicture, around: tuple[int, int] | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """A part of the picture somewhat larger than a cut-out, which holds the px ``around`` (y, x)."""
        side = round(_CONTEXT * self._options.crop)
        at = []
        for axis, limit in enumerate((one.height, one.width)):
            low, high = 0, max(0, limit - side)
            if around is not None:
                low, high = max(low, around[axis] - side + 1), min(high, around[axis])
            at.append(int(rng.integers(low, high + 1)))
        where = slice(at[0], at[0] + side), slice(at[1], at[1] + side)
        return np.ascontiguousarray(self._cache.picture(one)[where]), self._cache.mask(one)[where].copy()

    def _with_defect(
        self, rng: np.random.Generator, picture: NDArray[np.uint8], mask: NDArray[np.bool_], progress: float
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        strongest = self._options.curriculum and rng.random() > progress
        best, most = None, -1.0
        for _ in range(STRONGEST_OF if strongest else 1):
            made = draw(rng, picture, self._donor(rng), self._kinds)
            if made is None:
                continue
            change = float(np.abs(made[0].astype(np.float32) - picture).mean(axis=2)[made[1]].mean())
            if change > most:
                best, most = made, change
        return (picture, mask) if best is None else (best[0], best[1])

    def _with_label(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.uint8] | None]:
        """A labelled defect where it is, or on another good frame, which comes third."""
        one = self._labelled[int(rng.choice(len(self._labelled), p=self._labelled_chances))]
        ys, xs = np.nonzero(self._cache.mask(one))
        pick = int(rng.integers(len(ys)))
        picture, mask = self._region(rng, one, (int(ys[pick]), int(xs[pick])))
        if self._options.transplant and rng.random() < _MOVED:
            ground, _ = self._region(rng, self._good[int(rng.integers(len(self._good)))])
            made = transplanted(rng, ground, picture, mask)
            if made is not None:
                return *made, ground
        return picture, mask, None

    def _donor(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        return self._region(rng, self._good[int(rng.integers(len(self._good)))])[0]

    def _cut(
        self, rng: np.random.Generator, picture: NDArray[np.uint8], mask: NDArray[np.bool_]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
        """A square of the picture that holds some of the defect, its last row and column repeated where it is smaller."""
        side = self._options.crop
        around = None
        if mask.any():
            ys, xs = np.nonzero(mask)
            pick = int(rng.integers(len(ys)))
            around = int(ys[pick]), int(xs[pick])
        at = []
        for axis, limit in enumerate(mask.shape):
            low, high = 0, max(0, limit - side)
            if around is not None:
                low, high = max(low, around[axis] - side + 1), min(high, around[axis])
            at.append(int(rng.integers(low, high + 1)))
        where = slice(at[0], at[0] + side), slice(at[1], at[1] + side)
        picture, mask = picture[where], mask[where]
        if self._turns:
            quarter, way = int(rng.integers(4)), 1 if rng.random() < 0.5 else -1
            picture, mask = np.rot90(picture, quarter)[:, ::way], np.rot90(mask, quarter)[:, ::way]
        missing = [(0, side - length) for length in mask.shape]
        whole = np.pad(picture, [*missing, (0, 0)], mode="edge")
        grid = (side // GRID_STRIDE, side // GRID_STRIDE)
        targets = target_grid(np.pad(mask, missing), GRID_STRIDE, (GRID_STRIDE / 2, GRID_STRIDE / 2), grid)
        return whole, targets, valid_places(mask.shape, grid)


def valid_places(size: tuple[int, ...], grid: tuple[int, int]) -> NDArray[np.float32]:
    """Return float32 of the shape ``grid``, 1 where a place's middle lies in a picture of ``size`` (height, width)."""
    rows, columns = (np.arange(n) * GRID_STRIDE + GRID_STRIDE // 2 < s for n, s in zip(grid, size, strict=True))
    return np.asarray(rows[:, None] & columns[None, :], np.float32)
