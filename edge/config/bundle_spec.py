"""``bundle.yaml`` declares how a frame gets into the graph and its map back out."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from edge.config.frame_kind import FrameKindSpec
from edge.config.yaml_reader import Section

SidePx: TypeAlias = Annotated[int, Field(ge=1, le=32768)]


NOT_COMPUTED = {"name", "frames", "map_size", "map_highest", "tolerance", "display", "provenance"}
"""Keys of ``bundle.yaml`` that leave every number of a frame's map as it is."""


Size: TypeAlias = tuple[SidePx, SidePx]
"""Width, height."""


ResizeKernel: TypeAlias = Literal["area", "linear", "nearest", "cubic", "lanczos"]


class InputSpec(Section):
    """What the graph's ``frame`` takes."""

    channels: Literal[1, 3]
    """1: grey. 3: RGB. Frames are converted on the host where they differ."""
    size: Size | Literal["any"]
    """Width and height of ``frame`` in px. ``any``: whatever comes."""
    bits: Annotated[int, Field(ge=8, le=16)] = 8
    """Bits of a pixel's value. Above 8 ``frame`` is uint16, aligned to the low bit; frames of other depth are shifted."""


class ResizeSpec(Section):
    """How a frame becomes the picture that the network sees."""

    where: Literal["host", "graph", "none"]
    """``host``: before the graph, on integer pixels. ``graph``: inside. ``none``: frames go in as they are."""
    kernel: ResizeKernel = "area"
    """``area`` averages what a pixel covers; the others take samples, and fine texture aliases where they shrink."""
    size: Size | None = None
    """Width and height after the resize, in px. null: no resize."""


class ToleranceSpec(Section):
    """How far an engine's map may lie from the reference, as a share of the map's range.

    That is ``display.range`` where ``display.threshold`` is known, for then both are the model's maker's; else what the
    reference's own maps span.
    """

    fp32: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """Largest difference in float32."""
    reduced: Annotated[float, Field(gt=0, lt=1)] = 5e-2
    """99.9th percentile of the difference in fp16, bf16 and int8."""


class DisplaySpec(Section):
    """For pictures only; verdicts never read it."""

    threshold: float | None = None
    """Where the model's maker drew the line, in the map's own values. null: unknown."""
    range: tuple[float, float] = (0.0, 1.0)
    """Map values shown as the lowest and the highest colour."""

    @model_validator(mode="after")
    def _ordered(self) -> DisplaySpec:
        if self.range[0] >= self.range[1]:
            raise ValueError(f"range must rise, not go from {self.range[0]} to {self.range[1]}")
        return self


Side: TypeAlias = Annotated[int, Field(ge=1, le=32768)]


_LEAST = 1e-3
"""Of a weight: at the edges of the frame no other tile may have a say."""


class TileSpec(Section):
    """How the picture, after its resize, is cut into tiles of which the graph takes one at a time."""

    size: tuple[Side, Side]
    """Width and height of a tile, in px of the picture. Smaller pictures are filled up by reflection."""
    stride: tuple[Side, Side]
    """From one tile to the next, across and down, in px."""
    blend: Literal["hann", "gaussian", "mean", "max"] = "hann"
    """Where maps overlap: weights of a ``hann`` or ``gaussian`` window, equal ones (``mean``), or the highest (``max``)."""
    border_px: Annotated[int, Field(ge=0)] = 0
    """Band along a tile's edges that has no say in the map, in px of the picture; not along the picture's own edges."""

    @model_validator(mode="after")
    def _covers(self) -> TileSpec:
        for side, size, stride in zip(("across", "down"), self.size, self.stride, strict=True):
            if stride > size:
                raise ValueError(f"stride {stride} is larger than size {size} {side}: pixels between tiles would be lost")
            if self.border_px and stride > size - 2 * self.border_px:
                raise ValueError(
                    f"stride {stride} {side} leaves gaps between tiles of {size} less a border of {self.border_px} on "
                    f"both sides; expected at most {max(size - 2 * self.border_px, 0)}"
                )
        return self

    @property
    def seams(self) -> str | None:
        """Why maps will show where tiles meet, or None."""
        if self.blend == "max":
            return "blend max: maps step where a tile ends; hann has no seams"
        if any(stride >= size for stride, size in zip(self.stride, self.size, strict=True)):
            return "stride as large as the tile: maps step where tiles meet; half to three quarters of it blends them"
        return None


Share: TypeAlias = Annotated[float, Field(ge=0, le=100)]


