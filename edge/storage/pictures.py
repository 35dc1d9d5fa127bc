"""Picture files come in as PNG, JPEG, TIFF and BMP, and pixels come out; damage is reported, never shown. PNG goes out,
lossless.

What a decoder warns of is damage: OpenCV passes over libjpeg's and libtiff's warnings and shows the rest grey or shifted.
JPEG is therefore decoded by simplejpeg, whose pixels are the same (libjpeg-turbo's) and which raises at the first warning;
PNG and TIFF are checked before OpenCV decodes them, which also keeps the libraries' own words off stderr.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from edge.storage import tiff
from edge.storage.disk import write_whole
from edge.storage.find_pictures import SUFFIXES

Pixels: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]

_FORMATS: Final = ("Mono8", "Mono10", "Mono12", "Mono14", "Mono16", "RGB8", "RGB10", "RGB12", "RGB16")
_FLAGS: Final = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
_PNG_PARAMS: Final = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
"""Level 1 with run lengths only takes 50 ms for noisy grey of 3 MP, at 2.7:1; level 1 alone takes 59 ms and reaches
2.2:1."""


class PictureError(ValueError):
    """The file is no picture, not whole, or of a kind that has no place here; the text says which."""


@cache
def silence_opencv() -> None:
    """Keep OpenCV's own log off stderr, because we report once what goes wrong with a picture or a stream."""
    cv: Any = cv2
    logger = getattr(cv, "setLogLevel", None)  # OpenCV 4; gone in 5
    if logger is None:
        logger = cv.utils.logging.setLogLevel
    logger(0)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; read when a stream is first opened


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture has ``pixels`` as the file holds them: (H, W) or (H, W, 3) RGB, uint8 or uint16, C-contiguous.

    ``bits`` says how many of a sample's low bits count, as the file says; 8 or 16 if it says nothing.
    """

    pixels: Pixels
    bits: int


def read_picture(path: Path) -> Pixels:
    """Return pixels as the file holds them: (H, W) or (H, W, 3) RGB, uint8 or uint16, C-contiguous.

    No rotation by metadata, whatever the format; no scaling of 16 bits; alpha is dropped; black is 0.

    Raises:
        PictureError: empty, cut off, damaged inside, not one of the four formats, samples of another type or meaning,
            several pages.
        OSError: the file can't be read.
    """
    return decode_picture(picture_bytes(path))


def picture_bytes(path: Path) -> bytes:
    """Return a picture's file as it is.

    Raises:
        PictureError: no regular file: a pipe may never end, and a device gives bytes without end.
        OSError: the file can't be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise PictureError("not a regular file")
    return path.read_bytes()


def picture_inside(folder: Path, file: str) -> Path:
    """Return the path of a picture that an index in ``folder`` names.

    Raises:
        PictureError: it leads out of the folder, by its name or by a link: whoever made the recording would choose which
            pictures of this machine are shown.
        OSError: it can't be followed.
    """
    path = folder / file
    if not path.resolve().is_relative_to(folder.resolve()):
        raise PictureError(f"{file}: leads out of {folder}")
    return path


def decode_picture(data: bytes) -> Pixels:
    """Decode the bytes of a file as ``read_picture`` does."""
    return decode_with_bits(data).pixels


def decode_with_bits(data: bytes) -> Picture:
    """Decode the bytes of a file as ``read_picture`` does, and return the bits too that the file says its samples have."""
    silence_opencv()
    if not data:
        raise PictureError("an empty file")
    if data.startswith(b"\xff\xd8"):
        return Picture(_jpeg(data), 8)
    if data.startswith(_PNG_HEAD):
        chunks = _png_chunks(data)
        # grey with alpha, which OpenCV makes four channels
        pixels = _by_opencv(data, "PNG", grey=data[25] in _PNG_GREY_TYPES)
        return Picture(pixels, _png_bits(chunks.get(b"sBIT", b""), pixels))
    if data.startswith(tiff.HEADS):
        return _tiff(data)
    if data.startswith(b"BM"):
        if data[30:34] in _RUN_LENGTHS:
            raise PictureError("BMP: compressed by run lengths, where damage can't be seen: save it uncompressed")
        return Picture(_by_opencv(data, "BMP"), 8)  # OpenCV 4.10 and 5 refuse one that is short of a single byte
    raise PictureError("not a PNG, JPEG, TIFF or BMP picture")


def write_png(path: Path, pixels: Pixels) -> int:
    """Write lossless under a temporary name, then rename: ``path`` is whole or isn't there. Returns the file's bytes."""
    data = encode_png(pixels)
    write_whole(path, data)
    return len(data)


def encode_png(pixels: Pixels) -> bytes:
    """Encode grey or RGB, 8 or 16 bit, as an ordinary PNG."""
    ok, data = cv2.imencode(".png", _bgr(pixels), _PNG_PARAMS)
    if not ok:
        raise OSError("OpenCV could not encode a PNG")
    return data.tobytes()


def encode_jpeg(pixels: NDArray[np.uint8], quality: int = 90) -> bytes:
    """Encode grey or RGB, 8 bit, for people to look at."""
    ok, data = cv2.imencode(".jpg", _bgr(pixels), (cv2.IMWRITE_JPEG_QUALITY, quality))
    if not ok:
        raise OSError("OpenCV could not encode a JPEG")
    return data.tobytes()


