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
from edge.drift.statistics import INDEX
from edge.drift.stored import DamagedBaselineError, baseline_bytes, baseline_of
from edge.errors import UserError


@pytest.fixture(scope="module")
def made() -> tuple[Baseline, Meter, list[np.ndarray]]:
    return small_baseline(rows=1000)


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


@pytest.mark.parametrize(
    ("causes", "sizes"),
    [
        (("defocus", "scale"), (1.8, 2.4)),
        (("shift", "brightness"), (7, -30)),
        (("shift", "rotation"), (7, 2.0)),  # of one group, and yet two things to mend
    ],
)
def test_two_causes_are_both_named_with_their_sizes(
    made: tuple[Baseline, Meter, list[np.ndarray]], causes: tuple[str, str], sizes: tuple[float, float]
) -> None:
    baseline, meter, frames = made
    reference = baseline.reference()
    (first, second), (large, small) = causes, sizes
    values = [
        meter.measure(disturbed(second, disturbed(first, frame, large, 7, number), small, 7, number))
        for number, frame in enumerate(frames[5:25])
    ]
    found = Library(baseline.signatures, reference.jitter).name(reference.frame_z(np.median(values, axis=0)))
    assert {cause.cause for cause in found} == set(causes)
    told = {cause.cause: cause.size for cause in found}
    for cause, size in zip(causes, sizes, strict=True):
        assert told[cause] is not None
        assert 1 / 1.6 < told[cause] / size < 1.6


def test_a_change_is_unknown_beyond_what_almost_all_signatures_lie_within_of_each_other(
    made: tuple[Baseline, Meter, list[np.ndarray]],
) -> None:
    library = Library(made[0].signatures, made[0].reference().jitter)
    points = library.signatures.rows.astype(float)
    apart = []
    for number, row in enumerate(points):
        distance = library.distance(row)
        distance[number] = np.inf
        apart.append(distance[library.signatures.cause == library.signatures.cause[number]].min())
    assert np.mean(np.array(apart) <= library.far) == pytest.approx(29 / 30, abs=0.002)


def test_a_change_between_two_signatures_of_a_cause_is_that_cause_though_three_of_another_lie_nearer() -> None:
    blur, noise = INDEX["edges_x"], INDEX["noise"]
    rows, near = np.zeros((12, 19), np.float32), 0.1 * np.arange(4)
    rows[:4, blur], rows[4:8, blur] = -2 - near, -30 - near  # one cause, weak and strong, and nothing learned between
    rows[8:, blur], rows[8:, noise] = -9 - near, 3
    causes = np.repeat(np.array([0, 0, 1], np.int16), 4)
    library = Library(Signatures(("defocus", "jpeg"), rows, causes, np.repeat(np.float32([1, 9, 3]), 4)), 0.5)
    change = np.zeros(19)
    change[[blur, noise]] = -9, 0.5
    nearest = np.argsort(library.distance(change))[:3]
    assert {library.signatures.causes[library.signatures.cause[row]] for row in nearest} == {"jpeg"}
    assert library.name(change)[0].cause == "defocus"


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
