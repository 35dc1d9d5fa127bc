"""Every format of the table, decoded bit for bit from pictures packed by a slow, obvious packer."""

from __future__ import annotations

import numpy as np
import pytest
from harvesters.util._pfnc import symbolics

from edge.frames import Frame, FrameMeta
from edge.preprocess.pixel_formats import FORMATS, PixelFormat, decode_payload, format_name, payload_bytes, to_depth

WIDTH, HEIGHT = 10, 6
COLOUR = {"R": 201, "G": 120, "B": 33}
UNITS = {name: form for name, form in FORMATS.items() if form.family != "YUV"}


def meta(name: str, width: int = WIDTH, height: int = HEIGHT) -> FrameMeta:
    return FrameMeta(1, "device", width, height, name, 0, 0)


def pack(form: PixelFormat, samples: list[int]) -> np.ndarray:
    """Samples to bytes by the wording of PFNC and GigE Vision, one bit or byte at a time."""
    if form.packing == "p":  # sample i begins at bit i * bits of a little-endian stream
        stream = sum(value << i * form.bits for i, value in enumerate(samples))
        return np.frombuffer(stream.to_bytes((len(samples) * form.bits + 7) // 8, "little"), np.uint8)
    if form.packing == "Packed":  # two samples in three bytes: high bits, both low parts, high bits
        out = bytearray()
        for i in range(0, len(samples), 2):
            first, second = samples[i], samples[i + 1] if i + 1 < len(samples) else 0
            low = form.bits - 8
            out += bytes([first >> low, (second & (1 << low) - 1) << 4 | first & (1 << low) - 1, second >> low])
        return np.frombuffer(bytes(out[: (len(samples) * 12 + 7) // 8]), np.uint8)
    size = 1 if form.bits == 8 else 2
    return np.frombuffer(b"".join(value.to_bytes(size, "little") for value in samples), np.uint8)


def samples_of(form: PixelFormat, width: int, height: int) -> tuple[list[int], np.ndarray]:
    """Random samples in the payload's order, and the same as an (H, W) or (H, W, 3) RGB picture."""
    channels = {"RGB": "RGB", "BGR": "BGR", "RGBa": "RGBa", "BGRa": "BGRa"}.get(form.family, "Y")
    values = np.random.default_rng(form.code).integers(0, 1 << form.bits, (height, width, len(channels)))
    flat = [int(v) for v in values.reshape(-1)]
    return flat, values[..., 0] if channels == "Y" else values[..., [channels.index(c) for c in "RGB"]]


@pytest.mark.parametrize("name", FORMATS)
def test_codes_are_the_standard_ones(name):
    """Name and code agree with another implementation's copy of the PFNC, and give each other."""
    assert symbolics[FORMATS[name].code] == name
    assert format_name(FORMATS[name].code) == name


@pytest.mark.parametrize("name", [name for name, form in UNITS.items() if form.family != "Bayer"])
@pytest.mark.parametrize("width", [WIDTH, 7])
def test_every_grey_and_colour_format_decodes_bit_for_bit(name, width):
    """Odd widths too: packed samples run on across lines, and the last group of bytes may be torn."""
    form = FORMATS[name]
    samples, picture = samples_of(form, width, 5)
    data = pack(form, samples)
    assert data.size == payload_bytes(name, width, 5)

    frame = decode_payload(meta(name, width, 5), data)

    assert frame.bits == form.bits
    assert frame.pixels.dtype == (np.uint8 if form.bits == 8 else np.uint16)
    assert frame.pixels.flags.c_contiguous
    np.testing.assert_array_equal(frame.pixels, picture)


@pytest.mark.parametrize("name", [name for name, form in UNITS.items() if form.bits > 8 and form.family != "Bayer"])
def test_depth_8_at_once_and_later_both_keep_the_high_eight_bits(name):
    form = FORMATS[name]
    samples, picture = samples_of(form, WIDTH, HEIGHT)
    data = pack(form, samples)

    direct, later = decode_payload(meta(name), data, 8), to_depth(decode_payload(meta(name), data), 8)

    for frame in (direct, later):
        assert (frame.bits, frame.pixels.dtype) == (8, np.uint8)
        np.testing.assert_array_equal(frame.pixels, picture >> form.bits - 8)


@pytest.mark.parametrize("name", ["Mono10", "Mono12p", "Mono10Packed", "Mono16", "RGB12"])
@pytest.mark.parametrize("window", [(0, 255), (100, 900), (0, 65535), (500, 501), (7, 4000)])
def test_a_window_is_linear_between_its_ends_and_cut_outside(name, window):
    """255 * (value - low) / (high - low), rounded; before a demosaic, and the same on a frame that is decoded already."""
    form = FORMATS[name]
    samples, picture = samples_of(form, WIDTH, HEIGHT)
    low, high = window
    expected = np.clip(np.rint((picture.astype(np.float64) - low) * (255 / (high - low))), 0, 255)
    data = pack(form, samples)
    for frame in (decode_payload(meta(name), data, 8, window), to_depth(decode_payload(meta(name), data), 8, window)):
        assert (frame.bits, frame.pixels.dtype, frame.pixels.flags.c_contiguous) == (8, np.uint8, True)
        np.testing.assert_array_equal(frame.pixels, expected)


def test_a_window_comes_before_the_demosaic():
    mosaic = np.array([1000, 400, 400, 2000], "<u2").reshape(2, 2)
    data = np.tile(mosaic, (3, 5)).view(np.uint8).reshape(-1)
    pixels = decode_payload(meta("BayerRG12"), data, 8, (0, 1000)).pixels
    np.testing.assert_array_equal(pixels, np.broadcast_to([255, 102, 255], (HEIGHT, WIDTH, 3)))


def test_formats_of_8_bits_know_no_window():
    data = np.arange(WIDTH * HEIGHT, dtype=np.uint8)
    np.testing.assert_array_equal(decode_payload(meta("Mono8"), data, 8, (10, 20)).pixels.reshape(-1), data)


def test_what_opencv_cannot_decode_is_told_like_any_other_bad_payload():
    with pytest.raises(ValueError) as error:
        decode_payload(meta("BayerRG8", 0, 0), np.zeros(80, np.uint8))
    assert str(error.value).startswith("BayerRG8 0x0: ")


@pytest.mark.parametrize("name", [name for name, form in UNITS.items() if form.family == "Bayer"])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_mosaic_of_one_colour_gives_that_colour_in_rgb_order(name, depth):
    """The pattern's name spells the first row; red and blue must not be swapped."""
    form = FORMATS[name]
    rows = {"RG": ("RG", "GB"), "GR": ("GR", "BG"), "GB": ("GB", "RG"), "BG": ("BG", "GR")}[form.pattern]
    scale = form.bits - 8
    samples = [COLOUR[rows[y % 2][x % 2]] << scale | (1 << scale) - 1 for y in range(HEIGHT) for x in range(WIDTH)]

    frame = decode_payload(meta(name), pack(form, samples), depth)

    assert frame.bits == (8 if depth == 8 else form.bits)
    expected = [COLOUR[c] if depth == 8 else COLOUR[c] << scale | (1 << scale) - 1 for c in "RGB"]
    np.testing.assert_array_equal(frame.pixels, np.broadcast_to(expected, (HEIGHT, WIDTH, 3)))


@pytest.mark.parametrize("name", ["Mono12p", "Mono10p", "Mono12Packed", "Mono10Packed"])
def test_a_picture_of_many_blocks_is_unpacked_like_a_small_one(name):
    """Unpacking runs in blocks of 65536 groups; this picture spans several, the last one torn."""
    form = FORMATS[name]
    picture = np.random.default_rng(1).integers(0, 1 << form.bits, (601, 501)).astype(np.uint16)
    if form.packing == "p":
        bits = (picture.reshape(-1, 1) >> np.arange(form.bits) & 1).astype(np.uint8)
        data = np.packbits(bits, bitorder="little")
    else:
        data = pack(form, [int(v) for v in picture.reshape(-1)])

    np.testing.assert_array_equal(decode_payload(meta(name, 501, 601), data).pixels, picture)
    np.testing.assert_array_equal(decode_payload(meta(name, 501, 601), data, 8).pixels, picture >> form.bits - 8)


@pytest.mark.parametrize(
    ("yuv", "rgb"),
    [
        ((255, 128, 128), (255, 255, 255)),
        ((0, 128, 128), (0, 0, 0)),
        ((16, 128, 128), (16, 16, 16)),  # limited range would give black
        ((76, 85, 255), (254, 0, 0)),
        ((150, 44, 21), (0, 255, 1)),
        ((29, 255, 107), (0, 0, 254)),
    ],
)
@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form.family == "YUV"])
def test_yuv_is_read_at_full_range(name, yuv, rgb):
    y, u, v = yuv
    pair = (u, y, v, y) if name == "YUV422_8_UYVY" else (y, u, y, v)
    data = np.tile(np.array(pair, np.uint8), WIDTH // 2 * HEIGHT)
    pixels = decode_payload(meta(name), data).pixels
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(pixels.astype(int) - rgb).max() <= 1


def test_yuv_keeps_each_pixels_own_brightness():
    data = np.tile(np.array([10, 128, 200, 128], np.uint8), WIDTH // 2 * HEIGHT)
    pixels = decode_payload(meta("YUV422_8"), data).pixels
    assert pixels[0, :4, 0].tolist() == [10, 200, 10, 200]


@pytest.mark.parametrize("name", ["Mono8", "RGB8", "Mono10", "Mono12", "Mono14", "Mono16", "RGB16"])
def test_plain_formats_are_views_of_the_payload(name):
    data = np.zeros(payload_bytes(name, WIDTH, HEIGHT) + 8, np.uint8)
    assert np.shares_memory(decode_payload(meta(name), data).pixels, data)


def test_16_bit_samples_on_an_odd_address_are_read_right():
    data = np.zeros(2 * WIDTH * HEIGHT + 1, np.uint8)
    data[1:] = np.arange(WIDTH * HEIGHT, dtype="<u2").view(np.uint8)
    assert decode_payload(meta("Mono12"), data[1:]).pixels.reshape(-1).tolist() == list(range(WIDTH * HEIGHT))


def test_a_frame_of_the_right_depth_already_is_left_alone():
    frame = Frame(meta("Mono8"), np.zeros((HEIGHT, WIDTH), np.uint8))
    assert to_depth(frame, 8) is frame
    assert to_depth(frame, 8, (10, 20)) is frame
    deep = Frame(meta("Mono12"), np.zeros((HEIGHT, WIDTH), np.uint16), 12)
    assert to_depth(deep, 16) is deep


@pytest.mark.parametrize("offset", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_region_at_an_odd_offset_is_read_by_the_pattern_that_its_camera_names(offset):
    """The pattern of a frame is the one in its own format, not the sensor's: RG moves to GR, GB, BG."""
    x, y = offset
    rows = ("RG", "GB")
    name = f"Bayer{rows[y][x]}{rows[y][1 - x]}8"
    mosaic = [COLOUR[rows[(y + j) % 2][(x + i) % 2]] for j in range(HEIGHT) for i in range(WIDTH)]
    pixels = decode_payload(meta(name), np.array(mosaic, np.uint8)).pixels
    np.testing.assert_array_equal(pixels, np.broadcast_to([COLOUR[c] for c in "RGB"], (HEIGHT, WIDTH, 3)))


def test_an_unknown_format_is_named():
    with pytest.raises(ValueError) as error:
        payload_bytes("Coord3D_C16", 4, 4)
    assert str(error.value) == "pixel format Coord3D_C16 is not supported"
    with pytest.raises(ValueError) as error:
        decode_payload(meta("Mono1p"), np.zeros(100, np.uint8))
    assert str(error.value) == "pixel format Mono1p is not supported"
    assert format_name(0x0115000D) is None


def test_a_short_payload_and_an_odd_yuv_width_are_refused():
    with pytest.raises(ValueError) as error:
        decode_payload(meta("Mono12p"), np.zeros(89, np.uint8))
    assert str(error.value) == "Mono12p 10x6 needs 90 bytes, got 89"
    with pytest.raises(ValueError) as error:
        decode_payload(meta("YUV422_8", 3, 2), np.zeros(12, np.uint8))
    assert str(error.value) == "YUV422_8 needs an even width, got 3"
