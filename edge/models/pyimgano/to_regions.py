"""The ``defects`` section of pyimgano's ``infer_config.json`` becomes a line's ``regions:``."""

from __future__ import annotations

from typing import Any, Final

from edge.errors import UserError
from edge.models.pyimgano.infer_config_reader import ImportNotes, Json
from edge.regions.filters import FILTERS

_WHY: Final = {
    "roi_xyxy_norm": "limits the pixels before regions are formed, and map_max: what crosses its edge is cut first",
    "border_ignore_px": "left out, not set to 0 before smoothing: defects beside it keep their values",
    "median": "an even size meant the next odd one; above 5 pyimgano fails at run time",
    "gaussian": "the size that OpenCV takes from sigma, or the next odd one; at most 31",
    "box": "an even box moves the map by half a pixel, so the next odd one; at most 31",
    "strategy": "with --train-dir pyimgano measured the threshold anew and passed over this one, the file's own",
    "calibrated": "edge calibrate takes high from the maxima of good frames, on the map that it is compared with: "
    "smoothed, inside ROI and border; --quantile is for low",
    "derived_low": "half of high, as it was there, written out. On maps with a floor that lies below the background, and "
    "everything is one region: edge calibrate measures it",
    "even": "an even one moves every shape by half a pixel, so the next odd one",
    "min_area": "counted inside the ROI, not before it cuts",
    "score": "compared in float32, as the map is: a region exactly at the limit stays",
    "fixed_gate": "a fixed score beside a calibrated threshold may drop every region, or none",
    "min_solidity": "lines one pixel wide have 1 and stay; there they were always dropped",
    "max_gap_px": "between the nearest pixels, not between boxes: an L no longer takes in what lies in its corner",
}


def regions_of(defects: Json, notes: ImportNotes) -> dict[str, Any]:
    """Return ``regions:`` with the keys that are not at their defaults, their values not yet checked for range.

    Raises:
        UserError: a value of the wrong type, an ROI without a pixel.
    """
    regions = {
        **_pixels(defects, notes),
        "threshold": _threshold(defects, notes),
        **_morphology(defects, notes),
        **_filters(defects, notes),
        **_list(defects, notes),
    }
    if "roi" in regions and "min_area_px" in regions:
        area = regions["min_area_px"]
        notes.differ("defects.min_area", area, area, _WHY["min_area"])
    if regions["threshold"] == "calibrated":
        for key in _keys("score"):
            if key in regions:
                notes.differ(f"defects.{key}", regions[key], regions[key], _WHY["fixed_gate"])
    return regions


def _pixels(defects: Json, notes: ImportNotes) -> dict[str, Any]:
    """ROI, border, smoothing."""
    regions: dict[str, Any] = {}
    roi = defects.numbers("roi_xyxy_norm", 4)
    if roi is not None:
        clamped = [min(max(value, 0.0), 1.0) for value in roi]
        x0, x1 = sorted(clamped[::2])
        y0, y1 = sorted(clamped[1::2])
        if x0 == x1 or y0 == y1:
            raise UserError(
                f"{defects.where('roi_xyxy_norm')}: holds no pixel, so that nothing was ever inspected",
                received=roi,
                expected="x0, y0, x1, y1 from 0 to 1 with x0 < x1 and y0 < y1",
            )
        regions["roi"] = {"units": "norm", "include": [[x0, y0, x1, y1]]}
        notes.differ("defects.roi_xyxy_norm", roi, [x0, y0, x1, y1], _WHY["roi_xyxy_norm"])
    border = defects.integer("border_ignore_px", 0)
    if border:
        regions["border_px"] = border
        notes.differ("defects.border_ignore_px", border, border, _WHY["border_ignore_px"])
    smoothing = defects.section("map_smoothing")
    method = smoothing.word("method", "none", ("none", "median", "gaussian", "box"))
    size, sigma = smoothing.integer("ksize", 0), smoothing.number("sigma") or 0.0
    notes.unknown += smoothing.left()
    smooth = _smooth(method, size, sigma)
    if smooth is not None:
        regions["smooth"] = smooth
        if smooth["size"] != size:
            notes.differ("defects.map_smoothing.ksize", size, smooth["size"], _WHY[method])
    elif method != "none":
        notes.ignore("defects.map_smoothing", f"{method} of size {size} changes nothing")
    return regions


def _smooth(method: str, size: int, sigma: float) -> dict[str, Any] | None:
    if method == "none" or size == 1 or (size < 1 and (method != "gaussian" or sigma <= 0)):
        return None
    if size < 1:
        size = round(sigma * 8 + 1)  # OpenCV's own, for float32
    size = min(max(size | 1, 3), 5 if method == "median" else 31)
    smooth: dict[str, Any] = {"kind": method, "size": size}
    return smooth | {"sigma": sigma} if method == "gaussian" and sigma > 0 else smooth


