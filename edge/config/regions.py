"""The section ``regions:`` declares every step from an anomaly map to its defect regions.

The order of the keys is the order in which they act.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from edge.config.yaml_reader import Section

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MaskPicture: TypeAlias = "tuple[NDArray[np.uint8] | None, bytes | None]"
"""What ``RoiConfig.mask`` holds, (H, W), 255 where the frame is inspected, and the bytes of its file."""
NO_MASK: Final = (None, None)
"""The ``MaskPicture`` of a config that names none."""


def _float32(value: float) -> float:
    if abs(value) > 3.4e38:
        raise ValueError(f"{value:g} is beyond what a map can hold, which is float32")
    return value


Score: TypeAlias = Annotated[float, Field(allow_inf_nan=False), AfterValidator(_float32)]
"""Finite value of an anomaly map, within float32."""
Ratio: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Coordinate: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
Point: TypeAlias = tuple[Coordinate, Coordinate]
Rect: TypeAlias = tuple[Coordinate, Coordinate, Coordinate, Coordinate]
Polygon: TypeAlias = Annotated[list[Point], Field(min_length=3)]
Shape: TypeAlias = Annotated[
    Annotated[Rect, Tag("rectangle")] | Annotated[Polygon, Tag("polygon")],
    Discriminator(lambda v: "polygon" if isinstance(v, list) and v and isinstance(v[0], (list, tuple)) else "rectangle"),
]
"""A rectangle ``[x0, y0, x1, y1]`` or a polygon ``[[x, y], [x, y], [x, y], ...]``."""


Units: TypeAlias = Literal["norm", "image_px"]
MorphologySide: TypeAlias = Annotated[int, Field(ge=0, le=101)]


class RoiConfig(Section):
    """The region of interest takes the pixels inside any of ``include`` and in none of ``exclude``. A pixel belongs to a
    shape by its centre.
    """

    units: Units = "norm"
    """``norm``: 0 to 1 across the frame; a rectangle takes every map pixel that it touches. ``image_px``: pixels of the
    frame, counted from 0 at the outer edge of the first one."""
    include: tuple[Shape, ...] = ()
    """Rectangles and polygons that are inspected. Empty: the whole frame."""
    exclude: tuple[Shape, ...] = ()
    """Rectangles and polygons that are not inspected."""
    mask: Path | None = None
    """Picture of the frame's size; pixels above 0 are inspected. Relative to the config file. null: none."""

    @model_validator(mode="after")
    def _shapes(self) -> RoiConfig:
        for key, shapes in (("include", self.include), ("exclude", self.exclude)):
            for index, shape in enumerate(shapes):
                _check_shape(shape, self.units, f"{key}.{index}")
        return self


class SmoothConfig(Section):
    """The map is smoothed before it is compared with the threshold."""

    kind: Literal["median", "gaussian", "box"]
    """``median`` removes single pixels and keeps edges; ``gaussian`` and ``box`` average."""
    size: Annotated[int, Field(ge=3, le=31)]
    """Width of the window in map px, odd. A median takes 3 or 5."""
    sigma: Annotated[float, Field(gt=0)] | None = None
    """Standard deviation of the Gaussian in map px; for ``gaussian`` only. null: OpenCV's rule, 0.3 * ((size - 1) / 2 - 1)
    + 0.8."""

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
    """Thresholds that are given here, in the map's own values, override the calibration file, and ``state`` says so."""

    high: Score
    """A region needs at least one pixel at or above this value."""
    low: Score | None = None
    """A region grows over connected pixels at or above this value. null: no hysteresis, only pixels at or above ``high``
    count."""

    @model_validator(mode="after")
    def _ordered(self) -> ThresholdConfig:
        if self.low is not None and self.low > self.high:
            raise ValueError(f"low ({self.low}) must not be above high ({self.high})")
        return self


class ScoreConfig(Section):
    """The image score is a rule of its own here: at or above ``high`` a frame fails, with or without a region."""

    high: Score | Literal["calibrated"] = "calibrated"
    """Threshold of the model's raw score. ``calibrated``: from the calibration file."""


Threshold: TypeAlias = Annotated[
    Annotated[Literal["calibrated"], Tag("calibrated")] | Annotated[ThresholdConfig, Tag("explicit")],
    Discriminator(lambda v: "explicit" if isinstance(v, (dict, ThresholdConfig)) else "calibrated"),
]


class ZoneConfig(Section):
    """A zone is a part of the frame with limits of its own. A pixel belongs to the first zone that holds its centre."""

    units: Units = "norm"
    """Units of ``shape``, as in ``roi``."""
    shape: Shape
    """Rectangle `[x0, y0, x1, y1]` or polygon `[[x, y], [x, y], [x, y], ...]`. A zone doesn't widen the ROI."""
    threshold: ThresholdConfig | None = None
    """Thresholds for the zone's pixels; a region may still cross the zone's edge. null: those of ``regions.threshold``."""
    min_area_px: Annotated[int, Field(ge=0)] | None = None
    """``min_area_px`` for regions whose highest pixel lies in the zone. null: that of ``regions``."""

    @model_validator(mode="after")
    def _does_something(self) -> ZoneConfig:
        _check_shape(self.shape, self.units, "shape")
        if self.threshold is None and self.min_area_px is None:
            raise ValueError("a zone needs threshold or min_area_px: without either it changes nothing")
        return self


