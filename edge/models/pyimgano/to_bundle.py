"""Tiling and illumination of pyimgano's ``infer_config.json`` become what a bundle declares."""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError

from edge.config.illumination_spec import IlluminationSpec
from edge.config.validate import expectation, parse
from edge.errors import UserError
from edge.models.pyimgano.infer_config_reader import ImportNotes, Json

FROZEN: Final = frozenset({"white_balance", "contrast_stretch"})
"""Steps of the illumination that go by statistics of good frames."""
_THEIRS: Final = {
    "clahe_grid": "clahe_tile_grid_size",
    "contrast_stretch_lower": "contrast_lower_percentile",
    "contrast_stretch_upper": "contrast_upper_percentile",
}
"""Our keys of the steps, joined by _, whose names differ."""


def tiling(section: Json, notes: ImportNotes) -> dict[str, Any] | None:
    """Return ``size``, ``stride`` and ``blend`` of the bundle's ``tile``; None if nothing is tiled."""
    size, stride = section.integer("tile_size", None), section.integer("stride", None)
    blend = section.word("map_reduce", "max", ("max", "mean", "hann", "gaussian"))
    reduce, topk = section.take("score_reduce"), section.take("score_topk")
    notes.unknown += section.left()
    if size is None:
        return None
    if size < 1:
        raise UserError(section.where("tile_size"), received=size, expected="a side of at least 1 px, or null")
    stride = size if stride is None else stride
    if not 1 <= stride <= size:
        raise UserError(
            section.where("stride"),
            received=stride,
            expected=f"1 to {size}, the tile's size: pixels between tiles were never inspected, and passed as 0",
        )
    if reduce is not None or topk is not None:
        notes.ignore("adaptation.tiling.score_reduce, score_topk", "regions decide the verdict, not the tiles' scores")
    if blend == "max":
        notes.differ(
            "adaptation.tiling.map_reduce",
            blend,
            blend,
            "a map that isn't finite is invalid; there it became 0, which passes. hann has no seams",
        )
    notes.differ(
        "adaptation.tiling",
        f"{size}, stride {stride}, {blend}",
        "edge build",
        "a bundle's property; each tile is inferred once, and cut from the picture after its resize",
    )
    return {"size": size, "stride": stride, "blend": blend}


def illumination(section: Json, notes: ImportNotes) -> dict[str, Any] | None:
    """Return the bundle's ``illumination``; None if no step is on."""
    key = "preprocessing.illumination_contrast"
    enabled = section.flag("enabled", default=True)
    balance = section.word("white_balance", "none", ("none", "gray_world", "max_rgb", "grayworld", "maxrgb"))
    balance = {"grayworld": "gray_world", "maxrgb": "max_rgb"}.get(balance, balance)
    steps: dict[str, Any] = {}
    if balance != "none":
        steps["white_balance"] = balance
    homomorphic = {name: section.number(f"homomorphic_{name}") for name in ("cutoff", "gamma_low", "gamma_high", "c")}
    per_channel = section.flag("homomorphic_per_channel", default=True)
    if section.flag("homomorphic", default=False):
        steps["homomorphic"] = {name: value for name, value in homomorphic.items() if value is not None}
        if not per_channel:
            notes.differ(f"{key}.homomorphic_per_channel", per_channel, True, "each channel is filtered by itself")
    limit, grid = section.number("clahe_clip_limit"), section.numbers("clahe_tile_grid_size", 2)
    if section.flag("clahe", default=False):
        named = {"clip_limit": limit, "grid": None if grid is None else [int(side) for side in grid]}
        steps["clahe"] = {name: value for name, value in named.items() if value is not None}
    gamma = section.number("gamma")
    if gamma is not None:
        if gamma <= 0:
            raise UserError(section.where("gamma"), received=gamma, expected="above 0, or null")
        steps["gamma"] = 1 / gamma
        if gamma != 1:
            effect = "brightened" if gamma > 1 else "darkened, whatever pyimgano's guide says"
            shown = float(f"{1 / gamma:.6g}")
            notes.differ(f"{key}.gamma", gamma, shown, f"the exponent itself, which was 1 / gamma: {gamma:g} {effect}")
    lower, upper = section.number("contrast_lower_percentile"), section.number("contrast_upper_percentile")
    if section.flag("contrast_stretch", default=False):
        named = {"lower": lower, "upper": upper}
        steps["contrast_stretch"] = {name: value for name, value in named.items() if value is not None}
    notes.unknown += section.left()
    if not enabled and steps:
        notes.ignore(key, "it is not enabled")
        return None
    _check(steps, gamma, section)
    frozen = [step for step in steps if step in FROZEN]
    if frozen:
        notes.differ(
            f"{key}.{', '.join(frozen)}",
            "each frame's statistics",
            "good frames' statistics",
            "measured when the bundle is built (edge build --frames), so that a defect can't change its own surroundings",
        )
    return steps or None


def _check(steps: dict[str, Any], gamma: float | None, section: Json) -> None:
    if not steps:
        return
    try:
        parse(IlluminationSpec, steps)
    except ValidationError as error:
        first = error.errors()[0]
        ours = "_".join(str(part) for part in first["loc"] if isinstance(part, str))
        expected = expectation(first)
        received = None if isinstance(first["input"], dict) else first["input"]
        if ours == "gamma":
            received, expected = gamma, f"1 / gamma: {expected}"
        raise UserError(section.where(_THEIRS.get(ours, ours)), received=received, expected=expected) from None
