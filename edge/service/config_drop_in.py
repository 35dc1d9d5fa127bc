"""What a line's config needs of its unit: folders that may be written, paths that must be seen, the environment.

A shell sees the whole machine; the service sees a read-only one, without homes and with a /tmp of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from edge.config.load import Loaded
from edge.config.sources import GenicamConfig, SnapshotConfig, WatchedFolderConfig
from edge.sources.genicam.producers import PRODUCER_PATH

HIDDEN: Final = ("/home", "/root", "/run/user")
"""ProtectHome=yes."""
_PRIVATE: Final = ("/tmp", "/var/tmp")  # noqa: S108  (named, not used)


def drop_in_of(loaded: Loaded, camera: str, root: Path) -> str | None:
    """The text of a drop-in for ``edge@CAMERA``; None if the unit has all that the config needs.

    ``root``: stands for / where the config lies in an image.
    """
    own = [Path(f"/{place}/edge/{camera}") for place in ("var/lib", "var/log", "var/cache", "run")]
    folders = sorted({str(path) for _, path in _in(root, _written(loaded)) if not any(path.is_relative_to(o) for o in own)})
    lines = [f"ReadWritePaths=-{_escaped(folder)}" for folder in folders if not folder.startswith((*HIDDEN, *_PRIVATE))]
    if isinstance(loaded.config.source, GenicamConfig):
        lines += [f'Environment="{name}={value.replace("%", "%%")}"' for name, value in _environment()]
    if not lines:
        return None
    head = f"# Written by `edge install-service {camera}` for {loaded.path.name}; run it again when paths change there."
    return "\n".join([head, "[Service]", *lines, ""])


def unseen(loaded: Loaded, root: Path) -> list[str]:
    """Paths of the config that the service can't see, in words."""
    found = []
    for key, path in _in(root, (*_written(loaded), *_read(loaded))):
        if path.is_relative_to("/tmp") or path.is_relative_to("/var/tmp"):  # noqa: S108
            found.append(f"{key}: {path}: the service has a /tmp of its own (PrivateTmp=yes): choose another folder")
        elif any(path.is_relative_to(place) for place in HIDDEN):
            found.append(f"{key}: {path} lies where the service can't see it (ProtectHome=yes): choose another folder")
    return found


def _environment() -> Iterator[tuple[str, str]]:
    """What a vendor's producer was installed with. LD_LIBRARY_PATH as the shell had it: OpenCV writes into ours."""
    if os.environ.get(PRODUCER_PATH):
        yield PRODUCER_PATH, os.environ[PRODUCER_PATH]
    for entry in Path("/proc/self/environ").read_bytes().split(b"\0"):
        name, _, value = os.fsdecode(entry).partition("=")
        if name != "LD_LIBRARY_PATH":
            continue
        # a parent that loaded OpenCV hands OpenCV's own folder on
        own = [folder for folder in value.split(":") if folder and "/cv2/" not in folder]
        if own:
            yield name, ":".join(own)


def _in(root: Path, paths: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, Path]]:
    """The paths as the machine will have them, of which ``root`` is an image."""
    base = root.absolute()
    for key, path in paths:
        yield key, Path("/") / path.relative_to(base) if path.is_relative_to(base) else path


def _written(loaded: Loaded) -> Iterator[tuple[str, Path]]:
    config = loaded.config
    outputs = config.outputs
    if config.runtime_dir is not None:
        yield "runtime_dir", loaded.resolve(config.runtime_dir)
    if outputs.jsonl is not None:
        yield "outputs.jsonl.dir", loaded.resolve(outputs.jsonl.dir)
    if outputs.evidence is not None:
        yield "outputs.evidence.dir", loaded.resolve(outputs.evidence.dir)
    source = config.source
    if isinstance(source, WatchedFolderConfig) and source.taken != "keep":
        yield "source.path", loaded.resolve(source.path)
        if source.move_to is not None:
            yield "source.move_to", loaded.resolve(source.move_to)
    for key, endpoint in (
        (("outputs.zmq.bind", outputs.zmq.bind), ("outputs.zmq.preview", outputs.zmq.preview)) if outputs.zmq else ()
    ):
        if endpoint is not None and endpoint.startswith("ipc://"):
            yield key, Path(endpoint.removeprefix("ipc://")).absolute().parent


def _read(loaded: Loaded) -> Iterator[tuple[str, Path]]:
    config = loaded.config
    yield "model.bundle", loaded.resolve(config.model.bundle)
    if config.calibration is not None:
        yield "calibration", loaded.resolve(config.calibration)
    roi = config.regions.roi
    if roi is not None and roi.mask is not None:
        yield "regions.roi.mask", loaded.resolve(roi.mask)
    curve = config.outputs.zmq and config.outputs.zmq.curve
    if curve:
        yield "outputs.zmq.curve.server_key", loaded.resolve(curve.server_key)
        yield "outputs.zmq.curve.clients", loaded.resolve(curve.clients)
    if isinstance(config.source, WatchedFolderConfig) and config.source.taken == "keep":
        yield "source.path", loaded.resolve(config.source.path)
    if isinstance(config.source, SnapshotConfig) and config.source.ca_file is not None:
        yield "source.ca_file", loaded.resolve(config.source.ca_file)
    if isinstance(config.source, GenicamConfig) and config.source.producer not in (None, "simulated"):
        yield "source.producer", Path(str(config.source.producer)).expanduser().absolute()


def _escaped(text: str) -> str:
    """Escape a path as systemd.syntax(7) asks: % begins a specifier; a path with spaces stands in quotes."""
    text = text.replace("%", "%%")
    return f'"{text}"' if " " in text and not text.startswith('"') else text
