"""The meter: what each statistic says of a known change."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.config.sources import SyntheticConfig
from edge.drift.fit_template import fit_template
from edge.drift.meter import Meter, clipped_share
from edge.drift.statistics import INDEX
from edge.sources.synthetic.parts import synthetic_part

SIZE = 192


def frames(preset: str, count: int, first: int = 0) -> list[NDArray[np.uint8]]:
    config = SyntheticConfig(kind="synthetic", preset=preset, width=SIZE, height=SIZE, seed=3, defect_rate=0.0)
    return [synthetic_part(config, first + number).pixels for number in range(count)]


@pytest.fixture(scope="module")
def meter() -> Meter:
    return Meter(fit_template(frames("pinned", 12), 8))


@pytest.fixture(scope="module")
def frame() -> NDArray[np.uint8]:
    return frames("pinned", 1, 30)[0]


def change(meter: Meter, frame: NDArray[np.uint8], changed: NDArray[np.uint8], name: str) -> float:
    return float((meter.measure(changed) - meter.measure(frame))[INDEX[name]])


def test_parts_of_one_pose_are_registered(meter: Meter) -> None:
    assert meter.template.fixed
    assert 0.5 < meter.template.on_part.mean() < 0.9  # the plate, without the belt


def test_light_of_twenty_percent_less_is_its_logarithm(meter: Meter, frame: NDArray[np.uint8]) -> None:
    darker = np.rint(frame * 0.8).astype(np.uint8)
    assert change(meter, frame, darker, "log_gain") == pytest.approx(math.log(0.8), abs=0.005)
    assert change(meter, frame, darker, "offset") == pytest.approx(0, abs=0.5)
    assert change(meter, frame, darker, "edges_x") == pytest.approx(0, abs=0.02)


def test_stray_light_is_an_offset_in_grey_levels(meter: Meter, frame: NDArray[np.uint8]) -> None:
    assert change(meter, frame, frame + 12, "offset") == pytest.approx(12, abs=0.3)


def test_a_moved_part_is_moved_by_so_many_px(meter: Meter, frame: NDArray[np.uint8]) -> None:
    moved = np.roll(frame, (-3, 5), axis=(0, 1))
    assert change(meter, frame, moved, "shift_x") == pytest.approx(5, abs=0.15)
    assert change(meter, frame, moved, "shift_y") == pytest.approx(-3, abs=0.15)


def test_a_blur_lowers_the_edges_and_only_across_its_direction(meter: Meter, frame: NDArray[np.uint8]) -> None:
    blurred = cv2.blur(frame, (5, 1))
    assert change(meter, frame, blurred, "edges_x") < -0.3
    assert change(meter, frame, blurred, "edges_y") > -0.12


def test_more_noise_is_noise(meter: Meter, frame: NDArray[np.uint8]) -> None:
    noisy = np.clip(frame + np.random.default_rng(1).normal(0, 6, frame.shape), 0, 255).astype(np.uint8)
    # 3 grey levels became the square root of 3 squared and 6 squared
    assert change(meter, frame, noisy, "noise") == pytest.approx(math.log(math.sqrt(45) / 3), abs=0.1)


def test_defects_move_no_light_no_focus_and_no_place(meter: Meter, frame: NDArray[np.uint8]) -> None:
    bad = frame.copy()
    cv2.circle(bad, (60, 120), 9, 30, -1)
    cv2.line(bad, (100, 40), (150, 60), 220, 2)
    apart = meter.measure(bad) - meter.measure(frame)
    assert abs(apart[INDEX["log_gain"]]) < 0.01
    assert abs(apart[INDEX["shift_x"]]) < 0.1
    assert abs(apart[INDEX["edges_x"]]) < 0.05
    assert abs(apart[INDEX["noise"]]) < 0.05


def test_frames_of_more_bits_and_of_three_channels_say_the_same(meter: Meter, frame: NDArray[np.uint8]) -> None:
    plain = meter.measure(frame)
    deep = meter.measure((frame.astype(np.uint32) * 4095 // 255).astype(np.uint16), 12)
    colour = meter.measure(np.repeat(frame[:, :, None], 3, axis=2))
    assert np.abs(deep - plain).max() < 0.6  # the offset, by rounding
    assert np.abs(colour - plain).max() < 0.6


def test_clipped_pixels_are_counted_at_both_ends() -> None:
    picture = np.full((80, 80), 100, np.uint8)
    picture[:20], picture[70:] = 255, 0
    assert clipped_share(picture, 8) == pytest.approx((20 + 8) / 80, abs=0.05)
    assert clipped_share(picture.astype(np.uint16) * 4, 10) == pytest.approx(8 / 80, abs=0.05)


def test_a_texture_is_measured_without_a_place() -> None:
    rng = np.random.default_rng(0)
    textures = [
        np.clip(120 + 25 * cv2.GaussianBlur(rng.standard_normal((SIZE, SIZE)), (0, 0), 1.5) / 0.19, 0, 255).astype(np.uint8)
        for _ in range(10)
    ]
    own = Meter(fit_template(textures, 8))
    assert not own.template.fixed
    plain, darker = own.measure(textures[3]), own.measure(np.rint(textures[3] * 0.8).astype(np.uint8))
    assert (darker - plain)[INDEX["log_gain"]] == pytest.approx(math.log(0.8), abs=0.03)
    assert plain[INDEX["shift_x"]] == 0
