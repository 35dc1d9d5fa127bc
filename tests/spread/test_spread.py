"""Spread work gives the same bytes for any number of workers, whatever happens to one of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import spread_tasks
from support.spread_tasks import Count, Logs

from edge.errors import UserError
from edge.spread import LostFrame, shards_of, spread


def test_shards_cover_every_frame_once_and_know_nothing_of_workers() -> None:
    shards = shards_of(600)
    assert [(s.start, s.stop) for s in shards] == [(0, 256), (256, 512), (512, 600)]
    assert shards_of(0) == []


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_same_results_in_order(workers: int) -> None:
    spread_tasks.results_are_those_of_one_process_in_order(workers=workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_taken_in_order_and_let_go_of(workers: int, tmp_path: Path) -> None:
    shards = shards_of(50, 8)
    taken: list[bytes] = []
    for _ in range(2):  # the second time they come from what was kept
        result = spread(Count(), shards, workers=workers, kept_in=tmp_path, taken=taken.append)
        assert result.results == ()
    assert taken == 2 * [str(sum(range(s.start, s.stop))).encode() for s in shards]


def test_a_killed_workers_shard_is_worked_on_once_more(tmp_path: Path) -> None:
    spread_tasks.a_killed_workers_shard_is_worked_on_once_more(tmp_path / "died", workers=2)


def test_a_frame_that_kills_two_workers_is_named_and_the_rest_goes_on() -> None:
    lost = spread_tasks.a_frame_that_kills_two_workers_is_named_and_the_rest_goes_on(workers=2)
    assert lost == (LostFrame(19, "part_19.png", "SIGKILL"),)


def test_what_the_task_tells_a_person_arrives_as_it_was_said() -> None:
    spread_tasks.what_the_task_tells_a_person_arrives_as_it_was_said(workers=2)


def test_a_run_that_is_resumed_does_only_what_is_missing(tmp_path: Path) -> None:
    shards, log, kept = shards_of(40, 8), tmp_path / "log", tmp_path / "parts"
    with pytest.raises(UserError):
        spread(Count(bad=30, log=log), shards, kept_in=kept, key="a")
    assert log.read_text().split() == ["0", "1", "2"]
    again = spread(Count(log=log), shards, kept_in=kept, key="a")
    assert log.read_text().split() == ["0", "1", "2", "3", "4"]
    assert again.results == spread(Count(), shards).results
    spread(Count(log=log), shards, kept_in=kept, key="b")
    assert len(log.read_text().split()) == 10, "another key's results are not taken"


def test_a_shard_that_lost_a_frame_is_not_kept(tmp_path: Path) -> None:
    shards = shards_of(16, 8)
    assert spread(Count(poison=3), shards, workers=2, kept_in=tmp_path, key="a").lost
    assert spread(Count(), shards, kept_in=tmp_path, key="a").results == spread(Count(), shards).results


def test_no_worker_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        spread(Count(), shards_of(8), workers=0)
    assert str(caught.value) == "--workers\n  received: 0\n  expected: a number from 1 up"


def test_a_workers_log_is_no_part_of_the_commands_output(capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output is the result's, a JSON object perhaps."""
    spread(Logs(), shards_of(8, 4), workers=2)
    told = capfd.readouterr()
    assert told.out == ""
    assert "picture_unreadable" in told.err
    assert "engine_opened" not in told.err
