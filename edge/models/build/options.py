"""A person says with these options what a model's graph doesn't, and how the bundle is made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from edge.config.bundle_spec import ResizeKernel, TileSpec
from edge.config.illumination_spec import IlluminationSpec
from edge.frames import Frame
from edge.models.build.foreign import Layout
from edge.models.build.placement import MapToImage


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """The options of ``edge build``; each default leaves it to the graph, or to what most models want."""

    name: str | None = None
    """Name of the model in records. None: the folder's name."""
    size: tuple[int, int] | None = None
    """Width and height in px of the picture that the network sees; needed only if the model leaves it open and its map
    doesn't follow. With ``tile`` the network sees tiles, and ``size`` is that of the picture that is cut into them."""
    resize: Literal["host", "graph"] = "host"
    """Where frames are brought to that size."""
    kernel: ResizeKernel | None = None
    """Kernel of that resize. None: area on the host; in the graph the exporter's own, otherwise linear."""
    fit: Literal["stretch", "letterbox", "crop"] = "stretch"
    """How frames of another shape are brought to that size, on the host alone."""
    pad: int = 114
    """Grey level of a letterbox's bars, of 255."""
    short_side: int | None = None
    """With ``crop``: the frame's short side becomes this first. None: just enough to cover the size."""
    channels: Literal[1, 3] | None = None
    """Channels of the frames, if a grey camera feeds a colour model. None: as the model's."""
    bits: int = 8
    """Bits of the frames' values, 8 to 16; above 8 the graph takes uint16."""
    mean: Sequence[float] | None = None
    """Subtracted after the scale: one value, or one for each channel of the model."""
    std: Sequence[float] | None = None
    """Divides what is left: the network gets ``(pixel * scale - mean) / std``."""
    scale: float | None = None
    """Factor on pixels. None: 1 / (2 ** bits - 1), so that the network gets 0 to 1."""
    order: Literal["rgb", "bgr"] = "rgb"
    """The model's order of channels; frames are RGB."""
    layout: Layout | None = None
    """Whether channels come first or last, if the model doesn't say."""
    map_name: str | None = None
    """The output that is the map. None: it is found by its shape."""
    map_class: int | None = None
    """Which class of the output ``map_name`` is the map: a channel of a class map (n, k, h, w) or (n, h, w, k), or an id
    in a map of ids. None: it has no classes."""
    score_name: str | None = None
    """The output that is the score. None: it is found by its shape."""
    map_to_image: MapToImage | None = None
    """Where the map lies in the network's picture (in a tile), for models whose own crop isn't understood."""
    tile: TileSpec | None = None
    """How frames are cut into tiles. None: they go in whole."""
    illumination: IlluminationSpec | None = None
    """Steps that even out the light before the resize. None: nothing."""
    frames: Iterable[Frame] = ()
    """Good frames; the first 16 are checked besides the generated pictures, and statistics that ``illumination`` lacks are
    measured on all of them. Gone through more than once."""
    force: bool = False
    """Whether a bundle that is in the folder already is replaced."""
