"""Which epoch's weights are kept, and when a training ends, without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.models.train.checkpoint import TrainingState
from edge.models.train.epochs import EpochLimits, Learned, run_epochs


class Scripted:
    """Its weights are the number of the epoch; validation says what stands in the script."""

    def __init__(self, script: Sequence[tuple[float, float | None]]) -> None:
        self._script, self._done = script, 0

    def epoch(self, number: int) -> float:
        self._done = number + 1
        return 1.0

    def validate(self) -> tuple[float, float | None, float | None]:
        loss, auroc = self._script[self._done - 1]
        return loss, auroc, None

    def arrays(self) -> dict[str, Any]:
        return {"epoch": np.array(self._done)}

    def moments(self) -> dict[str, Any]:
        return {}

    def restore(self, kept: TrainingState) -> None:
        self._done = int(kept.weights["epoch"])


def run(folder: Path, script: Sequence[tuple[float, float | None]], limits: EpochLimits, **more: Any) -> Learned[Any]:
    return run_epochs(Scripted(script), limits, folder, "k", **more)


WORSE = [(1.0 + k, 0.9 - 0.01 * k) for k in range(10)]
RANKED = [(1.0 + k, 0.5 + 0.01 * k) for k in range(10)]


@pytest.mark.parametrize(
    ("script", "settles", "epochs", "kept"),
    [
        (WORSE, False, 4, 1),
        (WORSE, True, 4, 1),  # an early end: the step size hasn't come down yet
        (RANKED, False, 4, 1),  # what is ranked doesn't prolong a training that keeps the lowest loss
        (RANKED, True, 10, 10),
        ([(1.0, None)] * 2 + [(0.5, None)] + [(0.7, None)] * 2, False, 5, 3),
        ([(1.0, None)] * 2 + [(0.5, None)] + [(0.7, None)] * 2, True, 5, 5),  # to its end: the last one's
    ],
)
def test_the_weights_that_are_kept(
    script: list[tuple[float, float | None]], settles: bool, epochs: int, kept: int, tmp_path: Path
) -> None:
    limits = EpochLimits(len(script), 3, settles=settles)
    found = run(tmp_path, script, limits)
    assert len(found.history) == epochs
    assert int(found.weights["epoch"]) == kept
    assert [epoch.number for epoch in found.history if epoch.kept][-1] == kept
    stopped = f"nothing was gained in 3 epochs: kept the weights of epoch {kept}"
    assert found.stopped == (stopped if epochs < len(script) else None)
    again = run(tmp_path, script, limits, resume=True)
    assert int(again.weights["epoch"]) == kept
    assert again.history == found.history
