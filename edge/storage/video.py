"""Videos and network streams are read frame by frame, with what the decoder says against each: damage is reported, never
shown.

FFmpeg conceals: it fills in what is lost from other frames, and every frame that was predicted from those is wrong, too, up
to the next key frame. OpenCV doesn't say so. Motion JPEG is therefore taken apart by OpenCV and decoded by simplejpeg,
which raises at a warning; other codecs go through PyAV where it is installed (``pip install 'edge-inspect[video]'``), whose
decoder stops at an error. Without it OpenCV decodes them, and a warning says that damage can't be seen.

Pictures come as stored: a display matrix that asks for rotation is not followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import cv2
import numpy as np
import structlog
from numpy.typing import NDArray

from edge.config.address import redacted
from edge.storage import nal_units
from edge.storage.concealment import MISSING, Concealment, LostPacket
from edge.storage.decoder_log import first_error, heard
from edge.storage.pictures import Pixels, decode_jpeg, silence_opencv
from edge.storage.transport_stream import SpoiltPackets

log = structlog.get_logger()

TIMEOUT_MS: Final = 5000
"""Time in ms to open a network stream, and to get the next packet of one."""
_MJPEG: Final = ("MJPG", "mjpg", "jpeg", "JPEG", "AVRn", "dmb1")
_SILENT: Final = frozenset({"rawvideo", "huffyuv", "ffvhuff", "utvideo", "vp8", "vp9", "prores"})
"""Codecs without checksums whose decoders take nearly all bytes for pixels: of 12 damaged files at most 4 were noticed."""
_RAW: Final = -1
_GREY_BITS: Final = {"gray": 8, "gray10le": 10, "gray12le": 12, "gray14le": 14, "gray16le": 16}
INSTALL: Final = "pip install 'edge-inspect[video]'"


class VideoError(Exception):
    """No frame can be had from the file or stream; the text says why."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A shot is one frame: ``pixels`` (H, W) or (H, W, 3), ``bits`` of a sample count.

    ``format`` is the PFNC name of the pixels, BGR8 if OpenCV decoded them. ``at_s`` is its time in the video, if known.
    """

    pixels: Pixels
    bits: int
    format: str
    at_s: float | None


@dataclass(frozen=True, slots=True)
class Damaged:
    """A frame came and can't be believed."""

    why: str
    at_s: float | None = None


Read: TypeAlias = Shot | Damaged


class Video(Protocol):
    """An open file or stream belongs to one thread."""

    codec: str
    fps: float | None
    promised: int | None
    """Number of frames as the container or its duration says; None if it doesn't say, or there is no end."""
    counted: bool
    """True if ``promised`` is the container's own count."""

    finite: bool
    """True if it has an end: a clip, whatever its address, and no camera."""

    def read(self, buffer: Any = None) -> Read | None:
        """Return the next frame; None at the end, or when the stream ended or nothing came for ``TIMEOUT_MS``.

        ``buffer``: memory that a frame before came in and that may be used again.
        """

    def close(self) -> None: ...


def open_video(address: str, *, live: bool = False) -> Video:
    """Open a file or an address with the decoder that reports most about damage.

    Raises:
        VideoError: it can't be opened, or holds no video.
    """
    silence_opencv()
    capture = open_capture(address, live=live, raw=True)
    if capture is not None:
        if fourcc(capture) in _MJPEG:
            return JpegVideo(capture)
        capture.release()
    shown = redacted(address) if live else address
    if has_pyav():
        video = PyavVideo(address, live=live)
        if video.codec in _SILENT:
            hint = "its decoder shows damage as pixels; FFV1 with slicecrc=1, Motion JPEG and PNG tell it"
            log.warning("video_damage_unseen", video=shown, codec=video.codec, hint=hint)
        return video
    capture = open_capture(address, live=live)
    if capture is None:
        raise VideoError("not a video that OpenCV reads")
    hint = f"OpenCV shows damaged frames as good ones: {INSTALL}"
    log.warning("video_damage_unseen", video=shown, codec=fourcc(capture), hint=hint)
    return PlainVideo(capture)


