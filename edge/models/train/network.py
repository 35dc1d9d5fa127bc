"""The small network learns from pixels with ordinary strided convolutions, which a CPU trains fast, unlike depthwise ones.

Every convolution that makes the grid coarser has an even kernel and lies evenly over its cell, so that place (i, j) of a
grid of stride s looks at the middle of the square ``[s * j, s * (j + 1)) x [s * i, s * (i + 1))``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edge.models.train.mixing import mixed_styles
from edge.models.train.network_weights import FAR_STRIDE, STEM_STRIDE, NetworkWeights


class _Step(nn.Module):  # type: ignore[misc]  # PyTorch may be missing where types are checked
    """A convolution that makes the grid coarser, then one whose result is added to what it took."""

    def __init__(self, taken: int, made: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(taken, made, kernel, stride, padding=(kernel - stride) // 2, bias=False)
        self.down_norm = nn.BatchNorm2d(made)
        self.same = nn.Conv2d(made, made, 3, padding=1, bias=False)
        self.same_norm = nn.BatchNorm2d(made)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.down_norm(self.down(x)))
        y: Tensor = torch.relu(x + self.same_norm(self.same(x)))
        return y


class Encoder(nn.Module):  # type: ignore[misc]
    """Features at strides 4, 8, 16 and 32, of ``width`` times 1, 2, 4 and 4 channels."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            [
                _Step(channels, width, 2 * STEM_STRIDE, STEM_STRIDE),
                _Step(width, 2 * width, 4, 2),
                _Step(2 * width, 4 * width, 4, 2),
                _Step(4 * width, 4 * width, 4, 2),
            ]
        )

    def forward(self, x: Tensor, mix: float = 0.0) -> list[Tensor]:
        """Return the features of standardised pictures (n, c, H, W) whose sides are multiples of 32.

        ``mix``: share of the batches whose styles are mixed after the first step (MixStyle), in training alone.
        """
        features = []
        for number, step in enumerate(self.steps):
            x = step(x)
            if number == 0 and mix > 0 and self.training:
                x = mixed_styles(x, mix)
            features.append(x)
        return features


class DefectNetwork(nn.Module):  # type: ignore[misc]
    """An encoder, and a way back to stride 8 that says how much each place looks like a defect, as a logit."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.encoder = Encoder(channels, width)
        out = 2 * width
        self.sides = nn.ModuleList([nn.Conv2d(of, out, 1) for of in (2 * width, 4 * width, 4 * width)])
        self.see = nn.Conv2d(out, out, 3, padding=1)
        self.say = nn.Conv2d(out, 1, 1)

    def forward(self, x: Tensor, mix: float = 0.0) -> Tensor:
        """Return logits (n, 1, H / 8, W / 8) of standardised pictures (n, c, H, W) whose sides are multiples of 32."""
        return self.decoded(self.encoder(x, mix))

    def decoded(self, features: list[Tensor]) -> Tensor:
        """Return the logits that belong to the encoder's features."""
        _, near, middle, far = features
        path: Tensor = self.sides[2](far)
        path = self.sides[1](middle) + functional.interpolate(path, scale_factor=2, mode="nearest")
        path = torch.relu(self.sides[0](near) + functional.interpolate(path, scale_factor=2, mode="nearest"))
        logits: Tensor = self.say(torch.relu(self.see(path)))
        return logits


def planes(pictures: NDArray[np.uint8], mean: NDArray[np.float32], deviation: NDArray[np.float32]) -> Tensor:
    """Return pictures (n, H, W, c) as the network takes them: standardised, (n, c, H, W)."""
    values = (pictures.astype(np.float32) - mean) / deviation
    return torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))


def padded(picture: NDArray[np.uint8], multiple: int = FAR_STRIDE) -> NDArray[np.uint8]:
    """Return the picture (H, W, c), its last row and column repeated until its sides are multiples, as the graph does."""
    missing = [(0, -side % multiple) for side in picture.shape[:2]]
    return np.pad(picture, [*missing, (0, 0)], mode="edge")


def arrays_of(module: Any) -> dict[str, NDArray[Any]]:
    """Return the weights and norm statistics of a module as arrays that belong to the caller."""
    return {name: values.detach().cpu().numpy().copy() for name, values in module.state_dict().items()}


def load_arrays(module: Any, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Put arrays back into the module that they are of."""
    module.load_state_dict({name: torch.from_numpy(np.array(arrays[name])) for name in module.state_dict()})


def network_weights_of(network: DefectNetwork, mean: NDArray[np.float32], deviation: NDArray[np.float32]) -> NetworkWeights:
    """Return what the graph is made of."""
    return NetworkWeights(arrays_of(network), mean, deviation)