class RegionsConfig(Section):
    """An anomaly map goes through these steps, in this order, to become defect regions. Every number in px counts pixels of
    the *map*.

    A candidate is dropped by the first filter that it fails, in the order from ``min_area_px`` to ``min_solidity``.
    """

    roi: RoiConfig | None = None
    """Region of interest: the part of the frame that is inspected. null: the whole frame."""
    border_px: Annotated[int, Field(ge=0)] = 0
    """Width of a band along the map's edge that is not inspected, in map px; a region that grows into it scores 0 there. 0:
    none."""
    smooth: SmoothConfig | None = None
    """Smoothing before the threshold. null: none."""
    threshold: Threshold = "calibrated"
    """``calibrated`` takes the thresholds from the calibration file; or give them here: ``{high: 0.6, low: 0.45}``."""
    zones: tuple[ZoneConfig, ...] = ()
    """Parts of the frame with thresholds and a minimum area of their own. Empty: none."""
    open_px: MorphologySide = 0
    """Morphological opening with a square of this side, odd, in map px: it removes what is narrower. 0: none."""
    close_px: MorphologySide = 0
    """Morphological closing with a square of this side, odd, in map px, after opening: it closes narrower gaps. 0: none."""
    min_area_px: Annotated[int, Field(ge=0)] = 0
    """Regions smaller than this are dropped, in map px. 0: none."""
    max_area_px: Annotated[int, Field(ge=1)] | None = None
    """Regions larger than this are dropped, in map px. null: none."""
    min_score_max: Score | None = None
    """Regions whose highest (smoothed) value is below this are dropped. null: none."""
    min_score_mean: Score | None = None
    """Regions whose mean (smoothed) value is below this are dropped. null: none."""
    min_fill_ratio: Ratio | None = None
    """Regions that fill a smaller share of their upright box than this are dropped, and slanted scratches with them. null:
    none."""
    max_aspect_ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    """Regions whose upright box has a larger ratio of its sides than this are dropped, and long scratches with them. null:
    none."""
    min_solidity: Ratio | None = None
    """Regions whose outline encloses a smaller share of its convex hull than this are dropped; a straight line 1 px wide
    has a share of 1. null: none."""
    fill_holes: bool = False
    """Whether holes in the remaining regions are filled, with whatever lies in them."""
    dilate_px: MorphologySide = 0
    """The remaining regions grow by an ellipse of this width, odd, in map px, but not beyond the ROI. 0: none."""
    merge_gap_px: Annotated[int, Field(ge=0, le=1024)] = 0
    """Regions are reported as one if at most this many empty map px lie between their nearest pixels (the larger of across
    and down counts); the mask stays. 0: never."""
    sort_by: Literal["score_max", "score_mean", "area"] = "score_max"
    """Regions are listed from the largest of this value to the smallest."""
    max_regions: Annotated[int, Field(ge=1)] | None = None
    """At most this many regions are reported, the first ones by ``sort_by``; verdict and mask stay. null: all."""
    polygons: bool = False
    """Whether each region's outline is reported too, simplified to 0.5 px; merged regions report their convex hull."""

    @model_validator(mode="after")
    def _consistent(self) -> RegionsConfig:
        for key in ("open_px", "close_px", "dilate_px"):
            size = getattr(self, key)
            if size == 1:
                raise ValueError(f"{key}: 1 changes nothing; expected 0 for none, or an odd number from 3 on")
            if size % 2 == 0 and size > 0:
                raise ValueError(f"{key}: must be odd: {size} moves every shape by half a pixel; try {size + 1}")
        if self.max_area_px is not None:
            smallest = [("min_area_px", self.min_area_px)]
            smallest += [(f"zones.{i}.min_area_px", z.min_area_px or 0) for i, z in enumerate(self.zones)]
            for key, area in smallest:
                if area > self.max_area_px:
                    raise ValueError(f"{key} ({area}) must not be above max_area_px ({self.max_area_px})")
        return self


def _check_shape(shape: Rect | Polygon, units: Units, key: str) -> None:
    if isinstance(shape, tuple):
        x0, y0, x1, y1 = shape
        if x0 >= x1 or y0 >= y1:
            raise ValueError(f"{key}: a rectangle is [x0, y0, x1, y1] with x0 < x1 and y0 < y1; got {list(shape)}")
    values = shape if isinstance(shape, tuple) else [v for point in shape for v in point]
    outside = [v for v in values if v < 0 or (units == "norm" and v > 1)]
    if outside and units == "norm":
        raise ValueError(f"{key}: {outside[0]:g} lies outside the frame, 0 to 1 in units norm (pixels are units image_px)")
    if outside:
        raise ValueError(f"{key}: {outside[0]:g} lies outside the frame, which begins at 0")
