"""A GStreamer pipeline as device: only those whose sources are cameras, and only where OpenCV was built with GStreamer."""

from __future__ import annotations

import re
import shlex
from typing import Final

import cv2

from edge.errors import UserError

LIVE_ELEMENTS: Final = (
    *("nvarguscamerasrc", "nvv4l2camerasrc", "libcamerasrc", "v4l2src", "aravissrc", "pylonsrc"),
    *("rtspsrc", "udpsrc", "srtsrc", "srtclientsrc", "rtmpsrc", "rtmp2src", "tcpclientsrc"),
)
"""Elements whose pictures come from a camera now. Files, test pictures and what may open either aren't among them."""
_OPENS_ANYTHING: Final = re.compile(r"^(\w*src|\w*uri\w*|playbin\d?)$")


def check_pipeline(pipeline: str) -> None:
    """Refuse a pipeline that is no camera's, or that this OpenCV can't run.

    Raises:
        UserError: an element that isn't live, no appsink at the end, or no GStreamer.
    """
    sources = source_elements(pipeline)
    strange = [name for name in sources if name not in LIVE_ELEMENTS]
    if strange or not sources:
        raise UserError(
            f"source.device: {strange[0] if strange else 'the first element'} is no live source of a pipeline",
            received=shown_pipeline(pipeline),
            expected=", ".join(LIVE_ELEMENTS),
            fix="a file is kind: recorded; its records then say simulated",
        )
    last = pipeline.rpartition("!")[2].split()
    if not last or last[0] != "appsink":
        raise UserError(
            "source.device: a pipeline ends in appsink",
            received=shown_pipeline(pipeline),
            fix="add '! videoconvert ! video/x-raw,format=BGR ! appsink sync=false'",
        )
    if not has_gstreamer():
        raise UserError(
            "source.device: this OpenCV has no GStreamer",
            received=f"a pipeline, and OpenCV {cv2.__version__} from {cv2.__file__.rpartition('/')[0]}",
            expected="an OpenCV built with GStreamer; the packages of PyPI are not",
            fix="on a Jetson: a venv with --system-site-packages, which finds JetPack's OpenCV, and no opencv-python in it",
        )


def has_gstreamer() -> bool:
    """Return True if this OpenCV runs pipelines."""
    return bool(cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER))


def source_elements(pipeline: str) -> list[str]:
    """Return the elements of a pipeline from which data come: the first one, and all that look like sources, whatever
    branch they stand in.
    """
    try:
        words = shlex.split(re.sub(r"[()]", " ", pipeline))
    except ValueError:  # a quote that doesn't end
        words = pipeline.split()
    elements = [word for word in words if re.fullmatch(r"[A-Za-z][\w-]*", word)]
    first = words[:1]
    return [*first, *(name for name in elements[1:] if _OPENS_ANYTHING.match(name.lower()))]


def shown_pipeline(pipeline: str) -> str:
    """Return the first and last element of a pipeline: a password may stand in any property."""
    elements = [part.split() for part in pipeline.split("!")]
    names = [part[0] for part in elements if part]
    return f"{names[0]} ! ... ! {names[-1]}" if len(names) > 1 else "a pipeline"
