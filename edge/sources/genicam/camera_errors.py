"""These errors may happen between a source and its camera. They need no camera library, so everyone can import them."""

from __future__ import annotations

from edge.errors import UserError
from edge.sources.genicam.camera_info import CameraInfo


class UnansweredError(Exception):
    """The camera did not answer. It is nobody's mistake, and trying again may help."""


class FetchError(Exception):
    """The producer answered a poll with an error."""


class NotConnectedError(Exception):
    """The camera can't be used now; trying again later may help. ``code`` is the log event, the text says why."""

    def __init__(self, code: str, text: str, present: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.code = code
        self.present = present


class SeveralCamerasError(UserError):
    """The config doesn't say which of ``cameras`` is meant."""

    def __init__(self, cameras: list[CameraInfo], *, option: bool = False) -> None:
        """Take ``option``, which names the missing choice in the words of the command line instead of the config."""
        serials, producers = ({getattr(c, name) for c in cameras} for name in ("serial", "producer"))
        serial, producer = cameras[0].serial, cameras[0].producer
        through = " through {0.producer}" if len(producers) > 1 else ""
        what, expected = "source.serial: more than one camera matches", "the serial number of one camera"
        fix = f"for example --serial {serial}" if option else f'for example serial: "{serial}"'
        if len(serials) == 1 and len(producers) > 1:
            what, expected = f"source.producer: more than one finds a camera with serial {serial}", "one producer"
            fix = f"for example --producer {producer}" if option else f"for example producer: {producer}"
        elif len(serials) == 1:
            what = f"source.serial: more than one camera has the serial number {serial or '(none)'}"
            expected, fix = "one such camera", "disconnect the others"
        if option:
            what = what.replace("source.", "--", 1)
        received = ", ".join(f"{named(camera)}{through.format(camera)}" for camera in cameras)
        super().__init__(what, received=received, expected=expected, fix=fix)
        self.cameras = cameras


def named(camera: CameraInfo) -> str:
    """Return a camera as messages call it."""
    return f"{camera.serial} ({camera.vendor} {camera.model})"
