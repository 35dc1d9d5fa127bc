"""What ``device`` of an OpenCV source names, checked before anything is opened: what is live is a list."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge.config.address import redacted
from edge.config.opencv_source import is_address, is_pipeline, is_v4l2
from edge.config.sources import OpencvConfig
from edge.errors import UserError
from edge.sources.opencv.pipeline import check_pipeline, shown_pipeline
from edge.sources.opencv.v4l2_controls import has_controls, node_of, opened_node, wanted_controls
from edge.sources.protocol import DeviceFinding

LIVE_SCHEMES: Final = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srtp", "udp", "srt", "http", "https")
BY_ID: Final = Path("/dev/v4l/by-id")


def device_name(device: int | str) -> str:
    """Return a device as people may see it, without passwords."""
    if isinstance(device, int):
        return f"/dev/video{device}"
    return shown_pipeline(device) if is_pipeline(device) else redacted(device)


def check_device(config: OpencvConfig) -> None:
    """Refuse an address or a pipeline that is no camera's, and, where a V4L2 device is there, controls that it hasn't.

    Raises:
        UserError: so it is.
    """
    check_named_pipeline(config)
    check_address(config)
    check_controls(config)


def check_named_pipeline(config: OpencvConfig) -> None:
    """Refuse a pipeline as ``check_pipeline`` does; accept every other device."""
    if is_pipeline(config.device):
        check_pipeline(str(config.device))


def check_controls(config: OpencvConfig) -> None:
    """Compare the config's controls with those of the device, if it is there now; nothing is written.

    Raises:
        UserError: a control that the device hasn't, or a value that it doesn't take.
    """
    if not (is_v4l2(config.device) and has_controls(config)):
        return
    try:
        with opened_node(node_of(config.device)) as node:
            wanted_controls(config, node.controls())
    except OSError:
        return  # waited for, and written at each connection


def video_file(config: OpencvConfig, folder: Path) -> Path | None:
    """Return the file that ``device`` names, absolute; None for a V4L2 device, an address or a pipeline."""
    device = config.device
    if is_v4l2(device) or is_address(device) or is_pipeline(device):
        return None
    return (folder / Path(str(device)).expanduser()).absolute()


def check_address(config: OpencvConfig) -> None:
    """Refuse an address that is no camera's: a list of what is live, for FFmpeg opens files under many schemes.

    Raises:
        UserError: another scheme.
    """
    device = config.device
    if isinstance(device, int) or not is_address(device):
        return
    scheme = device.partition(":")[0].lower()
    if scheme not in LIVE_SCHEMES:
        raise UserError(
            f"source.device: {scheme}: is no scheme of a live stream",
            received=redacted(device),
            expected=f"{', '.join(LIVE_SCHEMES)}; or a V4L2 device, or the path of a video file",
            fix="name a file by its path, or use kind: recorded; its records then say simulated",
        )


def check_file(path: Path) -> None:
    """Raise ``UserError`` if no such video file can be played."""
    if not path.exists() or path.is_dir():
        raise UserError(
            "source.device: a folder, not a video file" if path.is_dir() else "source.device: no such file",
            received=path,
            expected="a V4L2 device (0, /dev/video0), an address (rtsp://...) or a video file",
            fix="correct the path; a relative one lies beside the config file",
            passes=not path.exists(),
        )


def examine_device(config: OpencvConfig) -> Iterator[DeviceFinding]:
    """Say whether a V4L2 device is there, open to this user, and the same one after a boot; and its controls."""
    device = config.device
    if is_pipeline(device):
        try:
            check_pipeline(str(device))
        except UserError as error:
            text, _, fix = str(error).partition("\n  fix: ")
            yield DeviceFinding("fail", "device", text.replace("\n  ", "; "), fix or None)
    if not is_v4l2(device):
        return
    named, node = device_name(device), node_of(device)
    if not node.exists():
        yield DeviceFinding("warn", "device", f"{named} is not there; the daemon waits for it", "plug the camera in")
    elif not os.access(node, os.R_OK | os.W_OK):
        yield DeviceFinding("fail", "device", f"{named} is not open to this user", "usermod -aG video edge")
    else:
        yield DeviceFinding("ok", "device", named)
        yield from _examine_controls(config, node)
    lasting = [link for link in (sorted(BY_ID.iterdir()) if BY_ID.is_dir() else []) if link.resolve() == node]
    if lasting and not str(device).startswith("/dev/v4l/"):
        text = f"{named} may be another camera after a boot"
        yield DeviceFinding("warn", "device", text, f"device: {lasting[0]}")


def _examine_controls(config: OpencvConfig, node: Path) -> Iterator[DeviceFinding]:
    try:
        with opened_node(node) as opened:
            if opened.card() is None:
                yield DeviceFinding(
                    "fail", "device", f"{node} gives no frames: it is a camera's second node", "another node"
                )
                return
            controls = opened.controls()
            now = {info.name: opened.get(info.id) for info in controls.values() if not info.read_only}
            wanted_controls(config, controls)
    except OSError as error:
        yield DeviceFinding("warn", "controls", f"{node}: {error.strerror}")
    except UserError as error:
        yield DeviceFinding("fail", "controls", str(error).replace("\n  ", "; "))
    else:
        yield DeviceFinding("ok", "controls", ", ".join(f"{name} {value}" for name, value in now.items()) or "none")
