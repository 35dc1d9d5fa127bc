"""A course has each block once, oldest first, in columns; what a log holds besides is left out."""

from __future__ import annotations

from typing import Any

from edge.drift.statistics import NAMES
from edge.web.shift.course import MEANT, course


def block(ended_ns: int, **statistics: Any) -> dict[str, Any]:
    return {"begun_ns": ended_ns - 1, "ended_ns": ended_ns, "statistics": statistics}


def test_log_and_memory_together_have_each_block_once_and_in_order() -> None:
    kept = [block(3, noise=[0.3, -1, 1]), block(1, noise=[0.1, -1, 1])]
    heard = [block(2, noise=[0.2, -1, 1]), block(3, noise=[0.3, -1, 1])]
    told = course([*kept, *heard])
    assert (told["ended_ns"], told["every"]) == ([1, 2, 3], 1)
    (noise,) = told["statistics"]
    assert (noise["name"], noise["unit"], noise["median"], noise["high"]) == ("noise", "ln", [0.1, 0.2, 0.3], [1, 1, 1])


def test_a_long_course_is_thinned_and_keeps_the_newest_block() -> None:
    told = course([block(ns, noise=[0.0, -1, 1]) for ns in range(1, 11)], most=4)
    assert (told["ended_ns"], told["every"]) == ([1, 4, 7, 10], 3)


def test_what_is_no_block_is_left_out() -> None:
    wrong: list[Any] = [
        {},
        {"ended_ns": 1},
        {"ended_ns": "1", "statistics": {}},
        block(2, noise=[1]),
        block(3, noise="abc"),
    ]
    assert course(wrong) == {"ended_ns": [], "every": 1, "statistics": []}


def test_a_statistic_that_an_older_version_did_not_measure_has_no_value_there() -> None:
    (noise, _) = sorted(
        course([block(1, scale=[0, -1, 1]), block(2, scale=[0, -1, 1], noise=[0, -1, 1])])["statistics"],
        key=lambda statistic: str(statistic["name"]),
    )
    assert noise["median"] == [None, 0]


def test_every_statistic_says_what_it_means() -> None:
    assert set(MEANT) == set(NAMES)
