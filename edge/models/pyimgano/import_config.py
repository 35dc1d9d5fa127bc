"""pyimgano's ``infer_config.json`` becomes a line's config, with every setting that means something else here, or nothing.

Defect extraction stands in ``defects``, tiling in ``adaptation.tiling``, illumination in
``preprocessing.illumination_contrast``. The last two belong to a bundle here: what to build it with is given as text.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import ValidationError

from edge.config.regions import RegionsConfig
from edge.config.validate import expectation, parse
from edge.config.yaml_reader import dump_yaml
from edge.errors import UserError
from edge.models.pyimgano.infer_config_reader import ImportNotes, Json, Note
from edge.models.pyimgano.map_postprocess import add_map_postprocess
from edge.models.pyimgano.to_bundle import FROZEN, illumination, tiling
from edge.models.pyimgano.to_regions import regions_of
from edge.regions.filters import FILTERS

_RECIPE: Final = (
    ("postprocess", "a summary: what acts of it stands in defects and in adaptation.postprocess"),
    ("model", "a bundle takes its place: export the model to ONNX and run edge build"),
    ("threshold", "the image score's threshold; here regions decide the verdict, not the score"),
    ("prediction", "rejection by confidence of the image score; here regions decide the verdict"),
    ("operator_contract", "describes pyimgano's own output"),
    ("artifact_quality", "provenance of pyimgano's run"),
    ("threshold_provenance", "provenance of the image score's threshold"),
    ("checkpoint", "a bundle takes its place"),
    ("split_fingerprint", "provenance of pyimgano's run"),
    ("from_run", "provenance of pyimgano's run"),
    ("category", "provenance; name the product in recipe_id"),
    ("per_category", "one line has one config: import each category's own infer_config"),
    ("schema_version", "version of pyimgano's file"),
    ("timestamp_utc", "provenance of pyimgano's run"),
    ("pyimgano_version", "provenance of pyimgano's run"),
    ("trust_summary", "provenance of pyimgano's run"),
    ("bundle_artifact_refs", "files of pyimgano's bundle"),
)
"""Sections beside ``defects`` that have no counterpart, with the reason; reported if they stand in the file."""

_PX: Final = (
    "maps of different models have different sizes, and an area of 16 px on 64x64 is 256 px on 256x256: compare the sizes, "
    "then scale "
)
_THEIRS: Final = {
    "roi": "roi_xyxy_norm",
    "border_px": "border_ignore_px",
    "smooth": "map_smoothing",
    "threshold": "pixel_threshold",
    "open_px": "open_ksize",
    "close_px": "close_ksize",
    "min_area_px": "min_area",
    **{row.key: f"shape_filters.{row.key}" for row in FILTERS if row.kind == "shape"},
    "merge_gap_px": "merge_nearby.max_gap_px",
    "sort_by": "max_regions_sort_by",
}
"""Our keys of ``regions:`` whose names differ."""


@dataclass(frozen=True, slots=True)
class ImportedConfig:
    """An import has ``text``, the line's YAML; ``differs``, settings that mean something else; and ``ignored``, the others.

    ``build_options``: what to give to ``edge build`` for tiling and illumination; empty if there is neither.
    """

    text: str
    differs: tuple[Note, ...]
    ignored: tuple[Note, ...]
    unknown: tuple[str, ...]
    build_options: str


def read_infer_config(path: Path) -> dict[str, Any]:
    """Read the file. Raises UserError if it can't be read, is no JSON, or has no ``defects`` section."""
    try:
        data = orjson.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not valid JSON: {error.msg}") from None
    if not isinstance(data, dict) or not isinstance(data.get("defects"), dict):
        held = ", ".join(data) if isinstance(data, dict) else "no JSON object"
        raise UserError(
            f"{path}: no infer_config: it has no section 'defects'",
            received=held or "an empty object",
            expected="the infer_config.json that pyimgano-train --export-infer-config writes",
        )
    return data


