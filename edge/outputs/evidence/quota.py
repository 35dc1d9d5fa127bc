"""A quota limits the size of a folder of numbered files; the lowest numbers are deleted first, precious ones last."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Final

_SPARE: Final = 0.01
"""Share of the limit that is freed beyond what is needed, so that not every new file deletes an old one."""


class Quota:
    """Files ``00000012.png`` and the like count with their sizes, from when this is made.

    A number stands for all its files: a frame's picture and its overlay go together.

    Args:
        kinds: folders and the suffix of the files in each.
        limit_bytes: what they may take, together with what the caller adds.
        precious: numbers to be deleted last.
    """

    def __init__(self, kinds: Mapping[Path, str], limit_bytes: int, precious: Container[int] = ()) -> None:
        self._limit = limit_bytes
        self._kinds = dict(kinds)
        sizes: dict[int, int] = {}
        for folder, suffix in kinds.items():
            for path in folder.iterdir():
                if path.suffix == suffix and path.stem.isdecimal():
                    sizes[int(path.stem)] = sizes.get(int(path.stem), 0) + path.stat().st_size
        self._queues: dict[bool, deque[tuple[int, int]]] = {False: deque(), True: deque()}
        self.used_bytes = 0
        for number, nbytes in sorted(sizes.items()):
            self.add(number, nbytes, precious=number in precious)

    def add(self, number: int, nbytes: int, *, precious: bool = False) -> None:
        """Add a new number, higher than all before, with the bytes of its files."""
        self._queues[precious].append((number, nbytes))
        self.used_bytes += nbytes

    def is_full(self, besides_bytes: int) -> bool:
        return self.used_bytes + besides_bytes > self._limit

    def excess(self, besides_bytes: int) -> int:
        """Return how many bytes to free once the quota is full: down to a little below the limit."""
        return max(0, int(self.used_bytes + besides_bytes - self._limit * (1 - _SPARE)))

    def oldest(self, nbytes: int, *, precious: bool = False) -> list[int]:
        """Return the lowest numbers of one kind that take ``nbytes`` together; fewer if there aren't so many."""
        found: list[int] = []
        for number, size in self._queues[precious]:
            if nbytes <= 0:
                break
            found.append(number)
            nbytes -= size
        return found

    def delete(self, numbers: Sequence[int], *, precious: bool = False) -> None:
        """Delete the files of these numbers, which ``oldest`` gave. Raises OSError, for example if the disk is
        read-only.
        """
        queue = self._queues[precious]
        for number in numbers:
            for folder, suffix in self._kinds.items():
                (folder / f"{number:08d}{suffix}").unlink(missing_ok=True)
            self.used_bytes -= queue.popleft()[1]
