"""Outbox: a slow browser gets every reply and the last of every kind, and what waits for it stays few."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from edge.web.tuning.outbox import MOST_WAITING, Outbox


def taken(*heads: dict[str, Any]) -> list[dict[str, Any]]:
    """What a browser gets that takes nothing before all of these have come."""

    async def all_of_them() -> list[dict[str, Any]]:
        outbox, got = Outbox(), []
        for head in heads:
            outbox.put(head, orjson.dumps(head))
        outbox.put({"op": "died"}, b"")
        while message := await outbox.take():
            got.append(orjson.loads(message))
        return got

    return asyncio.run(all_of_them())


def verdicts(left: int, **more: Any) -> dict[str, Any]:
    return {"op": "verdicts", "left": left, **more}


def test_the_oldest_of_a_kind_gives_way_and_the_last_one_arrives() -> None:
    got = taken(*map(verdicts, range(99, -1, -1)))
    assert [head["left"] for head in got] == list(range(MOST_WAITING - 1, -1, -1))


def test_no_reply_to_a_change_gives_way() -> None:
    looks = [{"op": "look", "n": n, "view": 0} for n in range(1, 60)]
    refused = {"op": "judge", "n": 60, "error": {"what": "open_px"}}
    got = taken(*map(verdicts, range(40)), *looks, refused, {"op": "look", "n": None, "view": 1})
    assert [head["n"] for head in got if head.get("n")] == list(range(1, 61))
    assert got[-1] == {"op": "look", "n": None, "view": 1}


def test_what_follows_a_change_gives_way_to_its_like_alone() -> None:
    funnel = {"op": "funnel", "n": 1, "view": 0}
    got = taken(funnel, *(verdicts(left, n=1) for left in range(50, 0, -1)), verdicts(0))
    assert got[0] == funnel
    assert len(got) == MOST_WAITING
    assert got[-1] == verdicts(0)


def test_messages_that_come_one_by_one_are_taken_in_their_order() -> None:
    async def both() -> list[bytes]:
        outbox, got = Outbox(), []
        for number in range(3):
            taking = asyncio.create_task(outbox.take())
            await asyncio.sleep(0)
            outbox.put(verdicts(number), str(number).encode())
            got.append(await taking)
        return got

    assert asyncio.run(both()) == [b"0", b"1", b"2"]
