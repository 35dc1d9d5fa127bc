"""Signatures: changes that other code made are named, with their size; what is like nothing is unknown."""

from __future__ import annotations

import numpy as np
import pytest
from support.baselines import small_baseline
from support.other_corruptions import disturbed

from edge.disturb.corruptions import CORRUPTIONS
from edge.drift.baseline import Baseline, BaselineKey, check_baseline
from edge.drift.meter import Meter
from edge.drift.named import Named
from edge.drift.signatures import Library, Signatures
from edge.drift.stored import DamagedBaselineError, baseline_bytes, baseline_of
from edge.errors import UserError


@pytest.fixture(scope="module")
def made() -> tuple[Baseline, Meter, list[np.ndarray]]:
    return small_baseline(rows=640)


def named(made: tuple[Baseline, Meter, list[np.ndarray]], cause: str, size: float, library: Library | None = None) -> Named:
    baseline, meter, frames = made
    reference = baseline.reference()
    library = library or Library(baseline.signatures, reference.jitter)
    values = [meter.measure(disturbed(cause, frame, size, 7, number)) for number, frame in enumerate(frames[5:25])]
    return library.name(reference.frame_z(np.median(values, axis=0)))[0]


@pytest.mark.parametrize(
    ("cause", "size"),
    [("brightness", -25), ("contrast", 25), ("defocus", 1.2), ("noise", 3.2), ("scale", 2.8)],
)
def test_what_other_code_did_is_named_with_its_size(
    made: tuple[Baseline, Meter, list[np.ndarray]], cause: str, size: float
) -> None:
    found = named(made, cause, size)
    assert (found.cause, found.group) == (cause, CORRUPTIONS[cause].group)
    assert found.size is not None
    assert 1 / 1.5 < found.size / size < 1.5
    assert found.words == CORRUPTIONS[cause].words(found.size)


def test_a_cause_that_the_library_lacks_is_unknown(made: tuple[Baseline, Meter, list[np.ndarray]]) -> None:
    signatures = made[0].signatures.without(["scale"])
    found = named(made, "scale", 2.8, Library(signatures, made[0].reference().jitter))
    assert (found.cause, found.group, found.size, found.unit) == ("unknown", "unknown", None, "")
    assert found.words == "changed in a way that is like none of the known causes"


def test_two_causes_of_different_groups_are_both_named(made: tuple[Baseline, Meter, list[np.ndarray]]) -> None:
    baseline, meter, frames = made
    reference = baseline.reference()
    values = [
        meter.measure(disturbed("scale", disturbed("defocus", frame, 1.8, 7, number), 2.4, 7, number))
        for number, frame in enumerate(frames[5:25])
    ]
    found = Library(baseline.signatures, reference.jitter).name(reference.frame_z(np.median(values, axis=0)))
    assert {cause.cause for cause in found} == {"defocus", "scale"}


def test_an_empty_library_names_nothing() -> None:
    none = Signatures((), np.empty((0, 19), np.float32), np.empty(0, np.int16), np.empty(0, np.float32))
    assert Library(none).name(np.ones(19))[0].cause == "unknown"


def test_a_baseline_is_the_same_after_its_bytes(made: tuple[Baseline, Meter, list[np.ndarray]]) -> None:
    baseline = made[0]
    data = baseline_bytes(baseline)
    again = baseline_of(data, baseline.key)
    assert baseline_bytes(again) == data
    assert again.template.size == (96, 96)
    assert again.signatures.causes == baseline.signatures.causes
    assert (again.series[0] == baseline.series[0]).all()


@pytest.mark.parametrize("damage", [lambda data: data[:-400], lambda data: b"no file", lambda data: b""])
def test_damaged_bytes_are_no_baseline(made: tuple[Baseline, Meter, list[np.ndarray]], damage: object) -> None:
    with pytest.raises(DamagedBaselineError):
        baseline_of(damage(baseline_bytes(made[0])), made[0].key)  # type: ignore[operator]


def test_a_baseline_of_another_model_recipe_or_size_is_refused_with_both_named() -> None:
    key = BaselineKey("a" * 64, "tile-40", (512, 512))
    check_baseline(key, key, "cam1.calibration.yaml")
    with pytest.raises(UserError) as error:
        check_baseline(key, BaselineKey("c" * 64, "tile-41", (640, 512)), "cam1.calibration.yaml")
    assert str(error.value).splitlines() == [
        "cam1.calibration.yaml: the drift reference was made with another model, recipe_id, frame size",
        "  received: model: SHA-256 cccccccccccc...; recipe_id: tile-41; frame size: 640x512",
        "  expected: model: SHA-256 aaaaaaaaaaaa...; recipe_id: tile-40; frame size: 512x512",
        "  fix: run edge calibrate --drift again, or undo the change",
    ]
