"""The model that is stressed or adapted, with the threshold that it runs at now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson

from edge.config.bundle import Bundle, load_bundle
from edge.config.line import ModelConfig
from edge.config.load import Loaded, load_config
from edge.config.regions import RegionsConfig
from edge.engines.line_engine import scales_sha256
from edge.errors import UserError
from edge.models.evaluate.judge import Inspector
from edge.regions.criteria import load_criteria
from edge.storage.mask_picture import read_mask

SELF_TEST = "self_test.json"


@dataclass(frozen=True, slots=True)
class Subject:
    """A bundle and what its maps are judged by. ``threshold_from``: where the frozen threshold comes from, in words.

    ``line``: the line's config, where one was given; its ROI, filters and thresholds then count.
    """

    name: str
    bundle: Bundle
    inspector: Inspector
    threshold_from: str
    line: Loaded | None = None

    @property
    def threshold(self) -> float:
        """The frozen threshold of the map."""
        return self.inspector.high


def open_subject(path: Path, threshold: float | None = None) -> Subject:
    """A bundle's folder, or a line's YAML with its calibration.

    Without ``threshold`` a line's own counts; a bare bundle's is that of its self-test, which calibration on the frames of
    the fit would give, else the one for display.

    Raises:
        UserError: no such bundle or line, or nothing says where the threshold lies.
    """
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return _of_line(load_config(path), threshold)
    bundle = load_bundle(path.absolute())
    model = ModelConfig(bundle=bundle.folder)
    if threshold is not None:
        high, threshold_from = threshold, "--threshold"
    else:
        high, threshold_from = _own_threshold(bundle)
    return Subject(bundle.folder.name, bundle, Inspector(model, RegionsConfig(), high), threshold_from)


def _of_line(loaded: Loaded, threshold: float | None) -> Subject:
    config = loaded.resolved
    bundle = load_bundle(config.model.bundle)
    scales = scales_sha256(config.model, config.source, bundle)
    criteria = load_criteria(config, bundle, scales, read_mask(config.regions.roi), named=loaded.path)
    high, threshold_from = criteria.high, "the calibration file" if criteria.calibration_sha256 else "the line's config"
    low = criteria.low
    if threshold is not None:
        high, low, threshold_from = threshold, None, "--threshold"
    inspector = Inspector(config.model, criteria.regions, high, low, criteria.mask, config.source.levels)
    return Subject(loaded.path.stem, bundle, inspector, threshold_from, loaded)


def _own_threshold(bundle: Bundle) -> tuple[float, str]:
    path = bundle.folder / SELF_TEST
    if SELF_TEST in bundle.spec.files:
        try:
            return float(orjson.loads(path.read_bytes())["threshold"]), "the bundle's self-test"
        except (OSError, ValueError, KeyError, TypeError):
            pass
    if bundle.spec.display.threshold is not None:
        return bundle.spec.display.threshold, "the bundle's display threshold: calibrate the line for a real one"
    raise UserError(
        f"{bundle.folder}: nothing says at which value of its map a frame is rejected",
        expected="a line's YAML with its calibration in place of the bundle, or a threshold",
        fix="name the line: -m line.yaml; or give --threshold NUMBER",
    )
