"""The encoder learns alone, before it is shown any defect: a task says what, and the epochs are those of every training."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from edge.models.train.checkpoint import Arrays, Epoch, TrainingState
from edge.models.train.epochs import EpochLimits, Learned, NotANumberError, run_epochs
from edge.models.train.network import arrays_of, load_arrays
from edge.models.train.optimiser import cosine, moments_of, put_back
from edge.models.train.options import TrainOptions

_DECAY = 1e-4
_VALIDATED = 8
"""Batches, the same ones after each epoch, on which the loss is measured."""


class EncoderTask(Protocol):
    """What an encoder is to learn."""

    module: Any
    """A PyTorch module with an ``Encoder`` in it. Its weights and buffers are all that the task keeps from step to step."""
    encoder: str = "encoder."
    """What the names of the encoder's weights begin with in ``module``."""
    ranks_epochs: bool = True
    """Whether the epoch with the lowest loss is the best one; otherwise it is the last."""

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        """Return the loss on a batch that is drawn by ``rng``, and by PyTorch's own generator."""

    def after_step(self, progress: float) -> None:  # noqa: ARG002  (of those that take it)
        """**Optional.** Do what comes after each step of the optimiser; ``progress`` goes from 0 to 1 in the training."""
        return


def trained_encoder(
    task: EncoderTask,
    options: TrainOptions,
    folder: Path,
    key: str,
    *,
    resume: bool = False,
    epoch_done: Callable[[Epoch], None] = lambda _: None,
) -> Learned[Arrays]:
    """Return what the encoder learned of ``task``: ``weights`` are its own by the names that they have in ``Encoder``.

    Raises:
        UserError: as ``run_epochs`` does.
        OSError: a checkpoint can't be written.
    """
    torch.set_num_threads(options.threads or os.cpu_count() or 1)
    limits = EpochLimits(options.pretrain_epochs, options.pretrain_epochs, last_counts=not task.ranks_epochs)
    learned = run_epochs(_Training(task, options), limits, folder, key, resume=resume, epoch_done=epoch_done)
    of = task.encoder
    own = {name[len(of) :]: values for name, values in learned.weights.items() if name.startswith(of)}
    return learned.with_weights(own)


class _Training:
    def __init__(self, task: EncoderTask, options: TrainOptions) -> None:
        self._task, self._options = task, options
        learning = [weights for weights in task.module.parameters() if weights.requires_grad]
        self._optimiser = torch.optim.AdamW(learning, lr=options.rate, weight_decay=_DECAY)

    def epoch(self, number: int) -> float:
        options = self._options
        rng = np.random.default_rng((options.seed, 10, number))
        torch.manual_seed(int(rng.integers(2**31)))
        self._task.module.train()
        losses = []
        for step in range(options.steps):
            progress = (number + step / options.steps) / options.pretrain_epochs
            cosine(self._optimiser, options.rate, progress)
            self._optimiser.zero_grad()
            loss = self._task.loss(rng)
            if not torch.isfinite(loss):
                raise NotANumberError(step + 1)
            loss.backward()
            self._optimiser.step()
            self._task.after_step(progress)
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    def validate(self) -> tuple[float, None, None]:
        self._task.module.eval()
        torch.manual_seed(self._options.seed)
        rng = np.random.default_rng((self._options.seed, 11))
        with torch.no_grad():
            losses = [float(self._task.loss(rng)) for _ in range(min(_VALIDATED, self._options.steps))]
        loss = float(np.mean(losses))
        if not np.isfinite(loss):
            raise NotANumberError(self._options.steps)
        return loss, None, None

    def arrays(self) -> dict[str, NDArray[Any]]:
        return arrays_of(self._task.module)

    def moments(self) -> dict[str, NDArray[Any]]:
        return moments_of(self._optimiser)

    def restore(self, kept: TrainingState) -> None:
        load_arrays(self._task.module, kept.weights)
        put_back(self._optimiser, kept.moments)
