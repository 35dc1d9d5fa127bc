"""What is usual on a line and what changes would look like, measured on its good frames."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.config.bundle import load_bundle
from edge.config.bundle_spec import BundleSpec
from edge.config.calibration import DriftReferenceSpec
from edge.config.line import Config
from edge.config.sources import SourceConfig
from edge.drift.baseline import Baseline
from edge.drift.fit_template import TEMPLATE_FRAMES, fit_template
from edge.drift.ladder import PlaceLimits
from edge.drift.learn import SIGNATURE_FRAMES, Signer, plan_signatures
from edge.drift.meter import Meter
from edge.drift.reference import make_reference
from edge.drift.signatures import Disturbance, Signatures
from edge.drift.statistics import NAMES
from edge.drift.template import Template
from edge.errors import UserError
from edge.frames import Frame, Skip
from edge.models.calibrate.drift_file import drift_key
from edge.models.calibrate.spread_measure import other_size
from edge.models.frame_sequence import FrameSequence, name_of
from edge.preprocess.fit_to_size import fit_of
from edge.preprocess.pixel_formats import to_depth
from edge.regions.roi import Grid, roi_pixels
from edge.spread import SHARD_FRAMES, Progress, default_workers, shards_of, spread
from edge.spread.shards import At, Shard
from edge.storage.arrays import read_arrays
from edge.storage.mask_picture import read_mask

SIGNATURES: Final = 4500
"""Disturbed frames, some 210 of each cause; fewer where frames are large, so that it stays within a minute."""
_FEWEST_SIGNATURES: Final = 1500
_FULL_AREA: Final = 0.3e6
"""Px of a frame up to which all signatures are measured."""
_ROWS_OF_A_SHARD: Final = 128
_MOST_MEASURED: Final = 4000
"""Frames that are measured where ``every`` isn't given: more of them take longer and say little more."""
_PLACE: Final = 0.05
"""Share of the longer side that a part may move where the bundle registers nothing."""


@dataclass(slots=True)
class MeterTask:
    """Statistics of every N-th frame of a shard."""

    frames: FrameSequence
    source: SourceConfig
    template: Template
    every: int

    def __call__(self, shard: Shard, at: At) -> bytes:
        meter = Meter(self.template)
        numbers, names, values = [], [], []
        for number, entry in enumerate(self.frames.read(shard.start, shard.stop), shard.start):
            name = name_of(entry)
            at(number, name)
            if number % self.every or number in shard.skip or isinstance(entry, Skip):
                continue
            frame = to_depth(entry, *self.source.levels)
            _check_size(name, frame, self.template.size)
            numbers.append(number)
            names.append(name)
            values.append(meter.measure(frame.pixels, frame.bits))
        return _packed(numbers=np.array(numbers, np.int64), names=np.array(names, np.str_), values=_rows(values))


@dataclass(slots=True)
class SignTask:
    """Signatures of a shard of the plan."""

    frames: FrameSequence
    source: SourceConfig
    template: Template
    numbers: tuple[int, ...]
    plan: tuple[Disturbance, ...]
    signer: Signer | None = None

    def __call__(self, shard: Shard, at: At) -> bytes:
        if self.signer is None:
            frames = read_some(self.frames, self.source, self.numbers)
            self.signer = Signer(Meter(self.template), [frame.pixels for frame in frames], frames[0].bits)
        rows = []
        for number in range(shard.start, shard.stop):
            at(number, self.plan[number].cause)
            rows.append(self.signer.sign(self.plan[number]))
        return _packed(values=_rows(rows))

    def __getstate__(self) -> tuple[Any, ...]:
        return self.frames, self.source, self.template, self.numbers, self.plan

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.frames, self.source, self.template, self.numbers, self.plan = state
        self.signer = None


