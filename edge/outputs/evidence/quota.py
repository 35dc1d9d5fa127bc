"""A quota limits the size of folders of numbered files; the lowest numbers are deleted first, precious ones last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from edge.storage.index_pass import unhurried

_SPARE: Final = 0.01
"""Share of a limit that is freed beyond what is needed, so that not every new file deletes an old one."""


class Quota:
    """Files ``00000012.png``, ``00000012-seq40-cam1.jpg`` and the like count with their sizes, from when this is made.

    A number stands for all its files: a frame's picture and its overlay go together.

    Args:
        kinds: folders and the suffix of the files in each.
        limit_bytes: what they may take, together with what the caller adds.
        causes: what numbers that are there already were kept for.
        precious: the cause whose numbers are deleted last, and have no limit of their own.
        cause_bytes: what the files of any other one cause may take; None: no limit.
        gently: look at the files with pauses, because a line runs meanwhile.
    """

    def __init__(
        self,
        kinds: Mapping[Path, str],
        limit_bytes: int,
        causes: Mapping[int, str | None],
        *,
        precious: str,
        cause_bytes: int | None = None,
        gently: bool = False,
    ) -> None:
        self._limit = limit_bytes
        self._kinds = dict(kinds)
        self._precious = precious
        self._cause_limit = cause_bytes
        self._long_named: dict[int, Path] = {}
        sizes: dict[int, int] = {}
        for folder, suffix in kinds.items():
            for path in unhurried(folder.iterdir()) if gently else folder.iterdir():
                digits, more, _ = path.stem.partition("-")
                if path.suffix == suffix and digits.isdecimal():
                    number = int(digits)
                    sizes[number] = sizes.get(number, 0) + _bytes_of(path)
                    if more:
                        self._long_named[number] = path
        self._sizes: dict[bool, dict[int, int]] = {False: {}, True: {}}
        self._by_cause: dict[str | None, dict[int, int]] = {}
        self._cause_of: dict[int, str | None] = {}
        self._cause_used: dict[str | None, int] = {}
        self.used_bytes = 0
        for number, nbytes in sorted(sizes.items()):
            self.add(number, nbytes, causes.get(number))

    def add(self, number: int, nbytes: int, cause: str | None, long_named: Path | None = None) -> None:
        """Count a new number, higher than all before, with the bytes of its files. ``long_named`` is the one among them
        whose name says more than the number.
        """
        if long_named is not None:
            self._long_named[number] = long_named
        self._sizes[cause == self._precious][number] = nbytes
        self._by_cause.setdefault(cause, {})[number] = nbytes
        self._cause_of[number] = cause
        self._cause_used[cause] = self._cause_used.get(cause, 0) + nbytes
        self.used_bytes += nbytes

    def is_full(self, besides_bytes: int) -> bool:
        return self.used_bytes + besides_bytes > self._limit

    def excess(self, besides_bytes: int) -> int:
        """Return how many bytes to free once the quota is full: down to a little below the limit."""
        return max(0, int(self.used_bytes + besides_bytes - self._limit * (1 - _SPARE)))

    def oldest(self, nbytes: int, *, precious: bool = False) -> list[int]:
        """Return the lowest numbers of one kind that take ``nbytes`` together; fewer where there aren't so many."""
        return _first(self._sizes[precious], nbytes)

    def beyond_cause(self) -> list[int]:
        """Return the lowest numbers of every cause that takes more than it may, enough of them to bring it below that
        again.
        """
        if self._cause_limit is None:
            return []
        numbers: list[int] = []
        for cause, used in self._cause_used.items():
            if cause != self._precious and used > self._cause_limit:
                numbers += _first(self._by_cause[cause], int(used - self._cause_limit * (1 - _SPARE)))
        return sorted(numbers)

    def delete(self, numbers: Sequence[int]) -> None:
        """Delete the files of these numbers. Raises OSError where the disk is read-only, for example."""
        for number in numbers:
            for folder, suffix in self._kinds.items():
                (folder / f"{number:08d}{suffix}").unlink(missing_ok=True)
            if (path := self._long_named.pop(number, None)) is not None:
                path.unlink(missing_ok=True)
            cause = self._cause_of.pop(number)
            nbytes = self._by_cause[cause].pop(number)
            del self._sizes[cause == self._precious][number]
            self._cause_used[cause] -= nbytes
            self.used_bytes -= nbytes


def _first(sizes: Mapping[int, int], nbytes: int) -> list[int]:
    numbers: list[int] = []
    for number, size in sizes.items():
        if nbytes <= 0:
            break
        numbers.append(number)
        nbytes -= size
    return numbers


def _bytes_of(path: Path) -> int:
    """A file's own size, a link's for a link; 0 where a damaged disk doesn't say: it takes no room that can be freed."""
    try:
        return path.lstat().st_size
    except OSError:
        return 0