Positive: TypeAlias = Annotated[float, Field(gt=0, le=100)]


class HomomorphicSpec(Section):
    """Dims slow changes of brightness and lifts fast ones, in the logarithm of the picture.

    Each channel by itself; the mean brightness is not kept. The formula stands in ``edge.preprocess.homomorphic``.
    """

    cutoff: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Where slow ends, as a share of the highest frequency along the longer side."""
    gamma_low: Positive = 0.7
    """Factor on slow changes; below 1 evens out the light."""
    gamma_high: Positive = 1.5
    """Factor on fast changes."""
    c: Positive = 1.0
    """Steepness between them."""


class ClaheSpec(Section):
    """Contrast-limited adaptive histogram equalisation; of a colour picture its mean over channels, colours kept."""

    clip_limit: Positive = 2.0
    """Most that a histogram may rise over its mean; higher lifts contrast, and noise, further."""
    grid: tuple[Annotated[int, Field(ge=1, le=64)], Annotated[int, Field(ge=1, le=64)]] = (8, 8)
    """Cells across and down, each equalised by itself, with soft transitions."""


class StretchSpec(Section):
    """Each channel between two of its percentiles is stretched to 0 to 255."""

    lower: Share = 2.0
    """Percentile that becomes black."""
    upper: Share = 98.0
    """Percentile that becomes white."""

    @model_validator(mode="after")
    def _ordered(self) -> StretchSpec:
        if self.lower >= self.upper:
            raise ValueError(f"lower ({self.lower:g}) must be below upper ({self.upper:g})")
        return self


class FrozenSpec(Section):
    """Statistics of good frames, for each channel. Measured, never written by hand."""

    frames: Annotated[int, Field(ge=1)]
    """Good frames measured."""
    gains: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    """Factors of the white balance."""
    levels: tuple[tuple[float, float], ...] | None = None
    """Levels that the contrast stretch turns black and white."""


class IlluminationSpec(Section):
    """What happens to the frame's pixels before resize and model; the steps in the order in which they stand here."""

    white_balance: Literal["none", "gray_world", "max_rgb"] = "none"
    """Scale the channels until their means (``gray_world``) or their maxima (``max_rgb``) are equal. Grey stays."""
    homomorphic: HomomorphicSpec | None = None
    """Evens out the light. null: not."""
    clahe: ClaheSpec | None = None
    """Local contrast. null: not."""
    gamma: Annotated[float, Field(ge=0.05, le=20)] | None = None
    """Exponent on the level as a share of 255: below 1 brightens, above 1 darkens. null: not."""
    contrast_stretch: StretchSpec | None = None
    """Contrast of the whole picture. null: not."""
    statistics: Literal["frozen", "per_frame"] = "frozen"
    """``frozen``: white balance and stretch go by good frames. ``per_frame``: by each frame itself, defects included."""
    frozen: FrozenSpec | None = None
    """The frozen statistics, measured when the bundle is made."""

    @model_validator(mode="after")
    def _fits(self) -> IlluminationSpec:
        if self.white_balance == "none" and not (self.homomorphic or self.clahe or self.gamma or self.contrast_stretch):
            raise ValueError("no step is named, so it changes nothing; leave illumination out")
        if self.frozen is not None and self.statistics == "per_frame":
            raise ValueError("frozen statistics stand beside statistics: per_frame")
        return self

    def missing(self, channels: int) -> tuple[str, ...]:
        """Steps whose frozen statistics are still to be measured, for pictures of so many channels."""
        if self.statistics == "per_frame":
            return ()
        gains, stretched = (None, None) if self.frozen is None else (self.frozen.gains, self.frozen.levels)
        balance = self.white_balance != "none" and channels == 3 and len(gains or ()) != channels
        stretch = self.contrast_stretch is not None and len(stretched or ()) != channels
        return (*(("white_balance",) if balance else ()), *(("contrast_stretch",) if stretch else ()))


ILLUMINATION_PRESETS: dict[str, dict[str, Any]] = {
    "full": {"white_balance": "gray_world", "homomorphic": {}, "clahe": {}, "gamma": 0.9},
    "balanced": {
        "white_balance": "gray_world",
        "homomorphic": {"cutoff": 0.25, "gamma_low": 0.8, "gamma_high": 1.2},
        "clahe": {},
    },
    "low-light": {
        "white_balance": "gray_world",
        "homomorphic": {"cutoff": 0.2, "gamma_low": 0.7, "gamma_high": 1.35},
        "clahe": {"clip_limit": 2.5},
        "gamma": 0.926,
    },
    "texture": {"white_balance": "max_rgb", "clahe": {"clip_limit": 3.0}},
    "contrast": {
        "white_balance": "gray_world",
        "clahe": {"clip_limit": 2.2},
        "contrast_stretch": {"lower": 1.0, "upper": 99.0},
    },
}
"""Declarations to begin with, by name."""


