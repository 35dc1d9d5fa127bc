"""The table of sources, and the choice by kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.config.sources import RecordedConfig, SourceConfig, SyntheticConfig
from edge.sources.protocol import Source


def open_source(config: SourceConfig, camera: str, folder: Path) -> Source:
    """The source that the config names, not yet opened. Relative paths lie under ``folder``: the config file's."""
    return _OPEN[config.kind](config, camera, folder)


def check_source(config: SourceConfig, folder: Path) -> None:
    """What can be said against a source without asking its device: files that aren't there, or hold no pictures.

    A producer that only the environment names is not looked for: a service has an environment of its own.

    Raises:
        UserError: as the source's ``open`` would.
    """
    if config.kind == "genicam" and config.producer is not None:
        from edge.sources.genicam.producers import producer_files

        producer_files(config.producer)
    elif config.kind == "recorded":
        recorded = open_source(config, "", folder)
        recorded.open()
        recorded.close()
    elif config.kind == "opencv":
        from edge.sources.opencv.source import check_file, video_file

        file = video_file(config, folder)
        if file is not None:
            check_file(file)


def _genicam(config: Any, camera: str, _folder: Path) -> Source:
    from edge.sources.genicam.source import GenicamSource  # needs the camera packages: only the kind in use is imported

    return GenicamSource(config, camera)


def _recorded(config: Any, _camera: str, folder: Path) -> Source:
    from edge.sources.recorded import RecordedSource

    return RecordedSource((folder / config.path.expanduser()).absolute(), config.pace, config.fps)


def _synthetic(config: Any, _camera: str, _folder: Path) -> Source:
    from edge.sources.synthetic.source import SyntheticSource

    return SyntheticSource(config)


def _opencv(config: Any, _camera: str, folder: Path) -> Source:
    from edge.sources.opencv.source import OpencvSource

    return OpencvSource(config, folder)


_OPEN: dict[str, Callable[[Any, str, Path], Source]] = {
    "genicam": _genicam,
    "recorded": _recorded,
    "synthetic": _synthetic,
    "opencv": _opencv,
}


def is_live(config: SourceConfig) -> bool:
    """Whether frames come when they come, so that a full ring must drop; a source without a pace waits for us instead."""
    unpaced = (isinstance(config, SyntheticConfig) and config.fps is None) or (
        isinstance(config, RecordedConfig) and config.pace == "max"
    )
    return not unpaced
