"""What a warm engine must do on generated pictures before it gets frames: finite maps, and the same numbers in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.engines.batch import kept
from edge.engines.graph_io import blank_picture
from edge.engines.probe_pictures import CHECKED_EVERY, generated_pictures
from edge.engines.protocol import Batching, Engine, SamplePictures
from edge.errors import UserError

log = structlog.get_logger()


def check_finite(engine: Engine) -> None:
    """Raises UserError where no value of any map is finite: every frame would be ``invalid``.

    One inference with any other model: the first finite value is enough. What a map lacks on some frames is a fault of
    the running line.
    """
    pictures = _trial_pictures(engine.bundle)
    if not any(np.isfinite(engine.infer(picture).map).any() for picture in pictures.values()):
        raise UserError(
            f"{engine.bundle.model_path}: the model's map is NaN or infinite on every picture",
            received=f"tried on {', '.join(pictures)}, with {engine.name} in {engine.precision}",
            expected="finite numbers",
            fix="run `edge build` on the original model, or use the bundle that ran before",
        )


def settle_batch(engine: Engine, wanted: int) -> None:
    """Set ``engine.batch`` to 1 where ``wanted`` pictures can't go through at once, and log why."""
    spec = engine.bundle.spec
    if not isinstance(engine, Batching):
        why: str | None = f"{engine.name} takes one picture at a time"
    elif spec.tile is not None:
        why = "the tiles of a frame go in together already"
    elif engine.batch == 1:
        why = "the model takes one picture at a time: it was exported with a fixed batch"
    else:
        why = _why_no_batch(engine, engine.bundle, reduced=engine.precision != "fp32")
        engine.batch = 1 if why is not None else engine.batch
    if why is not None:
        log.warning("no_batches", wanted=wanted, why=why, effect="pictures go in one by one")


def _why_no_batch(engine: Batching, bundle: Bundle, *, reduced: bool) -> str | None:
    """None where each picture of a run gets its own map.

    Graphs may say that they take any number of pictures and then mix them, or hold a shape of one inside. Maps may differ
    by the bundle's tolerance, as a share of the range that they span together.
    """
    generated = _trial_pictures(bundle)
    two = [generated["noise"], generated["a nearly black picture"]]  # as far apart as pictures are
    pictures = np.stack(list(islice(cycle(two), engine.batch)))
    alone = list(islice(cycle([kept(engine.infer(picture)) for picture in two]), engine.batch))
    try:
        together = engine.infer_batch(pictures)
    except Exception as error:  # noqa: BLE001  (runtimes' exceptions have no common base but this)
        return f"it fails on {len(pictures)} at once: {str(error).strip().partition(chr(10))[0]}"
    limit = bundle.spec.tolerance.reduced if reduced else bundle.spec.tolerance.fp32
    same = _near([p.map for p in alone], [p.map for p in together], limit)
    if alone[0].score is not None:
        same = same and _near([p.score for p in alone], [p.score for p in together], limit)
    return None if same else "its map or score of a picture depends on the others of the run"


def _near(wanted: Sequence[Any], got: Sequence[Any], limit: float) -> bool:
    one, other = np.array(wanted), np.array(got)
    finite = np.isfinite(one)
    if one.shape != other.shape or not np.array_equal(finite, np.isfinite(other)):
        return False
    values = one[finite]
    return not values.size or bool(np.abs(other[finite] - values).max() <= limit * (values.max() - values.min()))


def _trial_pictures(bundle: Bundle) -> dict[str, NDArray[Any]]:
    height, width, channels = blank_picture(bundle).shape
    return generated_pictures((width, height), channels, bundle.spec.input.bits)


_QUANTILE = 0.999


def check_tolerance(engine: Engine, samples: SamplePictures | None) -> float:
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


def _pictures(bundle: Bundle, samples: SamplePictures | None) -> Mapping[str, NDArray[Any]]:
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
