"""A warm engine must do this on generated pictures before it gets frames: give finite maps, and the same numbers in
batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.engines.graph_io import blank_picture
from edge.engines.probe_pictures import CHECKED_EVERY, flat_pictures, generated_pictures
from edge.engines.protocol import Engine, Prediction, SamplePictures
from edge.errors import UserError

log = structlog.get_logger()


def check_finite(engine: Engine) -> None:
    """Raise UserError if no value of any map is finite: every frame would be ``invalid``.

    With any other model one inference is enough, because the first finite value settles it. What a map lacks on some frames
    is a fault of the running line.
    """
    pictures = _trial_pictures(engine.bundle)
    if not any(np.isfinite(engine.infer(picture).map).any() for picture in pictures.values()):
        raise UserError(
            f"{engine.bundle.model_path}: the model's map is NaN or infinite on every picture",
            received=f"tried on {', '.join(pictures)}, with {engine.name} in {engine.precision}",
            expected="finite numbers",
            fix="run `edge build` on the original model, or use the bundle that ran before",
        )


def why_not_together(engine: Engine) -> str | None:
    """Say why pictures of several frames can't go through in one run; None if they can."""
    if type(engine).infer_batch is Engine.infer_batch:
        return f"{engine.name} takes one picture at a time"
    if engine.bundle.spec.tile is not None:
        return "the tiles of a frame go in together already"
    if engine.batch == 1:
        return "the model takes one picture at a time: it was exported with a fixed batch"
    return _why_mixed(engine, engine.bundle, reduced=engine.precision != "fp32")


def _why_mixed(engine: Engine, bundle: Bundle, *, reduced: bool) -> str | None:
    """Say why a picture of a run doesn't get its own map; None if each does.

    Graphs may declare that they take any number of pictures and then mix them, or hold a shape of one inside. Maps may
    differ by the bundle's tolerance, as a share of the range that they span together.
    """
    generated = _trial_pictures(bundle)
    two = [generated["noise"], generated["a nearly black picture"]]  # as far apart as pictures are
    pictures = np.stack(list(islice(cycle(two), engine.batch)))
    alone = list(islice(cycle([engine.infer(picture).copy() for picture in two]), engine.batch))
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
    where its distances are small, and by 0.04 on noise. In fp32 the score counts too, as a share of what scores span.

    Raises:
        UserError: the bundle's tolerance is exceeded, or a value is finite in one of them only. On pictures that are not
            compared (if there are sample frames) that is refused which hides NaN: a covered lens would pass.
    """
    from edge.engines.onnx import OnnxEngine

    bundle, reduced = engine.bundle, engine.precision != "fp32"
    limit = bundle.spec.tolerance.reduced if reduced else bundle.spec.tolerance.fp32
    generated = _trial_pictures(bundle) | flat_pictures(blank_picture(bundle).shape, bundle.spec.input.bits)
    compared = generated if samples is None else _sampled(samples)
    largest, hidden = _Largest(), ""
    reference = OnnxEngine(bundle)
    try:
        for name, picture in (compared | generated).items():
            want, got = reference.infer(picture).copy(), engine.infer(picture)
            if name in compared:
                largest.add(name, got, want, reduced=reduced)
            elif _hides(got, want):
                hidden = name
    finally:
        reference.close()
    share, text = largest.share(bundle, "at the 99.9th percentile" if reduced else "at most")
    if hidden or not share <= limit:
        blind = hidden or ("" if np.isfinite(share) else largest.map_on if np.isinf(largest.map_off) else largest.score_on)
        raise UserError(
            f"model.precision: {engine.precision} on {engine.name} departs too far from the model's own numbers",
            received=f"a map with NaN or infinity, on {blind}" if blind else text,
            expected=f"at most {limit:g}, the tolerance in {bundle.folder / 'bundle.yaml'}",
            fix=_fix(reduced=reduced, generated=samples is None),
        )
    log.info(
        "precision_checked",
        engine=engine.name,
        precision=engine.precision,
        pictures="generated" if samples is None else "sample frames",
        difference=round(share, 5),
        limit=limit,
    )
    return share


def _fix(*, reduced: bool, generated: bool) -> str:
    if not reduced:
        return "set model.engine: onnx without model.providers"
    frames = ", or model.sample_frames: a folder of typical frames, to be compared on those" if generated else ""
    return f"set model.precision: fp32{frames}"


def _sampled(samples: SamplePictures) -> dict[str, NDArray[Any]]:
    every = islice(samples(), 0, None, CHECKED_EVERY)
    return {f"sample frame {i * CHECKED_EVERY}": picture.copy() for i, picture in enumerate(every)}


def _hides(got: Prediction, want: Prediction) -> bool:
    """Return True if a value that is not finite in the reference is a number here."""
    return any(
        a.shape != b.shape or bool((np.isfinite(a) & ~np.isfinite(b)).any())
        for a, b in ((got.map, want.map), (_scores(got), _scores(want)))
    )


def _scores(prediction: Prediction) -> NDArray[np.float32]:
    return np.array([] if prediction.score is None else [prediction.score], np.float32)


@dataclass(slots=True)
class _Largest:
    """The largest differences so far are kept, in the map's own values and in the score's, and on which picture they
    were.
    """

    map_off: float = 0.0
    map_on: str = ""
    score_off: float = 0.0
    score_on: str = ""
    low: float = np.inf
    high: float = -np.inf
    scores: list[float] = field(default_factory=list)

    def add(self, name: str, got: Prediction, want: Prediction, *, reduced: bool) -> None:
        finite = np.isfinite(want.map)
        self.low = min(self.low, float(want.map.min(where=finite, initial=np.inf)))
        self.high = max(self.high, float(want.map.max(where=finite, initial=-np.inf)))
        off = _difference(got.map, want.map, reduced=reduced)
        if not off <= self.map_off:
            self.map_off, self.map_on = off, name
        if want.score is not None and not reduced:
            off = _difference(_scores(got), _scores(want), reduced=False)
            self.scores += [want.score] if np.isfinite(want.score) else []
            if not off <= self.score_off:
                self.score_off, self.score_on = off, name

    def share(self, bundle: Bundle, measure: str) -> tuple[float, str]:
        """Return the larger of both as a share, of the map's range or of what the scores span, and that in words."""
        of_map = self.map_off / _map_range(bundle, self.high - self.low)
        spanned = max(self.scores) - min(self.scores) if self.scores else 0.0
        of_score = self.score_off / spanned if spanned > 0 else 0.0
        if of_score > of_map:
            return of_score, f"{of_score:.3g} of the scores' range at most, on {self.score_on}"
        return of_map, f"{of_map:.3g} of the map's range {measure}, on {self.map_on}"


def _difference(got: NDArray[np.float32], want: NDArray[np.float32], *, reduced: bool) -> float:
    """Return the difference in the map's own values; infinity if one is finite and the other isn't."""
    finite = np.isfinite(want)
    if got.shape != want.shape or not np.array_equal(finite, np.isfinite(got)):
        return float("inf")
    if not finite.any():
        return 0.0
    off = np.abs(got[finite] - want[finite])
    return float(np.quantile(off, _QUANTILE) if reduced else off.max())


def _map_range(bundle: Bundle, spanned: float) -> float:
    """Return the map's range as ``ToleranceSpec`` defines it; ``spanned`` is what the reference's maps span, 0 or less if
    unknown.
    """
    low, high = bundle.spec.display.range
    return high - low if bundle.spec.display.threshold is not None or not spanned > 0 else spanned
