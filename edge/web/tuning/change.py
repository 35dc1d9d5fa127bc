"""A change is another ``regions:`` for a line: what it is judged by, and the words by which it goes into the config."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from edge.config.bundle import Bundle
from edge.config.calibration import Calibration
from edge.config.load import Loaded, parse_config
from edge.config.regions import RegionsConfig, ThresholdConfig
from edge.config.validate import validate
from edge.config.yaml_reader import dump_yaml, parse_yaml
from edge.errors import UserError
from edge.regions.criteria import Criteria, check_highest, load_criteria
from edge.storage.mask_picture import read_mask

UPSTREAM: Final = ("roi", "border_px", "smooth", "threshold", "open_px", "close_px")
"""Keys that act before there are candidates: with another value every map is looked at again. So do zones' shapes and
thresholds; all other keys are filters, or change no verdict."""


def section_of(data: Any) -> RegionsConfig:
    """Return the section that the page's JSON describes. Raises UserError that names each key that is wrong."""
    return validate(RegionsConfig, data, "regions", whole="regions")


def upstream_of(regions: RegionsConfig) -> bytes:
    """Return what the candidates depend on, to be compared."""
    keys = {key: regions.model_dump(mode="json")[key] for key in UPSTREAM}
    zones = [zone.model_dump(mode="json", exclude={"min_area_px"}) for zone in regions.zones]
    return orjson.dumps({**keys, "zones": zones})


def what_plans_depend_on(regions: RegionsConfig) -> bytes:
    """Return what a plan depends on, to be compared: the candidates' keys, and those by which regions grow."""
    return upstream_of(regions) + orjson.dumps([regions.fill_holes, regions.dilate_px])


@dataclass(frozen=True, slots=True)
class LevelsInForce:
    """The thresholds in force; ``calibrated`` are those of the calibration file, None without one."""

    high: float
    low: float | None
    calibrated: tuple[float, float | None] | None

    def under(self, regions: RegionsConfig) -> tuple[float, float | None]:
        """Return high and low under other regions. Raises UserError: ``calibrated``, and nothing was."""
        if isinstance(regions.threshold, ThresholdConfig):
            return regions.threshold.high, regions.threshold.low
        if self.calibrated is None:
            raise UserError(
                "regions.threshold is 'calibrated', but this line has no calibration",
                fix="set high by the slider, or run edge calibrate",
            )
        return self.calibrated


def levels_of(loaded: Loaded, criteria: Criteria) -> LevelsInForce:
    """Return the line's own thresholds, and the calibrated ones if it has a calibration file that can be read."""
    path = loaded.resolved.calibration
    calibrated = None
    if path is not None and path.exists():
        found = Calibration.load(path)
        calibrated = found.high, found.low
    return LevelsInForce(criteria.high, criteria.low, calibrated)


def with_regions(loaded: Loaded, regions: RegionsConfig) -> Loaded:
    """Return the loaded config with other regions, as if its file said so."""
    return replace(loaded, config=loaded.config.model_copy(update={"regions": regions}))


def problems_of(
    loaded: Loaded, bundle: Bundle, regions: RegionsConfig, scales: str | None, size: Any
) -> list[dict[str, str]]:
    """Return what ``edge check`` would refuse, each with its key under ``regions`` (empty: the whole) and its words.

    ``size``: shape of the maps, place in the frame and size of the frames, by which shapes are drawn; None: not known yet.
    """
    changed = with_regions(loaded, regions)
    config = changed.resolved
    try:
        check_highest(config.regions, bundle.spec.map_highest)
        criteria = load_criteria(config, bundle, scales, read_mask(config.regions.roi), named=loaded.path)
        if size is not None:
            amap, width, height = size
            criteria.plan(amap, width, height)
    except UserError as error:
        return [problem_of(error)]
    return []


_KEY: Final = re.compile(rf"\b((?:{'|'.join(RegionsConfig.model_fields)})\b(?:\.\w+|\[\d+\])*)")