def shortage(video: Video, given: int) -> int:
    """Return how many promised frames never came; an estimate may be off by 2 %, and by two of few frames."""
    missing = (video.promised or given) - given
    return missing if missing > (0 if video.counted else max(2, given // 50)) else 0


@cache
def has_pyav() -> bool:
    try:
        import av
    except ImportError:
        return False
    av.logging.set_level(None)
    return True


def open_capture(address: str, *, live: bool = False, raw: bool = False) -> cv2.VideoCapture | None:
    """Return an open capture, or None. With ``raw`` it gives packets as they come, (1, N) uint8, not pictures."""
    params = [cv2.CAP_PROP_FORMAT, _RAW] if raw else []
    if live:
        params += [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]
    try:
        capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG, params)
    except cv2.error:
        return None
    if capture.isOpened():
        if not raw:
            capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        return capture
    capture.release()
    return None


def fourcc(capture: cv2.VideoCapture) -> str:
    return int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little", signed=False).decode("latin-1").strip("\0 ")


class JpegVideo:
    """Motion JPEG comes as packets from OpenCV, each a picture of its own."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        self.codec = fourcc(capture)
        self.fps = _rate(capture)
        self.promised, self.counted = _promised(capture), False
        self.finite = self.promised is not None

    def read(self, _buffer: Any = None) -> Read | None:
        ok, packet = self._capture.read()
        if not ok:
            return None
        at_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
        try:
            pixels = decode_jpeg(packet.tobytes())
        except ValueError as error:
            return Damaged(f"JPEG: {error}", at_s)
        return Shot(pixels, 8, "Mono8" if pixels.ndim == 2 else "RGB8", at_s)

    def close(self) -> None:
        self._capture.release()


class PlainVideo:
    """OpenCV decodes whatever it can; damage in it can't be seen."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        self.codec = fourcc(capture)
        self.fps = _rate(capture)
        self.promised, self.counted = _promised(capture), False
        self.finite = self.promised is not None

    def read(self, buffer: Any = None) -> Read | None:
        ok, bgr = self._capture.read(buffer)
        if not ok or bgr is None or not bgr.size:
            return None
        return Shot(np.ascontiguousarray(bgr), 8, "BGR8", self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3)

    def close(self) -> None:
        self._capture.release()


class PyavVideo:
    """PyAV decodes any codec, single-threaded so that an error belongs to its packet.

    A frame is damaged where its packet is (MPEG-TS tells lost packets), where its decoder raised or, in a file, wrote an
    error to its log, and from there up to the next key frame that is whole: in the order of decoding, for frames shown
    earlier may be predicted from later ones.
    """

    def __init__(self, address: str, *, live: bool = False) -> None:
        import av

        self._errors, self._live = av.error.FFmpegError, live
        limit_s = TIMEOUT_MS / 1e3
        try:
            self._container: Any = av.open(
                address, options=stream_options(address) if live else {}, timeout=(limit_s, limit_s) if live else None
            )
        except (self._errors, OSError, ValueError) as error:
            raise VideoError(str(getattr(error, "strerror", None) or error)) from None
        if not self._container.streams.video:
            self._container.close()
            raise VideoError("it holds no video")
        self._stream = self._container.streams.video[0]
        context = self._stream.codec_context
        context.options = {"err_detect": "explode"}
        context.thread_type, context.thread_count = "NONE", 1
        self.codec = str(context.name)
        self._length_bytes = nal_units.length_bytes(self.codec, context.extradata)
        transported = self._container.format.name == "mpegts" and not live
        self._spoilt = SpoiltPackets(Path(address), self._stream.id) if transported else None
        self.fps = float(self._stream.average_rate) if self._stream.average_rate else None
        self.counted = bool(self._stream.frames) and not live
        self.finite = bool(self._container.duration)
        self.promised = None if live else self._count()
        self._reads = _filled(self._all(), self.fps)

    def read(self, _buffer: Any = None) -> Read | None:
        return next(self._reads, None)

    def close(self) -> None:
        self._reads = iter(())
        self._container.close()

    def _count(self) -> int | None:
        """Return how many frames the container promises; by its duration if it doesn't count them."""
        if self._stream.frames:
            return int(self._stream.frames)
        base = self._stream.time_base
        if self._stream.duration is None or base is None or self.fps is None:
            return None
        return int(self._stream.duration * base * self.fps)

    def _all(self) -> Iterator[Read]:
        concealment = Concealment()
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, OSError, self._errors):  # what was promised and isn't given, whoever reads counts
                yield from map(self._damaged, concealment.rest())
                return
            pts = packet.pts
            if packet.size:
                whole = not packet.is_corrupt and not self._is_spoilt(packet)
                lost = concealment.sent(pts, key=packet.is_keyframe, whole=whole)
                yield from map(self._damaged, lost)
            try:
                with heard(live=self._live) as said:
                    frames = packet.decode()
            except self._errors as error:
                yield from map(self._damaged, concealment.failed(pts, f"{self.codec}: {error.strerror}"))
                continue
            error_said = first_error(said)
            if error_said is not None:
                yield from map(self._damaged, concealment.failed(pts, f"{self.codec}: {error_said}"))
            for frame in frames:
                lost_and_why = concealment.came(frame.pts, whole=not frame.is_corrupt)
                if lost_and_why is not None:
                    yield from map(self._damaged, lost_and_why[0])
                    yield _shot(frame) if lost_and_why[1] is None else Damaged(lost_and_why[1], frame.time)

    def _is_spoilt(self, packet: Any) -> bool:
        if self._spoilt is not None and self._spoilt.holds(packet.pos):
            return True
        return self.codec in nal_units.CODECS and nal_units.is_spoilt(bytes(packet), self._length_bytes)

    def _damaged(self, lost: LostPacket) -> Damaged:
        base = self._stream.time_base
        return Damaged(lost.why, None if lost.pts is None or base is None else float(lost.pts * base))


