"""Where frames come from: the protocol that every source keeps, and the table that opens one by its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from edge.config.sources import SourceConfig
from edge.frames import Payload, Skip, SourceState


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """A snapshot of a source, safe to take from any thread.

    ``announced``: frames that the producer's own ids say were taken so far: last id - first id + 1 for each stream
    start, wraps undone, summed over starts; every one of them has been returned by ``read``, as a payload or inside a skip.
    ``counters``: losses by skip reason, ``reconnects``, ``timeouts`` (times that frames were due and none came for a
    while; an idle trigger is none) and whatever else the source counts.
    ``problem``: why what comes now can't be used or relied on, though it comes: every payload unreadable, part ids that
    stay away. A fault and not ready, until the source says None again.
    ``busy_until_ns``: ``time.monotonic_ns()`` until which ``open`` or ``read`` may still be in one call, connecting say,
    before it counts as hung; past moments are signs of progress.
    """

    state: SourceState
    detail: str
    announced: int
    counters: Mapping[str, int] = field(default_factory=dict)
    problem: str | None = None
    busy_until_ns: int = 0


class Source(Protocol):
    """A camera, a folder, a generator. All methods but ``status`` are called in the acquisition thread.

    Order of calls: ``open`` once, ``read`` again and again, ``close`` once, also after ``open`` or ``read`` raised.
    """

    simulated: bool
    """True where pixels don't come from a camera now: records of such a source say ``simulated: true``."""

    def open(self) -> None:
        """Check what can be checked (``UserError`` for what a person must mend) and get ready.

        A camera that isn't there is no error: ``open`` returns, the state is ``backoff`` and ``read`` goes on trying.
        """

    def read(self, timeout_s: float) -> Payload | Skip | None:
        """The next frame, or the loss that lies before it, or None if nothing came within ``timeout_s``.

        Returns within ``timeout_s`` plus a few milliseconds, whatever the camera does. A payload's data are valid
        until the next call. Raises EOFError when a finite source has no more. Connection losses are handled inside
        (state ``lost``, ``backoff``), not raised.
        """

    def close(self) -> None:
        """Give the device back. Never raises; may be called twice."""

    def status(self) -> SourceStatus:
        """Thread-safe snapshot; never touches the device."""


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