def measure_drift(
    config: Config,
    frames: FrameSequence,
    *,
    sources: tuple[str, ...],
    every: int | None = None,
    signatures: int | None = None,
    workers: int | None = None,
    tell: Callable[[str, Progress], None] = lambda _what, _progress: None,
) -> tuple[Baseline, DriftReferenceSpec]:
    """The baseline of the config's line on good frames of one or several recordings, and what the calibration file says of
    it, but for the file's name and hash.

    ``config``: with its paths resolved. ``every``: frames to each one that is measured; None: as few as keep it short, and
    no more than the line's own. ``signatures``: None: ``SIGNATURES``, fewer for large frames. ``workers``: None: a process
    for each core.

    Raises:
        UserError: too few frames, all the same picture, or of several sizes.
    """
    bundle = load_bundle(config.model.bundle)
    count = frames.count()
    some = read_some(frames, config.source, _spread_numbers(count, TEMPLATE_FRAMES), all_needed=False)
    if not some:
        raise UserError(
            f"{', '.join(sources)}: no frame to learn from", expected="a recording or pictures of good parts, as they pass"
        )
    size = (some[0].meta.width, some[0].meta.height)
    for frame in some:
        _check_size(name_of(frame), frame, size)
    template = fit_template([frame.pixels for frame in some], some[0].bits, _region(config, size))
    every = every or min(5 if config.drift is None else config.drift.every, max(1, count // _MOST_MEASURED))
    numbers, names, values = _measured(MeterTask(frames, config.source, template, every), count, workers, tell)
    ends = np.searchsorted(numbers, np.cumsum(frames.counts)[:-1])
    series = [part.astype(np.float32) for part in np.split(values, ends)]
    of_places = np.split(names, ends)
    name_lists = [[str(name) for name in part] for part, own in zip(of_places, series, strict=True) if len(own)]
    series = [part for part in series if len(part)]
    reference = make_reference([part.astype(np.float64) for part in series], name_lists)
    plan = tuple(plan_signatures(signatures or _signatures(size)))
    rows = _signed(SignTask(frames, config.source, template, _frames_of(numbers), plan), workers, tell)
    key = drift_key(config, bundle.sha256, size)
    signs = Signatures.of(plan, rows / reference.sigma)
    baseline = Baseline(key, template, _places(bundle.spec, size), tuple(series), signs)
    spec = DriftReferenceSpec(
        file="none",
        sha256="0" * 64,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        sources=sources,
        frames=reference.frames,
        every=every,
        signatures=len(plan),
        note="; ".join(reference.notes),
        model_sha256=key.model_sha256,
        recipe_id=key.recipe_id,
        size=size,
        region_sha256=key.region_sha256,
    )
    return baseline, spec


def read_some(
    frames: FrameSequence, source: SourceConfig, numbers: tuple[int, ...], *, all_needed: bool = True
) -> list[Frame]:
    """The frames of these numbers as the line gets them; losses are passed over unless ``all_needed``."""
    found = []
    for number in numbers:
        for entry in frames.read(number, number + 1):
            if isinstance(entry, Frame):
                found.append(to_depth(entry, *source.levels))
            elif all_needed:
                raise UserError(f"{name_of(entry)}: cannot be read any more")
    return found


def _measured(
    task: MeterTask, count: int, workers: int | None, tell: Callable[[str, Progress], None]
) -> tuple[NDArray[np.int64], NDArray[np.str_], NDArray[np.float64]]:
    shards = shards_of(count, SHARD_FRAMES)
    done = spread(
        task,
        shards,
        workers=default_workers(len(shards)) if workers is None else workers,
        progress=lambda progress: tell("measuring what is usual", progress),
    )
    parts = [read_arrays(result) for result in done.results]
    values = np.concatenate([part["values"] for part in parts])
    return np.concatenate([part["numbers"] for part in parts]), np.concatenate([part["names"] for part in parts]), values


def _signed(task: SignTask, workers: int | None, tell: Callable[[str, Progress], None]) -> NDArray[np.float64]:
    shards = shards_of(len(task.plan), _ROWS_OF_A_SHARD)
    done = spread(
        task,
        shards,
        workers=default_workers(len(shards)) if workers is None else workers,
        progress=lambda progress: tell("learning what changes look like", progress),
    )
    return np.concatenate([read_arrays(result)["values"] for result in done.results])


def _region(config: Config, size: tuple[int, int]) -> NDArray[np.bool_] | None:
    roi = config.regions.roi if config.drift is None or config.drift.region is None else config.drift.region
    if roi is None:
        return None
    mask, _ = read_mask(roi)
    grid = Grid((size[1], size[0]), size, (1.0, 1.0, 0.0, 0.0))
    return roi_pixels(config.regions.model_copy(update={"roi": roi}), grid, mask)


def _places(spec: BundleSpec, size: tuple[int, int]) -> PlaceLimits:
    """The limits of the bundle's registration in px of the frame."""
    if spec.register_ is None:
        return PlaceLimits(_PLACE * max(size))
    limits = spec.register_.limits
    fit = fit_of(spec.resize, *size)
    return PlaceLimits(limits.shift_px * size[0] / fit.inner[0], limits.rotation_deg, limits.scale)


def _check_size(name: str, frame: Frame, size: tuple[int, int]) -> None:
    if (frame.meta.width, frame.meta.height) != size:
        raise other_size(name, (frame.meta.width, frame.meta.height), size)


def _signatures(size: tuple[int, int]) -> int:
    return int(np.clip(SIGNATURES * _FULL_AREA / (size[0] * size[1]), _FEWEST_SIGNATURES, SIGNATURES))


def _spread_numbers(count: int, wanted: int) -> tuple[int, ...]:
    """``wanted`` numbers below ``count``, evenly, each once."""
    return tuple(dict.fromkeys(np.linspace(0, max(count - 1, 0), wanted).round().astype(int).tolist())) if count else ()


def _frames_of(numbers: NDArray[np.int64]) -> tuple[int, ...]:
    """Frames that are disturbed: of those that were measured, for the others may be losses."""
    return tuple(int(numbers[place]) for place in _spread_numbers(len(numbers), SIGNATURE_FRAMES))


def _rows(values: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.array(values, np.float64).reshape(-1, len(NAMES))


def _packed(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()
