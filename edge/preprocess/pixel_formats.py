"""Camera bytes become pixels here: one table lists the PFNC formats that the product reads, and how each becomes grey or
RGB.

PFNC is the GenICam Pixel Format Naming Convention. A 32-bit PFNC code carries the bits that one pixel occupies in
bits 16 to 23, so the size of a payload follows from the code alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frames import Frame, FrameMeta

Depth: TypeAlias = Literal[8, 16]
"""8 takes the high 8 bits of each sample, or a window of its values; 16 takes every bit that the format has."""
LevelWindow: TypeAlias = tuple[int, int]
"""Values that become 0 and 255 at depth 8, linear between and cut outside."""

_CODES: Final = {
    "Mono8": 0x01080001,
    "Mono10": 0x01100003,
    "Mono10p": 0x010A0046,
    "Mono10Packed": 0x010C0004,
    "Mono12": 0x01100005,
    "Mono12p": 0x010C0047,
    "Mono12Packed": 0x010C0006,
    "Mono14": 0x01100025,
    "Mono16": 0x01100007,
    "BayerGR8": 0x01080008,
    "BayerRG8": 0x01080009,
    "BayerGB8": 0x0108000A,
    "BayerBG8": 0x0108000B,
    "BayerGR10": 0x0110000C,
    "BayerRG10": 0x0110000D,
    "BayerGB10": 0x0110000E,
    "BayerBG10": 0x0110000F,
    "BayerGR10p": 0x010A0056,
    "BayerRG10p": 0x010A0058,
    "BayerGB10p": 0x010A0054,
    "BayerBG10p": 0x010A0052,
    "BayerGR10Packed": 0x010C0026,
    "BayerRG10Packed": 0x010C0027,
    "BayerGB10Packed": 0x010C0028,
    "BayerBG10Packed": 0x010C0029,
    "BayerGR12": 0x01100010,
    "BayerRG12": 0x01100011,
    "BayerGB12": 0x01100012,
    "BayerBG12": 0x01100013,
    "BayerGR12p": 0x010C0057,
    "BayerRG12p": 0x010C0059,
    "BayerGB12p": 0x010C0055,
    "BayerBG12p": 0x010C0053,
    "BayerGR12Packed": 0x010C002A,
    "BayerRG12Packed": 0x010C002B,
    "BayerGB12Packed": 0x010C002C,
    "BayerBG12Packed": 0x010C002D,
    "BayerGR16": 0x0110002E,
    "BayerRG16": 0x0110002F,
    "BayerGB16": 0x01100030,
    "BayerBG16": 0x01100031,
    "RGB8": 0x02180014,
    "BGR8": 0x02180015,
    "RGBa8": 0x02200016,
    "BGRa8": 0x02200017,
    "RGB10": 0x02300018,
    "RGB12": 0x0230001A,
    "RGB16": 0x02300033,
    "BGR16": 0x0230004B,
    "YUV422_8": 0x02100032,
    "YUV422_8_UYVY": 0x0210001F,
    "YCbCr422_8": 0x0210003B,
}

# OpenCV's two-letter Bayer names mean the second row's second and third pixel, and RG2RGB is BG2BGR: red and blue
# swapped. The four-letter names spell the true first two rows.
_DEMOSAIC: Final = {
    "RG": cv2.COLOR_BayerRGGB2RGB,
    "GR": cv2.COLOR_BayerGRBG2RGB,
    "GB": cv2.COLOR_BayerGBRG2RGB,
    "BG": cv2.COLOR_BayerBGGR2RGB,
}
_TO_RGB: Final = {"BGR": cv2.COLOR_BGR2RGB, "RGBa": cv2.COLOR_RGBA2RGB, "BGRa": cv2.COLOR_BGRA2RGB}
_CHANNELS: Final = {"RGB": 3, "BGR": 3, "RGBa": 4, "BGRa": 4}
_YUV_ORDER: Final = {"YUV422_8": (0, 1, 2, 3), "YCbCr422_8": (0, 1, 2, 3), "YUV422_8_UYVY": (1, 0, 3, 2)}
"""Positions of the bytes of a pixel pair that hold Y of the first pixel, U (Cb), Y of the second, V (Cr)."""

RawSamples: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """A PFNC format has a ``family`` (Mono, Bayer, RGB, BGR, RGBa, BGRa or YUV) and a ``packing`` (none for whole bytes, p,
    Packed).
    """

    name: str
    code: int
    family: str
    bits: int
    packing: str
    pattern: str = ""
    """Colours of the first two pixels of the first row; for Bayer only."""

    @property
    def bits_per_pixel(self) -> int:
        """Return the bits that a pixel occupies in the payload, padding between samples included."""
        return self.code >> 16 & 0xFF


def _format_of(name: str, code: int) -> PixelFormat:
    if name.startswith("Y"):
        return PixelFormat(name, code, "YUV", 8, "")
    match = re.fullmatch(r"(Mono|Bayer|RGBa|BGRa|RGB|BGR)(RG|GR|GB|BG)?(\d+)(p|Packed)?", name)
    assert match is not None, name
    family, pattern, bits, packing = match.groups(default="")
    return PixelFormat(name, code, family, int(bits), packing, pattern)


FORMATS: Final = {name: _format_of(name, code) for name, code in _CODES.items()}
"""Every format that ``decode_payload`` reads, by PFNC name."""
_NAMES: Final = {code: name for name, code in _CODES.items()}


def format_name(code: int) -> str | None:
    """Return the PFNC name of a 32-bit PFNC code, or None if ``decode_payload`` doesn't read that format."""
    return _NAMES.get(code)


