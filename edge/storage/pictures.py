"""Picture files: PNG, JPEG, TIFF and BMP in, pixels out; damage is told, never shown as pixels. And lossless PNG out.

OpenCV 4.10 returns a JPEG that is cut off with its lower part grey, and no error; OpenCV 5 refuses it. A file is
therefore checked for being whole before it is decoded, which also keeps libpng's and libjpeg's own words off stderr.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.storage.disk import write_whole

Pixels: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
"""File names that count as pictures in a folder, whatever their case."""

_FORMATS: Final = ("Mono8", "Mono10", "Mono12", "Mono14", "Mono16", "RGB8", "RGB10", "RGB12", "RGB16")
_FLAGS: Final = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
_PNG_PARAMS: Final = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
"""Level 1 with run lengths only: noisy grey of 3 MP in 50 ms at 2.7:1; level 1 alone takes 59 ms and reaches 2.2:1."""


class PictureError(ValueError):
    """Not a picture, not whole, or of a kind that has no place here; the text says which."""


@cache
def silence_opencv() -> None:
    """Keep OpenCV's own log off stderr: what goes wrong with a picture or a stream is told by us, once."""
    cv: Any = cv2
    logger = getattr(cv, "setLogLevel", None)  # OpenCV 4; gone in 5
    if logger is None:
        logger = cv.utils.logging.setLogLevel
    logger(0)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; read when a stream is first opened


def read_picture(path: Path) -> Pixels:
    """Pixels as the file holds them: (H, W) or (H, W, 3) RGB, uint8 or uint16, C-contiguous.

    No EXIF rotation, no scaling of 16 bits; alpha is dropped; of a TIFF with several pages the first is read.

    Raises:
        PictureError: empty, cut off, checksum wrong, not one of the four formats, or samples of another type.
        OSError: the file can't be read.
    """
    return decode_picture(path.read_bytes())


def decode_picture(data: bytes) -> Pixels:
    """As ``read_picture``, of the bytes of a file."""
    silence_opencv()
    kind = _whole(data)
    try:
        pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS)
    except cv2.error as error:
        raise PictureError(f"{kind}: {error.err}") from None
    if pixels is None:
        raise PictureError(f"{kind}: damaged, or of a kind that OpenCV doesn't read")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise PictureError(f"{kind}: samples are {pixels.dtype}, expected 8 or 16 bit unsigned integers")
    if pixels.ndim == 3:
        grey = kind == "PNG" and data[25] in _PNG_GREY_TYPES  # grey with alpha, which OpenCV makes four channels
        pixels = pixels[..., 0] if grey or pixels.shape[2] < 3 else cv2.cvtColor(pixels, _TO_RGB[pixels.shape[2]])
    return np.ascontiguousarray(pixels)


def write_png(path: Path, pixels: Pixels) -> int:
    """Write lossless under a temporary name, then rename: ``path`` is whole or isn't there. Returns the file's bytes."""
    data = encode_png(pixels)
    write_whole(path, data)
    return len(data)


def encode_png(pixels: Pixels) -> bytes:
    """Grey or RGB, 8 or 16 bit, as an ordinary PNG."""
    ok, data = cv2.imencode(".png", _bgr(pixels), _PNG_PARAMS)
    if not ok:
        raise OSError("OpenCV could not encode a PNG")
    return data.tobytes()


def encode_jpeg(pixels: NDArray[np.uint8], quality: int = 90) -> bytes:
    """Grey or RGB, 8 bit, for people to look at."""
    ok, data = cv2.imencode(".jpg", _bgr(pixels), (cv2.IMWRITE_JPEG_QUALITY, quality))
    if not ok:
        raise OSError("OpenCV could not encode a JPEG")
    return data.tobytes()


def natural_key(path: str) -> tuple[Any, ...]:
    """Sort key by which ``part_9`` comes before ``part_10``, folder by folder; capitals count as small letters."""
    folders = [
        [(0, int(text), "") if i % 2 else (1, 0, text) for i, text in enumerate(_NUMBERS.split(part.casefold()))]
        for part in path.split("/")
    ]
    return (folders, path)


def frame_name(frame_ref: str | None, frame_id: int) -> str:
    """What tells a frame from the others of its source, for people: its picture's path, or its number.

    All frames of a video have the video's name as their ``frame_ref``.
    """
    if frame_ref is None:
        return f"frame {frame_id}"
    return frame_ref if frame_ref.lower().endswith(SUFFIXES) else f"{frame_ref}, frame {frame_id}"


