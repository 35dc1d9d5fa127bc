"""Pictures come out of their files exactly as they went in, and a damaged file never comes out as pixels."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.storage.pictures import (
    PictureError,
    decode_picture,
    decode_with_bits,
    encode_png,
    read_picture,
    write_png,
)


def scene(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    """A smooth but busy picture, the same at each call."""
    noise = np.random.default_rng(7).integers(0, 255, shape).astype(np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return smooth if dtype is np.uint8 else smooth.astype(np.uint16) * 257


def encoded(suffix: str, rgb: np.ndarray, *params: int) -> bytes:
    return cv2.imencode(suffix, rgb[..., ::-1] if rgb.ndim == 3 else rgb, params)[1].tobytes()


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp"])
@pytest.mark.parametrize("shape", [(20, 31), (20, 31, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lossless_formats_give_back_each_sample(suffix: str, shape: tuple[int, ...], dtype: type) -> None:
    if suffix == ".bmp":  # has no 16 bit samples
        dtype = np.uint8
    pixels = scene(*shape, dtype=dtype)
    read = decode_picture(encoded(suffix, pixels))
    assert read.dtype == dtype
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, pixels)


def test_a_jpeg_comes_out_as_rgb() -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[..., 0] = 200  # red
    red, green, blue = decode_picture(encoded(".jpg", pixels, cv2.IMWRITE_JPEG_QUALITY, 95)).mean((0, 1))
    assert red == pytest.approx(200, abs=2)
    assert max(green, blue) < 3


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".bmp"])
@pytest.mark.parametrize("shape", [(60, 80), (60, 80, 3)])
def test_a_file_cut_in_its_pixels_is_refused_quietly(
    suffix: str, shape: tuple[int, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    data = encoded(suffix, scene(*shape))
    for length in (4, 20, len(data) // 3, len(data) // 2, len(data) * 9 // 10):
        with pytest.raises(PictureError):
            decode_picture(data[:length])
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_a_file_that_lacks_its_last_byte_is_refused(suffix: str) -> None:
    """Of a TIFF the last byte may be no pixel's."""
    with pytest.raises(PictureError):
        decode_picture(encoded(suffix, scene(60, 80))[:-1])


@pytest.mark.parametrize(("suffix", "name"), [(".png", "PNG"), (".jpg", "JPEG"), (".tiff", "TIFF")])
def test_the_error_of_a_cut_file_says_where_it_ends(suffix: str, name: str) -> None:
    data = encoded(suffix, scene(60, 80))
    with pytest.raises(PictureError, match=f"^{name}: cut off after {len(data) // 2} bytes$"):
        decode_picture(data[: len(data) // 2])


def test_a_cut_progressive_jpeg_is_refused() -> None:
    data = encoded(".jpg", scene(60, 80), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert decode_picture(data).shape == (60, 80)
    with pytest.raises(PictureError):
        decode_picture(data[: len(data) // 2])


def test_the_end_of_a_thumbnail_is_not_the_end_of_its_jpeg() -> None:
    thumbnail, data = encoded(".jpg", scene(8, 8)), encoded(".jpg", scene(60, 80))
    with_thumbnail = data[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + data[2:]
    np.testing.assert_array_equal(decode_picture(with_thumbnail), decode_picture(data))
    with pytest.raises(PictureError, match="JPEG: cut off"):
        decode_picture(with_thumbnail[:-200])


def test_a_tiff_whose_directory_comes_first_is_refused_when_its_data_are_cut() -> None:
    pixels = scene(40, 50)
    tags = ((256, 3, 50), (257, 3, 40), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 200), (278, 3, 40), (279, 4, 2000))
    directory = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags
    )
    data = (b"II*\0" + struct.pack("<I", 8) + directory + bytes(4)).ljust(200, b"\0") + pixels.tobytes()
    np.testing.assert_array_equal(decode_picture(data), pixels)
    with pytest.raises(PictureError, match=r"^TIFF: cut off after 1200 bytes$"):
        decode_picture(data[:1200])


def test_one_wrong_byte_in_a_png_is_found() -> None:
    data = bytearray(encoded(".png", scene(60, 80)))
    data[len(data) // 2] ^= 0x55
    with pytest.raises(PictureError, match=r"^PNG: checksum of chunk IDAT is wrong$"):
        decode_picture(bytes(data))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "an empty file"),
        (b"GIF89a........", "not a PNG, JPEG, TIFF or BMP picture"),
        (b"BM......", "BMP: damaged, or of a kind that OpenCV doesn't read"),
        (
            encoded(".tiff", scene(20, 30).astype(np.float32)),
            "TIFF: samples are float32, expected 8 or 16 bit unsigned integers",
        ),
    ],
)
def test_what_is_no_picture_for_us_is_named(data: bytes, text: str) -> None:
    with pytest.raises(PictureError) as caught:
        decode_picture(data)
    assert str(caught.value) == text


def test_exif_rotation_is_not_applied() -> None:
    data = encoded(".jpg", scene(40, 60))
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0x112, 3, 1, 6, 0)  # orientation 6: turned by 90 degrees
    turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape[:2] == (60, 40)
    np.testing.assert_array_equal(decode_picture(turned), decode_picture(data))


def test_alpha_is_dropped() -> None:
    rgb = scene(20, 30, 3)
    alpha = np.full((20, 30, 1), 9, np.uint8)
    data = cv2.imencode(".png", np.concatenate((rgb[..., ::-1], alpha), axis=2))[1].tobytes()
    np.testing.assert_array_equal(decode_picture(data), rgb)


def test_grey_with_alpha_stays_grey() -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    grey = scene(20, 30)
    rows = b"".join(b"\0" + np.stack((row, np.full(30, 9, np.uint8)), axis=1).tobytes() for row in grey)
    head = struct.pack(">IIBBBBB", 30, 20, 8, 4, 0, 0, 0)  # colour type 4
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(decode_picture(data), grey)


def test_a_written_png_shows_right_colours_in_any_viewer_and_nothing_else_is_left(tmp_path: Path) -> None:
    pixels = scene(20, 30, 3)
    nbytes = write_png(tmp_path / "a.png", pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert nbytes == (tmp_path / "a.png").stat().st_size
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)[..., ::-1], pixels)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), pixels)


