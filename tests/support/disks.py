"""A small disk for tests: a tmpfs where this user may mount one, else the same errors made up."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

REMOTE = [
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN,
    errno.ETIMEDOUT, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.EREMOTEIO, errno.ENOLCK, errno.EKEYEXPIRED,
]  # fmt: skip
"""What disks and shares say while they are not there or not well: none of it is a mistake of the config's."""


class SmallDisk:
    """``folder`` lies on it. ``fill`` leaves no byte, ``free`` gives all back; ``read_only`` refuses every write."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, *, real: bool) -> None:
        self.folder = folder
        self.real = real
        self._error: int | None = None
        for name, is_write in (("write", _any), ("open", _writes)):
            self._pretend(patch, os, name, is_write)
        for name in ("write_bytes", "replace", "unlink", "mkdir"):
            self._pretend(patch, Path, name, lambda path, *_: path.is_relative_to(folder))

    def fill(self) -> None:
        if not self.real:
            self._error = errno.ENOSPC
            return
        with (self.folder / "fill").open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                with suppress(OSError):
                    while file.write(bytes(size)):
                        pass

    def free(self) -> None:
        self._error = None
        if self.real:
            (self.folder / "fill").unlink()

    def read_only(self, on: bool) -> None:
        """Made up: the kernel doesn't remount what is open for writing."""
        self._error = errno.EROFS if on else None

    def _pretend(self, patch: pytest.MonkeyPatch, place: Any, name: str, is_write: Callable[..., bool]) -> None:
        real = getattr(place, name)

        def call(*args: Any, **keys: Any) -> Any:
            if self._error is not None and is_write(*args) and not (name == "unlink" and self._error == errno.ENOSPC):
                raise OSError(self._error, os.strerror(self._error))
            return real(*args, **keys)

        patch.setattr(place, name, call)


def _any(*_args: Any) -> bool:
    return True


def _writes(_path: Any, flags: int = 0, *_args: Any) -> bool:
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


@contextmanager
def small_disk(folder: Path, patch: pytest.MonkeyPatch, size_kb: int = 512) -> Iterator[SmallDisk]:
    """Mounted at ``folder`` while the context lasts."""
    folder.mkdir()
    real = _mount("-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(folder))
    disk = SmallDisk(folder, patch, real=real)
    try:
        yield disk
    finally:
        if real:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*arguments: str) -> bool:
    if os.geteuid() != 0:
        return False
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0
