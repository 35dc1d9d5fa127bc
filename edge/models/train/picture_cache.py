"""Pictures that a network learns from lie in one file, as the graph takes them: nothing is decoded while it trains.

``pictures.u8`` holds the pixels one picture after the other, ``masks.u8`` a mask of each, and ``pictures.json``, written
last, which lies where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from edge.models.train.channel_moments import ChannelMoments
from edge.models.train.feature_cache import SampleGroup
from edge.models.train.frame_roles import FrameRole
from edge.storage.disk import whole_file, write_whole

INDEX: Final = "pictures.json"
PICTURES: Final = "pictures.u8"
MASKS: Final = "masks.u8"


@dataclass(frozen=True, slots=True)
class DrawnPicture:
    """One picture to learn from or to validate on.

    ``picture``: uint8 (H, W, C). ``mask``: (H, W), True where it is defective; None if a person only said that it is.
    ``clean``: the same picture without the defect that was drawn into it; None where it was taken as it is.
    """

    role: FrameRole
    group: SampleGroup
    kind: str
    picture: NDArray[np.uint8]
    mask: NDArray[np.bool_] | None
    clean: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """Where a picture lies: ``start`` px from the files' beginnings, ``height`` by ``width`` px."""

    role: FrameRole
    group: SampleGroup
    kind: str
    start: int
    height: int
    width: int
    has_mask: bool


@dataclass(frozen=True, slots=True)
class PictureCache:
    """A cache is open for reading. ``mean``, ``deviation``: float32 (C,), of the good training pictures' grey levels."""

    kept: tuple[KeptPicture, ...]
    pixels: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    def of(self, role: FrameRole, *groups: SampleGroup) -> tuple[KeptPicture, ...]:
        """Return those of a role and, if any are named, of these groups."""
        return tuple(one for one in self.kept if one.role == role and (not groups or one.group in groups))

    def picture(self, one: KeptPicture) -> NDArray[np.uint8]:
        """Return a view (H, W, C)."""
        return self.pixels[one.start : one.start + one.height * one.width].reshape(one.height, one.width, -1)

    def mask(self, one: KeptPicture) -> NDArray[np.bool_]:
        """Return a view (H, W), all False where there is no mask."""
        return self.masks[one.start : one.start + one.height * one.width].reshape(one.height, one.width).view(np.bool_)


def fill_pictures(
    folder: Path, key: str, pictures: Iterable[DrawnPicture], done: Callable[[int], None] = lambda _: None
) -> PictureCache:
    """Write ``pictures``. ``key`` says what they depend on.

    Raises:
        OSError: the disk is full, or can't be written.
    """
    kept: list[KeptPicture] = []
    start, channels = 0, 1
    moments = ChannelMoments()
    with whole_file(folder / PICTURES, sync=True) as pixels, whole_file(folder / MASKS, sync=True) as masks:
        for number, one in enumerate(pictures, 1):
            height, width, channels = one.picture.shape
            if one.role == "train" and one.group == "good":
                moments.add(one.picture)
            pixels.write(np.ascontiguousarray(one.picture).tobytes())
            mask = np.zeros((height, width), np.uint8) if one.mask is None else one.mask.astype(np.uint8)
            masks.write(mask.tobytes())
            kept.append(
                KeptPicture(one.role, one.group, one.kind, start, height=height, width=width, has_mask=one.mask is not None)
            )
            start += height * width
            done(number)
    mean, deviation = moments.of(channels)
    index = {
        "key": key,
        "channels": channels,
        "pictures": [asdict(one) for one in kept],
        "mean": mean.tolist(),
        "deviation": np.maximum(deviation, 1).tolist(),  # a grey level at least,
    }
    write_whole(folder / INDEX, orjson.dumps(index), sync=True)
    cache = open_pictures(folder, key)
    assert cache is not None
    return cache


def open_pictures(folder: Path, key: str) -> PictureCache | None:
    """Return the cache that lies in ``folder``, if it is whole and of this ``key``."""
    try:
        index: Any = orjson.loads((folder / INDEX).read_bytes())
        if index["key"] != key:
            return None
        kept = tuple(KeptPicture(**entry) for entry in index["pictures"])
        places = sum(one.height * one.width for one in kept)
        shape = (places, int(index["channels"]))
        pixels = np.memmap(folder / PICTURES, np.uint8, "r", shape=shape) if places else np.empty(shape, np.uint8)
        masks = np.memmap(folder / MASKS, np.uint8, "r", shape=(places,)) if places else np.empty(0, np.uint8)
        mean, deviation = (np.array(index[name], np.float32) for name in ("mean", "deviation"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return PictureCache(kept, pixels, masks, mean, deviation)
