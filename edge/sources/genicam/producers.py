"""GenTL producers are the camera vendors' ``.cti`` libraries, found by path, by the environment, or the simulated one."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
from pathlib import Path
from typing import Final

from edge.errors import UserError

PRODUCER_PATH: Final = "GENICAM_GENTL64_PATH"


def producer_files(producer: str | None) -> list[Path]:
    """Return the ``.cti`` files that ``source.producer`` means: ``simulated``, a path, or (None) the environment's folders.

    Raises:
        UserError: there is none.
    """
    if producer == "simulated":
        package = importlib.util.find_spec("genicam")
        path = Path(package.origin).with_name("viky.cti") if package and package.origin else None
        if path is None or not path.is_file():
            raise UserError(
                "source.producer: the simulated camera is not installed",
                received="simulated",
                expected="viky.cti beside the genicam package, version 1.6 or later",
                fix="pip install 'edge-inspect[camera]'",
            )
        return [path]
    if producer is not None:
        path = Path(producer).expanduser()
        if not path.is_file():
            raise UserError(
                "source.producer: no such file",
                received=producer,
                expected="the path of a GenTL producer (.cti), or simulated",
                fix="install the camera vendor's GenTL producer, or correct the path",
                passes=True,
            )
        return [path.resolve()]
    folders = [folder for folder in os.environ.get(PRODUCER_PATH, "").split(os.pathsep) if folder]
    files = sorted({file.resolve() for folder in folders for file in Path(folder).glob("*.cti")})
    if not files:
        raise UserError(
            f"source.producer: no producer given, and none in the folders of {PRODUCER_PATH}",
            received=os.pathsep.join(folders) or f"{PRODUCER_PATH} is not set",
            expected="the path of a GenTL producer (.cti), or simulated",
            fix="install the camera vendor's GenTL producer, or write its path under source.producer",
            passes=bool(folders),
        )
    return files


def is_simulated(producer: Path) -> bool:
    """Return True if this file is the simulated camera's."""
    return producer.name == "viky.cti"


def means_simulated(producer: str | None) -> bool:
    """Return True if ``source.producer`` leads to the simulated camera alone, by word, path or environment. Never
    raises.
    """
    try:
        return all(map(is_simulated, producer_files(producer)))
    except UserError:
        return producer == "simulated"


def check_loadable(producers: list[Path]) -> None:
    """Say why a producer can't be loaded; call this when no camera was found.

    Raises:
        UserError: a file that the system's loader refuses: another architecture, a missing library, no library at all.
    """
    for error in unloadable(producers).values():
        raise error


def unloadable(producers: list[Path]) -> dict[str, UserError]:
    """Return those that the system's loader refuses, each with a few words of why, and the whole of it."""
    errors: dict[str, UserError] = {}
    for producer in producers:
        made_for = _made_for(producer)
        if made_for not in (None, platform.machine()):  # the loader would say "No such file or directory"
            errors[f"{producer} is made for {made_for}"] = UserError(
                "source.producer: the GenTL producer is for another kind of machine",
                received=f"{producer}, made for {made_for}",
                expected=f"a producer for {platform.machine()}",
                fix="install the camera vendor's package for this machine",
            )
            continue
        try:
            ctypes.CDLL(str(producer))
        except OSError as error:
            errors[f"{producer} cannot be loaded ({error})"] = UserError(
                "source.producer: the GenTL producer cannot be loaded",
                received=error,
                expected=f"a producer for {platform.machine()} with the libraries that it needs",
                fix="leave the .cti file in the folder where its installer put it; install what is missing",
            )
    return errors


_ELF_MACHINES: Final = {3: "i686", 40: "armv7l", 62: "x86_64", 183: "aarch64"}


def _made_for(library: Path) -> str | None:
    """Return the machine as ``platform.machine`` names it; None if the file's head doesn't say.

    ELF: 16 bytes of identification, then type and machine of 2 bytes each, in the byte order that byte 5 gives.
    """
    with library.open("rb") as file:
        head = file.read(20)
    if head[:2] == b"MZ":
        return "Windows"
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return None
    machine = int.from_bytes(head[18:20], "big" if head[5] == 2 else "little")
    return _ELF_MACHINES.get(machine, f"ELF machine {machine}")
