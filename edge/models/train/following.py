"""The encoder learns to say of a view what a network that follows it says of another view of the same place.

The follower's weights are an exponential moving average of the learner's. Nothing pushes views of different places apart,
so both could end by saying the same of everything: ``Byol`` is kept from that by a predictor that only the learner has, and
``Dino`` by centring and sharpening what the follower says.
"""

from __future__ import annotations

import copy
import math
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edge.models.train.cutout_views import LITTLE, good_crops, views
from edge.models.train.encoder_training import EncoderTask
from edge.models.train.network import Encoder, planes
from edge.models.train.options import TrainOptions
from edge.models.train.picture_cache import PictureCache

_STAYS: Final = 0.97
"""Share of its weights that the follower keeps in the first step; it rises to 1 along half a cosine.

The papers keep 0.996 over 100,000 steps and more. Over 300 that would leave more than half of the follower at its random
beginning; this leaves 1 %.
"""
_PROJECTED: Final = 64
_PROTOTYPES: Final = 256
"""Columns of DINO's softmax: 65,536 in the paper, for a million pictures of everything."""
_LEARNER_TEMPERATURE: Final = 0.1
_FOLLOWER_TEMPERATURE: Final = 0.04
"""Lower than the learner's: what it says is sharper, so that it can't end by saying all prototypes of everything."""
_CENTRE_STAYS: Final = 0.9
_SMALL_VIEWS: Final = 4


class _Projector(nn.Module):  # type: ignore[misc]  # PyTorch may be missing where types are checked
    """An encoder, and behind the mean of its coarsest features two layers; ``unit``: the last one gives directions."""

    def __init__(self, channels: int, width: int, *, norm: bool, unit: bool) -> None:
        super().__init__()
        self.encoder = Encoder(channels, width)
        self.project = _layers(4 * width, _PROJECTED, norm=norm)
        self._unit = unit

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        said: torch.Tensor = self.project(self.encoder(x)[3].mean(dim=(2, 3)))
        return functional.normalize(said, dim=1) if self._unit else said


class _ByolModule(nn.Module):  # type: ignore[misc]
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.learner = _Projector(channels, width, norm=True, unit=False)
        self.predict = _layers(_PROJECTED, _PROJECTED, norm=True)
        self.follower = _follower_of(self.learner)


class Byol(EncoderTask):
    """The task: from the direction of one view the follower's direction of another is to be predicted.

    Grill et al., "Bootstrap your own latent", NeurIPS 2020. The encoder is the learner's.
    """

    encoder = "learner.encoder."
    ranks_epochs = False

    def __init__(self, cache: PictureCache, options: TrainOptions, *, turns: bool) -> None:
        self._cache, self._options = cache, options
        torch.manual_seed(options.seed + 1)
        self.module = _ByolModule(len(cache.mean), options.width)
        self._crops = good_crops(cache, options, turns=turns)

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        pictures = self._crops.good(rng, self._options.batch).pictures
        seen = planes(views(rng, pictures, 2), self._cache.mean, self._cache.deviation)
        said = functional.normalize(self.module.predict(self.module.learner(seen)), dim=1)
        with torch.no_grad():
            wanted = functional.normalize(self.module.follower(seen), dim=1)
        loss: torch.Tensor = 2 - 2 * (said * wanted.roll(len(pictures), 0)).sum(dim=1).mean()
        return loss

    def after_step(self, progress: float) -> None:
        follow(self.module.follower, self.module.learner, progress)


class _DinoModule(nn.Module):  # type: ignore[misc]
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.learner = _DinoNetwork(channels, width)
        self.follower = _follower_of(self.learner)
        self.register_buffer("centre", torch.zeros(1, _PROTOTYPES))


class _DinoNetwork(nn.Module):  # type: ignore[misc]
    """How alike a picture is to each prototype, as a cosine."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.project = _Projector(channels, width, norm=False, unit=True)
        self.prototypes = nn.Parameter(functional.normalize(torch.randn(_PROTOTYPES, _PROJECTED), dim=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        likeness: torch.Tensor = self.project(x) @ functional.normalize(self.prototypes, dim=1).T
        return likeness


class Dino(EncoderTask):
    """The task: which prototypes the follower finds in most of a cut-out is to be said of every other view of it.

    Caron et al., "Emerging properties in self-supervised vision transformers", ICCV 2021, with a convolutional encoder.
    There are two views of most of each cut-out, which both networks see, and four of little of it (multi-crop), which only
    the learner sees. The encoder is the follower's, as in the paper.
    """

    encoder = "follower.project.encoder."
    ranks_epochs = False

    def __init__(self, cache: PictureCache, options: TrainOptions, *, turns: bool) -> None:
        self._cache, self._options = cache, options
        torch.manual_seed(options.seed + 1)
        self.module = _DinoModule(len(cache.mean), options.width)
        self._crops = good_crops(cache, options, turns=turns)
        self._found: torch.Tensor | None = None

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        pictures = self._crops.good(rng, self._options.batch).pictures
        large = self._planes(views(rng, pictures, 2))
        small = self._planes(views(rng, pictures, _SMALL_VIEWS, LITTLE))
        with torch.no_grad():
            found = self.module.follower(large)
            shares = functional.softmax((found - self.module.centre) / _FOLLOWER_TEMPERATURE, dim=1).split(len(pictures))
        self._found = found
        said = torch.cat([self.module.learner(large), self.module.learner(small)]) / _LEARNER_TEMPERATURE
        logs = functional.log_softmax(said, dim=1).split(len(pictures))
        losses = [
            -(share * log).sum(dim=1).mean() for k, share in enumerate(shares) for n, log in enumerate(logs) if n != k
        ]
        return torch.stack(losses).mean()

    def after_step(self, progress: float) -> None:
        follow(self.module.follower, self.module.learner, progress)
        assert self._found is not None, "a step has a loss"
        self.module.centre.lerp_(self._found.mean(dim=0, keepdim=True), 1 - _CENTRE_STAYS)

    def _planes(self, pictures: Any) -> torch.Tensor:
        return planes(pictures, self._cache.mean, self._cache.deviation)


def follow(follower: Any, learner: Any, progress: float) -> None:
    """Move the weights of ``follower`` towards those of ``learner``, the less the nearer ``progress`` is to 1.

    Statistics of norms are left alone: the follower measures its own.
    """
    share = (1 - _STAYS) * 0.5 * (1 + math.cos(math.pi * progress))
    with torch.no_grad():
        for own, other in zip(follower.parameters(), learner.parameters(), strict=True):
            own.lerp_(other, share)


def _follower_of(learner: Any) -> Any:
    follower = copy.deepcopy(learner)
    follower.requires_grad_(False)
    return follower


def _layers(taken: int, made: int, *, norm: bool) -> Any:
    between = [nn.BatchNorm1d(2 * made), nn.ReLU()] if norm else [nn.GELU()]
    return nn.Sequential(nn.Linear(taken, 2 * made, bias=not norm), *between, nn.Linear(2 * made, made))
