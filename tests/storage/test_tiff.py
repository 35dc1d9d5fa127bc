"""A TIFF is one whole page whose samples mean what they seem to; anything else is refused in words."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from support.tiffs import tiff

from edge.storage.pictures import PictureError, decode_picture, decode_with_bits

GREY = cv2.GaussianBlur(np.random.default_rng(7).integers(0, 255, (48, 64)).astype(np.uint8), (0, 0), 1.5)
RGB = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=2)
DEEP = GREY.astype(np.uint16) * 16


def refused(data: bytes) -> str:
    with pytest.raises(PictureError) as caught:
        decode_picture(data)
    return str(caught.value)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("pixels", [GREY, DEEP, RGB])
def test_a_picture_comes_as_stored_whatever_its_orientation_tag_says(
    pixels: np.ndarray[Any, Any], orientation: int
) -> None:
    """A mask and a per-pixel model lie on the sensor's picture, in every container."""
    for big_endian in (False, True):
        np.testing.assert_array_equal(decode_picture(tiff((pixels, {274: orientation}), big_endian=big_endian)), pixels)


@pytest.mark.parametrize("pixels", [GREY, DEEP])
def test_where_white_is_zero_black_comes_out_as_zero_at_every_depth(pixels: np.ndarray[Any, Any]) -> None:
    np.testing.assert_array_equal(
        decode_picture(tiff((pixels, {262: 0}))), (255 if pixels.itemsize == 1 else 65535) - pixels
    )


def test_where_white_is_zero_of_12_bits_the_largest_value_is_black() -> None:
    picture = decode_with_bits(tiff((DEEP, {262: 0, 281: 4095})))
    assert picture.bits == 12
    np.testing.assert_array_equal(picture.pixels, 4095 - DEEP)


@pytest.mark.parametrize(("most", "bits"), [(4095, 12), (16383, 14), (65535, 16), (4000, 16), (1023, 16)])
def test_the_largest_value_that_a_file_declares_says_its_bits(most: int, bits: int) -> None:
    """Some writers put the picture's own maximum there, 4000 say: no number of bits; 1023 is below what is in it."""
    assert decode_with_bits(tiff((DEEP, {281: most}))).bits == bits


def test_several_pages_are_refused_and_a_thumbnail_behind_the_page_is_none() -> None:
    text = "TIFF: holds 3 pages, expected one: save each as a file of its own"
    assert refused(tiff((GREY, {}), (GREY, {}), (DEEP, {}))) == text
    with_thumbnail = tiff((GREY, {}), (np.ascontiguousarray(GREY[::4, ::4]), {254: 1}))
    np.testing.assert_array_equal(decode_picture(with_thumbnail), GREY)
    first = tiff((np.ascontiguousarray(GREY[::4, ::4]), {254: 1}), (GREY, {}))
    assert refused(first) == "TIFF: begins with a reduced picture of its page: save it without the thumbnail"


def test_samples_that_are_no_grey_and_no_rgb_are_refused() -> None:
    assert refused(tiff((GREY, {262: 32803}))) == "TIFF: its samples are a raw colour mosaic, expected grey or RGB"
    assert refused(tiff((RGB, {262: 8}))) == "TIFF: its samples are CIE Lab, expected grey or RGB"


def test_a_compression_whose_damage_cannot_be_seen_is_refused() -> None:
    assert refused(tiff((GREY, {259: 4}))) == (
        "TIFF: compression 4, expected none, LZW, Deflate, PackBits or JPEG: damage in others can't be seen"
    )


def test_a_strip_that_is_short_by_its_own_count_is_refused() -> None:
    assert refused(tiff((GREY, {279: 1000}))) == "TIFF: damaged in strip 0: it gives 1000 bytes, 3072 needed"


def strips(data: bytes) -> tuple[int, int]:
    """Where the first strip lies, by its tags."""
    (directory,) = struct.unpack_from("<I", data, 4)
    found = {}
    for at in range(directory + 2, directory + 2 + 12 * struct.unpack_from("<H", data, directory)[0], 12):
        tag, kind, count, value = struct.unpack_from("<HHII", data, at)
        if tag in (273, 279):
            if count > 1:
                (value,) = struct.unpack_from("<I" if kind == 4 else "<H", data, value)
            found[tag] = value
    return found[273], found[279]


@pytest.mark.parametrize("compression", [5, 8, 32773, 7])  # LZW, Deflate, PackBits, JPEG
@pytest.mark.parametrize("pixels", [GREY, DEEP, RGB, RGB.astype(np.uint16) * 257])
def test_damage_inside_compressed_data_is_found_where_libtiff_goes_on(
    pixels: np.ndarray[Any, Any], compression: int
) -> None:
    if compression == 7 and pixels.itemsize == 2:
        pytest.skip("JPEG has 8 bits")
    big = np.ascontiguousarray(np.tile(pixels, (4, 4) if pixels.ndim == 2 else (4, 4, 1)))
    bgr = big[..., ::-1] if big.ndim == 3 else big
    rows = (cv2.IMWRITE_TIFF_ROWSPERSTRIP, 64)  # JPEG wants a multiple of 16
    written, buffer = cv2.imencode(".tiff", bgr, (cv2.IMWRITE_TIFF_COMPRESSION, compression, *rows))
    assert written
    data = buffer.tobytes()
    whole = decode_picture(data)
    if compression != 7:
        np.testing.assert_array_equal(whole, big)
    offset, size = strips(data)
    begin, end = offset + size // 3, offset + size // 2
    hurt = data[:begin] + bytes(end - begin) + data[end:]
    assert refused(hurt).startswith("TIFF: damaged in strip 0: ")


def test_deflate_tells_one_wrong_byte() -> None:
    data = bytearray(zlib.compress(GREY.tobytes(), 0))  # stored: every byte is a pixel
    data[200] ^= 1
    tags = {256: 64, 257: 48, 258: 8, 278: 48, 259: 8}
    np.testing.assert_array_equal(decode_picture(tiff((zlib.compress(GREY.tobytes()), tags))), GREY)
    assert refused(tiff((bytes(data), tags))).startswith("TIFF: damaged in strip 0: Error -3 while decompressing data")
