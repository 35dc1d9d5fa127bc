"""A TIFF file is checked for what it says about itself, and whether its one page is whole: TIFF 6.0, and BigTIFF.

OpenCV decodes the pixels. What it would do without a word is prevented here: it passes over damage inside compressed data,
turns a picture by its orientation tag, inverts "white is zero" at 8 bits and not at 16, and reads the first of many pages.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from edge.storage.compressed_strips import check_jpeg_strip, deflated_bytes, lzw_bytes, packbits_bytes

HEADS: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_STRIPS, _ORIENTATION, _SAMPLES, _ROWS, _STRIP_BYTES, _MOST = 273, 274, 277, 278, 279, 281
_PLANES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _JPEG_TABLES, _SUBSAMPLING = 284, 322, 323, 324, 325, 347, 530
_CODES: Final = {1: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}
_REDUCED_OR_MASK: Final = 0b101
_MOST_PAGES: Final = 100_000
_WHITE_IS_ZERO: Final = 0
_MEANINGS: Final = {4: "a transparency mask", 8: "CIE Lab", 9: "ICC Lab", 10: "ITU Lab", 32803: "a raw colour mosaic"} | {
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear raw",
}
"""Photometric interpretations that are neither grey nor RGB; 0 to 3, 5 and 6 are, or become it."""
_UNCOMPRESSED, _LZW, _JPEG = 1, 5, 7
_COUNTED: Final[dict[int, Callable[[bytes], int]]] = {
    _LZW: lzw_bytes,
    8: deflated_bytes,
    32946: deflated_bytes,
    32773: packbits_bytes,
}
Tags: TypeAlias = dict[int, tuple[int, ...]]


class TiffError(ValueError):
    """The file has no picture for us; the text says why."""


@dataclass(frozen=True, slots=True)
class TiffPage:
    """A page has ``tags``, the whole numbers of each tag that has some, and ``places``, where in the file they stand, and
    their code.
    """

    tags: Tags
    places: dict[int, tuple[int, str]]

    def first(self, tag: int, default: int) -> int:
        return self.tags[tag][0] if self.tags.get(tag) else default


@dataclass(frozen=True, slots=True)
class Tiff:
    """A checked file has one page that is whole.

    ``plain`` is the file with its orientation and "white is zero" taken away, so that OpenCV gives the samples as stored.
    ``white_is_zero`` is True if they must be inverted. ``most`` is the largest value that they may have, as the file says;
    otherwise None.
    """

    plain: bytes
    white_is_zero: bool
    most: int | None


def read_tiff(data: bytes) -> Tiff:
    """Check a file.

    Raises:
        TiffError: cut off, damaged inside, several pages, or samples that are no grey and no RGB.
    """
    try:
        order = "<" if data[:1] == b"I" else ">"
        page = _only_page(list(_pages(data, order)))
        places = list(_extents(page))
        if any(offset + count > len(data) for offset, count in places):
            raise struct.error
    except (struct.error, IndexError):
        raise TiffError(f"cut off after {len(data)} bytes") from None
    meaning = page.first(_PHOTOMETRIC, 1)
    if meaning in _MEANINGS:
        raise TiffError(f"its samples are {_MEANINGS[meaning]}, expected grey or RGB")
    _check_compressed(data, page, places)
    plain = bytearray(data)
    for tag, unmarked in ((_ORIENTATION, 1), (_PHOTOMETRIC, 1 if meaning == _WHITE_IS_ZERO else meaning)):
        if tag in page.places and page.first(tag, unmarked) != unmarked:
            place, code = page.places[tag]
            struct.pack_into(order + code, plain, place, unmarked)
    return Tiff(bytes(plain), meaning == _WHITE_IS_ZERO, page.tags[_MOST][0] if page.tags.get(_MOST) else None)


def _only_page(pages: list[TiffPage]) -> TiffPage:
    full = [page for page in pages if not page.first(_SUBFILE, 0) & _REDUCED_OR_MASK] or pages[:1]
    if len(full) > 1:
        raise TiffError(f"holds {len(full)} pages, expected one: save each as a file of its own")
    if not full:
        raise TiffError("holds no page")
    if full[0] is not pages[0]:
        raise TiffError("begins with a reduced picture of its page: save it without the thumbnail")
    return full[0]


def _pages(data: bytes, order: str) -> Iterator[TiffPage]:
    """Yield each directory in order. Raises struct.error if one is cut off."""
    big = data[2:4] in (b"+\0", b"\0+")
    pointer = order + ("Q" if big else "I")
    (directory,) = struct.unpack_from(pointer, data, 8 if big else 4)
    seen: set[int] = set()
    while directory and directory not in seen and len(seen) < _MOST_PAGES:
        seen.add(directory)
        (entries,) = struct.unpack_from(order + ("Q" if big else "H"), data, directory)
        head, step = (8, 20) if big else (2, 12)
        end = directory + head + entries * step
        if end > len(data):
            raise struct.error
        yield _page(data, order, range(directory + head, end, step), big=big)
        if end + struct.calcsize(pointer) > len(data):
            return  # some writers leave out the pointer after the last one
        (directory,) = struct.unpack_from(pointer, data, end)


def _page(data: bytes, order: str, entries: range, *, big: bool) -> TiffPage:
    tags: Tags = {}
    places: dict[int, tuple[int, str]] = {}
    for at in entries:
        tag, kind, count = struct.unpack_from(order + ("HHQ" if big else "HHI"), data, at)
        code = _CODES.get(kind)
        if code is None:
            continue
        layout = f"{order}{count}{code}"
        size = count * struct.calcsize(code)
        if size > len(data):
            raise struct.error
        place = at + (12 if big else 8)
        if size > (8 if big else 4):
            (place,) = struct.unpack_from(order + ("Q" if big else "I"), data, place)
        if tag in (_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES, _JPEG_TABLES) or count <= 16:
            tags[tag], places[tag] = struct.unpack_from(layout, data, place), (place, code)
    return TiffPage(tags, places)


def _extents(page: TiffPage) -> Iterator[tuple[int, int]]:
    """Return offset and byte count of each strip or tile."""
    for offsets, counts in ((_STRIPS, _STRIP_BYTES), (_TILES, _TILE_BYTES)):
        if offsets in page.tags and counts in page.tags:
            yield from zip(page.tags[offsets], page.tags[counts], strict=False)


def _check_compressed(data: bytes, page: TiffPage, places: list[tuple[int, int]]) -> None:
    """Check that every strip or tile gives as many bytes as it must."""
    compression = page.first(_COMPRESSION, _UNCOMPRESSED)
    expected = _expected(page)
    count = _COUNTED.get(compression)
    if count is None and compression not in (_UNCOMPRESSED, _JPEG):
        raise TiffError(
            f"compression {compression}, expected none, LZW, Deflate, PackBits or JPEG: damage in others can't be seen"
        )
    if len(places) != len(expected):
        raise TiffError(f"{len(places)} strips or tiles, {len(expected)} needed")
    tables = bytes(page.tags.get(_JPEG_TABLES, ()))
    for index, ((offset, size), (least, most)) in enumerate(zip(places, expected, strict=True)):
        strip = data[offset : offset + size]
        try:
            if compression == _JPEG:
                check_jpeg_strip(strip, tables)
                continue
            got = size if count is None else count(strip)
        except ValueError as error:
            raise TiffError(f"damaged in strip {index}: {error}") from None
        if got < least or (got > most and count is not None):
            raise TiffError(f"damaged in strip {index}: it gives {got} bytes, {least} needed")


def _expected(page: TiffPage) -> list[tuple[int, int]]:
    """Return the least and the most bytes of each strip or tile. A last strip may be filled up with rows beyond the
    picture.
    """
    width, height = page.first(_WIDTH, 0), page.first(_HEIGHT, 0)
    samples = page.first(_SAMPLES, 1)
    planes = samples if page.first(_PLANES, 1) == 2 else 1
    each = page.tags.get(_BITS, (1,))
    bits = each[0] if planes > 1 else sum(each if len(each) == samples else each[:1] * samples)
    subsampled = page.first(_PHOTOMETRIC, 1) == 6 and tuple(page.tags.get(_SUBSAMPLING, (2, 2))) != (1, 1)
    if _TILES in page.tags:
        across, down = page.first(_TILE_WIDTH, 1), page.first(_TILE_HEIGHT, 1)
        tile = down * -(-across * bits // 8)
        return [(0 if subsampled else tile, tile)] * (-(-width // across) * -(-height // down) * planes)
    rows = min(page.first(_ROWS, height), height) or 1
    line = -(-width * bits // 8)
    last = height - (-(-height // rows) - 1) * rows
    one_plane = [(rows * line, rows * line)] * (-(-height // rows) - 1) + [(last * line, rows * line)]
    return [(0 if subsampled else least, most) for least, most in one_plane] * planes