def find_pictures(folder: Path) -> list[str]:
    """Pictures under ``folder``, nested folders included, in natural order, as paths under it. Hidden ones are left out."""
    found: list[str] = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        under = Path(root).relative_to(folder)
        found += [
            (under / name).as_posix() for name in names if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        ]
    return sorted(found, key=natural_key)


_NUMBERS: Final = re.compile(r"([0-9]+)")
_TO_RGB: Final = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}
_PNG_GREY_TYPES: Final = (0, 4)
_PNG_HEAD: Final = b"\x89PNG\r\n\x1a\n"
_TIFF_HEADS: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _bgr(pixels: Pixels) -> Any:
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels


def _whole(data: bytes) -> str:
    """Name of the format, after a look at whether the file reaches its end."""
    if not data:
        raise PictureError("an empty file")
    if data.startswith(_PNG_HEAD):
        _check_png(data)
        return "PNG"
    if data.startswith(b"\xff\xd8"):
        _check_jpeg(data)
        return "JPEG"
    if data.startswith(_TIFF_HEADS):
        _check_tiff(data)
        return "TIFF"
    if data.startswith(b"BM"):
        return "BMP"  # OpenCV 4.10 and 5 refuse one that is short of a single byte
    raise PictureError("not a PNG, JPEG, TIFF or BMP picture")


def _check_png(data: bytes) -> None:
    """Every chunk whole up to IEND, its CRC right. https://www.w3.org/TR/png-3/#5Chunk-layout"""
    view, at = memoryview(data), len(_PNG_HEAD)
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(view[at + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise PictureError(f"PNG: checksum of chunk {name.decode('ascii', 'replace')} is wrong")
        if name == b"IEND":
            return
        at = end + 4
    raise PictureError(f"PNG: cut off after {len(data)} bytes")


def _check_jpeg(data: bytes) -> None:
    """Segment by segment up to the end-of-image marker. https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annex B

    Segments are stepped over by their length, so that the end of a thumbnail inside one is not taken for the picture's.
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


def _check_tiff(data: bytes) -> None:
    """Every strip or tile of the first page lies inside the file. TIFF 6.0, section 2; BigTIFF has wider fields."""
    order = "<" if data[:1] == b"I" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    try:
        extents = dict(_tiff_extents(data, order, big))
    except (struct.error, ValueError):
        raise PictureError(f"TIFF: cut off after {len(data)} bytes") from None
    for offsets, counts in ((273, 279), (324, 325)):
        if offsets in extents and counts in extents:
            for offset, count in zip(extents[offsets], extents[counts], strict=False):
                if offset + count > len(data):
                    raise PictureError(f"TIFF: cut off after {len(data)} bytes")


def _tiff_extents(data: bytes, order: str, big: bool) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Offsets (273, 324) and byte counts (279, 325) of strips and tiles."""
    (directory,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (entries,) = struct.unpack_from(order + ("Q" if big else "H"), data, directory)
    head, step, inline = (8, 20, 8) if big else (2, 12, 4)
    if entries * step > len(data):
        raise ValueError
    for at in range(directory + head, directory + head + entries * step, step):
        tag, kind, count = struct.unpack_from(order + ("HHQ" if big else "HHI"), data, at)
        code = {3: "H", 4: "I", 16: "Q"}.get(kind)
        if tag not in (273, 279, 324, 325) or code is None:
            continue
        layout = f"{order}{count}{code}"
        if struct.calcsize(layout) > len(data):
            raise ValueError
        place = at + (12 if big else 8)
        if struct.calcsize(layout) > inline:
            (place,) = struct.unpack_from(order + ("Q" if big else "I"), data, place)
        yield tag, struct.unpack_from(layout, data, place)


def decoded_format(pixels: Pixels, bits: int) -> str | None:
    """PFNC name of decoded pixels: Mono8, Mono10, Mono12, Mono14, Mono16, RGB8, RGB10, RGB12, RGB16. None: no such."""
    if (pixels.itemsize == 1) != (bits == 8):
        return None
    name = f"{'RGB' if pixels.ndim == 3 else 'Mono'}{bits}"
    return name if name in _FORMATS else None
