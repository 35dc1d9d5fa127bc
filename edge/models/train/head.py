"""The head that learns: three ordinary convolutions on the frozen backbone's features, and its weights as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """Pictures of different sizes lie in one tensor each, (n, c, h, w).

    ``valid``: 1 where they are. ``counted``: 1 where a place of theirs counts in the loss.
    """

    features: Tensor
    targets: Tensor
    valid: Tensor
    counted: Tensor


def stacked(features: Sequence[NDArray[np.float32]], targets: Sequence[NDArray[np.float32]]) -> Batch:
    """Return a batch of pictures' standardised features (h, w, d) and targets (h, w), NaN where a place doesn't count."""
    height, width = max(len(one) for one in features), max(one.shape[1] for one in features)
    planes = np.zeros((len(features), height, width, features[0].shape[2]), np.float32)
    wanted = np.full((len(features), 1, height, width), np.nan, np.float32)
    valid = np.zeros_like(wanted)
    for row, (one, of) in enumerate(zip(features, targets, strict=True)):
        where = slice(one.shape[0]), slice(one.shape[1])
        planes[row][where], wanted[row, 0][where], valid[row, 0][where] = one, of, 1
    counted = torch.from_numpy((~np.isnan(wanted)).astype(np.float32))
    tensor = torch.from_numpy(planes).permute(0, 3, 1, 2)
    return Batch(tensor, torch.from_numpy(np.nan_to_num(wanted)), torch.from_numpy(valid), counted)


def weights_of(head: DefectHead, mean: NDArray[np.float32], deviation: NDArray[np.float32]) -> HeadWeights:
    """The head's weights as arrays that belong to the caller."""
    arrays = {name: values.detach().numpy().copy() for name, values in head.state_dict().items()}
    return HeadWeights(arrays, mean, deviation)


def load(head: DefectHead, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Put arrays back into the head."""
    head.load_state_dict({name: torch.from_numpy(np.array(arrays[name])) for name in head.state_dict()})
