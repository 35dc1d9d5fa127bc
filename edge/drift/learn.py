"""A line learns its signatures: every corruption, in many strengths and draws, on its own frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.disturb.corruptions import CORRUPTIONS, Corruption
from edge.drift.meter import Meter
from edge.drift.signatures import Disturbance, Signatures
from edge.drift.ways import apply_some_way

_Pixels = NDArray[np.uint8] | NDArray[np.uint16]

SIGNATURE_FRAMES: Final = 8
"""Frames that are disturbed."""
LEFT_OUT: Final = frozenset({"flicker", "colour_cast"})
"""Flicker moves no median, and a cast no grey picture."""
_SHARE_OF_WEAKEST: Final = 0.6
"""Strengths go from so much of the table's weakest to a little past its strongest."""
_PAST_STRONGEST: Final = 1.1
_SPARE_PX: Final = 64
_RESAMPLED: Final = ("blur", "pose")
_NOISE_PUT_BACK: Final = (0.2, 1.8)
"""Groups that smooth the sensor's noise when they are computed, which a lens or a part that moves doesn't: it is put back,
all of it in half of the signatures, and some of it in the others."""


def plan_signatures(rows: int, seed: int = 0, without: Collection[str] = ()) -> list[Disturbance]:
    """About ``rows`` disturbances: strengths spread evenly by their logarithm, each with draws of its own."""
    names = [name for name in CORRUPTIONS if name not in LEFT_OUT and name not in without]
    each = max(2, round(rows / len(names)))
    return [
        Disturbance(name, size, seed * 1_000_003 + number * 10_007 + place)
        for number, name in enumerate(names)
        for place, size in enumerate(_sizes(CORRUPTIONS[name], each))
    ]


class Signer:
    """Measures signatures on a few frames of the line."""

    def __init__(self, meter: Meter, frames: Sequence[_Pixels], bits: int) -> None:
        self._meter, self._frames, self._bits = meter, frames, bits
        self._before = [meter.measure(frame, bits) for frame in frames]
        self._noise = [meter.noise_sigma(frame, bits) for frame in frames]
        height, width = frames[0].shape[:2]
        # drawing a normal deviate for each pixel anew took a fifth of the time; a part of one field is as good
        larger = (height + _SPARE_PX, width + _SPARE_PX, *frames[0].shape[2:])
        self._grain = np.random.default_rng(0).standard_normal(larger, np.float32)

    def sign(self, wanted: Disturbance) -> NDArray[np.float64]:
        """The change of the statistics, (19,), that this disturbance brings to one of the frames."""
        rng = np.random.default_rng(wanted.seed)
        number = int(rng.integers(len(self._frames)))
        row = CORRUPTIONS[wanted.cause]
        disturbed = apply_some_way(wanted.cause, self._frames[number], wanted.size, rng, self._bits)
        if row.group in _RESAMPLED:
            disturbed = self._with_noise(disturbed, self._noise[number] * min(1.0, rng.uniform(*_NOISE_PUT_BACK)), rng)
        return np.asarray(self._meter.measure(disturbed, self._bits) - self._before[number])

    def _with_noise(self, pixels: _Pixels, sigma: float, rng: np.random.Generator) -> _Pixels:
        """The pixels with noise added until there is ``sigma``, in levels of 0 to 255."""
        added = math.sqrt(max(0.0, sigma**2 - self._meter.noise_sigma(pixels, self._bits) ** 2))
        white = (1 << self._bits) - 1
        y, x = rng.integers(_SPARE_PX, size=2)
        grain = self._grain[y : y + pixels.shape[0], x : x + pixels.shape[1]]
        noisy: Any = np.rint(np.clip(pixels + grain * np.float32(added * white / 255), 0, white)).astype(pixels.dtype)
        return np.asarray(noisy)


def learn(
    meter: Meter,
    frames: Sequence[_Pixels],
    bits: int,
    sigma: NDArray[np.float64],
    plan: Sequence[Disturbance],
    tell: Callable[[int], None] = lambda _: None,
) -> Signatures:
    """The signatures of this plan. ``sigma``: deviations of single frames. ``tell``: hears the number of each row."""
    signer = Signer(meter, frames, bits)
    rows = []
    for number, wanted in enumerate(plan):
        tell(number)
        rows.append(signer.sign(wanted) / sigma)
    return Signatures.of(plan, np.array(rows))


def _sizes(row: Corruption, count: int) -> list[float]:
    least, most = row.strengths.steps[0] * _SHARE_OF_WEAKEST, row.strengths.strongest * _PAST_STRONGEST
    if row.name == "jpeg":
        most = min(most, 97.0)
    sizes = np.exp(np.linspace(math.log(least), math.log(most), count)).tolist()
    return [-size if row.strengths.two_way and number % 2 else size for number, size in enumerate(sizes)]
