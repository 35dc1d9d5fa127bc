"""Videos made for a test, and the ways in which a network spoils them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

TS_PACKET = 188


def scene(index: int, width: int = 160, height: int = 96) -> np.ndarray[Any, Any]:
    """RGB noise that moves by three pixels a frame, with the frame's number as the grey level of a bar at its top."""
    noise = cv2.GaussianBlur(np.random.default_rng(5).integers(0, 255, (height, width, 3)).astype(np.uint8), (0, 0), 2)
    picture = np.roll(noise, 3 * index, axis=1)
    picture[:16] = 4 * index % 256
    return picture


def mjpeg(path: Path, frames: int, picture_of: Callable[[int], np.ndarray[Any, Any]] = scene) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (160, 96))
    for index in range(frames):
        writer.write(picture_of(index)[..., ::-1])
    writer.release()
    return path


def still(index: int) -> np.ndarray[Any, Any]:
    """A scene in which nothing moves, with the camera's noise of two grey levels."""
    noise = np.random.default_rng(index).normal(0, 2, (96, 160, 1))
    return np.clip(scene(7) // 2 + 60 + noise, 0, 255).astype(np.uint8)


def encoded(
    path: Path,
    frames: int,
    codec: str = "libx264",
    *,
    pixel_format: str = "yuv420p",
    gop: int = 20,
    picture_of: Callable[[int], np.ndarray[Any, Any]] = scene,
) -> Path:
    """By PyAV; three frames of four are predicted from both sides where the codec can."""
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, pixel_format
        if codec == "libx264":
            stream.codec_context.options = {"qp": "18", "g": str(gop), "bf": "3", "threads": "1"}
        elif codec == "ffv1":
            stream.codec_context.options = {"level": "3", "slicecrc": "1", "g": str(gop), "threads": "1"}
        elif codec == "mpeg4":
            stream.codec_context.gop_size = gop
            stream.codec_context.options = {"qmin": "1", "qmax": "1"}
        for index in range(frames):
            picture = picture_of(index)
            if pixel_format.startswith("gray"):
                frame = av.VideoFrame.from_ndarray(picture[..., 0].astype(np.uint16) * 257, format="gray16le")
                frame = frame.reformat(format=pixel_format)
            else:
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def without_packets(path: Path, out: Path, *lost: int) -> Path:
    """An MPEG transport stream that lost some of its packets on the way."""
    data = path.read_bytes()
    packets = [data[at : at + TS_PACKET] for at in range(0, len(data), TS_PACKET)]
    out.write_bytes(b"".join(packet for number, packet in enumerate(packets) if number not in lost))
    return out


def video_packets(path: Path) -> list[int]:
    """Numbers of the packets that carry the video, which is on PID 256, after those of its first frame's beginning."""
    data = path.read_bytes()
    numbers = range(len(data) // TS_PACKET)
    return [n for n in numbers if int.from_bytes(data[n * TS_PACKET + 1 : n * TS_PACKET + 3], "big") & 0x1FFF == 256][2:]


def zeroed_jpegs(path: Path, out: Path, *indices: int, nbytes: int = 400) -> Path:
    """A Motion JPEG video with zeros inside some of its frames, whose markers stay."""
    data = bytearray(path.read_bytes())
    begins, at = [], -1
    while (at := data.find(b"\xff\xd8\xff", at + 1)) >= 0:
        begins.append(at)
    for index in indices:
        scan = data.index(b"\xff\xda", begins[index])
        data[scan + 600 : scan + 600 + nbytes] = bytes(nbytes)
    out.write_bytes(data)
    return out
