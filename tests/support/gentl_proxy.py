"""The fault-injecting GenTL producer of ``gentl_proxy.c``, built with the system's compiler and loaded in this process;
and a source that is opened through it. The fixture ``proxy`` gives one without faults.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.config.sources import GenicamConfig as Config
from edge.frames import Payload, Skip
from edge.sources.genicam.producers import producer_files
from edge.sources.genicam.source import GenicamSource
from support.waits import PATIENCE_S

SOURCE = Path(__file__).with_suffix(".c")
FEATURES = (("PixelFormat", "Mono8"), ("Width", 100), ("Height", 100), ("AcquisitionFrameRate", 200.0))


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
        names += " camera_clock no_counter open_errors delivered streams blanked stale lines"
        for name in f"{names} write_errors start_errors slow_update updates by_trigger triggered".split():
            self.set(**{name: 0})

    def ledger(self) -> list[Delivered]:
        row = self._library.proxy_ledger
        return [Delivered(row(i, 0), row(i, 1), bool(row(i, 2))) for i in range(self.get("delivered"))]


@contextlib.contextmanager
def opened(proxy: Proxy, **keys: Any) -> Iterator[GenicamSource]:
    config = {"kind": "genicam", "producer": proxy.path, "serial": "1", "buffers": 3, "features": FEATURES, **keys}
    source = GenicamSource(Config(**config), "cam1")
    try:
        source.open()
        yield source
    finally:
        source.close()


def drain(source: GenicamSource, until: Callable[[], bool], limit_s: float = PATIENCE_S) -> list[Payload | Skip]:
    items = []
    give_up = time.monotonic() + limit_s
    while not until():
        assert time.monotonic() < give_up, source.status()
        item = source.read(0.02)
        if item is not None:
            items.append(item)
    return items


def take(source: GenicamSource, count: int) -> list[Payload | Skip]:
    items: list[Payload | Skip] = []
    while len(items) < count:
        items.extend(drain(source, iter((False, True)).__next__))
    return items


def brief(items: list[Payload | Skip]) -> list[Any]:
    return [i.meta.frame_id if isinstance(i, Payload) else (i.reason, i.frame_id_first, i.frame_id_last) for i in items]
