"""What a bundle declares under ``register``: the reference picture to which frames are brought, and the limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge.config.yaml_reader import Section

Unknown = Literal["shift", "rotation", "scale", "gain", "offset", "slope"]
UNKNOWNS: tuple[Unknown, ...] = ("shift", "rotation", "scale", "gain", "offset", "slope")


class RegisterLimits(Section):
    """Beyond one of these a frame is ``invalid: part_out_of_place``."""

    shift_px: Annotated[float, Field(gt=0)] = 16.0
    """Furthest that the middle of the picture may lie from the reference's, in px of the picture after the resize."""
    rotation_deg: Annotated[float, Field(gt=0, le=45)] = 3.0
    """Furthest that the part may be turned."""
    scale: Annotated[float, Field(gt=0, le=0.5)] = 0.03
    """Furthest that its size may differ, as a share."""
    gain: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (0.4, 2.5)
    """Least and most that the frame's contrast may be of the reference's, anywhere in the picture."""
    agreement: Annotated[float, Field(ge=0, lt=1)] = 0.7
    """Least correlation of the registered frame with the reference. Below it the part is another one, or not there."""

    @model_validator(mode="after")
    def _ordered(self) -> RegisterLimits:
        if self.gain[0] >= self.gain[1]:
            raise ValueError(f"gain must rise, not go from {self.gain[0]:g} to {self.gain[1]:g}")
        return self


class RegisterSpec(Section):
    """How each frame is brought to the reference's place and light before the graph, and its map back afterwards."""

    reference: Annotated[str, Field(min_length=1)] = "register.png"
    """Picture of the bundle, as the graph takes it: the size after the resize, grey or RGB as ``input.channels``."""
    size: Annotated[int, Field(ge=32, le=512)] = 128
    """Longer side, in px, at which the two are compared."""
    unknowns: tuple[Unknown, ...] = UNKNOWNS
    """What is solved for. All six, always: the key says so to whoever reads the bundle."""
    map_times_gain: bool = False
    """The map is multiplied by the frame's gain. For maps in units of the camera's noise, which is enlarged together with a
    darker frame: without it a light that is 10 % lower rejects good parts."""
    limits: RegisterLimits = RegisterLimits()

    @model_validator(mode="after")
    def _all_of_them(self) -> RegisterSpec:
        if set(self.unknowns) != set(UNKNOWNS):
            raise ValueError(f"unknowns must be {', '.join(UNKNOWNS)}: this version solves for all of them at once")
        return self
