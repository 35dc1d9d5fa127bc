"""Features of every training picture lie in one file, computed once: the frozen backbone is by far the dearest part.

``features.f16`` holds the places of all pictures one after the other, ``targets.f32`` what each is to be called, and
``samples.json``, written last, which belong to which picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from edge.models.train.channel_moments import ChannelMoments
from edge.models.train.frame_roles import FrameRole
from edge.storage.disk import whole_file, write_whole

SampleGroup: TypeAlias = Literal["good", "synthetic", "labelled", "false_positive"]
INDEX: Final = "samples.json"
FEATURES: Final = "features.f16"
TARGETS: Final = "targets.f32"
_HALF_MOST: Final = 65_000.0
"""Larger values don't fit into float16."""


@dataclass(frozen=True, slots=True)
class CachedPicture:
    """One picture to be kept.

    ``features``: float32 (h, w, d). ``targets``: float32 (h, w), 0 good to 1 defective, NaN where a place counts for
    nothing; None if a person only said that it shows a defect.
    """

    role: FrameRole
    group: SampleGroup
    kind: str
    features: NDArray[np.float32]
    targets: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class CachedSample:
    """Where a picture lies in the cache. ``start``: its first place; ``height``, ``width``: of its grid."""

    role: FrameRole
    group: SampleGroup
    kind: str
    start: int
    height: int
    width: int
    has_targets: bool

    @property
    def places(self) -> slice:
        return slice(self.start, self.start + self.height * self.width)


@dataclass(frozen=True, slots=True)
class FeatureCache:
    """A cache is open for reading.

    ``features``: float16 (places, d), on the disk. ``targets``: float32 (places). ``mean``, ``deviation``: float32 (d), of
    the good training pictures' features.
    """

    samples: tuple[CachedSample, ...]
    features: NDArray[np.float16]
    targets: NDArray[np.float32]
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    @property
    def width(self) -> int:
        """Features of each place."""
        return len(self.mean)

    def of(self, role: FrameRole) -> tuple[CachedSample, ...]:
        return tuple(sample for sample in self.samples if sample.role == role)

    def standardised(self, sample: CachedSample) -> NDArray[np.float32]:
        """The features of one picture, float32 (h, w, d), less the mean, over the deviation."""
        values = (self.features[sample.places].astype(np.float32) - self.mean) / self.deviation
        return np.asarray(values.reshape(sample.height, sample.width, self.width))

    def target(self, sample: CachedSample) -> NDArray[np.float32]:
        return self.targets[sample.places].reshape(sample.height, sample.width)


def fill_cache(
    folder: Path, key: str, width: int, pictures: Iterable[CachedPicture], done: Callable[[int], None] = lambda _: None
) -> FeatureCache:
    """Write the features of ``pictures``, each of ``width`` features. ``key`` says what they depend on.

    Raises:
        OSError: the disk is full, or can't be written.
    """
    samples: list[CachedSample] = []
    start = 0
    moments = ChannelMoments()
    with whole_file(folder / FEATURES, sync=True) as features, whole_file(folder / TARGETS, sync=True) as targets:
        for number, picture in enumerate(pictures, 1):
            height, across = picture.features.shape[:2]
            flat = picture.features.reshape(-1, width)
            if picture.role == "train" and picture.group == "good":
                moments.add(flat)
            features.write(np.clip(flat, -_HALF_MOST, _HALF_MOST).astype(np.float16).tobytes())
            known = picture.targets is not None
            of_places = picture.targets if picture.targets is not None else np.zeros((height, across), np.float32)
            targets.write(of_places.astype(np.float32).tobytes())
            samples.append(
                CachedSample(
                    picture.role, picture.group, picture.kind, start, height=height, width=across, has_targets=known
                )
            )
            start += height * across
            done(number)
    mean, deviation = moments.of(width)
    deviation = np.maximum(deviation, 1e-3 * max(float(deviation.max(initial=0)), 1e-6))  # what never changes says nothing
    index = {
        "key": key,
        "samples": [asdict(sample) for sample in samples],
        "mean": mean.astype(np.float32).tolist(),
        "deviation": deviation.astype(np.float32).tolist(),
    }
    write_whole(folder / INDEX, orjson.dumps(index), sync=True)
    cache = open_cache(folder, key)
    assert cache is not None
    return cache


def open_cache(folder: Path, key: str) -> FeatureCache | None:
    """The cache that lies in ``folder``, if it is whole and of this ``key``."""
    try:
        index: Any = orjson.loads((folder / INDEX).read_bytes())
        if index["key"] != key:
            return None
        samples = tuple(CachedSample(**entry) for entry in index["samples"])
        mean, deviation = (np.array(index[name], np.float32) for name in ("mean", "deviation"))
        places = sum(sample.height * sample.width for sample in samples)
        shape = (places, len(mean))
        features = np.memmap(folder / FEATURES, np.float16, "r", shape=shape) if places else np.empty(shape, np.float16)
        targets = np.fromfile(folder / TARGETS, np.float32)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return FeatureCache(samples, features, targets, mean, deviation) if len(targets) == places else None
