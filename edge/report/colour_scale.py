"""A map's colours stand for values around the thresholds in force: from 0 to twice ``high`` (pure)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config.regions import SmoothConfig
from edge.errors import UserError
from edge.regions.criteria import Criteria
from edge.report.lettering import WHITE, text_size, write

_BLACK: Final = (0, 0, 0)
_STRIP: Final = (32, 34, 38)
_BAR_PX: Final = 12


@dataclass(frozen=True, slots=True)
class Scale:
    """A scale says what the map's colours stand for. ``high`` and ``low`` are the thresholds in force; ``low`` is None
    without hysteresis, and ``of_zones`` has those of zones that have their own.

    ``smooth`` is the smoothing of the map before the thresholds, ``score_high`` the threshold of the image score (None
    if it decides nothing). ``wanted``: ends of the colours that somebody asked for instead.
    """

    high: float
    low: float | None = None
    smooth: SmoothConfig | None = None
    score_high: float | None = None
    of_zones: tuple[float, ...] = ()
    wanted: tuple[float, float] | None = None

    @classmethod
    def of(cls, criteria: Criteria, wanted: tuple[float, float] | None = None) -> Scale:
        """Return the scale for these criteria.

        Raises:
            UserError: ``wanted`` leaves out a threshold in force.
        """
        regions = criteria.regions
        zones = [zone.threshold for zone in regions.zones if zone.threshold is not None]
        levels = [level for zone in zones for level in (zone.high, zone.low) if level is not None]
        scale = cls(criteria.high, criteria.low, regions.smooth, criteria.score_high, tuple(levels), wanted)
        if wanted is not None:
            scale.check(wanted)
        return scale

    @property
    def thresholds(self) -> list[float]:
        """Return the line's thresholds and its zones', those that are numbers."""
        return [level for level in (self.high, self.low, *self.of_zones) if level is not None and math.isfinite(level)]

    @property
    def range(self) -> tuple[float, float]:
        """Return the values at both ends of the colours: 0 and twice the highest threshold; with negative thresholds 0 is
        the upper end, or the middle if they have both signs. Every threshold lies inside.
        """
        if self.wanted is not None:
            return self.wanted
        levels = self.thresholds
        reach = max((abs(level) for level in levels), default=0.0)
        if reach == 0.0:
            return (-1.0, 1.0) if levels else (0.0, 1.0)
        return (
            0.0 if min(levels) >= 0 else -2 * reach,
            0.0 if max(levels) <= 0 else 2 * reach,
        )

    def check(self, wanted: tuple[float, float]) -> None:
        """Raise UserError if these ends of the colours are none, or leave out a threshold in force."""
        first, last = wanted
        outside = [level for level in self.thresholds if not first <= level <= last]
        if not first < last or outside:
            raise UserError(
                "--range: " + ("leaves out a threshold in force" if first < last else "ends before it begins"),
                received=f"{first:g},{last:g}",
                expected="LOWEST,HIGHEST around " + ", ".join(f"{level:g}" for level in self.thresholds),
                fix="widen it, or leave it out: the colours go from 0 to twice high",
            )


def coloured(values: NDArray[Any], ends: tuple[float, float]) -> Any:
    """Return RGB uint8 of a map: blue at the lower end, red from the upper end on."""
    first, last = ends
    grey = np.clip((values - first) * (255 / (last - first)), 0, 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)


def blend_heat(picture: Any, values: NDArray[Any], scale: Scale) -> None:
    """Lay the map's colours over a picture of its size: clear at the lower end, denser up to ``high`` and from there on."""
    first, last = scale.range
    turns = scale.high if first < scale.high <= last else last
    levels = np.linspace(first, last, 256)
    share = np.clip((levels - first) / (turns - first), 0.0, 1.0)
    weight = (0.6 * share**1.5)[:, None]
    tones = coloured(levels[None].astype(np.float32), (first, last))[0]
    grey = np.clip((values - first) * (255 / (last - first)), 0, 255).astype(np.uint8)
    planes = cv2.merge((grey, grey, grey))  # by table: 0.2 s at 12 MP, where floats take 2 s
    kept = np.ascontiguousarray(np.broadcast_to(np.rint(255 * (1 - weight)), (256, 3)).astype(np.uint8)[None])
    added = np.ascontiguousarray(np.rint(tones * weight).astype(np.uint8)[None])
    cv2.multiply(picture, cv2.LUT(planes, kept), picture, scale=1 / 255)
    cv2.add(picture, cv2.LUT(planes, added), picture)


def bar_marks(scale: Scale, width: int, text_px: float) -> list[tuple[str, int, int, int]]:
    """Place the numbers below a bar of this width: (text, left edge, row, x of its tick), none upon another.

    Both ends and the line's own thresholds are always there, whatever room there is; zones have ticks alone.
    """
    first, last = scale.range
    ends = [(f"{first:.4g}", 0.0), (f"{last:.4g}", 1.0)]
    named = [(f"high {scale.high:.4g}", scale.high), ("" if scale.low is None else f"low {scale.low:.4g}", scale.low)]
    marks = [(text, (level - first) / (last - first)) for text, level in named if text and level is not None]
    placed: list[tuple[str, int, int, int]] = []
    taken: list[tuple[int, int, int]] = []
    for text, share in [*ends, *marks]:
        if not math.isfinite(share):
            continue
        wide = text_size(text, text_px)[0]
        tick = round(share * (width - 1))
        left = max(0, min(tick - wide // 2, width - wide))
        row = 0
        while any(row == other and left < stop + 8 and start < left + wide + 8 for other, start, stop in taken):
            row += 1
        taken.append((row, left, left + wide))
        placed.append((text, left, row, tick))
    return placed


def under_bar(panel: Any, scale: Scale, text_px: float) -> Any:
    """Return the panel above its bar of colours, with a tick at each threshold and the numbers below it."""
    first, last = scale.range
    width = panel.shape[1]
    bar = np.repeat(coloured(np.linspace(first, last, width, dtype=np.float32)[None], (first, last)), _BAR_PX, axis=0)
    for level in scale.thresholds:
        x = round((level - first) / (last - first) * (width - 1))
        bar[:, max(x - 2, 0) : x + 3] = _BLACK
        bar[:, max(x - 1, 0) : x + 2] = WHITE
    marks = bar_marks(scale, width, text_px)
    step = round(1.5 * text_px)
    foot = np.full((step * (1 + max(row for _, _, row, _ in marks)) + step // 3, width, 3), _STRIP, np.uint8)
    for text, left, row, _ in marks:
        write(foot, text, left, (row + 1) * step - step // 8, text_px)
    return np.vstack((panel, bar, foot))


def read_ends(text: str) -> tuple[float, float]:
    """Read ``0,12.5``. Raises UserError for anything but two finite numbers."""
    parts: Sequence[str] = text.split(",")
    try:
        first, last = map(float, parts)
        if not (math.isfinite(first) and math.isfinite(last)):
            raise ValueError(text)
    except ValueError:
        raise UserError(
            "--range", received=text, expected="two numbers with a comma between them, such as 0,12.5"
        ) from None
    return first, last
