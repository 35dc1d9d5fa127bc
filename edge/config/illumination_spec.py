"""The keys under ``illumination`` in ``bundle.yaml`` declare what evens out the light before the model."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from edge.config.yaml_reader import Section

Share: TypeAlias = Annotated[float, Field(ge=0, le=100)]


Positive: TypeAlias = Annotated[float, Field(gt=0, le=100)]


class HomomorphicSpec(Section):
    """The homomorphic filter dims slow changes of brightness and lifts fast ones, in the logarithm of the picture.

    Each channel is filtered by itself; the mean brightness is not kept. The formula stands in
    ``edge.preprocess.homomorphic``.
    """

    cutoff: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Frequency where slow changes end, as a share of the highest frequency along the longer side."""
    gamma_low: Positive = 0.7
    """Factor on slow changes; below 1 evens out the light."""
    gamma_high: Positive = 1.5
    """Factor on fast changes."""
    c: Positive = 1.0
    """Steepness of the change from slow to fast."""


class ClaheSpec(Section):
    """CLAHE equalises contrast locally, up to a limit; in colour it works on the mean of the channels and keeps the
    colours.
    """

    clip_limit: Positive = 2.0
    """How far a histogram may rise above its mean; a higher limit lifts contrast further, and noise too."""
    grid: tuple[Annotated[int, Field(ge=1, le=64)], Annotated[int, Field(ge=1, le=64)]] = (8, 8)
    """Cells across and down; each is equalised by itself, with soft transitions."""


class StretchSpec(Section):
    """Each channel is stretched so that two of its percentiles become 0 and 255."""

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
    """These are statistics of good frames, for each channel; they are measured, never written by hand."""

    frames: Annotated[int, Field(ge=1)]
    """Number of good frames measured."""
    gains: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    """Factors of the white balance."""
    levels: tuple[tuple[float, float], ...] | None = None
    """Levels that the contrast stretch turns black and white."""


class IlluminationSpec(Section):
    """Before resize and model the frame's pixels go through these steps, in the order in which they stand here."""

    white_balance: Literal["none", "gray_world", "max_rgb"] = "none"
    """Scales the channels until their means (``gray_world``) or their maxima (``max_rgb``) are equal. Grey frames stay as
    they are."""
    homomorphic: HomomorphicSpec | None = None
    """Evens out the light. null: the step is left out."""
    clahe: ClaheSpec | None = None
    """Lifts local contrast. null: the step is left out."""
    gamma: Annotated[float, Field(ge=0.05, le=20)] | None = None
    """Exponent applied to each level as a share of 255: below 1 brightens, above 1 darkens. null: the step is left out."""
    contrast_stretch: StretchSpec | None = None
    """Stretches the contrast of the whole picture. null: the step is left out."""
    statistics: Literal["frozen", "per_frame"] = "frozen"
    """``frozen``: white balance and stretch use statistics of good frames. ``per_frame``: they use each frame's own,
    defects included."""
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
        """List the steps whose frozen statistics are still to be measured, for pictures with this many channels."""
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
"""These declarations, by name, are good starting points."""