class BundleSpec(Section):
    """``bundle.yaml``."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    """Version of this file's form."""
    name: Annotated[str, Field(min_length=1)]
    """What records call the model."""
    files: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(default_factory=dict)
    """SHA-256 of every other file of the folder, by its name relative to it."""
    input: InputSpec
    resize: ResizeSpec
    illumination: IlluminationSpec | None = None
    """What happens to the pixels before the resize. null: nothing."""
    tile: TileSpec | None = None
    """How the picture is cut after the resize; ``input`` is then a tile's. null: it goes in whole."""
    map_to_image: tuple[float, float, float, float] = (1.0, 1.0, 0.0, 0.0)
    """sx, sy, ox, oy: a map edge at x lies at ``x * sx + ox`` in the picture after the resize (host or graph). Of tiles:
    the whole map's."""
    map_size: Size | None = None
    """Width and height of the map that the graph gives, of one tile where there are tiles; engines refuse another. null: it
    follows the picture, or the bundle is from before this was told."""
    map_highest: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Highest value that the map can have, as the graph tells or as every picture of the build had it: a threshold above it
    is refused. null: none is known."""
    tolerance: ToleranceSpec = ToleranceSpec()
    display: DisplaySpec = DisplaySpec()
    frames: FrameKindSpec | None = None
    """The good frames that the model was fitted on, or built with: frames of another kind get no verdict, where thresholds
    are explicit. null: there were none, or the bundle is from before this was told."""
    provenance: dict[str, Any] = Field(default_factory=dict)
    """Where the model comes from: free text and numbers, read by people."""

    @model_validator(mode="after")
    def _fits(self) -> BundleSpec:
        where, size, taken = self.resize.where, self.resize.size, self.input.size
        if (where == "none") != (size is None):
            raise ValueError(f"resize.size must be {'null' if where == 'none' else 'given'} where resize.where is {where}")
        if where == "host" and self.tile is None and taken not in ("any", size):
            raise ValueError(f"resize.size {_by(size)} and input.size {_by(taken)} must be equal: the host feeds the graph")
        if where == "graph" and taken != "any":
            raise ValueError("input.size must be any where the graph resizes")
        if min(self.map_to_image[:2]) <= 0:
            raise ValueError("map_to_image must have scales above 0")
        if self.tile is not None:
            self._check_tile(self.tile)
        if self.illumination is not None:
            self._check_illumination(self.illumination)
        return self

    @property
    def tile_scale(self) -> tuple[int, int]:
        """Px of the picture for each px of the map, where there are tiles."""
        return int(self.map_to_image[0]), int(self.map_to_image[1])

    def _check_tile(self, tile: TileSpec) -> None:
        if self.resize.where == "graph":
            raise ValueError("tile goes with a resize on the host or none, not with one in the graph")
        if self.input.size not in ("any", tile.size):
            raise ValueError(f"tile.size {_by(tile.size)} and input.size {_by(self.input.size)} must be equal")
        sx, sy, ox, oy = self.map_to_image
        if (ox, oy) != (0, 0) or sx % 1 or sy % 1:
            raise ValueError("map_to_image of tiles must have whole scales and no offset")
        for key, pair in (("size", tile.size), ("stride", tile.stride), ("border_px", (tile.border_px, tile.border_px))):
            if any(px % scale for px, scale in zip(pair, self.tile_scale, strict=True)):
                raise ValueError(f"tile.{key} must be a multiple of map_to_image's scale, {sx:g} across and {sy:g} down")

    def _check_illumination(self, illumination: IlluminationSpec) -> None:
        if self.input.bits != 8:
            raise ValueError(f"illumination works on 8-bit pictures, and input.bits is {self.input.bits}")
        missing = illumination.missing(self.input.channels)
        if missing:
            raise ValueError(f"illumination.frozen lacks the statistics of {' and '.join(missing)}; build the bundle again")


def _by(size: tuple[int, int] | str | None) -> str:
    return f"{size[0]}x{size[1]}" if isinstance(size, tuple) else str(size)
