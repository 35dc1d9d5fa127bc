"""How far an engine's maps lie from the model's own numbers, and whether the bundle allows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import cv2
import numpy as np
import structlog
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.engines import Engine, Samples
from edge.engines.graph_io import blank_picture
from edge.errors import UserError

log = structlog.get_logger()

CHECKED_EVERY = 8
"""Of the sample frames every eighth, the first among them, is compared and gives no scales for int8."""
_QUANTILE = 0.999


def generated_pictures(size: tuple[int, int], channels: int, bits: int) -> dict[str, NDArray[Any]]:
    """Seeded pictures (H, W, C) by name. Nearly black ones are among them: some wrappers forget to scale those."""
    rng = np.random.default_rng(1)
    shape, white = (size[1], size[0], channels), 2**bits - 1
    dtype = np.uint8 if bits == 8 else np.uint16
    coarse = rng.uniform(0, white, (8, 8, channels)).astype(np.float32)
    return {
        "noise": rng.integers(0, white + 1, shape, dtype),
        "soft shapes": np.clip(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), 0, white)
        .reshape(shape)
        .astype(dtype),
        "a nearly black picture": rng.integers(0, 2, shape, dtype),
        "a blank picture": np.zeros(shape, dtype),
    }


def check_tolerance(engine: Engine, samples: Samples | None) -> float:
    """Compare a warm engine with ONNX Runtime on the CPU in fp32: on sample frames, else on generated pictures.

    Returns the largest difference found, as a share of the map's range (``ToleranceSpec``): the 99.9th percentile over the
    pixels of a map, in fp32 the maximum. A range measured on noise says little: raw maps of PatchCore span 5.7 there and
    0.66 on parts. Generated pictures tell less than frames: PatchCore in bf16 differs by 0.10 on good parts,
    where its distances are small, and by 0.04 on noise.

    Raises:
        UserError: the bundle's tolerance is exceeded, or a map is finite in one of them only.
    """
    from edge.engines.onnx import OnnxEngine

    bundle, reduced = engine.bundle, engine.precision != "fp32"
    limit = bundle.spec.tolerance.reduced if reduced else bundle.spec.tolerance.fp32
    largest, where = 0.0, ""
    low, high = np.inf, -np.inf
    reference = OnnxEngine(bundle)
    try:
        for name, picture in _pictures(bundle, samples).items():
            want = reference.infer(picture).map
            found = _difference(engine.infer(picture).map, want, reduced=reduced)
            finite = np.isfinite(want)
            low, high = want.min(where=finite, initial=low), want.max(where=finite, initial=high)
            if not found <= largest:
                largest, where = found, name
    finally:
        reference.close()
    largest /= _map_range(bundle, float(high - low))
    if not largest <= limit:
        measure = "at the 99.9th percentile" if reduced else "at most"
        raise UserError(
            f"model.precision: {engine.precision} on {engine.name} departs too far from the model's own numbers",
            received=f"{largest:.3g} of the map's range {measure}, on {where}"
            if np.isfinite(largest)
            else f"a map with NaN or infinity, on {where}",
            expected=f"at most {limit:g}, the tolerance in {bundle.folder / 'bundle.yaml'}",
            fix=_fix(reduced=reduced, generated=samples is None),
        )
    log.info(
        "precision_checked",
        engine=engine.name,
        precision=engine.precision,
        pictures="generated" if samples is None else "sample frames",
        difference=round(largest, 5),
        limit=limit,
    )
    return largest


def _fix(*, reduced: bool, generated: bool) -> str:
    if not reduced:
        return "set model.engine: onnx without model.providers"
    frames = ", or model.sample_frames: a folder of typical frames, to be compared on those" if generated else ""
    return f"set model.precision: fp32{frames}"


def for_scales(samples: Samples) -> Iterable[NDArray[Any]]:
    """The sample frames that the check leaves; all of them where there are too few to share."""
    kept = (picture for index, picture in enumerate(samples()) if index % CHECKED_EVERY)
    first = next(kept, None)
    if first is None:
        yield from samples()
        return
    yield first
    yield from kept


def _pictures(bundle: Bundle, samples: Samples | None) -> Mapping[str, NDArray[Any]]:
    if samples is not None:
        return {
            f"sample frame {i * CHECKED_EVERY}": p.copy() for i, p in enumerate(islice(samples(), 0, None, CHECKED_EVERY))
        }
    height, width, channels = blank_picture(bundle).shape
    return generated_pictures((width, height), channels, bundle.spec.input.bits)


def _difference(got: NDArray[np.float32], want: NDArray[np.float32], *, reduced: bool) -> float:
    """In the map's own values; infinity where one is finite and the other isn't."""
    finite = np.isfinite(want)
    if got.shape != want.shape or not np.array_equal(finite, np.isfinite(got)):
        return float("inf")
    if not finite.any():
        return 0.0
    off = np.abs(got[finite] - want[finite])
    return float(np.quantile(off, _QUANTILE) if reduced else off.max())


def _map_range(bundle: Bundle, spanned: float) -> float:
    """As ``ToleranceSpec`` tells it; ``spanned``: by the reference's maps, not above 0 where they say nothing."""
    low, high = bundle.spec.display.range
    return high - low if bundle.spec.display.threshold is not None or not spanned > 0 else spanned