def test_run_lengths_make_a_noisy_png_smaller_than_the_pixels() -> None:
    noisy = np.random.default_rng(0).normal(120, 1.2, (200, 200)).astype(np.uint8)
    assert len(encode_png(noisy)) < 0.45 * noisy.nbytes


def damaged_jpegs() -> dict[str, bytes]:
    """One file per way in which a link, a server or a disk spoils what lies in front of an end marker that is there."""
    good, restarts = (
        encoded(".jpg", scene(96, 128, 3)),
        encoded(".jpg", scene(96, 128, 3), cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
    )
    progressive = encoded(".jpg", scene(96, 128, 3), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    scan = good.index(b"\xff\xda")
    at, size = scan + (len(good) - scan) // 3, (len(good) - scan) // 6
    return {
        "half": good[: scan + (len(good) - scan) // 2] + b"\xff\xd9",
        "hole": good[:at] + good[at + size :],
        "zeros": good[:at] + bytes(size) + good[at + size :],
        "hole between restarts": restarts[: len(restarts) // 3] + restarts[len(restarts) // 2 :],
        "progressive": progressive[: len(progressive) // 2] + b"\xff\xd9",
        "grey": (grey := encoded(".jpg", scene(96, 128)))[: len(grey) // 2] + b"\xff\xd9",
    }


@pytest.mark.parametrize("way", list(damaged_jpegs()))
def test_a_jpeg_that_is_damaged_inside_is_refused_though_its_end_marker_is_there(
    way: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PictureError, match=r"^JPEG: damaged: Corrupt JPEG data: "):
        decode_picture(damaged_jpegs()[way])
    assert capfd.readouterr().err == ""


def test_what_follows_a_whole_jpeg_is_no_damage() -> None:
    data = encoded(".jpg", scene(60, 80, 3))
    for more in (bytes(100), data):
        np.testing.assert_array_equal(decode_picture(data + more), decode_picture(data))


@pytest.mark.parametrize(
    "params",
    [
        (),
        (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111),
        (cv2.IMWRITE_JPEG_RST_INTERVAL, 3),
    ],
)
@pytest.mark.parametrize("shape", [(61, 83), (61, 83, 3)])
def test_a_jpeg_has_the_pixels_that_opencv_gives(shape: tuple[int, ...], params: tuple[int, ...]) -> None:
    """Models and thresholds were made on those."""
    data = encoded(".jpg", scene(*shape), *params)
    theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decode_picture(data), theirs[..., ::-1] if theirs.ndim == 3 else theirs)


def test_an_animated_png_is_several_pictures_and_refused() -> None:
    still = encoded(".png", scene(20, 30))
    body = struct.pack(">II", 2, 0)
    control = struct.pack(">I", 8) + b"acTL" + body + struct.pack(">I", zlib.crc32(b"acTL" + body))
    with pytest.raises(PictureError, match=r"^PNG: an animation, expected one picture: save each as a file of its own$"):
        decode_picture(still[:33] + control + still[33:])


def with_significant_bits(png: bytes, bits: int) -> bytes:
    body = bytes([bits])
    return png[:33] + struct.pack(">I", 1) + b"sBIT" + body + struct.pack(">I", zlib.crc32(b"sBIT" + body)) + png[33:]


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_png_says_how_many_bits_count_where_its_samples_are_aligned_low(bits: int) -> None:
    low = (scene(20, 30).astype(np.uint16) << (bits - 8)) | 1
    picture = decode_with_bits(with_significant_bits(encoded(".png", low), bits))
    assert picture.bits == bits
    np.testing.assert_array_equal(picture.pixels, low)


@pytest.mark.parametrize("scaled", [lambda v: v << 4, lambda v: v << 4 | v >> 8])
def test_a_png_whose_samples_fill_the_range_as_the_standard_has_it_stays_of_16_bits(scaled: Callable[..., Any]) -> None:
    values = scene(20, 30).astype(np.uint16) // 2  # dark: all below 4096 after scaling, too
    for pixels in (scaled(values), scaled(values * 16)):
        assert decode_with_bits(with_significant_bits(encoded(".png", pixels), 12)).bits == 16


def test_a_bmp_of_run_lengths_is_refused_for_its_damage_could_not_be_seen() -> None:
    data = bytearray(encoded(".bmp", scene(20, 30)))
    data[30] = 1
    with pytest.raises(PictureError, match=r"^BMP: compressed by run lengths, where damage can't be seen"):
        decode_picture(bytes(data))
