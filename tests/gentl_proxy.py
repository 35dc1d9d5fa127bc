"""The fault-injecting GenTL producer of ``gentl_proxy.c``, built with the system's compiler and loaded in this process."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edge.sources.genicam_producers import producer_files

SOURCE = Path(__file__).with_suffix(".c")


@dataclass(frozen=True)
class Delivered:
    """A buffer that the producer handed out: in which stream start, with which frame id, whole or not."""

    stream: int
    frame_id: int
    complete: bool


def compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def build(folder: Path) -> Path:
    """Compile the proxy into ``folder``; the producer that it forwards to stands in the environment."""
    os.environ["GENTL_PROXY_TARGET"] = str(producer_files("simulated")[0])
    path = folder / "proxy.cti"
    command = [str(compiler()), "-shared", "-fPIC", "-O1", "-Wall", "-o", str(path), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return path


class Proxy:
    """Sets faults and reads the ledger of the proxy that the camera library of this process has loaded."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._library = ctypes.CDLL(self.path)
        self._library.proxy_set.argtypes = [ctypes.c_char_p, ctypes.c_long]
        self._library.proxy_get.argtypes = [ctypes.c_char_p]
        self._library.proxy_ledger.argtypes = [ctypes.c_long, ctypes.c_int]
        for function in (self._library.proxy_set, self._library.proxy_get, self._library.proxy_ledger):
            function.restype = ctypes.c_long

    def set(self, **faults: int) -> None:
        for name, value in faults.items():
            assert self._library.proxy_set(name.encode(), int(value)) == 0, name

    def get(self, name: str) -> int:
        return int(self._library.proxy_get(name.encode()))

    def reset(self) -> None:
        """No faults, an empty ledger."""
        names = "incomplete io_errors drop stall lost hang hang_after first_id no_ids pixel_format size_filled"
        for name in f"{names} camera_clock no_counter open_errors delivered streams".split():
            self.set(**{name: 0})

    def ledger(self) -> list[Delivered]:
        row = self._library.proxy_ledger
        return [Delivered(row(i, 0), row(i, 1), bool(row(i, 2))) for i in range(self.get("delivered"))]