def frame_name(frame_ref: str | None, frame_id: int) -> str:
    """Return what tells a frame from the others of its source, for people: its picture's path, or its number.

    All frames of a video have the video's name as their ``frame_ref``.
    """
    if frame_ref is None:
        return f"frame {frame_id}"
    return frame_ref if frame_ref.lower().endswith(SUFFIXES) else f"{frame_ref}, frame {frame_id}"


_TO_RGB: Final = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}
_PNG_GREY_TYPES: Final = (0, 4)
_SHORT_CHUNK: Final = 64
_PNG_HEAD: Final = b"\x89PNG\r\n\x1a\n"
_RUN_LENGTHS: Final = (b"\1\0\0\0", b"\2\0\0\0")
_KNOWN_BITS: Final = (10, 12, 14)


def _bgr(pixels: Pixels) -> Any:
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels


def _by_opencv(data: bytes, kind: str, *, grey: bool = False) -> Pixels:
    try:
        pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS)
    except cv2.error as error:
        raise PictureError(f"{kind}: {error.err}") from None
    if pixels is None:
        raise PictureError(f"{kind}: damaged, or of a kind that OpenCV doesn't read")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise PictureError(f"{kind}: samples are {pixels.dtype}, expected 8 or 16 bit unsigned integers")
    if pixels.ndim == 3:
        pixels = pixels[..., 0] if grey or pixels.shape[2] < 3 else cv2.cvtColor(pixels, _TO_RGB[pixels.shape[2]])
    return np.ascontiguousarray(pixels)


def decode_jpeg(data: bytes) -> NDArray[np.uint8]:
    """Decode to (H, W) or (H, W, 3) RGB. Raises ValueError at the decoder's first warning, with its text."""
    colours = simplejpeg.decode_jpeg_header(data)[2]
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "GRAY" if colours == "Gray" else "RGB", strict=True)
    return pixels[..., 0] if colours == "Gray" else pixels


def _jpeg(data: bytes) -> NDArray[np.uint8]:
    try:
        return decode_jpeg(data)
    except ValueError as error:
        _check_jpeg_end(data)
        raise PictureError(f"JPEG: damaged: {error}") from None


def _tiff(data: bytes) -> Picture:
    try:
        answer = tiff.read_tiff(data)
    except tiff.TiffError as error:
        raise PictureError(f"TIFF: {error}") from None
    pixels = _by_opencv(answer.plain, "TIFF")
    bits = 8 * pixels.itemsize
    if bits == 16 and answer.most in [(1 << known) - 1 for known in _KNOWN_BITS] and int(pixels.max()) <= answer.most:
        bits = answer.most.bit_length()
    if answer.white_is_zero:
        pixels = ((1 << bits) - 1) - pixels
    return Picture(pixels, bits)


def _png_bits(significant: bytes, pixels: Pixels) -> int:
    """Return the bits by the chunk sBIT.

    The standard has such samples scaled to the full range, their highest bits repeated at the low end (or zeros there):
    those are of 16 bits. Cameras' programs write them aligned to the low bit.
    """
    known = significant[0] if significant else 0
    if pixels.itemsize == 1 or known not in _KNOWN_BITS or int(pixels.max()) >> known:
        return 8 * pixels.itemsize
    low = pixels & ((1 << (16 - known)) - 1)
    scaled = not low.any() or np.array_equal(low, pixels >> known)
    return 16 if scaled else known


def _png_chunks(data: bytes) -> dict[bytes, bytes]:
    """Return the short chunks, after a look at all of them: whole up to IEND, checksums right, and one picture in them.

    https://www.w3.org/TR/png-3/#5Chunk-layout
    """
    view, at = memoryview(data), len(_PNG_HEAD)
    found: dict[bytes, bytes] = {}
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(view[at + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise PictureError(f"PNG: checksum of chunk {name.decode('ascii', 'replace')} is wrong")
        if name == b"IEND":
            return found
        if name == b"acTL":
            raise PictureError("PNG: an animation, expected one picture: save each as a file of its own")
        if length <= _SHORT_CHUNK:
            found[name] = data[at + 8 : end]
        at = end + 4
    raise PictureError(f"PNG: cut off after {len(data)} bytes")


def _check_jpeg_end(data: bytes) -> None:
    """Raise PictureError if the end-of-image marker isn't there, going segment by segment.

    Segments are stepped over by their length, so that the end of a thumbnail inside one is not taken for the picture's.
    https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annex B
    """
    at = 2
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        marker = data[at + 1]
        if marker == 0xD9:
            return
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD7:  # an escaped FF, TEM, or a restart inside a scan
            at += 2
        elif at + 4 <= len(data):
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
        else:
            break
    raise PictureError(f"JPEG: cut off after {len(data)} bytes")


def decoded_format(pixels: Pixels, bits: int) -> str | None:
    """Return the PFNC name of decoded pixels: Mono8, Mono10, Mono12, Mono14, Mono16, RGB8, RGB10, RGB12, RGB16. None: no
    such.
    """
    if (pixels.itemsize == 1) != (bits == 8):
        return None
    name = f"{'RGB' if pixels.ndim == 3 else 'Mono'}{bits}"
    return name if name in _FORMATS else None
