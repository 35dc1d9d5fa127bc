"""Features without weights answer to lines of their direction, and take a brighter lamp for a constant."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from edge.models.backbone.gabor import DIRECTIONS, gabor
from edge.models.backbone.gabor import filters as bank


def cells(frame: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(gabor(frame.shape[2]).SerializeToString())
    return session.run(["cells"], {"frame": frame[None]})[0][0]


def test_the_graph_passes_the_checker_and_has_a_value_for_each_cell_of_16_px() -> None:
    onnx.checker.check_model(gabor(1), full_check=True)
    onnx.checker.check_model(gabor(3), full_check=True)
    assert cells(np.zeros((40, 64, 1), np.uint8)).shape == (50, 2, 4)
    assert cells(np.zeros((40, 64, 3), np.uint8)).shape == (54, 2, 4)


def test_filters_have_no_mean_and_norm_1() -> None:
    found = bank()
    assert found.shape == (2 * DIRECTIONS, 1, 9, 9)
    np.testing.assert_allclose(found.sum(axis=(1, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose((found**2).sum(axis=(1, 2, 3)), 1, rtol=1e-6)


@pytest.mark.parametrize(("angle", "direction"), [(0, 0), (30, 1), (90, 3), (150, 5)])
def test_a_wave_answers_strongest_in_its_own_direction(angle: int, direction: int) -> None:
    y, x = np.mgrid[:64, :64]
    way = np.deg2rad(angle)
    wave = 128 + 60 * np.sin(2 * np.pi * (x * np.cos(way) + y * np.sin(way)) / 4)
    energies = cells(wave.astype(np.uint8)[:, :, None])[:DIRECTIONS, 1, 1]
    assert energies.argmax() == direction


def test_a_flat_picture_is_quiet_up_to_its_edge() -> None:
    energies = cells(np.full((64, 64, 1), 200, np.uint8))[:48]
    np.testing.assert_allclose(energies, np.log(2), atol=1e-3)


def test_twice_the_light_adds_the_same_to_every_strong_energy() -> None:
    texture = np.random.default_rng(0).integers(0, 120, (64, 64, 1)).astype(np.uint8)
    change = (cells(texture * 2) - cells(texture))[:12]
    np.testing.assert_allclose(change, np.log(2), atol=0.1)
