"""A table lists the sources, and one is chosen by its kind.

A new kind of camera is a file or folder beside this one, a section in ``config/sources.py`` and a row here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edge.config.sources import SourceConfig
from edge.errors import UserError
from edge.sources.protocol import DeviceFinding, Source


def open_source(config: SourceConfig, camera: str, folder: Path) -> Source:
    """Make the source that the config names, not yet opened. Relative paths lie under ``folder``, the config file's."""
    return _KINDS[config.kind].open(config, camera, folder)


def check_source(config: SourceConfig, folder: Path) -> None:
    """Refuse a source without asking its device: files that aren't there, or hold no pictures.

    A producer that only the environment names is not looked for: a service has an environment of its own.

    Raises:
        UserError: as the source's ``open`` would.
    """
    _KINDS[config.kind].check(config, folder)


def device_findings(config: SourceConfig, folder: Path = Path()) -> Iterator[DeviceFinding]:
    """Say what keeps this machine and user from the config's device, or that nothing does; empty for sources without
    one.
    """
    return _KINDS[config.kind].examine(config, folder)


def _open_genicam(config: Any, camera: str, _folder: Path) -> Source:
    from edge.sources.genicam.source import GenicamSource  # needs the camera packages: only the kind in use is imported

    return GenicamSource(config, camera)


def _check_genicam(config: Any, _folder: Path) -> None:
    from edge.sources.genicam.cameras import library
    from edge.sources.genicam.producers import producer_files

    if config.producer is not None:
        producer_files(config.producer)
    library()  # that it is installed doesn't say that it can be loaded


def _examine_genicam(config: Any, _folder: Path) -> Iterator[DeviceFinding]:
    from edge.sources.genicam.buffer_count import buffer_findings
    from edge.sources.genicam.cameras import library
    from edge.sources.genicam.producers import check_loadable, producer_files

    try:
        if any(find_spec(name) is None for name in ("genicam", "harvesters")):
            raise UserError("the camera packages are not installed", fix="pip install 'edge-inspect[camera]'")
        library()
        files = producer_files(config.producer)
        check_loadable(files)
    except UserError as error:
        text, _, fix = str(error).partition("\n  fix: ")
        yield DeviceFinding("fail", "producer", text.replace("\n  ", "; "), fix or None)
    else:
        yield DeviceFinding("ok", "producer", ", ".join(map(str, files)))
    yield from buffer_findings(config)


def _open_recorded(config: Any, _camera: str, folder: Path) -> Source:
    from edge.sources.recorded import RecordedSource

    return RecordedSource((folder / config.path.expanduser()).absolute(), config.pace, config.fps, bits=config.bits)


def _check_recorded(config: Any, folder: Path) -> None:
    source = _open_recorded(config, "", folder)
    source.open()
    source.close()


def _open_synthetic(config: Any, _camera: str, _folder: Path) -> Source:
    from edge.sources.synthetic.source import SyntheticSource

    return SyntheticSource(config)


def _open_opencv(config: Any, _camera: str, folder: Path) -> Source:
    from edge.sources.opencv.source import OpencvSource

    return OpencvSource(config, folder)


def _check_opencv(config: Any, folder: Path) -> None:
    from edge.sources.opencv.device import check_address, check_file, check_named_pipeline, video_file

    check_named_pipeline(config)
    check_address(config)
    file = video_file(config, folder)
    if file is not None:
        check_file(file)


def _examine_opencv(config: Any, _folder: Path) -> Iterator[DeviceFinding]:
    from edge.sources.opencv.device import examine_device

    yield from examine_device(config)


def _open_snapshot(config: Any, _camera: str, folder: Path) -> Source:
    from edge.sources.snapshot_address import SnapshotSource

    return SnapshotSource(config, folder)


def _check_snapshot(config: Any, folder: Path) -> None:
    from edge.sources.snapshot_address import check_snapshot

    check_snapshot(config, folder)


def _examine_snapshot(config: Any, folder: Path) -> Iterator[DeviceFinding]:
    from edge.sources.snapshot_address import examine_snapshot

    yield examine_snapshot(config, folder)


def _open_watched_folder(config: Any, _camera: str, folder: Path) -> Source:
    from edge.sources.watched_folder import WatchedFolderSource

    return WatchedFolderSource(config, folder)


def _check_watched_folder(config: Any, folder: Path) -> None:
    from edge.sources.watched_folder import check_watched_folder

    check_watched_folder(config, folder)


def _examine_watched_folder(config: Any, folder: Path) -> Iterator[DeviceFinding]:
    from edge.sources.watched_folder import examine_watched_folder

    yield from examine_watched_folder(config, folder)


def _accept(_config: Any, _folder: Path) -> None:
    """Accept a kind without files, which has nothing that could be missing."""


def _no_device(_config: Any, _folder: Path) -> Iterator[DeviceFinding]:
    return iter(())


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind is one row. Each function gets the kind's own section of the config; imports that cost time stand inside
    them.
    """

    open: Callable[[Any, str, Path], Source]
    """Makes the source from section, camera name and the config file's folder, like ``open_source``."""
    check: Callable[[Any, Path], None] = _accept
    """Does what ``check_source`` does for this kind."""
    examine: Callable[[Any, Path], Iterator[DeviceFinding]] = _no_device
    """Does what ``device_findings`` does for this kind."""


_KINDS: dict[str, _Kind] = {
    "genicam": _Kind(_open_genicam, _check_genicam, _examine_genicam),
    "recorded": _Kind(_open_recorded, _check_recorded),
    "synthetic": _Kind(_open_synthetic),
    "opencv": _Kind(_open_opencv, _check_opencv, _examine_opencv),
    "snapshot": _Kind(_open_snapshot, _check_snapshot, _examine_snapshot),
    "watched_folder": _Kind(_open_watched_folder, _check_watched_folder, _examine_watched_folder),
}
