"""These errors may happen between a source and its camera. They need no camera library, so everyone can import them."""

from __future__ import annotations

from edge.errors import UserError
from edge.sources.genicam.camera_info import ANY_CAMERA, MARKS, CameraChoice, CameraInfo, Mark


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

    def __init__(self, cameras: list[CameraInfo], choice: CameraChoice = ANY_CAMERA, *, option: bool = False) -> None:
        """Take ``option``, which names the missing choice in the words of the command line instead of the config."""
        producers = {camera.producer for camera in cameras}
        serials = {camera.serial for camera in cameras}
        serial, producer = cameras[0].serial, cameras[0].producer
        through = " through {0.producer}" if len(producers) > 1 else ""
        by_serial = f"--serial {serial}" if option else f'serial: "{serial}"'
        what, expected = "source.serial: more than one camera matches", "the serial number of one camera"
        fix = f"for example {by_serial}"
        if len(serials) == 1 and len(producers) > 1:
            what, expected = f"source.producer: more than one finds a camera with serial {serial}", "one producer"
            fix = f"for example --producer {producer}" if option else f"for example producer: {producer}"
        elif choice.mark not in (None, "serial"):
            what, expected = f"source.{choice.mark}: more than one camera has {choice}", "one such camera"
            own = f"give each its own {MARKS[choice.mark]}, or " if choice.mark != "mac" else ""
            fix = f"{own}name one by its serial number, for example {by_serial}"
        elif len(serials) == 1:
            what = f"source.serial: more than one camera has the serial number {serial or '(none)'}"
            expected, fix = "one such camera", "disconnect the others"
        if option:
            key = what.partition(":")[0]
            what = what.replace(key, "--" + key.removeprefix("source.").replace("_", "-"), 1)
        received = ", ".join(f"{named(camera, choice.mark)}{through.format(camera)}" for camera in cameras)
        super().__init__(what, received=received, expected=expected, fix=fix)
        self.cameras = cameras
        self.choice = choice


def named(camera: CameraInfo, mark: Mark | None = None) -> str:
    """Return a camera as messages call it; in front its mark, where that is another one than the serial number."""
    text = f"{camera.serial} ({camera.vendor} {camera.model})"
    if mark in (None, "serial"):
        return text
    return f"{getattr(camera, mark) or f'no {MARKS[mark]}'}: {text}"
