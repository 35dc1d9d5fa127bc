"""pyimgano's ``adaptation.postprocess`` changes a map before the threshold; it becomes keys of a line's ``regions:``."""

from __future__ import annotations

from typing import Any, Final

from edge.models.pyimgano.infer_config_reader import ImportNotes, Json

_SCALED: Final = (
    "it scales each map by its own values, so that clean noise reaches any fixed threshold; here thresholds are "
    "compared with the raw map: calibrate them anew"
)
_WHERE: Final = "adaptation.postprocess"
_LARGEST_WINDOW: Final = 31


def add_map_postprocess(section: Json, regions: dict[str, Any], notes: ImportNotes) -> None:
    """Add smoothing, opening, closing and the least area to ``regions``, where it doesn't have them already.

    Raises:
        UserError: a value of the wrong type.
    """
    scaled = section.flag("normalize", default=True)
    method = section.word("normalize_method", "minmax", ("minmax", "percentile", "none"))
    section.take("percentile_range")
    sigma = section.number("gaussian_sigma") or 0.0
    opened, closed = section.integer("morph_open_ksize", 0), section.integer("morph_close_ksize", 0)
    threshold, area = section.number("component_threshold"), section.integer("min_component_area", 0)
    notes.unknown += section.left()
    if scaled and method != "none":
        notes.ignore(f"{_WHERE}.normalize", _SCALED)
    if sigma > 0:
        size = min(max(round(sigma * 8 + 1) | 1, 3), _LARGEST_WINDOW)
        _add("gaussian_sigma", sigma, "smooth", {"kind": "gaussian", "size": size, "sigma": sigma}, regions, notes)
    for theirs, given, ours in (("morph_open_ksize", opened, "open_px"), ("morph_close_ksize", closed, "close_px")):
        if given > 1:
            _add(theirs, given, ours, given | 1, regions, notes)
    if area > 0 and threshold is None:
        notes.ignore(f"{_WHERE}.min_component_area", "without component_threshold it had no effect")
    elif area > 0:
        _add("min_component_area", area, "min_area_px", area, regions, notes)
        notes.ignore(f"{_WHERE}.component_threshold", "pieces are counted at regions.threshold, not at one of their own")


def _add(theirs: str, given: object, ours: str, value: object, regions: dict[str, Any], notes: ImportNotes) -> None:
    if ours in regions:
        notes.ignore(
            f"{_WHERE}.{theirs}", f"regions.{ours} is taken from defects already; there both acted, one after the other"
        )
        return
    regions[ours] = value
    notes.differ(f"{_WHERE}.{theirs}", given, value, f"becomes regions.{ours}, on the raw map")
