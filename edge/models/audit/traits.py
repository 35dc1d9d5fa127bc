"""How pictures of a set were taken, and whether another set was taken so, too: size, place, sharpness, brightness, noise.

A set that was cleaned by hand gives itself away by what it lacks: its parts lie in the middle, its light never varies. The
spread of each trait is compared as well as its middle, with bootstrap intervals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frames import Frame
from edge.models.audit.finding import AuditFinding
from edge.preprocess.pixel_formats import to_depth

TRAITS: Final = ("brightness", "contrast", "sharpness", "noise", "place_x", "place_y")
_SIDE: Final = 512
_REPLICATES: Final = 400
_LEAST: Final = 10
"""Pictures of each set below which spreads can't be compared."""
_SPREAD_RATIO: Final = 2.0
"""The whole interval of the ratio of spreads must lie beyond it."""
_APART: Final = 1.5
"""Spreads by which the middles must differ, the whole interval of them."""
_LEAST_SPREAD: Final = {
    "brightness": 0.3,
    "contrast": 0.3,
    "sharpness": 0.01,
    "noise": 0.05,
    "place_x": 0.002,
    "place_y": 0.002,
}
"""Differences below this are rounding."""
_UNITS: Final = {
    "brightness": " grey levels",
    "contrast": " grey levels",
    "sharpness": "",
    "noise": " grey levels",
    "place_x": " of the width",
    "place_y": " of the height",
}


@dataclass(frozen=True, slots=True)
class Traits:
    """One picture's. ``brightness``, ``contrast``: mean and deviation in grey levels of 8 bits. ``sharpness``: share of the
    contrast that lies in the finest details. ``noise``: deviation of flat places, in grey levels. ``place_x``, ``place_y``:
    where what differs from the frame's rim lies, from 0 to 1.
    """

    width: int
    height: int
    channels: int
    brightness: float
    contrast: float
    sharpness: float
    noise: float
    place_x: float
    place_y: float


def traits_of(frame: Frame) -> Traits:
    """Measure one picture."""
    pixels: Any = to_depth(frame, 8).pixels
    channels = 1 if pixels.ndim == 2 else 3
    grey: Any = pixels if channels == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    fine = grey[: min(height, 2048), : min(width, 2048)].astype(np.float32)
    detail = cv2.Laplacian(fine, cv2.CV_32F)
    mean, deviation = (float(np.squeeze(value)) for value in cv2.meanStdDev(grey))
    scale = min(1.0, _SIDE / max(height, width))
    small: Any = cv2.resize(
        grey, (max(4, round(width * scale)), max(4, round(height * scale))), interpolation=cv2.INTER_AREA
    )
    x, y = _place(small.astype(np.float32))
    return Traits(
        width=width,
        height=height,
        channels=channels,
        brightness=mean,
        contrast=deviation,
        sharpness=float(np.mean(np.abs(detail))) / (deviation + 1.0),
        # median of the Laplacian: flat places decide. 6.0 is its deviation for noise of deviation 1, times 0.6745
        noise=float(np.median(np.abs(detail))) / (0.6745 * np.sqrt(20.0)),
        place_x=x,
        place_y=y,
    )


def _place(small: NDArray[np.float32]) -> tuple[float, float]:
    """The centre of what differs from the median of the picture's rim, as shares of its width and height."""
    rim = np.concatenate((small[0], small[-1], small[:, 0], small[:, -1]))
    weight = np.abs(small - np.median(rim))
    weight = np.where(weight > 0.3 * weight.max(), weight, 0)
    total = float(weight.sum())
    if total <= 0:
        return 0.5, 0.5
    height, width = small.shape
    x = float(weight.sum(axis=0) @ (np.arange(width) + 0.5)) / total / width
    y = float(weight.sum(axis=1) @ (np.arange(height) + 0.5)) / total / height
    return x, y


