"""Pictures come out of their files exactly as they went in, and a damaged file never comes out as pixels."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.storage.pictures import (
    PictureError,
    decode_picture,
    encode_png,
    find_pictures,
    natural_key,
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


def test_pictures_are_found_in_natural_order_folder_by_folder(tmp_path: Path) -> None:
    names = [
        "b/img10.png",
        "b/img9.PNG",
        "b/IMG11.jpg",
        "a2/x.bmp",
        "a10/x.tif",
        "z1.png",
        "notes.txt",
        ".hidden.png",
        "b/.t/y.png",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    assert find_pictures(tmp_path) == ["a2/x.bmp", "a10/x.tif", "b/img9.PNG", "b/img10.png", "b/IMG11.jpg", "z1.png"]


def test_natural_order_takes_any_name_and_is_total() -> None:
    names = ["²", "1", "01", "a1b2", "a1b10", "A1b3", "", "1a"]
    expected = ["", "01", "1", "1a", "a1b2", "A1b3", "a1b10", "²"]
    for order in (names, names[::-1]):
        assert sorted(order, key=natural_key) == expected
