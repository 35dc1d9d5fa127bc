"""What kind of frames a model was made from or thresholds were measured on, as bundle and calibration file tell it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from edge.config.yaml_reader import Section
from edge.frames import FrameKind


class FrameKindSpec(Section):
    """What all of the frames had in common; null where they differed."""

    size: tuple[Annotated[int, Field(ge=1, le=32768)], Annotated[int, Field(ge=1, le=32768)]] | None = None
    """Width and height in px."""
    colour: Literal["grey", "RGB"] | None = None
    """One channel or three."""
    bits: Annotated[int, Field(ge=8, le=16)] | None = None
    """Bits of a sample, as the model's preprocessing gets it."""

    @property
    def kind(self) -> FrameKind:
        return FrameKind(self.size, self.colour, self.bits)


def common_kind(kinds: Iterable[FrameKind]) -> FrameKindSpec:
    """What kinds of frames have in common."""
    seen = list(kinds)
    sizes, colours, bits = ({getattr(kind, name) for kind in seen} for name in ("size", "colour", "bits"))
    return FrameKindSpec(
        size=sizes.pop() if len(sizes) == 1 else None,
        colour=colours.pop() if len(colours) == 1 else None,
        bits=bits.pop() if len(bits) == 1 else None,
    )
