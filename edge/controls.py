"""What ``regions:`` accepts: every control between an anomaly map and its defect regions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag, model_validator

from edge.yamlio import Section

Point: TypeAlias = tuple[float, float]
Rect: TypeAlias = tuple[float, float, float, float]
Polygon: TypeAlias = Annotated[list[Point], Field(min_length=3)]
Shape: TypeAlias = Annotated[
    Annotated[Rect, Tag("rectangle")] | Annotated[Polygon, Tag("polygon")],
    Discriminator(lambda v: "polygon" if isinstance(v, list) and v and isinstance(v[0], list) else "rectangle"),
]
"""A rectangle ``[x0, y0, x1, y1]`` or a polygon ``[[x, y], [x, y], [x, y], ...]``."""


class RoiConfig(Section):
    """Which pixels take part: inside any of ``include`` and in none of ``exclude``. A pixel belongs by its centre."""

    units: Literal["norm", "image_px"] = "norm"
    """``norm``: 0 to 1 across the frame. ``image_px``: pixels of the frame."""
    include: tuple[Shape, ...] = ()
    """Rectangles and polygons that are inspected. Empty: the whole frame."""
    exclude: tuple[Shape, ...] = ()
    """Rectangles and polygons that are not."""
    mask: Path | None = None
    """Picture of the frame's size, above 0 where it is inspected; relative to the config file. null: none."""


class SmoothConfig(Section):
    """Smoothing of the map before the threshold."""

    kind: Literal["median", "gaussian", "box"]
    """``median`` removes single pixels and keeps edges; ``gaussian`` and ``box`` average."""
    size: Annotated[int, Field(ge=3, le=31)]
    """Width of the window in map px, odd. Median: 3 or 5."""
    sigma: Annotated[float, Field(gt=0)] | None = None
    """Gaussian only, in map px. null: OpenCV's rule, 0.3 * ((size - 1) / 2 - 1) + 0.8."""

    @model_validator(mode="after")
    def _fits(self) -> SmoothConfig:
        if self.size % 2 == 0:
            raise ValueError(f"size must be odd: an even window moves the map by half a pixel; try {self.size + 1}")
        if self.kind == "median" and self.size not in (3, 5):
            raise ValueError("size of a median must be 3 or 5")
        if self.sigma is not None and self.kind != "gaussian":
            raise ValueError(f"sigma belongs to a gaussian, not to {self.kind}")
        return self


class ThresholdConfig(Section):
    """Explicit thresholds, in the map's own values. They override the calibration file, and ``state`` says so."""

    high: float
    """A region needs one pixel at or above this."""
    low: float | None = None
    """And grows over connected pixels at or above this. null: no hysteresis, only pixels at or above ``high``."""

    @model_validator(mode="after")
    def _ordered(self) -> ThresholdConfig:
        if self.low is not None and self.low > self.high:
            raise ValueError(f"low ({self.low}) must not be above high ({self.high})")
        return self


Threshold: TypeAlias = Annotated[
    Annotated[Literal["calibrated"], Tag("calibrated")] | Annotated[ThresholdConfig, Tag("explicit")],
    Discriminator(lambda v: "explicit" if isinstance(v, (dict, ThresholdConfig)) else "calibrated"),
]


class RegionsConfig(Section):
    """From an anomaly map to defect regions. Every number in px is in pixels of the *map*."""

    roi: RoiConfig | None = None
    """Region of interest. null: the whole frame."""
    border_px: Annotated[int, Field(ge=0)] = 0
    """Band along the map's edge that takes no part, in map px. 0: none."""
    smooth: SmoothConfig | None = None
    """Smoothing before the threshold. null: none."""
    threshold: Threshold = "calibrated"
    """``calibrated``: from the calibration file. Or ``{high: 0.6, low: 0.45}``."""
    min_area_px: Annotated[int, Field(ge=0)] = 0
    """Smaller regions are dropped, in map px. 0: none."""
