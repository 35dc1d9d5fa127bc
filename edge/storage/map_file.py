"""Anomaly maps are kept raw beside a recording's pictures: float32, row after row, little-endian, without a head.

They don't compress (zstd makes 3.8 MB of 4.2), and anything shorter than float32 could turn a verdict at the threshold. Its
frame's line of the index says what a file holds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge.frames import AnomalyMap
from edge.storage.disk import whole_file
from edge.storage.pictures import picture_inside

MAPS: Final = "maps"
MAP_SUFFIX: Final = ".f32"
_LARGEST_SIDE: Final = 1 << 15


@dataclass(frozen=True, slots=True)
class RecordedMap:
    """A line of the index says with this where the map lies and what it holds: shape (h, w), place in the frame, score."""

    file: str
    shape: tuple[int, int]
    map_to_image: tuple[float, float, float, float]
    score: float | None

    @classmethod
    def read(cls, line: Mapping[str, Any]) -> RecordedMap:
        """Understand what ``line`` gave. Raises LookupError, TypeError or ValueError for anything else."""
        (height, width), (sx, sy, ox, oy) = line["shape"], line["map_to_image"]
        shape = int(height), int(width)
        if not all(0 < side <= _LARGEST_SIDE for side in shape):
            raise ValueError(f"{shape} is no shape of a map")
        score = line.get("score")
        place = float(sx), float(sy), float(ox), float(oy)
        if not (sx > 0 and sy > 0):
            raise ValueError(f"{place} is no place of a map")
        return cls(str(line["file"]), shape, place, None if score is None else float(score))

    def load(self, folder: Path) -> AnomalyMap:
        """Read the values, by one pread: a mapping of the file would count as this process's memory.

        Raises:
            OSError: there is no such file, or it can't be read.
            ValueError: it has another size, or lies outside the folder.
        """
        return self.load_from(picture_inside(folder, self.file))

    def load_from(self, path: Path) -> AnomalyMap:
        """Read the values from a path that was looked at before. Errors as ``load``."""
        values = np.empty(self.shape, "<f4")
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_size != values.nbytes or os.preadv(fd, [values.data.cast("B")], 0) != values.nbytes:
                raise ValueError(f"{path}: not {values.nbytes} bytes, as {self.shape[1]} x {self.shape[0]} values take")
        finally:
            os.close(fd)
        return AnomalyMap(values.astype(np.float32, copy=False), self.map_to_image, self.score)


def map_name(number: int) -> str:
    """Return the path of a frame's map inside the recording."""
    return f"{MAPS}/{number:08d}{MAP_SUFFIX}"


def write_map(folder: Path, number: int, amap: AnomalyMap, *, sync: bool) -> dict[str, Any]:
    """Write a map whole; return what the index says of it. ``sync``: wait for the disk. Raises OSError."""
    data = np.ascontiguousarray(amap.values, "<f4")
    (folder / MAPS).mkdir(exist_ok=True)
    with whole_file(folder / map_name(number)) as out:
        out.write(data.data.cast("B"))
        if sync:
            out.flush()
            os.fdatasync(out.fileno())
    return {"file": map_name(number), "shape": data.shape, "map_to_image": amap.map_to_image, "score": amap.score}
