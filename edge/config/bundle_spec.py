"""``bundle.yaml`` declares how a frame gets into the graph and how its map gets back out."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from edge.config.frame_kind import FrameKindSpec
from edge.config.illumination_spec import IlluminationSpec
from edge.config.register_spec import RegisterSpec
from edge.config.yaml_reader import Section

SidePx: TypeAlias = Annotated[int, Field(ge=1, le=32768)]


REPORTS = frozenset({"self_test.json", "self_test.png", "statistics.npz", "head.npz", "training.json"})
"""Files of a bundle that say how good it is, or from which it can be continued; nothing that a frame meets reads them."""


NOT_COMPUTED = {"name", "frames", "map_size", "map_highest", "score_highest", "tolerance", "display", "provenance"}
"""These keys of ``bundle.yaml`` change no number in a frame's map."""


Size: TypeAlias = tuple[SidePx, SidePx]
"""Width and height in px."""


ResizeKernel: TypeAlias = Literal["area", "linear", "nearest", "cubic", "lanczos"]


class InputSpec(Section):
    """The graph's input ``frame`` takes pictures of this kind."""

    channels: Literal[1, 3]
    """Colour channels: 1 is grey, 3 is RGB. Frames of the other kind are converted before the graph runs."""
    size: Size | Literal["any"]
    """Width and height of ``frame`` in px. ``any``: the graph takes frames of every size."""
    bits: Annotated[int, Field(ge=8, le=16)] = 8
    """Bits of a pixel's value. Above 8, ``frame`` is uint16, aligned to the low bit; frames of another depth are
    shifted."""


class ResizeSpec(Section):
    """The resize turns a frame into the picture that the network sees."""

    where: Literal["host", "graph", "none"]
    """``host``: before the graph, on integer pixels. ``graph``: inside the graph. ``none``: frames go in as they are."""
    kernel: ResizeKernel = "area"
    """``area`` averages all the pixels that it covers; the others only sample, and fine texture aliases where they
    shrink."""
    size: Size | None = None
    """Width and height after the resize, in px. null: no resize."""
    fit: Literal["stretch", "letterbox", "crop"] = "stretch"
    """How a frame of another shape is brought to that size, on the host alone. ``stretch``: each side for itself.
    ``letterbox``: whole, with bars of ``pad`` beside it. ``crop``: its middle; what is left outside is not inspected."""
    pad: Annotated[int, Field(ge=0, le=255)] = 114
    """Grey level of the bars, of 255. Ultralytics: 114."""
    short_side: SidePx | None = None
    """``crop`` only: the frame's short side becomes this before the middle is cut out, in px. null: what just covers it."""

    @model_validator(mode="after")
    def _fits_in(self) -> ResizeSpec:
        if self.fit != "stretch" and self.where != "host":
            raise ValueError(f"fit {self.fit} belongs to a resize on the host, not to where: {self.where}")
        if self.short_side is not None:
            if self.fit != "crop" or self.size is None:
                raise ValueError("short_side belongs to fit: crop")
            if self.short_side < max(self.size):
                raise ValueError(f"short_side {self.short_side} is below size {_by(self.size)}, which is cut out of it")
        return self


class ToleranceSpec(Section):
    """An engine's map may differ from the reference by this much, as a share of the map's range.

    The range is ``display.range`` where ``display.threshold`` is set, because the model's maker then gave both; otherwise
    it is what the reference's own maps span.
    """

    fp32: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """Largest difference allowed in float32."""
    reduced: Annotated[float, Field(gt=0, lt=1)] = 5e-2
    """99.9th percentile of the difference allowed in fp16, bf16 and int8."""


class DisplaySpec(Section):
    """These values are for pictures only; verdicts never read them."""

    threshold: float | None = None
    """Threshold that the model's maker chose, in the map's own values. null: unknown."""
    range: tuple[float, float] = (0.0, 1.0)
    """Map values that are shown as the lowest and the highest colour."""

    @model_validator(mode="after")
    def _ordered(self) -> DisplaySpec:
        if self.range[0] >= self.range[1]:
            raise ValueError(f"range must rise, not go from {self.range[0]} to {self.range[1]}")
        return self


Side: TypeAlias = Annotated[int, Field(ge=1, le=32768)]


_LEAST = 1e-3
"""Smallest weight of a pixel in a tile: at the edges of the frame no other tile covers it."""