def compare_traits(
    names: tuple[str, str], left: Sequence[Traits], right: Sequence[Traits], seed: int = 0
) -> list[AuditFinding]:
    """Findings on how the two sets were taken."""
    findings = _sizes(names, left, right)
    if min(len(left), len(right)) < _LEAST:
        text = (
            f"{len(left)} and {len(right)} pictures are too few to compare how they were taken; {_LEAST} of each would do"
        )
        return [*findings, AuditFinding("few_pictures", "notes", names, text)]
    rng = np.random.default_rng(seed)
    for trait in TRAITS:
        a, b = (np.array([getattr(one, trait) for one in side]) for side in (left, right))
        least = _LEAST_SPREAD[trait]
        draws = [_drawn(values, rng) for values in (a, b)]
        spreads = [np.maximum(_spread(drawn), least) for drawn in draws]
        low, high = np.quantile(spreads[0] / spreads[1], [0.025, 0.975])
        own = [max(float(_spread(v[None])[0]), least) for v in (a, b)]
        values = {"trait": trait, "spread": own, "ratio_interval": [float(low), float(high)]}
        if high < 1 / _SPREAD_RATIO or low > _SPREAD_RATIO:
            narrow, wide = (0, 1) if high < 1 / _SPREAD_RATIO else (1, 0)
            findings.append(
                AuditFinding("spread_differs", "warns", names, _spread_text(trait, names, narrow, wide, own), (), values)
            )
        middles = [np.median(drawn, axis=1) for drawn in draws]
        shift = (middles[1] - middles[0]) / np.minimum(*spreads)
        low, high = np.quantile(shift, [0.025, 0.975])
        if low > _APART or high < -_APART:
            medians = [float(np.median(v)) for v in (a, b)]
            text = (
                f"{_word(trait)}: {medians[0]:.3g} in {names[0]}, {medians[1]:.3g} in {names[1]}{_UNITS[trait]}, "
                f"{_cause(trait)}"
            )
            values = {"trait": trait, "median": medians, "shift_interval": [float(low), float(high)]}
            findings.append(AuditFinding("middle_differs", "warns", names, text, (), values))
    return findings


def _sizes(names: tuple[str, str], left: Sequence[Traits], right: Sequence[Traits]) -> list[AuditFinding]:
    findings = []
    channels = [Counter(one.channels for one in side).most_common(1)[0][0] for side in (left, right) if side]
    if len(set(channels)) > 1:
        kinds = ["grey" if c == 1 else "colour" for c in channels]
        text = f"pictures of {names[0]} are {kinds[0]}, those of {names[1]} {kinds[1]}"
        findings.append(AuditFinding("channels_differ", "warns", names, text))
    common = [Counter((one.width, one.height) for one in side).most_common(1)[0] for side in (left, right) if side]
    steady = len(common) == 2 and all(
        count > 0.5 * len(side) for (_, count), side in zip(common, (left, right), strict=True)
    )
    if steady and common[0][0] != common[1][0]:
        (w0, h0), (w1, h1) = common[0][0], common[1][0]
        same_shape = abs(w0 / h0 - w1 / h1) < 0.02 * w0 / h0
        cause = "shrunk, or another camera" if same_shape else "cropped, or another camera or lens"
        text = f"most pictures of {names[0]} have {w0}x{h0} px, of {names[1]} {w1}x{h1} px: {cause}"
        findings.append(AuditFinding("size_differs", "warns", names, text, (), {"sizes": [[w0, h0], [w1, h1]]}))
    return findings


def _drawn(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return values[rng.integers(len(values), size=(_REPLICATES, len(values)))]


def _spread(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half the distance between the 10 % and the 90 % quantile of each row, as deviations of a normal distribution."""
    low, high = np.quantile(rows, [0.1, 0.9], axis=1)
    return np.asarray((high - low) / 2.563)


def _word(trait: str) -> str:
    return {"place_x": "place of the part across", "place_y": "place of the part down"}.get(trait, trait)


def _spread_text(trait: str, names: tuple[str, str], narrow: int, wide: int, own: list[float]) -> str:
    ratio = own[wide] / own[narrow]
    hint = {
        "place_x": "centred by hand?",
        "place_y": "centred by hand?",
        "brightness": "cleaned, or normalised?",
        "contrast": "cleaned, or normalised?",
        "sharpness": "only sharp pictures were kept?",
        "noise": "denoised, or of fewer days?",
    }[trait]
    return (
        f"{_word(trait)} varies {ratio:.1f} times less in {names[narrow]} ({own[narrow]:.3g}) than in {names[wide]} "
        f"({own[wide]:.3g}{_UNITS[trait]}): {hint}"
    )


def _cause(trait: str) -> str:
    return {
        "brightness": "exposure or lighting",
        "contrast": "lighting or lens",
        "sharpness": "focus, lens, or compression",
        "noise": "gain of the camera, or compression",
        "place_x": "the parts lie elsewhere",
        "place_y": "the parts lie elsewhere",
    }[trait]
