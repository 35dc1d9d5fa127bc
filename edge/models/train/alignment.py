"""Features of good training pictures are drawn together with those of the factory's unlabelled frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor

from edge.models.train.head import Batch, DefectHead
from edge.models.train.losses import coral, mmd

ALIGNED: Final[Mapping[str, Callable[[Tensor, Tensor], Tensor]]] = {"coral": coral, "mmd": mmd}
"""How far two sets of features, (n, d) and (m, d), lie apart."""
_COMPARED: Final = 512
"""Most places of either side whose features are compared in a step."""


def places_of(features: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return features (n, d, h, w) as rows (places, d), evenly chosen from all that are ``valid``, (n, 1, h, w)."""
    rows = features.float().permute(0, 2, 3, 1)
    rows = rows.reshape(-1, features.shape[1]) if valid is None else rows[valid[:, 0] > 0]
    if len(rows) <= _COMPARED:
        return rows
    return rows[torch.linspace(0, len(rows) - 1, _COMPARED).long()]  # a whole step would meet the same columns in each row


def features_apart(head: DefectHead, batch: Batch, seen: Batch, way: str) -> Tensor | None:
    """Return how far the head's last features of the good pictures in a batch lie from those of ``seen``, by ``coral`` or
    ``mmd``; None where the batch has no good picture.
    """
    doubtful = batch.targets + batch.valid - batch.counted  # what a defect may show in, too faint to be learned as one
    good = doubtful.amax(dim=(1, 2, 3)) == 0
    if not bool(good.any()):
        return None
    ours = places_of(head.hidden(batch.features[good], batch.valid[good]), batch.valid[good])
    theirs = places_of(head.hidden(seen.features, seen.valid), seen.valid)
    return ALIGNED[way](ours, theirs)
