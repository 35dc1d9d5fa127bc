"""The drift baseline of a line, kept in a file beside its calibration file, which names it and its hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edge.config.calibration import Calibration, DriftReferenceSpec, roi_sha256
from edge.config.line import Config
from edge.drift.baseline import Baseline, BaselineKey, check_baseline
from edge.drift.stored import DamagedBaselineError, baseline_bytes, baseline_of
from edge.errors import UserError, may_pass
from edge.storage.disk import write_whole
from edge.storage.mask_picture import read_mask

_FIX = "run edge calibrate --drift again"


def drift_key(config: Config, model_sha256: str, size: tuple[int, int]) -> BaselineKey:
    """What a baseline of this line, with its paths resolved, is valid for. ``size``: width and height of its frames.

    Raises:
        UserError: the ROI's mask picture can't be read.
    """
    roi = config.regions.roi if config.drift is None or config.drift.region is None else config.drift.region
    return BaselineKey(model_sha256, config.recipe_id, size, roi_sha256(roi, read_mask(roi)[1]))


def save_drift(baseline: Baseline, spec: DriftReferenceSpec, path: Path) -> DriftReferenceSpec:
    """Write the file beside the calibration file ``path``; returns ``spec`` with its name and hash.

    The name has the hash in it, so that a calibration file that is still in force keeps its own.

    Raises:
        UserError: the folder can't be written to.
    """
    data = baseline_bytes(baseline)
    digest = hashlib.sha256(data).hexdigest()
    name = f"{path.name.removesuffix('.yaml').removesuffix('.calibration')}.drift-{digest[:12]}.npz"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path.with_name(name), data, sync=True, mode=0o644)
    except OSError as error:
        raise UserError(f"{path.with_name(name)}: cannot be written: {error.strerror}") from None
    return spec.model_copy(update={"file": name, "sha256": digest})


def load_drift(calibration: Calibration, path: Path, now: BaselineKey) -> Baseline:
    """Read the baseline that the calibration file ``path`` names, for a line that has the key ``now``.

    Raises:
        UserError: there is none; it is for another model, recipe, region or size; its file is missing, damaged or another.
    """
    spec = calibration.drift
    if spec is None:
        raise UserError(
            f"{path}: has no drift reference",
            expected="what is usual on this line, learned from frames of it",
            fix="run edge calibrate --drift on a recording of the running line, or remove the section drift",
        )
    key = BaselineKey(spec.model_sha256, spec.recipe_id, spec.size, spec.region_sha256)
    check_baseline(key, now, str(path))
    file = path.with_name(spec.file)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UserError(
            f"{file}: the drift reference cannot be read: {error.strerror}",
            fix=f"copy it to where {path.name} lies, or {_FIX}",
            passes=may_pass(error),
        ) from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != spec.sha256:
        raise UserError(
            f"{file}: the drift reference is another than the calibration file names",
            received=f"SHA-256 {digest[:12]}..., {len(data)} bytes",
            expected=f"SHA-256 {spec.sha256[:12]}...",
            fix=_FIX,
        )
    try:
        return baseline_of(data, key)
    except DamagedBaselineError as error:
        raise UserError(f"{file}: the drift reference cannot be used", received=error, fix=_FIX) from None