def problem_of(error: UserError) -> dict[str, str]:
    """Return the key that an error is about, empty if none is named, its path with dots, and the error's words."""
    named = _KEY.search(error.what)
    path = "" if named is None else named[1].replace("[", ".").replace("]", "")
    return {"key": path.split(".")[0], "path": path, "text": str(error)}


def export_of(loaded: Loaded, regions: RegionsConfig, levels: LevelsInForce) -> dict[str, str]:
    """Return the change as ``yaml``, ``diff`` and ``set``: what to put under ``regions:``, what differs, ``--set`` words.

    Where the calibration would not fit any more, because what it was measured under changes, ``calibrated`` becomes the
    numbers it stood for: with them a replay gives the verdicts shown; ``note`` says so.
    """
    before = loaded.config.regions
    note = ""
    if regions.threshold == "calibrated" and _other_key(before, regions):
        high, low = levels.under(regions)
        regions = regions.model_copy(update={"threshold": ThresholdConfig(high=high, low=low)})
        note = (
            "the calibration was measured under another ROI, border, smoothing or zones: its numbers stand here; better: "
            "edge calibrate"
        )
    old, new = _plain(before), _plain(regions)
    changed = {key: value for key, value in new.items() if value != old.get(key)}
    removed = [key for key in old if key not in new]
    written = {key: new.get(key, default_of(key)) for key in [*changed, *removed]}
    text = "".join(["regions:\n", *(f"  {key}: {_inline(value)}\n" for key, value in written.items())])
    text = text if written else "# nothing differs from the line's config\n"
    lines = [f"-  {key}: {_inline(old[key])}" if key in old else None for key in written]
    diff = ["regions:"]
    for gone, (key, value) in zip(lines, written.items(), strict=True):
        diff += [gone] if gone else []
        diff.append(f"+  {key}: {_inline(value)}")
    words = " ".join(f"--set {_quoted(f'regions.{key}={_inline(value)}')}" for key, value in written.items())
    return {"yaml": text, "diff": "\n".join(diff) + "\n" if written else "", "set": words, "note": note}


def check_export(loaded: Loaded, text: str) -> None:
    """Read an export back through the config's own loader. Raises UserError if the line's config with it is none."""
    data, _ = parse_yaml(loaded.text, str(loaded.path))
    given, _ = parse_yaml(text, "export")
    section = dict(data.get("regions") or {}) | dict((given or {}).get("regions") or {})
    parse_config(dump_yaml({**data, "regions": section}), Path(loaded.path))


def default_of(key: str) -> Any:
    """Return a key's default as YAML would have it."""
    return _json(RegionsConfig())[key]


def _other_key(before: RegionsConfig, after: RegionsConfig) -> bool:
    return any(getattr(before, key) != getattr(after, key) for key in ("roi", "border_px", "smooth", "zones"))


def _json(regions: RegionsConfig) -> dict[str, Any]:
    data: dict[str, Any] = regions.model_dump(mode="json")
    return data


def _plain(regions: RegionsConfig) -> dict[str, Any]:
    """Return the keys that differ from their defaults, and inside sections, too."""
    return {key: _lean(value) for key, value in _json(regions).items() if value != default_of(key)}


_DEFAULTS: Final[Mapping[str, Any]] = {
    "units": "norm",
    "include": [],
    "exclude": [],
    "mask": None,
    "sigma": None,
    "low": None,
}


def _lean(value: Any) -> Any:
    if isinstance(value, dict):
        lean = {k: _lean(v) for k, v in value.items() if not (k in _DEFAULTS and v == _DEFAULTS[k])}
        return {k: v for k, v in lean.items() if v is not None or k not in ("threshold", "min_area_px")} or value
    return [_lean(one) for one in value] if isinstance(value, list) else value


def _inline(value: Any) -> str:
    """Write a value on one line, in YAML's flow style, as people write it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_inline(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, str) and value.replace("_", "").isalpha() and value not in ("null", "true", "false"):
        return value
    return orjson.dumps(value).decode()


def _quoted(text: str) -> str:
    return text if all(c.isalnum() or c in "._=-" for c in text) else "'" + text.replace("'", "'\"'\"'") + "'"
