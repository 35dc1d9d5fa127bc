"""Items are taken from a source until there are enough of them."""

from __future__ import annotations

from edge.frames import Payload, Skip
from edge.sources.protocol import Source
from support.waits import until


def take(source: Source, count: int) -> list[Payload | Skip]:
    items: list[Payload | Skip] = []

    def reached() -> bool:
        item = source.read(0.01)
        if item is not None:
            items.append(item)
        return len(items) >= count

    until(reached)
    return items
