"""Spread work is tested by the same checks on processes and on a cluster; ``where`` says which, as ``spread`` takes it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from edge.errors import UserError
from edge.spread import LostFrame, Progress, Shard, shards_of, spread
from edge.spread.shards import At


@dataclass(frozen=True)
class Count:
    """Sums the frames' numbers; ``poison`` kills its process, ``once`` only while the file isn't there yet."""

    poison: int | None = None
    once: Path | None = None
    bad: int | None = None
    log: Path | None = None

    def __call__(self, shard: Shard, at: At) -> bytes:
        total = 0
        for index in range(shard.start, shard.stop):
            if index in shard.skip:
                continue
            at(index, f"part_{index}.png")
            if index == self.bad:
                raise UserError(f"part_{index}.png: too dark")
            if index == self.poison and (self.once is None or not self.once.exists()):
                if self.once is not None:
                    self.once.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            total += index
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{shard.index}\n")
        return str(total).encode()


def results_are_those_of_one_process_in_order(**where: Any) -> None:
    shards = shards_of(50, 8)
    seen: list[Progress] = []
    result = spread(Count(), shards, progress=seen.append, **where)
    assert result.results == tuple(str(sum(range(s.start, s.stop))).encode() for s in shards)
    assert (result.lost, result.retries) == ((), 0)
    assert seen[-1].frames == seen[-1].total == 50


def a_killed_workers_shard_is_worked_on_once_more(died: Path, **where: Any) -> None:
    shards = shards_of(40, 8)
    result = spread(Count(poison=19, once=died), shards, **where)
    assert result.results == spread(Count(), shards).results
    assert (result.lost, result.retries) == ((), 1)


def a_frame_that_kills_two_workers_is_named_and_the_rest_goes_on(**where: Any) -> tuple[LostFrame, ...]:
    shards = shards_of(40, 8)
    result = spread(Count(poison=19), shards, **where)
    assert [(lost.index, lost.name) for lost in result.lost] == [(19, "part_19.png")]
    whole = [sum(range(s.start, s.stop)) for s in shards]
    whole[2] -= 19
    assert result.results == tuple(str(total).encode() for total in whole)
    return result.lost


def what_the_task_tells_a_person_arrives_as_it_was_said(**where: Any) -> None:
    with pytest.raises(UserError) as caught:
        spread(Count(bad=30), shards_of(40, 8), **where)
    assert str(caught.value) == "part_30.png: too dark"


@dataclass(frozen=True)
class Logs:
    """Logs a line of each level, as an engine does when it is opened."""

    def __call__(self, shard: Shard, at: At) -> bytes:
        for index in range(shard.start, shard.stop):
            at(index, f"part_{index}.png")
        log = structlog.get_logger()
        log.info("engine_opened", engine="onnx")
        log.warning("picture_unreadable", file="part_0.png")
        return b""
