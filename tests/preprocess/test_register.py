"""A registered frame lies where the reference lies, and what lies elsewhere is never taken for it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from edge.config.register_spec import RegisterLimits, RegisterSpec
from edge.preprocess.lucas_kanade import Level
from edge.preprocess.register import Registrar
from edge.sources.synthetic.posed import PosedScene

SIDE = 256


@pytest.fixture(scope="module")
def scene() -> PosedScene:
    return PosedScene(5, 3, SIDE, SIDE)


def shown(
    scene: PosedScene,
    *,
    shift: tuple[float, float] = (0, 0),
    turn_deg: float = 0,
    scale: float = 1,
    gain: float = 1,
    offset: float = 0,
    slope: float = 0,
    seed: int = 0,
) -> Any:
    """The plate as a camera shows it, noise of 3 grey levels; uint8 (H, W, 1)."""
    c, turn = (SIDE - 1) / 2, math.radians(turn_deg)
    a, b = scale * math.cos(turn), scale * math.sin(turn)
    matrix = np.array([[a, -b, c + shift[0] - a * c + b * c], [b, a, c + shift[1] - b * c - a * c]])
    light = gain + slope * (np.arange(SIDE) - c) / (SIDE / 2)
    pixels = scene._warped(scene._template, matrix) * light.astype(np.float32) + offset
    noise = np.random.default_rng(seed).normal(0, 3, pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)[:, :, None]


def test_place_and_light_are_what_they_are_within_the_limits(scene: PosedScene) -> None:
    """95 % of the errors: at most 0.05 px, 0.02 degrees, 0.1 % of scale, over poses up to the limits."""
    registrar = Registrar(shown(scene, seed=99), RegisterSpec())
    rng = np.random.default_rng(1)
    errors = []
    for k in range(60):
        turn, scale = rng.uniform(-3, 3), rng.uniform(0.97, 1.03)
        shift = rng.uniform(-11, 11, 2)
        gain, offset, slope = rng.uniform(0.8, 1.2), rng.uniform(-10, 10), rng.uniform(-0.08, 0.08)
        picture = shown(
            scene, shift=tuple(shift), turn_deg=turn, scale=scale, gain=gain, offset=offset, slope=slope, seed=k
        )
        place = registrar.locate(picture)
        assert place.problem is None or "light" not in place.problem
        errors.append(
            (
                math.hypot(*(np.array(place.shift_px) - shift)),
                abs(place.rotation_deg - turn),
                abs(place.scale - scale),
                abs(place.light[0] - gain),
            )
        )
    px, degrees, size, light = np.quantile(errors, 0.95, axis=0)
    assert px <= 0.05
    assert degrees <= 0.02
    assert size <= 0.001
    assert light <= 0.02


def test_points_are_read_between_pixels_and_those_outside_the_picture_are_known() -> None:
    """Against the plain formula, for places inside, on the last pixels and far outside."""
    rng = np.random.default_rng(3)
    picture = rng.integers(0, 256, (96, 128)).astype(np.float32)
    level = Level(picture, (512, 384), 8)
    for place in ((1 + 0j, 0j), (1.02 + 0.03j, 9 - 5j), (0.9 - 0.2j, 70 + 80j), (1 + 0j, 900 + 0j)):
        read, inside = level._sampled(picture, place)
        at = place[0] * (level._places[0] + 1j * level._places[1]) + place[1]
        x, y = (at.real + 256) / 4 - 0.5, (at.imag + 192) / 4 - 0.5
        seen = (x >= 0) & (x <= 126.999) & (y >= 0) & (y <= 94.999)
        clear = np.maximum(abs(x - np.clip(x, 0, 126.999)), abs(y - np.clip(y, 0, 94.999))) > 1e-3
        assert inside[seen].sum() >= 0.99 * seen.sum()
        assert not inside[clear].any()
        x, y = np.clip(x, 0, 126.999), np.clip(y, 0, 94.999)
        i, j = np.floor(x).astype(int), np.floor(y).astype(int)
        u, v = x - i, y - j
        rows = [(1 - u) * picture[j + k, i] + u * picture[j + k, i + 1] for k in (0, 1)]
        assert np.abs((1 - v) * rows[0] + v * rows[1] - read).max() < 0.02


@pytest.mark.parametrize("kind", ["black", "half as bright", "moved texture"])
def test_a_defect_over_a_twentieth_of_the_part_moves_it_by_less_than_a_tenth_of_a_px(scene: PosedScene, kind: str) -> None:
    registrar = Registrar(shown(scene, seed=99), RegisterSpec())
    rng = np.random.default_rng(2)
    side = round(math.sqrt(0.05) * 0.84 * SIDE)
    for k in range(12):
        picture = shown(scene, shift=(2.3, -1.1), turn_deg=0.4, seed=k)
        clean = registrar.locate(picture)
        x, y = rng.integers(30, SIDE - 30 - side, 2)
        part = picture[y : y + side, x : x + side]
        moved = picture[y - 9 : y - 9 + side, x + 7 : x + 7 + side].copy()
        part[...] = {"black": 0, "half as bright": part // 2, "moved texture": moved}[kind]
        assert math.dist(registrar.locate(picture).shift_px, clean.shift_px) <= 0.1


@pytest.mark.parametrize(
    ("pose", "text"),
    [
        ({"shift": (25, 0)}, "the part lies 25.0 px from its place, expected at most 16"),
        ({"turn_deg": 7}, "the part is turned by 7.0 degrees, expected at most 3"),
        ({"scale": 1.08}, "the part is 8.0% larger, expected at most 3.0%"),
        ({"scale": 0.93}, "the part is 7.0% smaller, expected at most 3.0%"),
        ({"gain": 0.3, "offset": 60}, "the light is 0.30 to 0.30 times the reference's, expected 0.4 to 2.5"),
    ],
)
def test_beyond_each_limit_the_problem_is_named(scene: PosedScene, pose: Any, text: str) -> None:
    registrar = Registrar(shown(scene, seed=99), RegisterSpec())
    assert registrar.locate(shown(scene, **pose)).problem == text


@pytest.mark.parametrize("turn_deg", [12, 25, 45, 60, 135])
@pytest.mark.parametrize("shift", [(0, 0), (40, 25)])
def test_far_outside_nothing_is_within_the_limits(scene: PosedScene, turn_deg: float, shift: Any) -> None:
    registrar = Registrar(shown(scene, seed=99), RegisterSpec())
    place = registrar.locate(shown(scene, turn_deg=turn_deg, shift=shift))
    assert place.problem is not None


def test_a_frame_without_the_part_is_a_problem(scene: PosedScene) -> None:
    registrar = Registrar(shown(scene, seed=99), RegisterSpec())
    rng = np.random.default_rng(3)
    belt = np.clip(rng.normal(50, 3, (SIDE, SIDE, 1)), 0, 255).astype(np.uint8)
    for picture in (belt, np.full((SIDE, SIDE, 1), 128, np.uint8), rng.integers(0, 256, (SIDE, SIDE, 1), np.uint8)):
        assert "the picture agrees with the reference by 0.0" in str(registrar.locate(picture).problem)


def test_the_registered_picture_is_the_reference_in_place_and_light(scene: PosedScene) -> None:
    reference = shown(scene, seed=99)
    registrar = Registrar(reference, RegisterSpec())
    picture = shown(scene, shift=(6, -4), turn_deg=1, gain=0.85, slope=0.06)
    place = registrar.locate(picture)
    out = registrar.apply(picture, place, np.empty_like(picture))
    inside = (slice(16, -16), slice(16, -16))
    difference = out[inside].astype(float) - reference[inside]
    assert abs(difference.mean()) < 0.1
    assert difference.std() < 6.5, "noise of both pictures and interpolation, no edges"


def test_what_the_picture_does_not_reach_is_the_references_own(scene: PosedScene) -> None:
    reference = shown(scene, seed=99)
    registrar = Registrar(reference, RegisterSpec())
    picture = shown(scene, shift=(0, -6))
    out = registrar.apply(picture, registrar.locate(picture), np.empty_like(picture))
    assert np.array_equal(out[:5], reference[:5])
    assert not np.array_equal(out[8], reference[8])


@pytest.mark.parametrize("scale", [1, 4])
def test_a_map_goes_back_to_where_things_lie_in_the_picture(scene: PosedScene, scale: int) -> None:
    registrar = Registrar(shown(scene, seed=99), RegisterSpec())
    place = registrar.locate(shown(scene, shift=(8, -4), turn_deg=2))
    values = np.zeros((SIDE // scale, SIDE // scale), np.float32)
    values[40 // scale : 48 // scale, 160 // scale : 168 // scale] = 1
    back = registrar.to_picture(values, place, (scale, scale, 0, 0))
    ys, xs = np.mgrid[0 : SIDE // scale, 0 : SIDE // scale]
    centre = np.array([(back * v).sum() / back.sum() * scale + (scale - 1) / 2 for v in (xs, ys)])
    expected = place.matrix @ [163.5, 43.5, 1]
    assert np.abs(centre - expected).max() < 0.1


def test_a_map_that_is_not_finite_anywhere_is_so_everywhere(scene: PosedScene) -> None:
    """The place that is not finite might lie outside the picture, and the frame would pass."""
    registrar = Registrar(shown(scene, seed=99), RegisterSpec())
    place = registrar.locate(shown(scene))
    values = np.zeros((SIDE, SIDE), np.float32)
    values[0, 0] = np.inf
    assert np.isnan(registrar.to_picture(values, place, (1, 1, 0, 0))).all()


def test_a_map_in_units_of_noise_is_scaled_by_the_light(scene: PosedScene) -> None:
    spec = RegisterSpec(map_times_gain=True)
    registrar = Registrar(shown(scene, seed=99), spec)
    place = registrar.locate(shown(scene, gain=0.8))
    back = registrar.to_picture(np.ones((SIDE, SIDE), np.float32), place, (1, 1, 0, 0))
    assert np.allclose(back, place.light[0])
    assert place.light[0] == pytest.approx(0.8, abs=0.01)


def test_the_fourth_map_overwrites_the_first(scene: PosedScene) -> None:
    registrar = Registrar(shown(scene, seed=99), RegisterSpec())
    place = registrar.locate(shown(scene))
    maps = [registrar.to_picture(np.full((SIDE, SIDE), k, np.float32), place, (1, 1, 0, 0)) for k in range(5)]
    assert [m[9, 9] for m in maps[1:]] == pytest.approx([1, 2, 3, 4])
    assert maps[0] is maps[4]


def test_colour_is_registered_by_its_grey(scene: PosedScene) -> None:
    grey = shown(scene, seed=99)
    registrar = Registrar(np.repeat(grey, 3, axis=2), RegisterSpec())
    picture = shown(scene, shift=(3, 2))
    place = registrar.locate(np.repeat(picture, 3, axis=2))
    alone = Registrar(grey, RegisterSpec()).locate(picture)
    assert math.dist(place.shift_px, alone.shift_px) < 1e-6


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match=r"gain must rise, not go from 2 to 1"):
        RegisterLimits(gain=(2.0, 1.0))
    with pytest.raises(ValueError, match="unknowns must be shift, rotation, scale, gain, offset, slope"):
        RegisterSpec(unknowns=("shift",))
