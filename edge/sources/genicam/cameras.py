"""``edge cameras`` gets from here what cameras there are, and what one of them can do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from edge.config.sources import Feature
from edge.errors import UserError
from edge.sources.genicam.camera_info import ANY_CAMERA, CameraChoice
from edge.sources.genicam.producers import producer_files

if TYPE_CHECKING:
    from edge.sources.genicam.camera_info import CameraInfo
    from edge.sources.genicam.describe_features import FeatureInfo


def list_cameras(producer: str | None) -> list[CameraInfo]:
    """List every camera that the producer finds; ``producer`` is as in the config.

    Raises:
        UserError: no camera library, no such producer, or one that can't be loaded.
    """
    producers = producer_files(producer)
    library()
    from edge.sources.genicam.devices import list_devices

    return list_devices(producers)


def read_camera(
    producer: str | None, choice: CameraChoice = ANY_CAMERA
) -> tuple[CameraInfo, list[FeatureInfo], list[Feature]]:
    """Read one camera, its features, and its settings as ``source.features`` takes them.

    Raises:
        UserError: as ``list_cameras``; no such camera, several, or one that another program has open.
    """
    producers = producer_files(producer)
    description: tuple[CameraInfo, list[FeatureInfo], list[Feature]] = library().ask_camera(producers, choice)
    return description


def library() -> Any:
    """Import the part that needs harvesters; this happens only when a camera is used."""
    try:
        from edge.sources.genicam import link as genicam_link
    except ImportError as error:
        missing = re.search(r"(libpython3\.\d+)\.so", str(error))
        if missing:  # its wheel wants the shared library, which Debian's and Ubuntu's Python don't bring
            raise UserError(
                "source: the camera library cannot be loaded", received=error, fix=f"apt install {missing[1]}"
            ) from None
        raise UserError(
            "source: the camera library is not installed", received=error, fix="pip install 'edge-inspect[camera]'"
        ) from None
    return genicam_link
