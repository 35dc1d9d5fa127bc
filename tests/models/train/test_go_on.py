"""What a training can take over from the bundle that it goes on from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edge.models.fit.fit import STATISTICS
from edge.models.train.go_on import MADE_BY, lost_to_adapt
from edge.models.train.head_weights import HEAD
from edge.models.train.network_weights import NETWORK


@pytest.mark.parametrize(
    ("trained", "files", "lost"),
    [
        (False, [], ()),  # of another method: refused elsewhere
        (True, [STATISTICS, HEAD], ()),
        (True, [STATISTICS, NETWORK], ()),
        (True, [NETWORK], ("memory",)),
        (True, [], ("memory", "head")),
    ],
)
def test_what_an_answer_that_changed_the_graph_took_along(trained: bool, files: list[str], lost: tuple[str, ...]) -> None:
    spec = SimpleNamespace(provenance={MADE_BY: {}} if trained else {}, files=dict.fromkeys(files, ""))
    base: Any = SimpleNamespace(spec=spec)
    assert lost_to_adapt(base) == lost
