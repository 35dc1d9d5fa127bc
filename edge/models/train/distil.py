"""The encoder learns to say of pictures what the memory's backbone says of them.

Lite0's own weights don't fit into ordinary convolutions; its features can be learned (Hinton et al., "Distilling the
knowledge in a neural network", 2015; Bergmann et al., "Uninformed students", CVPR 2020).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edge.models.fit.feature_net import FeatureNet
from edge.models.train.crops import Crops
from edge.models.train.encoder_training import EncoderTask
from edge.models.train.network import Encoder, planes
from edge.models.train.options import TrainOptions
from edge.models.train.picture_cache import PictureCache

_MEASURED = 8
"""Cut-outs by which the teacher's features are brought to one scale."""


class _Student(nn.Module):  # type: ignore[misc]  # PyTorch may be missing where types are checked
    def __init__(self, channels: int, width: int, taught: int) -> None:
        super().__init__()
        self.encoder = Encoder(channels, width)
        self.say = nn.Conv2d(8 * width, taught, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features (n, taught, H / 16, W / 16)."""
        _, _, middle, far = self.encoder(x)
        wide = functional.interpolate(far, scale_factor=2, mode="nearest")
        said: torch.Tensor = self.say(torch.cat([middle, wide], dim=1))
        return said


class Distilling(EncoderTask):
    """The task: the features of ``net``, each brought to mean 0 and deviation 1, by a smooth L1 loss."""

    def __init__(self, cache: PictureCache, net: FeatureNet, options: TrainOptions, *, turns: bool) -> None:
        self._cache, self._net, self._options = cache, net, options
        torch.manual_seed(options.seed + 1)
        self.module = _Student(len(cache.mean), options.width, net.width)
        self._crops = Crops(cache, replace(options, curriculum=False), turns=turns)
        first = self._taught(np.random.default_rng((options.seed, 9)), _MEASURED)[1]
        self._mean = first.mean(dim=(0, 2, 3), keepdim=True)
        self._deviation = first.std(dim=(0, 2, 3), keepdim=True).clamp_min(1e-3)

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        pictures, taught = self._taught(rng, self._options.batch)
        said = self.module(pictures)
        if said.shape[2:] != taught.shape[2:]:
            taught = functional.interpolate(taught, said.shape[2:], mode="area")
        return functional.smooth_l1_loss(said, (taught - self._mean) / self._deviation)

    def _taught(self, rng: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut-outs as the student takes them, and what the teacher says of them, (n, d, h, w)."""
        batch = self._crops.batch(rng, count, 1.0)
        said = np.stack([self._net.features(np.ascontiguousarray(picture)) for picture in batch.pictures])
        taught = torch.from_numpy(np.ascontiguousarray(said.transpose(0, 3, 1, 2)))
        return planes(batch.pictures, self._cache.mean, self._cache.deviation), taught
