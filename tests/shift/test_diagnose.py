"""The first line: the cause with its size and what to do, or that nothing differs, or that too little is known."""

import numpy as np
import pytest

from edge.disturb.corruptions import CORRUPTIONS
from edge.drift.floors import FLOORS
from edge.drift.named import UNKNOWN, Named
from edge.drift.statistics import INDEX, NAMES
from edge.shift.advice import ADVICE
from edge.shift.diagnose import diagnose, headline, names_and_units, ranges_of, unchanged
from edge.shift.told_apart import Separability, effects

SAME = Separability(0.5, (0.4, 0.6), 0.0, 0.6, 1.0)
APART = Separability(0.99, (0.97, 1.0), 0.2, 0.001, 2.0)


def statistics(seed, count=30, **moved):
    values = np.random.default_rng(seed).normal(size=(count, len(NAMES))) * 5 * FLOORS
    for name, by in moved.items():
        values[:, INDEX[name]] += by
    return values


def compared(a, b):
    parts = ([f"a{n}" for n in range(len(a))], [f"b{n}" for n in range(len(b))])
    return effects(names_and_units(), FLOORS, a, b, parts)


class Told:
    """A library that names what it was made with."""

    def __init__(self, *causes):
        self.causes = causes

    def name(self, _change):
        return self.causes


GRADIENT = Named("gradient", "lighting", 18.0, "%", 0.5, "gradient 18 %")


def test_every_cause_has_an_advice():
    assert set(ADVICE) == {*CORRUPTIONS, UNKNOWN}


def test_a_cause_is_told_with_its_size_what_is_unchanged_and_what_to_do():
    a, b = statistics(0), statistics(1, tilt_x=0.09)
    found = compared(a, b)
    verdict, causes = diagnose(a, b, found, APART, lambda _sigma: Told(GRADIENT))
    assert verdict == "different"
    assert headline(verdict, causes, found, APART, 30) == (
        "lighting: gradient 18 % (like strength 0.36); focus, place, noise unchanged -> more even light, or edge adapt"
    )
    assert unchanged(found) == ["focus", "place", "noise"]


def test_where_nothing_moved_no_cause_is_learned():
    a, b = statistics(2), statistics(3)
    verdict, causes = diagnose(a, b, compared(a, b), SAME, lambda _sigma: pytest.fail("nothing to name"))
    assert (verdict, causes) == ("not different", ())
    assert headline(verdict, causes, compared(a, b), SAME, 30).startswith("not different (told apart with AUROC 0.50")


def test_embeddings_alone_that_differ_are_told_as_another_content():
    a, b = statistics(4), statistics(5)
    verdict, causes = diagnose(a, b, compared(a, b), APART, lambda _sigma: pytest.fail("nothing to name"))
    assert verdict == "different"
    assert "another product, material or background?" in headline(verdict, causes, compared(a, b), APART, 30)


def test_too_few_frames_make_no_claim():
    a, b = statistics(6), statistics(7, count=5, tilt_x=0.5)
    verdict, causes = diagnose(a, b, compared(a, b), None, lambda _sigma: pytest.fail("too few"))
    assert headline(verdict, causes, compared(a, b), None, 5) == (
        "too few frames for a claim: 5 in the smaller set, at least 8 are needed"
    )


def test_ranges_are_in_the_causes_own_units():
    a = statistics(8) * 0
    b = a.copy()
    b[:, INDEX["log_gain"]] = np.log(np.linspace(0.8, 0.9, 30))
    b[:, INDEX["tilt_x"]] = 0.1
    b[:, INDEX["rotation"]] = -0.5
    ranges = ranges_of(a, b, 2.0, None)
    assert ranges["brightness"] == {"p5": pytest.approx(-19.5, abs=0.1), "p95": pytest.approx(-10.5, abs=0.1), "unit": "%"}
    assert ranges["gradient"] == {"p5": 20.0, "p95": 20.0, "unit": "%"}
    assert ranges["rotation"] == {"p5": -0.5, "p95": -0.5, "unit": "deg"}
    assert set(ranges) <= set(CORRUPTIONS)
