"""A link is one connection to one GenICam camera through harvesters: open, configure, start, tear down.

``edge.sources.genicam.stream`` handles the frames of a running connection; ``edge.sources.genicam.finder`` finds the
camera.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from genicam import gentl
from harvesters.core import ParameterKey, ParameterSet

from edge.config.sources import Feature, GenicamConfig
from edge.errors import UserError
from edge.sources.genicam.buffer import RawFrame
from edge.sources.genicam.buffer_count import FEWEST, WARNED_MB, buffer_count, payload_of, total_mb
from edge.sources.genicam.camera_clock import CameraClock
from edge.sources.genicam.camera_errors import FetchError, NotConnectedError, SeveralCamerasError, UnansweredError
from edge.sources.genicam.camera_info import ANY_CAMERA, MARKS, CameraChoice, CameraInfo
from edge.sources.genicam.describe_features import FeatureInfo, describe_features, settings
from edge.sources.genicam.devices import tolerate
from edge.sources.genicam.features import (
    BINDING_ERRORS,
    apply_features,
    check_chunks,
    read_value,
    reason,
    register_of,
    value_of,
)
from edge.sources.genicam.finder import Finder
from edge.sources.genicam.stream import Stream
from edge.sources.genicam.trigger import SoftwareTrigger, triggers_of
from edge.sources.pace import expected_interval_s

log = structlog.get_logger()


def _nothing() -> None:
    pass


class Link:
    """A link goes from open to streaming and back, as often as it takes. One thread uses it."""

    def __init__(
        self,
        config: GenicamConfig,
        producers: list[Path],
        *,
        simulated: bool = True,
        step: Callable[[], None] = _nothing,
        counters: Counter[str] | None = None,
    ) -> None:
        """With ``simulated``, accept the simulated camera. ``step`` is called before each call that may take seconds.

        ``counters`` is where software triggers are counted.
        """
        self._config = config
        self._step = step
        self._counters: Counter[str] = Counter() if counters is None else counters
        self._finder = Finder(producers, choice_of(config), simulated=simulated)
        self._camera: Any = None
        self._stream: Stream | None = None
        self._clock: Any = None
        self._register: Any = None
        self._trigger: SoftwareTrigger | None = None
        self.triggered = False
        """True if a trigger that isn't ours is on: no frames for hours are no fault."""

    @property
    def info(self) -> CameraInfo | None:
        """Return the camera that was found last."""
        return self._finder.info

    @property
    def opened(self) -> int:
        """Return how often a camera was opened so far."""
        return self._finder.opened

    @property
    def node_map(self) -> Any:
        """Return the connected camera's features."""
        return self._camera.remote_device.node_map

    def expected_interval_s(self) -> float:
        """Return the time in s between frames that the camera's own features announce; 0 if they don't, or it does not
        answer.
        """
        try:
            return expected_interval_s(partial(value_of, self.node_map))
        except UnansweredError:
            return 0.0  # lost; the loss itself shows at the next probe

    def connect(self) -> None:
        """Find the camera, open it and write its features; ``start`` comes next.

        Takes as long as the producer needs to look for devices (viky 15 ms, GigE up to 1 s for each network interface)
        and the camera for its features (a user set 2 s).

        Raises:
            NotConnectedError: absent, in use, or it failed on the way.
            UserError: features, a part_id or a trigger that the camera hasn't; several cameras match; a producer that the
            system's loader refuses.
        """
        try:
            self._camera = self._finder.open(self._parameters(), self._step)
            self._configure()
        except (gentl.ResourceInUseException, gentl.AccessDeniedException) as error:
            self.disconnect()
            raise NotConnectedError("camera_in_use", f"the camera is in use by another program ({reason(error)})") from None
        except UserError as error:
            lost = self._camera is not None and not self.alive()
            self.disconnect()
            if lost:  # what the camera seemed to lack was only not answered
                raise NotConnectedError("camera_open_failed", f"the camera does not answer: {error.what}") from None
            raise
        except NotConnectedError:
            self.disconnect()
            raise
        except UnansweredError as error:
            self.disconnect()
            raise NotConnectedError("camera_open_failed", f"the camera did not answer: {error}") from None
        except Exception as error:
            self.disconnect()
            raise NotConnectedError("camera_open_failed", f"{type(error).__name__}: {reason(error)}") from error

    def start(self) -> None:
        """Announce the buffers and let the camera run; frame ids begin anew.

        Raises:
            NotConnectedError: it failed; the connection is gone.
        """
        self._step()
        try:
            self._choose_buffers()
            self._stream = Stream(self._config, self._camera, self._clock)
        except Exception as error:
            self.disconnect()
            raise NotConnectedError("camera_start_failed", f"{type(error).__name__}: {reason(error)}") from error

    def _choose_buffers(self) -> None:
        """Ask for as many buffers as the config says, or as many as fit, and say what they take."""
        payload = payload_of(self._camera)
        count = max(buffer_count(self._config.buffers, payload), self._camera.min_num_buffers)
        self._camera.num_buffers = count
        if payload is None:
            return
        total = total_mb(count, payload)
        tell = log.warning if total > WARNED_MB else log.info
        tell("camera_buffers", buffers=count, payload_bytes=payload, total_mb=total)

    def stop(self) -> None:
        """Stop the stream, stay connected; ``start`` goes on. Frames that wait in buffers are gone.

        Raises:
            NotConnectedError: it failed; the connection is gone.
        """
        self._step()
        try:
            self._camera.stop()
        except Exception as error:
            self.disconnect()
            raise NotConnectedError("camera_stop_failed", f"{type(error).__name__}: {reason(error)}") from error

    def write(self, features: Iterable[Feature]) -> None:
        """Write features of the open camera, as the config's are written.

        Raises:
            UserError: what the camera doesn't accept.
            NotConnectedError: the camera does not answer.
        """
        try:
            apply_features(self.node_map, features, self._step)
        except UnansweredError as error:
            raise NotConnectedError("camera_write_failed", str(error)) from None
        except UserError as error:
            if not self.alive():
                raise NotConnectedError("camera_write_failed", error.what) from None
            raise

    def fetch(self) -> RawFrame | None:
        """Return the oldest filled buffer, or None, at once. ``release`` it before or after the next fetch.

        Fires the software trigger when it is due.

        Raises:
            FetchError: the producer reports an error; ask ``alive``.
        """
        assert self._stream is not None
        if self._trigger is not None:
            try:
                self._trigger.fire_if_due()
            except BINDING_ERRORS as error:
                raise FetchError(f"TriggerSoftware: {reason(error)}") from None
        return self._stream.fetch()

    def release(self, frame: RawFrame) -> None:
        """Queue the buffer again, as ``Stream.release`` does."""
        assert self._stream is not None
        self._stream.release(frame)

    def alive(self) -> bool:
        """Return True if the camera answers a register read past every cache. A lost device shows nowhere else: polls time
        out.
        """
        if self._camera is None:
            return False
        self._step()
        try:
            if self._register is None:
                self._register = register_of(self.node_map)
            return self._register is None or read_value(self._register) is not None
        except BINDING_ERRORS:
            return False

    def disconnect(self) -> None:
        """Stop and close the camera, lost or not. Never raises."""
        camera, self._camera, self._stream = self._camera, None, None
        self._register = self._trigger = None
        if camera is None:
            return
        self._step()
        with tolerate():
            camera.stop()  # raises on a lost device and leaves the stream open, which destroy closes
        self._step()
        with tolerate():
            camera.destroy()
        self._finder.give_back(camera)

    def close(self) -> None:
        """Disconnect, and unload the producers. Never raises."""
        self.disconnect()
        self._finder.close()

    def _configure(self) -> None:
        node_map, config = self.node_map, self._config
        self._register = register_of(node_map)
        apply_features(node_map, config.features, self._step)
        self._step()
        check_chunks(node_map, config.part_id, config.chunks)
        triggers = triggers_of(node_map)
        hz = config.software_trigger_hz
        if hz is not None:
            self._trigger = SoftwareTrigger(node_map, triggers, hz, self._counters)
        self.triggered = any(trigger.on and (hz is None or not trigger.by_software) for trigger in triggers)
        if any(name == "TriggerSoftware" for name, _ in config.features):
            log.warning(
                "trigger_before_start",
                hint="features are written before frames are taken, so it fires nothing: see source.software_trigger_hz",
            )
        self._check_bayer(node_map)
        self._clock = CameraClock(node_map)
        self._clock.sample()

    def _parameters(self) -> Any:
        """Make a set of parameters for each create, which removes keys from it."""
        return ParameterSet(
            {
                ParameterKey.NUM_BUFFERS_FOR_FETCH_CALL: self._config.buffers or FEWEST,
                ParameterKey.ENABLE_AUTO_CHUNK_DATA_UPDATE: False,
                ParameterKey.TIMEOUT_PERIOD_ON_UPDATE_EVENT_DATA_CALL: 0,
            }
        )

    def _check_bayer(self, node_map: Any) -> None:
        """Warn if some cameras' habit shows: the pixel format should name the picture's pattern, but they keep naming the
        sensor's.
        """
        pixel_format, x, y = (value_of(node_map, name) for name in ("PixelFormat", "OffsetX", "OffsetY"))
        odd = any(isinstance(offset, int) and offset % 2 for offset in (x, y))
        if odd and self._config.bayer is None and str(pixel_format).startswith("Bayer"):
            log.warning(
                "bayer_at_odd_offset",
                pixel_format=pixel_format,
                offset=[x, y],
                hint="if red and blue or green are mixed up, this camera names the sensor's pattern: set source.bayer",
            )


def choice_of(config: GenicamConfig) -> CameraChoice:
    """Return which camera a config means; it names at most one mark."""
    for mark in MARKS:
        value = getattr(config, mark)
        if value is not None:
            return CameraChoice(mark, value)
    return ANY_CAMERA


def ask_camera(producers: list[Path], choice: CameraChoice) -> tuple[CameraInfo, list[FeatureInfo], list[Feature]]:
    """Return one camera, its features, and its settings as ``source.features`` takes them. Opens it for a moment.

    Raises:
        UserError: no such camera, several, or one that another program has open.
    """
    wanted = {} if choice.mark is None else {choice.mark: choice.value}
    link = Link(GenicamConfig.model_validate({"kind": "genicam", "buffers": 2, **wanted}), producers)
    try:
        link.connect()
        assert link.info is not None
        return link.info, describe_features(link.node_map), settings(link.node_map)
    except SeveralCamerasError as error:
        raise SeveralCamerasError(error.cameras, error.choice, option=True) from None
    except NotConnectedError as error:
        raise UserError(f"the camera cannot be read: {error}") from None
    finally:
        link.close()
