"""One connection to one GenICam camera through harvesters: find, open, configure, start, fetch, tear down.

Nothing here waits inside the binding: it holds Python's interpreter lock while it does, which slows every other
thread 200 to 400 times (https://github.com/genicam/harvesters/issues/508).
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import structlog
from genicam import gentl
from harvesters.core import ParameterKey, ParameterSet

from edge.config import Feature, GenicamSource
from edge.errors import UserError
from edge.sources.camera_clock import CameraClock
from edge.sources.genicam_buffer import Chunks, RawFrame, chunks_of, image_of, item
from edge.sources.genicam_describe import FeatureInfo, describe, settings
from edge.sources.genicam_devices import CameraInfo, info_of, new_harvester, tolerate
from edge.sources.genicam_features import BINDING_ERRORS, apply_features, check_chunks, reason, value_of
from edge.sources.genicam_producers import check_loadable

log = structlog.get_logger()

_EAGER_POLL: Final = 64
"""A producer may say that nothing waits and be wrong: every so many polls it is asked for a buffer all the same."""


class NotConnectedError(Exception):
    """The camera can't be used now; trying again later may help. ``code`` is the log event, the text says why."""

    def __init__(self, code: str, text: str, present: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.code = code
        self.present = present


class FetchError(Exception):
    """The producer answered a poll with an error."""


class Link:
    """Open to streaming and back, as often as it takes. One thread."""

    def __init__(self, config: GenicamSource, producers: list[Path]) -> None:
        self._config = config
        self._producers = producers
        self._serial = config.serial
        self._harvester: Any = None
        self._camera: Any = None
        self._stream: Any = None
        self._monitor: Any = None
        self._polls = 0
        self._counts_waiting = True
        self._stamps = True
        self._clock: Any = None
        self._loadable = False
        self.triggered = False
        """TriggerMode is On: no frames for hours are no fault."""
        self.info: CameraInfo | None = None

    @property
    def node_map(self) -> Any:
        """The connected camera's features."""
        return self._camera.remote_device.node_map

    def connect(self) -> None:
        """Find the camera, open it and write its features; ``start`` comes next.

        Takes as long as the producer needs to look for devices (viky 15 ms, GigE up to 1 s).

        Raises:
            NotConnectedError: absent, in use, or it failed on the way.
            UserError: features or a part_id that the camera hasn't; no serial and several cameras; a producer that the
            system's loader refuses.
        """
        try:
            index = self._find()
            with _sigint_kept():
                self._camera = self._harvester.create(index, config=self._parameters())
            node_map = self.node_map
            apply_features(node_map, self._config.features)
            check_chunks(node_map, self._config.part_id, self._config.chunks)
            self.triggered = value_of(node_map, "TriggerMode") == "On"
            self._check_bayer(node_map)
            self._clock = CameraClock(node_map)
            self._clock.sample()
        except (gentl.ResourceInUseException, gentl.AccessDeniedException) as error:
            self.disconnect()
            raise NotConnectedError("camera_in_use", f"the camera is in use by another program ({reason(error)})") from None
        except (UserError, NotConnectedError):
            self.disconnect()
            raise
        except Exception as error:
            self.disconnect()
            raise NotConnectedError("camera_open_failed", f"{type(error).__name__}: {reason(error)}") from error

    def start(self) -> None:
        """Announce the buffers and let the camera run; frame ids begin anew.

        Raises:
            NotConnectedError: it failed; the connection is gone.
        """
        try:
            self._camera.start()
            self._stream = self._camera.data_streams[0].module
            # try_fetch gives an incomplete buffer back before its frame id can be read: the event itself is read here
            self._monitor = next(iter(self._camera._new_buffer_event_monitor_dict.values()))  # noqa: SLF001
        except Exception as error:
            self.disconnect()
            raise NotConnectedError("camera_start_failed", f"{type(error).__name__}: {reason(error)}") from error
        self._polls, self._counts_waiting, self._stamps = 0, True, True

    def stop(self) -> None:
        """Stop the stream, stay connected; ``start`` goes on. Frames that wait in buffers are gone.

        Raises:
            NotConnectedError: it failed; the connection is gone.
        """
        try:
            self._camera.stop()
        except Exception as error:
            self.disconnect()
            raise NotConnectedError("camera_stop_failed", f"{type(error).__name__}: {reason(error)}") from error

    def write(self, features: Iterable[Feature]) -> None:
        """Write features of the open camera, as the config's are written.

        Raises:
            UserError: what the camera doesn't accept.
        """
        apply_features(self.node_map, features)

    def fetch(self) -> RawFrame | None:
        """The oldest filled buffer, or None; returns at once. ``release`` it before or after the next fetch.

        Raises:
            FetchError: the producer reports an error; ask ``alive``.
        """
        if self._stamps and time.monotonic() >= self._clock.next_s:
            self._clock.sample()
        try:
            if self._nothing_waits():
                return None
            self._monitor.update_event_data(0)
        except gentl.TimeoutException:
            return None
        except BINDING_ERRORS as error:
            raise FetchError(reason(error)) from None
        return self._read(self._monitor.buffer, time.time_ns(), time.monotonic_ns())

    def release(self, frame: RawFrame) -> None:
        """Queue the buffer again: ``frame.data`` is dead from here on (viky zeroes it at once).

        Raises:
            FetchError: the producer didn't take it.
        """
        try:
            self._stream.queue_buffer(frame.buffer)
        except BINDING_ERRORS as error:
            raise FetchError(reason(error)) from None

    def alive(self) -> bool:
        """Whether the camera answers a register read past every cache. A lost device shows nowhere else: polls time out."""
        try:
            self.node_map.Width.get_value(ignore_cache=True)
        except AttributeError:  # a device without Width: nothing to ask, so nothing to say against it
            return self._camera is not None
        except BINDING_ERRORS:
            return False
        return True

    def disconnect(self) -> None:
        """Stop and close the camera, lost or not. Never raises."""
        camera, self._camera, self._stream, self._monitor = self._camera, None, None, None
        if camera is None:
            return
        with tolerate():
            camera.stop()  # raises on a lost device and leaves the stream open, which destroy closes
        with tolerate():
            camera.destroy()
        # destroy leaves the acquirer in this list, and weakref.finalize keeps it alive for ever, buffers included
        # (https://github.com/genicam/harvesters/issues/454); an undestroyed one would make every update() raise
        with contextlib.suppress(ValueError):
            self._harvester.image_acquirers.remove(camera)
        camera._finalizer.detach()  # noqa: SLF001
        if camera.is_valid():
            self._drop_harvester()

    def close(self) -> None:
        """Disconnect, and unload the producers. Never raises."""
        self.disconnect()
        self._drop_harvester()

    def _drop_harvester(self) -> None:
        harvester, self._harvester = self._harvester, None
        if harvester is not None:
            with tolerate():
                harvester.reset()

    def _find(self) -> int:
        """Index of the camera in the harvester's list, freshly made."""
        if self._harvester is None:
            self._harvester = new_harvester(self._producers)
        try:
            self._harvester.update()
        except BINDING_ERRORS:
            self._drop_harvester()
            raise
        cameras = [info_of(device) for device in self._harvester.device_info_list]
        if not cameras and not self._loadable:
            check_loadable(self._producers)
            self._loadable = True
        matches = [i for i, camera in enumerate(cameras) if self._serial in (None, camera.serial)]
        present = tuple(f"{camera.serial} ({camera.vendor} {camera.model})" for camera in cameras)
        if not matches:
            wanted = "no camera" if self._serial is None else f"no camera with serial {self._serial}"
            there = f"present: {', '.join(present)}" if present else "no camera is present"
            raise NotConnectedError("camera_not_found", f"{wanted}; {there}", present)
        if len(matches) > 1:
            raise UserError(
                "source.serial: more than one camera matches",
                received=", ".join(present[i] for i in matches),
                expected="the serial number of one camera",
                fix=f'serial: "{cameras[matches[0]].serial}", say',
            )
        self.info = cameras[matches[0]]
        self._serial = self.info.serial or self._serial  # a camera that joins later is not mistaken for this one
        return matches[0]

    def _parameters(self) -> Any:
        """A set of its own for each create, which removes keys from it."""
        return ParameterSet(
            {
                ParameterKey.NUM_BUFFERS_FOR_FETCH_CALL: self._config.buffers,
                ParameterKey.ENABLE_AUTO_CHUNK_DATA_UPDATE: False,
                ParameterKey.TIMEOUT_PERIOD_ON_UPDATE_EVENT_DATA_CALL: 0,
            }
        )

    def _check_bayer(self, node_map: Any) -> None:
        """By the standard the pixel format names the pattern of the picture; some cameras go on naming the sensor's."""
        pixel_format, x, y = (value_of(node_map, name) for name in ("PixelFormat", "OffsetX", "OffsetY"))
        odd = any(isinstance(offset, int) and offset % 2 for offset in (x, y))
        if odd and self._config.bayer is None and str(pixel_format).startswith("Bayer"):
            log.warning(
                "bayer_at_odd_offset",
                pixel_format=pixel_format,
                offset=[x, y],
                hint="if red and blue or green are mixed up, this camera names the sensor's pattern: set source.bayer",
            )

    def _nothing_waits(self) -> bool:
        if not self._counts_waiting:
            return False
        self._polls += 1
        if self._polls % _EAGER_POLL == 0:
            return False
        try:
            return not self._stream.num_awaiting_delivery
        except BINDING_ERRORS:
            self._counts_waiting = False  # a 0 ms wait for the event instead
            return False

    def _read(self, buffer: Any, received_ns: int, received_mono_ns: int) -> RawFrame:
        frame_id = item(buffer, "frame_id")
        try:
            complete = buffer.is_complete()
        except BINDING_ERRORS:
            complete = False
        if not complete:
            return RawFrame(
                buffer, frame_id, received_ns, received_mono_ns, reason="incomplete", problem="bytes are missing"
            )
        try:
            data, width, height, pixel_format = image_of(buffer)
            if self._config.bayer is not None and pixel_format.startswith("Bayer"):
                pixel_format = f"Bayer{self._config.bayer}{pixel_format[7:]}"
        except (ValueError, *BINDING_ERRORS) as error:
            text = reason(error)
            return RawFrame(buffer, frame_id, received_ns, received_mono_ns, reason="bad_payload", problem=text)
        stamp = self._stamp(buffer)
        camera_ns = None if stamp is None else self._clock.utc(stamp, received_ns, received_mono_ns)
        part_id: int | None = None
        chunks: Chunks = ()
        if self._config.part_id is not None or self._config.chunks:
            adapter = self._camera._chunk_adapter  # noqa: SLF001
            part_id, chunks = chunks_of(buffer, adapter, self.node_map, self._config.part_id, self._config.chunks)
        return RawFrame(
            buffer,
            frame_id,
            received_ns,
            received_mono_ns,
            data,
            width,
            height,
            pixel_format,
            camera_ns,
            "host" if camera_ns is None else self._clock.source,
            part_id,
            chunks,
        )

    def _stamp(self, buffer: Any) -> int | None:
        """The camera's own time of the frame in ns; None where it gives none (asked once: an exception costs 20 us)."""
        if not self._stamps:
            return None
        stamp: int | None = item(buffer, "timestamp_ns")
        if not stamp:
            ticks, rate = item(buffer, "timestamp"), item(self._stream.parent, "timestamp_frequency")
            stamp = ticks * 1_000_000_000 // rate if ticks and rate else None
        self._stamps = stamp is not None
        return stamp


def read_camera(producers: list[Path], serial: str | None) -> tuple[CameraInfo, list[FeatureInfo], list[Feature]]:
    """One camera, its features, and its settings as ``source.features`` takes them. Opens it for a moment.

    Raises:
        UserError: no such camera, several, or one that another program has open.
    """
    link = Link(GenicamSource(kind="genicam", serial=serial, buffers=2), producers)
    try:
        link.connect()
        assert link.info is not None
        return link.info, describe(link.node_map), settings(link.node_map)
    except NotConnectedError as error:
        raise UserError(f"the camera cannot be read: {error}") from None
    finally:
        link.close()


@contextlib.contextmanager
def _sigint_kept() -> Iterator[None]:
    """The library replaces the process's SIGINT handler when an acquirer is made in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