def payload_bytes(pixel_format: str, width: int, height: int) -> int:
    """Return the bytes of one picture. Packed formats are one stream of bits across lines, filled up to a byte at the end.

    Raises:
        ValueError: a format that isn't in ``FORMATS``, by its name.
    """
    return (width * height * _known(pixel_format).bits_per_pixel + 7) // 8


def decode_payload(meta: FrameMeta, data: NDArray[np.uint8], depth: Depth = 16, window: LevelWindow | None = None) -> Frame:
    """Return the pixels of one payload: (H, W) for Mono, (H, W, 3) RGB for everything else, C-contiguous.

    ``data`` is 1-D uint8, at least ``payload_bytes`` long; more is ignored. Mono8 and RGB8, and at ``depth`` 16 Mono10 to
    Mono16 and RGB16 on an even address, are views of ``data``; the rest is a new array. At ``depth`` 8 samples are shifted
    to their high 8 bits *before* a demosaic (5 MP: 3.3 ms instead of 7.8), in the same pass as unpacking; a ``window``
    takes a pass of its own. Formats of 8 bits know neither.

    Raises:
        ValueError: an unknown format, by its name; too few bytes; a YUV picture of odd width; one that OpenCV refuses.
    """
    try:
        return _decode(meta, data, depth, window)
    except cv2.error as error:
        raise ValueError(f"{meta.pixel_format} {meta.width}x{meta.height}: {error.err}") from None


def _decode(meta: FrameMeta, data: NDArray[np.uint8], depth: Depth, window: LevelWindow | None) -> Frame:
    form = _known(meta.pixel_format)
    need = payload_bytes(form.name, meta.width, meta.height)
    if data.size < need:
        raise ValueError(f"{form.name} {meta.width}x{meta.height} needs {need} bytes, got {data.size}")
    data = data[:need]
    if form.family == "YUV":
        return Frame(meta, _yuv422(form, data, meta.width, meta.height))
    samples, bits = _samples(form, data, meta.width * meta.height, depth if window is None else 16)
    if window is not None and depth == 8 and bits > 8:
        samples, bits = _windowed(samples, window), 8
    pixels: Any = samples.reshape(meta.height, meta.width, -1) if form.family in _CHANNELS else samples
    if form.family in _TO_RGB:
        pixels = cv2.cvtColor(pixels, _TO_RGB[form.family])
    elif form.family == "Mono":
        pixels = samples.reshape(meta.height, meta.width)
    elif form.family == "Bayer":
        pixels = cv2.cvtColor(samples.reshape(meta.height, meta.width), _DEMOSAIC[form.pattern])
    return Frame(meta, pixels, bits)


def to_depth(frame: Frame, depth: Depth, window: LevelWindow | None = None) -> Frame:
    """Return a decoded picture as ``decode_payload`` would have given it at that depth; itself if it is right already."""
    if depth == 16 or frame.bits == 8:
        return frame
    return Frame(frame.meta, _high_bits(frame.pixels, frame.bits) if window is None else _windowed(frame.pixels, window), 8)


def _known(name: str) -> PixelFormat:
    try:
        return FORMATS[name]
    except KeyError:
        raise ValueError(f"pixel format {name} is not supported") from None


