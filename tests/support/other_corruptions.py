"""What a factory does to a picture, written a second time: drift must be named that the library's own code didn't make.

NumPy alone, other kernels and shapes, other interpolation, another generator (MT19937): a disc instead of a Gaussian, a
lamp that comes nearer instead of a linear slope, a transfer function instead of a kernel, Laplacian noise, polygons, slots.
Sizes mean what they mean in ``edge.disturb``: a strength in the same physical unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float64]
"""Grey levels of 0 to 255, (H, W)."""
Other = Callable[[Levels, float, np.random.RandomState], Levels]


def brightness(picture: Levels, percent: float, rng: np.random.RandomState) -> Levels:
    return picture * (1 + percent / 100)


def gradient(picture: Levels, percent: float, rng: np.random.RandomState) -> Levels:
    """A lamp beside the picture, at the distance at which its inverse square law makes this difference of the ends."""
    height, width = picture.shape
    turn = rng.uniform(0, 2 * math.pi)
    across, down = _grid(height, width)
    along = (across * math.cos(turn) + down * math.sin(turn)) / max(height, width)  # -0.5 to 0.5
    far, near = 1.5, 60.0
    for _ in range(60):
        middle = math.sqrt(far * near)
        fall = (middle / (middle - 0.5)) ** 2 - (middle / (middle + 0.5)) ** 2
        far, near = (middle, near) if fall > percent / 100 else (far, middle)
    return picture * (far / (far - along)) ** 2


def shadow(picture: Levels, percent: float, rng: np.random.RandomState) -> Levels:
    """Someone stands beside the machine: a wedge from one side, with a rim that a logistic curve makes soft."""
    height, width = picture.shape
    across, down = _grid(height, width)
    turn, bend = rng.uniform(0, 2 * math.pi), rng.uniform(-0.3, 0.3)
    along = (across * math.cos(turn) + down * math.sin(turn)) / max(height, width)
    over = (down * math.cos(turn) - across * math.sin(turn)) / max(height, width)
    inside = 1 / (1 + np.exp(-(along - rng.uniform(0.05, 0.2) + bend * over) / 0.02))
    return picture * (1 - percent / 100 * inside)


def contrast(picture: Levels, percent: float, rng: np.random.RandomState) -> Levels:
    """A veil over the picture (below 0), or its lifting, around the median."""
    return np.median(picture) + (picture - np.median(picture)) * (1 + percent / 100)


def defocus(picture: Levels, sigma_px: float, rng: np.random.RandomState) -> Levels:
    """A uniform disc, whose standard deviation along a line is half its radius; the sensor's noise stays."""
    radius = 2 * sigma_px
    reach = math.ceil(radius) + 1
    fine = 9
    places = (np.arange(fine * (2 * reach + 1)) + 0.5) / fine - reach - 0.5
    disc = (np.hypot(places[:, None], places[None]) <= radius).astype(float)
    side = 2 * reach + 1
    kernel = disc.reshape(side, fine, side, fine).sum(axis=(1, 3))
    return _convolved(picture, kernel / kernel.sum())


def motion_blur(picture: Levels, length_px: float, rng: np.random.RandomState) -> Levels:
    """The transfer function of a straight path, sinc(length * frequency along it)."""
    turn = rng.uniform(0, math.pi)
    padded, cut = _padded(picture)
    fy, fx = np.fft.fftfreq(padded.shape[0])[:, None], np.fft.fftfreq(padded.shape[1])[None]
    transfer = np.sinc(length_px * (fx * math.cos(turn) + fy * math.sin(turn)))
    return np.fft.ifft2(np.fft.fft2(padded) * transfer).real[cut]


def noise(picture: Levels, percent: float, rng: np.random.RandomState) -> Levels:
    return picture + rng.laplace(0, percent * 2.55 / math.sqrt(2), picture.shape)


def shift(picture: Levels, px: float, rng: np.random.RandomState) -> Levels:
    turn = rng.uniform(0, 2 * math.pi)
    return _resampled(picture, lambda x, y: (x - px * math.cos(turn), y - px * math.sin(turn)))


def rotation(picture: Levels, degrees: float, rng: np.random.RandomState) -> Levels:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return _resampled(picture, lambda x, y: (c * x - s * y, s * x + c * y))


def scale(picture: Levels, percent: float, rng: np.random.RandomState) -> Levels:
    return _resampled(picture, lambda x, y: (x / (1 + percent / 100), y / (1 + percent / 100)))


def background(picture: Levels, percent: float, rng: np.random.RandomState) -> Levels:
    """Another mat under the part: everything that is as dark as the rim and hangs together with it gets another level."""
    rim = np.concatenate((picture[0], picture[-1], picture[:, 0], picture[:, -1]))
    smooth = _box(picture, 5)
    alike = np.abs(smooth - np.median(rim)) < 18
    ground = np.zeros_like(alike)
    ground[[0, -1]] = alike[[0, -1]]
    ground[:, [0, -1]] = alike[:, [0, -1]]
    for _ in range(max(picture.shape)):
        grown = ground.copy()
        grown[1:] |= ground[:-1]
        grown[:-1] |= ground[1:]
        grown[:, 1:] |= ground[:, :-1]
        grown[:, :-1] |= ground[:, 1:]
        grown &= alike
        if (grown == ground).all():
            break
        ground = grown
    across, down = _grid(*picture.shape)
    stripes = 0.4 * np.sign(np.sin(across / rng.uniform(3, 9) + down / rng.uniform(3, 9)))
    return picture + percent * 2.55 * (1 + stripes) * _box(ground.astype(float), 3)


