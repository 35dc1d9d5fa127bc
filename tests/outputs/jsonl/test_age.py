"""No log is deleted on the word of a clock that lies."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from edge.outputs.jsonl.age import DAY_S, TooOld, last_moment

NOW = 1_800_000_000.0


class Clocks:
    """Both clocks of a machine."""

    def __init__(self) -> None:
        self.wall, self.mono = NOW, 500.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.mono += seconds


def days(count: int, last: float = NOW) -> list[tuple[Path, float]]:
    """A file for each of the ``count`` days up to ``last``, the oldest first."""
    return [(Path(f"edge-cam1-{number}.jsonl"), last - (count - 1 - number) * DAY_S) for number in range(count)]


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def asked(clocks: Clocks, keep_days: int | None = 30) -> TooOld:
    return TooOld(keep_days, lambda: clocks.wall, lambda: clocks.mono)


@pytest.mark.parametrize("ahead", [40 * DAY_S, 3 * 365 * DAY_S])
def test_a_clock_that_is_ahead_at_the_start_deletes_nothing_for_an_hour_and_little_for_a_day(
    clocks: Clocks, ahead: float
) -> None:
    clocks.wall += ahead
    tidy, files = asked(clocks), days(20)
    for _ in range(59):
        assert tidy.of(files) == set()
        clocks.pass_by(60)
    gone: set[Path] = set()
    for _ in range(24):
        clocks.pass_by(3600)
        gone |= tidy.of(files)
    assert len(gone) <= 4


def test_a_step_while_it_runs_deletes_nothing_for_a_day_and_is_told(clocks: Clocks) -> None:
    tidy, files = asked(clocks), days(3)
    for _ in range(2 * 24):
        clocks.pass_by(3600)
        assert tidy.of(files) == set()
    with capture_logs() as told:
        clocks.wall += 40 * DAY_S
        assert tidy.of(files) == set()
        clocks.pass_by(25)
        clocks.wall -= 40 * DAY_S
        for _ in range(23):
            clocks.pass_by(3600)
            assert tidy.of(files) == set()
    assert [(entry["event"], entry["seconds"]) for entry in told] == [
        ("clock_stepped", 40 * DAY_S),
        ("clock_stepped", -40 * DAY_S),
    ]


def test_a_clock_that_is_steered_is_no_step(clocks: Clocks) -> None:
    tidy, files = asked(clocks), days(31)
    clocks.pass_by(3600)
    tidy.of(files)
    clocks.wall += 30
    clocks.pass_by(20 * 3600)
    assert tidy.of(files) == {files[0][0]}


def test_a_line_that_runs_day_and_night_keeps_its_days(clocks: Clocks) -> None:
    tidy, files = asked(clocks), days(30)
    for _ in range(90):
        clocks.pass_by(DAY_S)
        files.append((Path(f"edge-cam1-later-{clocks.wall:.0f}.jsonl"), clocks.wall))
        gone = tidy.of(files)
        files = [file for file in files if file[0] not in gone]
        assert 30 <= len(files) <= 32


def test_a_line_that_is_switched_off_each_night_keeps_them_too(clocks: Clocks) -> None:
    files = days(60)
    for _ in range(60):
        tidy = asked(clocks)
        tidy.of(files)
        clocks.pass_by(8 * 3600)
        files.append((Path(f"edge-cam1-later-{clocks.wall:.0f}.jsonl"), clocks.wall))
        gone = tidy.of(files)
        files = [file for file in files if file[0] not in gone]
        clocks.pass_by(16 * 3600)
    assert len(files) <= 61


def test_one_that_was_off_for_a_month_catches_up(clocks: Clocks) -> None:
    tidy, files = asked(clocks), days(30, NOW - 40 * DAY_S)
    left = []
    for _ in range(4):
        clocks.pass_by(5 * DAY_S)
        gone = tidy.of(files)
        files = [file for file in files if file[0] not in gone]
        left.append(len(files))
    assert left == [19, 9, 0, 0]


def test_without_a_limit_nothing_is_old(clocks: Clocks) -> None:
    tidy = asked(clocks, None)
    clocks.pass_by(1000 * DAY_S)
    assert tidy.of(days(10)) == set()
    assert asked(clocks).of([]) == set()


def test_a_file_is_no_older_than_its_name_says() -> None:
    path = Path("edge-cam1-20270115T080000Z-000000.jsonl.zst")
    assert last_moment(path, 5.0) == NOW
    assert last_moment(path, NOW + 7) == NOW + 7
    assert last_moment(Path("edge-cam1-20279999T080000Z-000000.jsonl"), 5.0) == 5.0