def import_config(data: Mapping[str, Any], name: str, bundle: Path) -> ImportedConfig:
    """Convert ``data``, from ``read_infer_config``. ``name`` stands in errors and in the YAML; ``bundle`` becomes its
    model.

    Raises:
        UserError: a value of the wrong type or out of range, an ROI without a pixel.
    """
    notes = ImportNotes()
    top = Json(data, "", name)
    defects = top.section("defects")
    regions = regions_of(defects, notes)
    adaptation, preprocessing = top.section("adaptation"), top.section("preprocessing")
    tile = tiling(adaptation.section("tiling"), notes)
    light = illumination(preprocessing.section("illumination_contrast"), notes)
    if isinstance(data.get("adaptation"), dict) and data["adaptation"].get("postprocess") is not None:
        add_map_postprocess(adaptation.section("postprocess"), regions, notes)
    else:
        adaptation.take("postprocess")
    regions = _checked(regions, data["defects"], name)
    in_px = [key for key in regions if key.endswith("_px")] + [key for key in ("smooth",) if key in regions]
    if in_px:
        notes.differ("(px)", "pixels of the old model's map", "pixels of the new one's", _PX + ", ".join(in_px))
    if adaptation.take("save_maps"):
        notes.ignore("adaptation.save_maps", "edge replay --explain draws maps")
    for key, reason in _RECIPE:
        if top.take(key) is not None:
            notes.ignore(key, reason)
    notes.differ(
        "(verdict)", "image score > threshold", "fail where a region is left", "regions decide, the score is shown"
    )
    unknown = (*notes.unknown, *(key for section in (defects, adaptation, preprocessing, top) for key in section.left()))
    options = _build_options(tile, light)
    return ImportedConfig(
        _yaml(regions, name, bundle, notes, unknown, options),
        tuple(notes.differs),
        tuple(notes.ignored),
        unknown,
        options,
    )


def _checked(regions: dict[str, Any], defects: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Check ``defects``, the file's own, which errors name: what we made of a value is another one at times."""
    try:
        parse(RegionsConfig, regions)
    except ValidationError as error:
        texts = []
        for e in error.errors():
            key = str(e["loc"][0]) if e["loc"] else ""
            given = _given(defects, _THEIRS.get(key, key)) if len(e["loc"]) == 1 else None
            shown = e["input"] if given is None else given
            shown = None if isinstance(shown, dict) else orjson.dumps(shown, default=str).decode()
            where = f"{name}: defects.{_THEIRS.get(key, key)}" if key else f"{name}: defects"
            texts.append(str(UserError(where, received=shown, expected=expectation(e))))
        raise UserError("\n".join(texts)) from None
    return regions


def _given(defects: Mapping[str, Any], path: str) -> Any:
    """The value at ``path``, with dots; null if there is none."""
    value: Any = defects
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _build_options(tile: Mapping[str, Any] | None, light: Mapping[str, Any] | None) -> str:
    options = []
    if tile is not None:
        size, stride = tile["size"], tile["stride"]
        options.append(f"--tile {size},{size} --stride {stride},{stride} --blend {tile['blend']}")
    if light is not None:
        options.append(f"--illumination {shlex.quote(orjson.dumps(light).decode())}")
        if FROZEN & light.keys():
            options.append("--frames GOOD_FRAMES")
    return " ".join(options)


def _yaml(
    regions: dict[str, Any], name: str, bundle: Path, notes: ImportNotes, unknown: tuple[str, ...], options: str
) -> str:
    lines = [f"{note.key}: {note.text}" for note in notes.differs]
    lines += [f"{note.key} ignored: {note.text}" for note in notes.ignored]
    lines += [f"{key} unknown, ignored" for key in unknown]
    head = [f"# Imported from {name} by edge import-config."]
    for line in lines:
        head += textwrap.wrap(line, 116, initial_indent="# - ", subsequent_indent="#   ", break_on_hyphens=False)
    if options:
        head.append(f"# Build the bundle with: edge build MODEL.onnx -o {bundle} {options}")
    config: dict[str, Any] = {
        "camera": "cam1",
        "source": {"kind": "genicam"},
        "model": {"bundle": str(bundle)},
        **({"calibration": "cam1.calibration.yaml"} if regions["threshold"] == "calibrated" else {}),
        "regions": {key: regions[key] for key in RegionsConfig.model_fields if key in regions},
    }
    return "\n".join(head) + "\n" + dump_yaml(config)