def occlusion(picture: Levels, percent: float, rng: np.random.RandomState) -> Levels:
    """A triangle of one grey with a weave, whose base is on one side, over this share of the picture."""
    height, width = picture.shape
    quarter = rng.randint(4)
    turned = np.rot90(picture, quarter).copy()
    rows, columns = turned.shape
    depth = math.sqrt(2 * percent / 100 * height * width * rng.uniform(0.7, 1.5))
    base = 2 * percent / 100 * height * width / depth
    middle = columns * rng.uniform(0.3, 0.7)
    down, across = np.arange(rows)[:, None], np.arange(columns)[None]
    hidden = (np.abs(across - middle) < base / 2 * (1 - down / depth)) & (down < depth)
    tone = rng.choice([25.0, 90.0, 200.0]) + 6 * np.sin(across * 1.1) * np.sin(down * 1.3)
    return np.rot90(np.where(hidden, tone, turned), -quarter)


def product(picture: Levels, percent: float, rng: np.random.RandomState) -> Levels:
    """Another variant: square pockets and long slots, dark or bright, over this share of the picture."""
    height, width = picture.shape
    out, number = picture.copy(), 5
    for _ in range(number):
        area = percent / 100 * height * width / number
        aspect = rng.choice([1.0, 1.0, 5.0, 0.2])
        h, w = math.sqrt(area / aspect), math.sqrt(area * aspect)
        y, x = rng.uniform(0.15, 0.85) * height - h / 2, rng.uniform(0.15, 0.85) * width - w / 2
        place = slice(max(0, round(y)), max(0, round(y + h))), slice(max(0, round(x)), max(0, round(x + w)))
        out[place] += rng.choice([-45.0, 40.0])
    return out


OTHERS: Final[dict[str, Other]] = {
    row.__name__: row
    for row in (
        brightness, gradient, shadow, contrast, defocus, motion_blur, noise, shift, rotation, scale, background, occlusion,
        product,
    )
}  # fmt: skip
"""Every one by the name that the library has for it."""
TWO_WAY: Final = frozenset({"brightness", "contrast", "rotation", "scale", "background"})
EACH_FRAME: Final = frozenset({"noise"})
_LOSES_NOISE: Final = frozenset({"defocus", "motion_blur"})


def disturbed(name: str, picture: NDArray[np.uint8], size: float, seed: int, frame: int) -> NDArray[np.uint8]:
    """The grey frame as the line sees it from now on: place and direction from ``seed``, noise also from ``frame``."""
    rng = np.random.RandomState([seed, frame] if name in EACH_FRAME else [seed])
    levels = OTHERS[name](picture.astype(float), size, rng)
    if name in _LOSES_NOISE and seed % 2:  # a lens doesn't smooth what the sensor adds
        levels = levels + np.random.RandomState([seed, frame]).normal(0, noise_of(picture), picture.shape)
    return np.floor(np.clip(levels, 0, 255) + 0.5).astype(np.uint8)


def noise_of(picture: NDArray[np.uint8]) -> float:
    """Standard deviation of the picture's noise, by the lower quartile of what 3x3 squares deviate by."""
    levels = picture.astype(float)
    square = _box(levels**2, 3) - _box(levels, 3) ** 2
    return float(np.sqrt(np.quantile(np.maximum(square, 0), 0.25)))


def _grid(height: int, width: int) -> tuple[Levels, Levels]:
    """Px from the picture's middle, across and down."""
    return np.arange(width)[None] - (width - 1) / 2, np.arange(height)[:, None] - (height - 1) / 2


def _resampled(picture: Levels, source: Callable[[Levels, Levels], tuple[Levels, Levels]]) -> Levels:
    """Quadratic B-splines need a prefilter; Catmull-Rom's cubic needs none. The rim is repeated."""
    height, width = picture.shape
    across, down = _grid(height, width)
    x, y = source(across + 0 * down, down + 0 * across)
    x, y = x + (width - 1) / 2, y + (height - 1) / 2
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = x - left, y - top

    def weights(f: Levels) -> tuple[Levels, ...]:
        return (
            -0.5 * f + f**2 - 0.5 * f**3,
            1 - 2.5 * f**2 + 1.5 * f**3,
            0.5 * f + 2 * f**2 - 1.5 * f**3,
            -0.5 * f**2 + 0.5 * f**3,
        )

    out = np.zeros_like(picture)
    for row, wy in enumerate(weights(fy), -1):
        rows = np.clip(top + row, 0, height - 1)
        for column, wx in enumerate(weights(fx), -1):
            out += wy * wx * picture[rows, np.clip(left + column, 0, width - 1)]
    return out


def _padded(picture: Levels) -> tuple[Levels, tuple[slice, slice]]:
    pad = 16
    return np.pad(picture, pad, mode="symmetric"), (slice(pad, -pad), slice(pad, -pad))


def _convolved(picture: Levels, kernel: Levels) -> Levels:
    padded, cut = _padded(picture)
    whole = np.zeros_like(padded)
    side = len(kernel)
    whole[:side, :side] = kernel
    whole = np.roll(whole, (-(side // 2), -(side // 2)), axis=(0, 1))
    return np.fft.ifft2(np.fft.fft2(padded) * np.fft.fft2(whole)).real[cut]


def _box(values: Levels, side: int) -> Levels:
    half = side // 2
    padded = np.pad(values, half, mode="edge")
    sums = np.cumsum(np.cumsum(np.pad(padded, ((1, 0), (1, 0))), axis=0), axis=1)
    return (sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]) / side**2
