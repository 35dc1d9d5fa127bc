"""Registration against poses that are known: parts drawn and warped here at twice the size, by none of the product's code.

Three parts of 512 x 512, grey, under poses and lights drawn up to the registration's limits, noise of 3 grey levels: the
errors that 95 % stay below, the pull of a dark defect over a twentieth of the picture, what passes of poses beyond the
limits, and the CPU time of a frame on one thread.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config.register_spec import RegisterSpec
from edge.preprocess.register import Registrar

SIDE, FINER = 512, 2
POSES = 60
"""Of each part."""
NOISE = 3.0


def measure(repeats: int, spread: Callable[[Sequence[float]], str]) -> dict[str, float]:
    """Errors in px, degrees and per cent; ms of CPU time."""
    cv2.setNumThreads(1)
    errors: list[tuple[float, ...]] = []
    pulls: list[float] = []
    times: list[float] = []
    outside = passed = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        part = drawn(seed)
        registrar = Registrar(shown(part, rng), RegisterSpec())
        for _ in range(POSES):
            pose = rng.uniform(-11, 11), rng.uniform(-11, 11), rng.uniform(-3, 3), rng.uniform(0.97, 1.03)
            picture = shown(part, rng, pose, gain=rng.uniform(0.8, 1.2), offset=rng.uniform(-10, 10))
            for _ in range(repeats):
                began = time.thread_time_ns()
                place = registrar.locate(picture)
                times.append((time.thread_time_ns() - began) / 1e6)
            shift = math.hypot(place.shift_px[0] - pose[0], place.shift_px[1] - pose[1])
            errors.append((shift, abs(place.rotation_deg - pose[2]), 100 * abs(place.scale - pose[3])))
            pulls.append(math.dist(registrar.locate(spoilt(picture, rng)).shift_px, place.shift_px))
            far = pose[0] + rng.choice([-45, 45]), pose[1], pose[2] + rng.choice([-9, 9]), pose[3]
            outside += 1
            passed += registrar.locate(shown(part, rng, far)).problem is None
    px, degrees, percent = np.quantile(errors, 0.95, axis=0)
    worst = np.max(errors, axis=0)
    print(f"95 % of {len(errors)} errors: {px:.3f} px, {degrees:.4f} degrees, {percent:.3f} % of scale")
    print(f"the worst: {worst[0]:.3f} px, {worst[1]:.4f} degrees, {worst[2]:.3f} %")
    print(f"a defect over a twentieth of the picture moves it by {max(pulls):.3f} px at most")
    print(f"{passed} of {outside} beyond the limits without a problem; {spread(times)} ms of CPU time")
    return {
        "shift_px": float(px),
        "rotation_deg": float(degrees),
        "scale_percent": float(percent),
        "pull_px": max(pulls),
        "passed_outside": float(passed),
        "ms": float(np.median(times)),
    }


def drawn(seed: int) -> NDArray[np.float32]:
    """A part of rectangles, rings and letters on a belt, blurred as a lens does, at ``FINER`` times the size."""
    rng = np.random.default_rng(1000 + seed)
    side = SIDE * FINER
    picture = np.full((side, side), 60, np.uint8)
    low, high = round(0.12 * side), round(0.88 * side)
    cv2.rectangle(picture, (low, low), (high, high), (150.0,), cv2.FILLED)
    for _ in range(12):
        x, y = (int(v) for v in rng.integers(low + 40, high - 80, 2))
        size, level = int(rng.integers(24, 110)), float(rng.uniform(70, 230))
        if rng.random() < 0.5:
            cv2.circle(picture, (x, y), size // 2, (level,), int(rng.choice([6, 12, cv2.FILLED])))
        else:
            cv2.rectangle(picture, (x, y), (x + size, y + size // 2), (level,), cv2.FILLED)
    for number in range(3):
        place = int(rng.integers(low, high - 200)), int(rng.integers(low + 60, high))
        cv2.putText(picture, f"P{number}{seed}7", place, cv2.FONT_HERSHEY_SIMPLEX, 3.0, (40.0,), 8)
    return np.asarray(cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.5 * FINER), np.float32)


def shown(
    part: NDArray[np.float32],
    rng: np.random.Generator,
    pose: tuple[float, float, float, float] = (0, 0, 0, 1),
    *,
    gain: float = 1.0,
    offset: float = 0.0,
) -> NDArray[np.uint8]:
    """The part moved by (x, y) px, turned clockwise by degrees and scaled about the picture's middle; uint8 (H, W, 1)."""
    x, y, turn_deg, scale = pose
    middle = (SIDE * FINER - 1) / 2
    a, b = scale * math.cos(math.radians(turn_deg)), scale * math.sin(math.radians(turn_deg))
    matrix = np.array(
        [[a, -b, middle + FINER * x - a * middle + b * middle], [b, a, middle + FINER * y - b * middle - a * middle]]
    )
    size = SIDE * FINER, SIDE * FINER
    warped = cv2.warpAffine(part, matrix, size, flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    small = warped.reshape(SIDE, FINER, SIDE, FINER).mean(axis=(1, 3))
    seen: Any = gain * small + offset + rng.normal(0, NOISE, small.shape)
    return np.clip(np.rint(seen), 0, 255).astype(np.uint8)[:, :, None]


def spoilt(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A copy with a dark square over a twentieth of it."""
    side = round(math.sqrt(0.05) * SIDE)
    x, y = (int(v) for v in rng.integers(SIDE // 8, SIDE - SIDE // 8 - side, 2))
    copy = picture.copy()
    copy[y : y + side, x : x + side] = 20
    return copy