class TileSpec(Section):
    """After its resize the picture is cut into tiles, and the graph takes one tile at a time."""

    size: tuple[Side, Side]
    """Width and height of a tile, in px of the picture. A smaller picture is filled up by reflection."""
    stride: tuple[Side, Side]
    """Distance from one tile to the next, across and down, in px."""
    blend: Literal["hann", "gaussian", "mean", "max"] = "hann"
    """How maps are joined where tiles overlap: by the weights of a ``hann`` or ``gaussian`` window, by equal weights
    (``mean``), or by the highest value (``max``)."""
    border_px: Annotated[int, Field(ge=0)] = 0
    """Width of the band along a tile's edges that is left out of the map, in px of the picture. It is not left out along
    the picture's own edges."""

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
        """Say why maps will show where tiles meet, or return None if they won't."""
        if self.blend == "max":
            return "blend max: maps step where a tile ends; hann has no seams"
        if any(stride >= size for stride, size in zip(self.stride, self.size, strict=True)):
            return "stride as large as the tile: maps step where tiles meet; half to three quarters of it blends them"
        return None


class BundleSpec(Section):
    """The keys of ``bundle.yaml`` stand here."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    """Version of the file format."""
    name: Annotated[str, Field(min_length=1)]
    """Name of the model in records."""
    files: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(default_factory=dict)
    """SHA-256 of every other file in the folder, by its name relative to the folder."""
    input: InputSpec
    resize: ResizeSpec
    illumination: IlluminationSpec | None = None
    """What happens to the pixels before the resize. null: nothing."""
    register_: Annotated[RegisterSpec | None, Field(alias="register")] = None
    """How the picture is brought to a reference's place and light after the resize. null: it is taken as it lies."""
    tile: TileSpec | None = None
    """How the picture is cut after the resize; ``input`` then describes one tile. null: the picture goes in whole."""
    map_to_image: tuple[float, float, float, float] = (1.0, 1.0, 0.0, 0.0)
    """Four numbers sx, sy, ox, oy: a map edge at x lies at ``x * sx + ox`` in the picture after the resize (on host or in
    graph). With tiles they describe the whole map."""
    map_size: Size | None = None
    """Width and height of the map that the graph gives, for one tile if there are tiles; engines refuse another size.
    null: the size follows the picture, or the bundle is older than this key."""
    map_highest: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Highest value that the map can have, as the graph limits it or as every picture of the build had it; a threshold
    above it is refused. null: unknown."""
    score_highest: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Highest value that the image score can have, as the graph limits it; a threshold above it is refused. null:
    unknown, or the bundle is older than this key."""
    tolerance: ToleranceSpec = ToleranceSpec()
    display: DisplaySpec = DisplaySpec()
    frames: FrameKindSpec | None = None
    """Kind of the good frames that the model was fitted on or built with. With explicit thresholds, frames of another kind
    get no verdict. null: there were none, or the bundle is older than this key."""
    provenance: dict[str, Any] = Field(default_factory=dict)
    """Where the model comes from, as free text and numbers for people."""

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
        if self.register_ is not None:
            self._check_register(self.register_)
        return self

    @property
    def tile_scale(self) -> tuple[int, int]:
        """Return how many px of the picture one px of the map covers, across and down, if there are tiles."""
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

    def _check_register(self, register: RegisterSpec) -> None:
        if self.input.bits != 8:
            raise ValueError(f"register works on 8-bit pictures, and input.bits is {self.input.bits}")
        if self.resize.where == "graph" or "any" in (self.resize.size or self.input.size,):
            raise ValueError("register needs pictures of one size: a resize on the host, or input.size")
        if self.files and register.reference not in self.files:
            raise ValueError(f"register.reference: {register.reference} is not among the bundle's files")

    def _check_illumination(self, illumination: IlluminationSpec) -> None:
        if self.input.bits != 8:
            raise ValueError(f"illumination works on 8-bit pictures, and input.bits is {self.input.bits}")
        missing = illumination.missing(self.input.channels)
        if missing:
            raise ValueError(f"illumination.frozen lacks the statistics of {' and '.join(missing)}; build the bundle again")


def _by(size: tuple[int, int] | str | None) -> str:
    return f"{size[0]}x{size[1]}" if isinstance(size, tuple) else str(size)