def _threshold(defects: Json, notes: ImportNotes) -> str | dict[str, float | None]:
    """Return ``calibrated``, or high and low."""
    given = defects.number("pixel_threshold")
    strategy = defects.word(
        "pixel_threshold_strategy", "normal_pixel_quantile", ("normal_pixel_quantile", "fixed", "infer_config")
    )
    quantile = defects.number("pixel_normal_quantile")
    hysteresis = defects.section("hysteresis")
    enabled = hysteresis.flag("enabled", default=False)
    high, low = hysteresis.number("high"), hysteresis.number("low")
    notes.unknown += hysteresis.left()
    if not enabled and (high is not None or low is not None):
        notes.ignore("defects.hysteresis", "it is not enabled")
    if enabled and high is not None:
        if given is not None:
            notes.ignore("defects.pixel_threshold", "hysteresis.high stands in its place, as it did there")
        given = high
    if given is None:
        share = 0.999 if quantile is None else quantile
        notes.differ(
            "defects.pixel_threshold", f"quantile {share:g} of the raw maps' pixels", "calibrated", _WHY["calibrated"]
        )
        if enabled and low is not None:
            notes.ignore("defects.hysteresis.low", "the calibration file holds both; or set regions.threshold by hand")
        return "calibrated"
    if quantile is not None:
        notes.ignore("defects.pixel_normal_quantile", "the threshold is fixed: no quantile is taken")
    if strategy == "normal_pixel_quantile":
        notes.differ("defects.pixel_threshold_strategy", strategy, "explicit", _WHY["strategy"])
    if not enabled:
        return {"high": given, "low": None}
    if low is None:
        low = 0.5 * given
        notes.differ("defects.hysteresis.low", None, min(low, given), _WHY["derived_low"])
    if low > given:
        there, here = f"low {low:g}, high {given:g}", f"low {given:g}, high {low:g}"
        notes.differ("defects.hysteresis", there, here, "they were exchanged silently")
    return {"high": max(low, given), "low": min(low, given)}


def _morphology(defects: Json, notes: ImportNotes) -> dict[str, Any]:
    regions: dict[str, Any] = {}
    for theirs, ours in (("open_ksize", "open_px"), ("close_ksize", "close_px")):
        size = defects.integer(theirs, 0)
        if size > 1:
            regions[ours] = size | 1
            if size % 2 == 0:
                notes.differ(f"defects.{theirs}", size, size | 1, _WHY["even"])
    if defects.flag("fill_holes", default=False):
        regions["fill_holes"] = True
    return regions


def _filters(defects: Json, notes: ImportNotes) -> dict[str, Any]:
    regions: dict[str, Any] = {}
    area = defects.integer("min_area", 0)
    if area:
        regions["min_area_px"] = area
    for key in _keys("score"):
        score = defects.number(key)
        if score is not None:
            regions[key] = score
            notes.differ(f"defects.{key}", score, score, _WHY["score"])
    filters = defects.section("shape_filters")
    for key in _keys("shape"):
        value = filters.number(key)
        if value is not None:
            regions[key] = value
    notes.unknown += filters.left()
    if "min_solidity" in regions:
        value = regions["min_solidity"]
        notes.differ("defects.shape_filters.min_solidity", value, value, _WHY["min_solidity"])
    return regions


def _keys(kind: str) -> list[str]:
    """Our filters of one kind; pyimgano calls them the same."""
    return [row.key for row in FILTERS if row.kind == kind]


def _list(defects: Json, notes: ImportNotes) -> dict[str, Any]:
    """Return merging, order, and how many are reported."""
    regions: dict[str, Any] = {}
    merging = defects.section("merge_nearby")
    enabled, gap = merging.flag("enabled", default=False), merging.integer("max_gap_px", 0)
    notes.unknown += merging.left()
    if enabled and gap > 0:
        regions["merge_gap_px"] = gap
        notes.differ("defects.merge_nearby.max_gap_px", gap, gap, _WHY["max_gap_px"])
    elif enabled or gap:
        notes.ignore("defects.merge_nearby", "gap 0 merged nothing" if enabled else "it is not enabled")
    most = defects.integer("max_regions", None)
    if most is not None and most > 0:
        regions["max_regions"] = most
    elif most is not None:
        text = "it dropped every region" if most == 0 else f"it dropped the last {-most}"
        notes.differ("defects.max_regions", most, None, f"{text}; here it only shortens the list in the record")
    order = defects.word("max_regions_sort_by", "score_max", ("score_max", "score_mean", "area"))
    if order != "score_max":
        regions["sort_by"] = order
    if defects.take("enabled") is not None:
        notes.ignore("defects.enabled", "regions are always found: they decide the verdict")
    if defects.take("mask_format") is not None:
        notes.ignore("defects.mask_format", "edge replay --masks png or rle")
    return regions
