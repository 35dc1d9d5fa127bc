"""The encoder learns from frames that nobody labelled: to fill in what is hidden, or to know a place again.

Two more tasks, in which a second network follows the first, stand in ``following.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edge.models.train.cutout_views import good_crops, views
from edge.models.train.encoder_training import EncoderTask
from edge.models.train.following import Byol, Dino
from edge.models.train.network import Encoder, planes
from edge.models.train.network_weights import FAR_STRIDE, GRID_STRIDE
from edge.models.train.options import SelfSupervision, TrainOptions
from edge.models.train.picture_cache import PictureCache

_HIDDEN: Final = 0.5
"""Share of a cut-out's squares of 32 px that are hidden."""
_TEMPERATURE: Final = 0.2
_PROJECTED: Final = 64


class _Filler(nn.Module):  # type: ignore[misc]  # PyTorch may be missing where types are checked
    """The px of each square of 8 px, from the features at strides 8 to 32."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.encoder = Encoder(channels, width)
        self.say = nn.Conv2d(10 * width, channels * GRID_STRIDE**2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The picture (n, c, H, W) as it is filled in."""
        _, near, middle, far = self.encoder(x)
        wide = [near, *(functional.interpolate(f, near.shape[2:], mode="nearest") for f in (middle, far))]
        filled: torch.Tensor = functional.pixel_shuffle(self.say(torch.cat(wide, dim=1)), GRID_STRIDE)
        return filled


class Masked(EncoderTask):
    """The task: half of the squares of 32 px are grey, and their px are to be said, by an L1 loss on these alone.

    Xie et al., "SimMIM", CVPR 2022, with a convolutional encoder.
    """

    def __init__(self, cache: PictureCache, options: TrainOptions, *, turns: bool) -> None:
        self._cache, self._options = cache, options
        torch.manual_seed(options.seed + 1)
        self.module = _Filler(len(cache.mean), options.width)
        self._crops = good_crops(cache, options, turns=turns)

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        batch = self._crops.good(rng, self._options.batch)
        pictures = planes(batch.pictures, self._cache.mean, self._cache.deviation)
        side = pictures.shape[2] // FAR_STRIDE
        hidden = torch.from_numpy((rng.random((len(pictures), 1, side, side)) < _HIDDEN).astype(np.float32))
        hidden = functional.interpolate(hidden, scale_factor=FAR_STRIDE, mode="nearest")
        counted = hidden * functional.interpolate(torch.from_numpy(batch.valid), scale_factor=GRID_STRIDE, mode="nearest")
        filled = self.module(pictures * (1 - hidden))
        channels = pictures.shape[1]
        return ((filled - pictures).abs() * counted).sum() / (channels * counted.sum()).clamp_min(1)


class _Projector(nn.Module):  # type: ignore[misc]
    """A direction in 64 dimensions for each picture."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.encoder = Encoder(channels, width)
        self.say = nn.Sequential(nn.Linear(4 * width, 4 * width), nn.ReLU(), nn.Linear(4 * width, _PROJECTED))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        far = self.encoder(x)[3]
        return functional.normalize(self.say(far.mean(dim=(2, 3))), dim=1)


class SimClr(EncoderTask):
    """The task: of two views of each cut-out, each disturbed in its own way, one is to be known by the other among all.

    Chen et al., "A simple framework for contrastive learning of visual representations", ICML 2020.
    """

    def __init__(self, cache: PictureCache, options: TrainOptions, *, turns: bool) -> None:
        self._cache, self._options = cache, options
        torch.manual_seed(options.seed + 1)
        self.module = _Projector(len(cache.mean), options.width)
        self._crops = good_crops(cache, options, turns=turns)

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        pictures = self._crops.good(rng, self._options.batch).pictures
        seen = views(rng, pictures, 2)
        directions = self.module(planes(seen, self._cache.mean, self._cache.deviation))
        count = len(pictures)
        likeness = directions @ directions.T / _TEMPERATURE
        likeness = likeness.masked_fill(torch.eye(2 * count, dtype=torch.bool), -1e9)
        partners = torch.cat([torch.arange(count, 2 * count), torch.arange(count)])
        return functional.cross_entropy(likeness, partners)


SELF_SUPERVISED: Final[dict[SelfSupervision, Callable[..., EncoderTask]]] = {
    "masked": Masked,
    "simclr": SimClr,
    "byol": Byol,
    "dino": Dino,
}
