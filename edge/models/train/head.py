"""The head that learns: three ordinary convolutions on the frozen backbone's features, and its weights as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.models.train.head_weights import HeadWeights


class DefectHead(nn.Module):  # type: ignore[misc]  # PyTorch may be missing where types are checked
    """A place's features, then its neighbours', then one number: how much the place looks like a defect, as a logit."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, hidden, 1)
        self.see = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.say = nn.Conv2d(hidden, 1, 1)

    def forward(self, features: Tensor, valid: Tensor) -> Tensor:
        """Return logits (n, 1, h, w) of standardised ``features`` (n, width, h, w); ``valid`` is 0 outside a picture."""
        logits: Tensor = self.say(self.hidden(features, valid))
        return logits

    def hidden(self, features: Tensor, valid: Tensor) -> Tensor:
        """Return the last features (n, hidden, h, w), by which logits are said."""
        mixed = torch.relu(self.mix(features)) * valid  # beyond the edge is 0, as the graph's own padding is
        return torch.relu(self.see(mixed))


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures of different sizes lie in one tensor each, (n, c, h, w); ``valid`` is 1 where they are."""

    features: Tensor
    targets: Tensor
    valid: Tensor


def weights_of(head: DefectHead, mean: NDArray[np.float32], deviation: NDArray[np.float32]) -> HeadWeights:
    """The head's weights as arrays that belong to the caller."""
    arrays = {name: values.detach().numpy().copy() for name, values in head.state_dict().items()}
    return HeadWeights(arrays, mean, deviation)


def load(head: DefectHead, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Put arrays back into the head."""
    head.load_state_dict({name: torch.from_numpy(np.array(arrays[name])) for name in head.state_dict()})
