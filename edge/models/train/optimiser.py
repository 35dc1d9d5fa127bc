"""What an optimiser keeps goes to a checkpoint and back, its step size falls along half a cosine, and the weights of many
steps are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

_KEPT = 0.995
"""Share of the average that stays in each step: it is over the last 200 steps or so.

The AUROC of single epochs' heads on the magnetic tiles goes up and down by 0.05 from one to the next, the average's not.
"""


def moments_of(optimiser: Any) -> dict[str, NDArray[Any]]:
    """Return what Adam keeps: of each weight the mean of its gradient and of its square, and the number of steps."""
    state = optimiser.state_dict()["state"]
    return {f"{k}.{name}": value.cpu().numpy().copy() for k, of in state.items() for name, value in of.items()}


def put_back(optimiser: Any, moments: Mapping[str, NDArray[Any]]) -> None:
    """Give the optimiser what ``moments_of`` gave."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, values in moments.items():
        number, _, what = name.partition(".")
        state.setdefault(int(number), {})[what] = torch.from_numpy(np.array(values))
    whole = optimiser.state_dict()
    optimiser.load_state_dict({"state": state, "param_groups": whole["param_groups"]})


def cosine(optimiser: Any, rate: float, progress: float) -> None:
    """Set the step size: ``rate`` at the beginning of the training, 0 at its end, where ``progress`` is 1."""
    for group in optimiser.param_groups:
        group["lr"] = rate * 0.5 * (1 + np.cos(np.pi * progress))


def follow_weights(average: Any, module: Any, step: int) -> None:
    """Move the weights of ``average`` towards those of ``module``; ``step`` counts from 0, and early ones count more."""
    kept = min(_KEPT, (1 + step) / (10 + step))
    with torch.no_grad():
        for name, values in average.state_dict().items():
            values.lerp_(module.state_dict()[name], 1 - kept)
