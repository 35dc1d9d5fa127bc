"""A limit on the size of a folder of numbered files; the lowest numbers are deleted first."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_SPARE: Final = 0.01
"""Share of the limit that is freed beyond what is needed, so that not every new file deletes an old one."""


class Quota:
    """Files ``00000012.png`` and the like count with their sizes, from when this is made.

    A number stands for all its files: a frame's picture and its overlay go together.

    Args:
        kinds: folders and the suffix of the files in each.
        limit_bytes: what they and ``besides_bytes`` may take together.
    """

    def __init__(self, kinds: Mapping[Path, str], limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._kinds = dict(kinds)
        sizes: dict[int, int] = {}
        for folder, suffix in kinds.items():
            for path in folder.iterdir():
                if path.suffix == suffix and path.stem.isdecimal():
                    sizes[int(path.stem)] = sizes.get(int(path.stem), 0) + path.stat().st_size
        self._sizes: deque[tuple[int, int]] = deque(sorted(sizes.items()))
        self.used_bytes = sum(sizes.values())

    def add(self, number: int, nbytes: int) -> None:
        """A new number, higher than all before, with the bytes of its files."""
        self._sizes.append((number, nbytes))
        self.used_bytes += nbytes

    def first_to_keep(self, besides_bytes: int, next_number: int) -> int | None:
        """The lowest number that may stay, ``next_number`` where all must go; None while there is room."""
        used = self.used_bytes + besides_bytes
        if used <= self._limit:
            return None
        for number, nbytes in self._sizes:
            if used <= self._limit * (1 - _SPARE):
                return number
            used -= nbytes
        return next_number

    def delete_before(self, first: int) -> int:
        """Delete every file of a lower number; returns how many numbers went."""
        count = 0
        while self._sizes and self._sizes[0][0] < first:
            number, nbytes = self._sizes.popleft()
            for folder, suffix in self._kinds.items():
                (folder / f"{number:08d}{suffix}").unlink(missing_ok=True)
            self.used_bytes -= nbytes
            count += 1
        return count
