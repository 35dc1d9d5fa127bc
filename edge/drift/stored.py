"""A baseline as bytes: one .npz, without pickles."""

from __future__ import annotations

import io
import json
from typing import Any, Final

import numpy as np

from edge.drift.baseline import Baseline, BaselineKey
from edge.drift.ladder import PlaceLimits
from edge.drift.signatures import Signatures
from edge.drift.statistics import NAMES
from edge.drift.template import Template

STORED_SCHEMA: Final = 1
_TEMPLATE_ARRAYS: Final = ("picture", "usual", "counted", "on_part", "edges", "edges_usual", "flats", "flats_usual")


class DamagedBaselineError(ValueError):
    """The bytes are no baseline, or one of another version."""


def baseline_bytes(baseline: Baseline) -> bytes:
    """Return the bytes; they depend on the baseline alone."""
    template, signatures = baseline.template, baseline.signatures
    head = {
        "schema": STORED_SCHEMA,
        "statistics": NAMES,
        "size": template.size,
        "fixed": template.fixed,
        "texture": template.texture,
        "places": [baseline.places.shift_px, baseline.places.rotation_deg, baseline.places.scale],
        "lengths": [len(part) for part in baseline.series],
        "causes": signatures.causes,
    }
    arrays: dict[str, Any] = {name: getattr(template, name) for name in _TEMPLATE_ARRAYS}
    arrays |= {"rows": signatures.rows, "cause": signatures.cause, "strength": signatures.size}
    arrays["series"] = np.concatenate(baseline.series).astype(np.float32)
    arrays["told"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def baseline_of(data: bytes, key: BaselineKey) -> Baseline:
    """Read what ``baseline_bytes`` wrote; ``key`` stands in the calibration file.

    Raises:
        DamagedBaselineError: cut short, written by another version, or no baseline at all.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return _read(arrays, key)
    except Exception as error:  # noqa: BLE001  changed bytes gave zlib.error, TokenError, RuntimeError and others
        raise DamagedBaselineError(str(error) or type(error).__name__) from None


def _read(arrays: Any, key: BaselineKey) -> Baseline:
    head = json.loads(arrays["told"].tobytes())
    if head["schema"] != STORED_SCHEMA or tuple(head["statistics"]) != NAMES:
        raise ValueError("it was written by another version, whose statistics are others")
    width, height = head["size"]
    template = Template(
        size=(width, height),
        fixed=head["fixed"],
        texture=head["texture"],
        **{name: arrays[name] for name in _TEMPLATE_ARRAYS},
    )
    ends = np.cumsum(head["lengths"])[:-1]
    return Baseline(
        key=key,
        template=template,
        places=PlaceLimits(*head["places"]),
        series=tuple(np.split(arrays["series"], ends)),
        signatures=Signatures(tuple(head["causes"]), arrays["rows"], arrays["cause"], arrays["strength"]),
    )