def _filled(reads: Iterator[Read], fps: float | None) -> Iterator[Read]:
    """Add a damaged frame for each that is missing beside one: of a frame in a single lost packet nothing is left."""
    before: Read | None = None
    for read in reads:
        doubtful = isinstance(before, Damaged) or (before is not None and isinstance(read, Damaged))
        if doubtful and before is not None and fps and before.at_s is not None and read.at_s is not None:
            missing = round((read.at_s - before.at_s) * fps) - 1
            for number in range(min(max(missing, 0), _MOST_MISSING)):
                yield Damaged(MISSING, before.at_s + (number + 1) / fps)
        yield read
        before = read


_MOST_MISSING: Final = 1000


def _shot(frame: Any) -> Shot:
    grey = _GREY_BITS.get(frame.format.name)
    if grey is not None:
        pixels: NDArray[Any] = frame.to_ndarray()
        return Shot(pixels, grey, f"Mono{grey}", frame.time)
    deep = all(component.bits > 8 for component in frame.format.components) and frame.format.is_rgb
    if deep:
        return Shot(frame.to_ndarray(format="rgb48le"), 16, "RGB16", frame.time)
    return Shot(frame.to_ndarray(format="rgb24"), 8, "RGB8", frame.time)


def stream_options(address: str) -> dict[str, str]:
    """Return FFmpeg's options for a live address: as OpenCV's, RTSP over TCP and what OPENCV_FFMPEG_CAPTURE_OPTIONS
    says.
    """
    options = os.environ.get("OPENCV_FFMPEG_CAPTURE_OPTIONS")
    if options is not None:
        return dict(pair.split(";", 1) for pair in options.split("|") if ";" in pair)
    return {"rtsp_transport": "tcp"} if address.lower().startswith("rtsp") else {}


def _rate(capture: cv2.VideoCapture) -> float | None:
    rate = capture.get(cv2.CAP_PROP_FPS)
    return rate if rate > 0 else None


def _promised(capture: cv2.VideoCapture) -> int | None:
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if 0 < count < 1e9 else None