def _high_bits(samples: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    out = np.empty(samples.shape, np.uint8)
    np.right_shift(samples, bits - 8, out=out, casting="unsafe")
    return out


def _windowed(samples: NDArray[Any], window: LevelWindow) -> NDArray[np.uint8]:
    """Apply the window, rounded to the nearest; 5 MP: 2.7 ms."""
    low, high = window
    above = np.maximum(samples, np.uint16(low))
    above -= np.uint16(low)
    flat = cv2.convertScaleAbs(above.reshape(1, -1), alpha=255 / (high - low))  # cuts at 255
    return np.asarray(flat, np.uint8).reshape(samples.shape)


def _samples(form: PixelFormat, data: NDArray[np.uint8], pixels: int, depth: Depth) -> tuple[RawSamples, int]:
    """Return 1-D samples, aligned to the low bit, and how many bits of them count."""
    if form.packing:
        return _unpack(f"{form.bits}{form.packing}", data, pixels, depth), min(form.bits, depth)
    if form.bits == 8:
        return data, 8
    if data.ctypes.data % 2:
        data = data.copy()
    words = data.view("<u2")
    return (_high_bits(words, form.bits), 8) if depth == 8 else (words, form.bits)


Planes: TypeAlias = list[NDArray[np.uint8]]
_BLOCK: Final = 1 << 16
"""Number of byte groups unpacked at a time: temporaries stay in the cache and under malloc's 128 kB mmap limit, beyond
which each call would pay page faults (12p to 8 bit, 5 MP: 11 ms in one piece, 2.5 ms in blocks)."""


def _wide(values: NDArray[np.uint8], mask: int, shift: int) -> NDArray[np.uint16]:
    return np.left_shift(np.bitwise_and(values, mask), shift, dtype=np.uint16)


def _12p(b: Planes, depth: Depth) -> list[Any]:
    """Unpack a little-endian bit stream: 3 bytes are p0[7:0], p1[3:0] p0[11:8], p1[11:4]."""
    if depth == 8:
        return [b[0] >> 4 | b[1] << 4, b[2]]
    return [_wide(b[1], 0x0F, 8) | b[0], _wide(b[2], 0xFF, 4) | b[1] >> 4]


def _10p(b: Planes, depth: Depth) -> list[Any]:
    """Unpack a little-endian bit stream: 4 samples in 5 bytes, sample i begins at bit 10 * i."""
    if depth == 8:
        return [b[i] >> 2 * (i + 1) | b[i + 1] << 8 - 2 * (i + 1) for i in range(3)] + [b[4]]
    return [_wide(b[i + 1], (4 << 2 * i) - 1, 8 - 2 * i) | b[i] >> 2 * i for i in range(4)]


def _12packed(b: Planes, depth: Depth) -> list[Any]:
    """Unpack GigE Vision's layout: 3 bytes are p0[11:4], p1[3:0] p0[3:0], p1[11:4]."""
    if depth == 8:
        return [b[0], b[2]]
    return [_wide(b[0], 0xFF, 4) | b[1] & 0x0F, _wide(b[2], 0xFF, 4) | b[1] >> 4]


def _10packed(b: Planes, depth: Depth) -> list[Any]:
    """Unpack GigE Vision's layout: 3 bytes are p0[9:2], p1[1:0] in bits 5:4 and p0[1:0] in bits 1:0, p1[9:2]."""
    if depth == 8:
        return [b[0], b[2]]
    return [_wide(b[0], 0xFF, 2) | b[1] & 3, _wide(b[2], 0xFF, 2) | b[1] >> 4 & 3]


_UNPACK: Final[dict[str, tuple[int, int, Callable[[Planes, Depth], list[Any]]]]] = {
    "10p": (5, 4, _10p),
    "12p": (3, 2, _12p),
    "10Packed": (3, 2, _10packed),
    "12Packed": (3, 2, _12packed),
}
"""Bytes of a group, samples in it, and how planes of byte 0, 1, 2 ... become planes of sample 0, 1 ..."""


def _unpack(kind: str, data: NDArray[np.uint8], pixels: int, depth: Depth) -> RawSamples:
    """Unpack with cv2.split and cv2.merge, which are vectorised where strided NumPy views are not (12p, 5 MP: 9 ms that
    way).
    """
    size, per_group, planes_of = _UNPACK[kind]
    groups = -(-data.size // size)
    out: Any = np.empty((groups, per_group), np.uint8 if depth == 8 else np.uint16)
    for start in range(0, groups, _BLOCK):
        block = data[start * size : (start + _BLOCK) * size]
        if block.size % size:  # the last group may be torn
            block = np.concatenate((block, np.zeros(size - block.size % size, np.uint8)))
        planes: Any = cv2.split(block.reshape(1, -1, size))
        parts = planes_of([plane.reshape(-1) for plane in planes], depth)
        into = out[start : start + _BLOCK].reshape(1, -1, per_group)
        cv2.merge([part.reshape(1, -1) for part in parts], into)
    samples: RawSamples = out.reshape(-1)[:pixels]
    return samples


def _yuv422(form: PixelFormat, data: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Convert by ITU-R BT.601 at full range (Y 0 to 255), as machine vision cameras send it.

    OpenCV's YUV2RGB_YUY2 assumes the limited range of video (Y 16 to 235) and would clip.
    """
    if width % 2:
        raise ValueError(f"{form.name} needs an even width, got {width}")
    order = _YUV_ORDER[form.name]
    planes: Any = cv2.split(data.reshape(height, width // 2, 4))
    luma = cv2.merge([planes[order[0]], planes[order[2]]]).reshape(height, width)
    u, v = (np.repeat(planes[order[i]], 2, axis=1) for i in (1, 3))
    return cv2.cvtColor(cv2.merge([luma, v, u]), cv2.COLOR_YCrCb2RGB)  # type: ignore[return-value]
