"""The camera that the config means is found among those of the producers, opened, and given back."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edge.errors import UserError
from edge.sources.genicam.camera_errors import NotConnectedError, SeveralCamerasError, named
from edge.sources.genicam.camera_info import CameraChoice, CameraInfo
from edge.sources.genicam.devices import infos_of, new_harvester, tolerate
from edge.sources.genicam.features import BINDING_ERRORS
from edge.sources.genicam.producers import is_simulated, unloadable


class Finder:
    """A finder looks through the producers as often as it takes; what it found once it finds again. One thread uses it."""

    def __init__(self, producers: list[Path], choice: CameraChoice, *, simulated: bool) -> None:
        """With ``simulated``, accept the simulated camera."""
        self._producers = producers
        self._choice = choice
        self._simulated = simulated
        self._harvester: Any = None
        self._unloadable: dict[str, UserError] | None = None
        self.info: CameraInfo | None = None
        self.opened = 0
        """Number of cameras opened so far: each may have cost memory that no library gives back."""

    def open(self, parameters: Any, step: Callable[[], None]) -> Any:
        """Open the camera and return the library's acquirer. ``step`` is called before each call that may take seconds.

        Raises:
            NotConnectedError: it isn't there.
            UserError: several, or one that is only simulated; not one producer that the system's loader takes.
            BINDING_ERRORS: it can't be opened.
        """
        if self._harvester is None:
            self._harvester = new_harvester(self._producers)
        step()
        try:
            self._harvester.update()
        except BINDING_ERRORS:
            self._drop_harvester()
            raise
        index = self._choose(infos_of(self._harvester, addresses=self._choice.needs_addresses))
        step()
        with _sigint_kept():
            camera = self._harvester.create(index, config=parameters)
        self.opened += 1
        return camera

    def give_back(self, camera: Any) -> None:
        """Forget a camera that was closed. Never raises."""
        # destroy leaves the acquirer in this list, and weakref.finalize keeps it alive for ever, buffers included
        # (https://github.com/genicam/harvesters/issues/454); an undestroyed one would make every update() raise
        with contextlib.suppress(ValueError):
            self._harvester.image_acquirers.remove(camera)
        camera._finalizer.detach()  # noqa: SLF001
        if camera.is_valid():
            self._drop_harvester()

    def close(self) -> None:
        """Unload the producers. Never raises."""
        self._drop_harvester()

    def _drop_harvester(self) -> None:
        harvester, self._harvester = self._harvester, None
        if harvester is not None:
            with tolerate():
                harvester.reset()

    def _choose(self, cameras: list[CameraInfo]) -> int:
        matches = [i for i, camera in enumerate(cameras) if self._choice.fits(camera)]
        if self.info is not None:  # which a second producer may find by now, too
            matches = [i for i in matches if cameras[i].producer == self.info.producer] or matches
        if not matches:
            raise self._absent(tuple(named(camera, self._choice.mark) for camera in cameras))
        several = {_identity(cameras[i]): i for i in reversed(matches)}
        if len(several) > 1:
            raise SeveralCamerasError([cameras[i] for i in sorted(several.values())], self._choice)
        # one device, seen through two interfaces perhaps
        index = next((i for i in matches if cameras[i].access == "free"), matches[0])
        info = cameras[index]
        if not self._simulated and len(self._producers) > 1 and is_simulated(Path(info.producer)):
            raise UserError(
                "source.producer: only a simulated camera matches, found beside the producers of real ones",
                received=f"{named(info)} through {info.producer}",
                expected="a real camera, or producer: simulated, which every record then says",
                fix="producer: simulated, or the camera's own producer",
            )
        self.info = info
        if self._choice.mark is None and info.serial:  # a camera that joins later is not mistaken for this one
            self._choice = CameraChoice("serial", info.serial)
        return index

    def _absent(self, present: tuple[str, ...]) -> NotConnectedError:
        if self._unloadable is None:
            self._unloadable = unloadable(self._producers)
        if len(self._unloadable) == len(self._producers):
            raise next(iter(self._unloadable.values()))
        wanted = "no camera" if self._choice.mark is None else f"no camera with {self._choice}"
        there = f"present: {', '.join(present)}" if present else "no camera is present"
        return NotConnectedError("camera_not_found", "; ".join([wanted, there, *self._unloadable]), present)


def _identity(camera: CameraInfo) -> tuple[str, ...]:
    """Return one name for the same device on two interfaces; a camera without a serial number is only its own."""
    return camera.producer, camera.vendor, camera.model, camera.serial or camera.id


@contextlib.contextmanager
def _sigint_kept() -> Iterator[None]:
    """Keep the process's SIGINT handler, which the library replaces when an acquirer is made in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
