"""Epochs of whatever learns: a checkpoint after each, weights kept, an end when nothing is gained. No PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from edge.models.evaluate.ranking import auroc, steps
from edge.models.train.checkpoint import Arrays, Epoch, TrainingState, read_checkpoint, write_checkpoint

_Weights = TypeVar("_Weights", covariant=True)
_Other = TypeVar("_Other")


class Trainee(Protocol):
    """What learns over epochs. The same seed, pictures and number of threads give the same weights."""

    def epoch(self, number: int) -> float:
        """Learn for one epoch, ``number`` from 0; the mean loss. Raises NotANumberError."""

    def validate(self) -> tuple[float, float | None, float | None]:
        """The loss on validation parts, and the image AUROC of synthetic and of real defects there, None where there are
        none. Raises NotANumberError.
        """

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The weights, as arrays that belong to the caller."""

    def moments(self) -> dict[str, NDArray[Any]]:
        """What the optimiser keeps."""

    def restore(self, kept: TrainingState) -> None:
        """Take the place of the training that wrote ``kept``."""


@dataclass(frozen=True, slots=True)
class EpochLimits:
    """When it ends. ``patience``: epochs that bring nothing.

    An epoch brings something by a lower validation loss. ``last_counts``: each does, and the last one's weights are kept,
    because the loss doesn't say which are the best. ``settles``: by a higher AUROC, too, and where nothing ended it early
    the last one's weights are kept, because the step size has come down to 0 by then.
    """

    epochs: int
    patience: int
    last_counts: bool = False
    settles: bool = False


@dataclass(frozen=True, slots=True)
class Learned(Generic[_Weights]):
    """``weights``: those of the last epoch that is ``kept`` in ``history``. ``stopped``: why it ended early, in words.

    ``pretraining``: why the encoder stopped learning alone, in words, which only a loss that is no number makes it do.
    """

    weights: _Weights
    history: tuple[Epoch, ...]
    stopped: str | None = None
    not_a_number: bool = False
    """The loss became NaN or infinite; the weights are the last good ones."""
    pretraining: str | None = None

    def with_weights(self, weights: _Other) -> Learned[_Other]:
        """Return the same with the weights in another form."""
        return cast("Learned[_Other]", replace(cast("Any", self), weights=weights))


class NotANumberError(Exception):
    """The loss is NaN or infinite in a step, which counts from 1."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


def run_epochs(
    training: Trainee,
    limits: EpochLimits,
    folder: Path,
    key: str,
    *,
    resume: bool = False,
    epoch_done: Callable[[Epoch], None] = lambda _: None,
) -> Learned[Arrays]:
    """Train, and return the weights of the epoch that ``limits`` chooses.

    ``folder``: for checkpoints; ``key``: what they depend on.

    Raises:
        UserError: the loss was NaN before any weights were good, or a checkpoint is of another training.
        OSError: a checkpoint can't be written.
    """
    history: list[Epoch] = []
    best: dict[str, NDArray[Any]] = {}
    kept = read_checkpoint(folder, key) if resume else None
    if kept is not None:
        training.restore(kept)
        history, best = list(kept.history), dict(kept.best)
    stopped = _why_stop(history, limits) if history else None
    while len(history) < limits.epochs and stopped is None:
        number = len(history)
        try:
            loss = training.epoch(number)
            validated, synthetic, real = training.validate()
        except NotANumberError as error:
            return Learned(best, tuple(history), _when(error.step, number, history), not_a_number=True)
        own = Epoch(number + 1, loss, validated, synthetic, real, kept=True)
        if not _brings_something(history, own, limits) and (len(history) + 1 < limits.epochs or not limits.settles):
            own = replace(own, kept=False)
        history.append(own)
        if own.kept:
            best = training.arrays()
        write_checkpoint(folder, key, TrainingState(training.arrays(), best, training.moments(), tuple(history)))
        epoch_done(history[-1])
        stopped = _why_stop(history, limits)
    return Learned(best, tuple(history), stopped)


def image_auroc(bad: Sequence[float], good: Sequence[float]) -> float | None:
    """Return the share of pairs in which the defective picture has the higher value; None without a pair."""
    if not bad or not good:
        return None
    return float(auroc(steps(np.array([*bad, *good]), np.arange(len(bad) + len(good)) < len(bad))))


def _when(step: int, number: int, history: Sequence[Epoch]) -> str:
    """Say when the loss was no number. Raises UserError where no weights were good before."""
    if not history:
        raise UserError(
            "the loss became NaN or infinite before any weights were good",
            received=f"epoch {number + 1}, step {step}",
            fix="look at the frames' features for values without end; or give another --seed",
        )
    last = max(epoch.number for epoch in history if epoch.kept)
    return f"the loss became NaN or infinite in epoch {number + 1}, step {step}: kept the weights of epoch {last}"


def _brings_something(history: Sequence[Epoch], own: Epoch, limits: EpochLimits) -> bool:
    if limits.last_counts:
        return True
    return _gained(history, own) if limits.settles else all(own.validation_loss < e.validation_loss for e in history)


def _gained(history: Sequence[Epoch], own: Epoch) -> bool:
    """Whether an epoch has a lower loss, or a higher AUROC, than each before it."""
    lower = all(own.validation_loss < epoch.validation_loss for epoch in history)
    return lower or _ranked(own) > max(map(_ranked, history), default=0.0)


def _ranked(epoch: Epoch) -> float:
    return sum(one for one in (epoch.synthetic_auroc, epoch.real_auroc) if one is not None)


def _why_stop(history: Sequence[Epoch], limits: EpochLimits) -> str | None:
    best = max(epoch.number for epoch in history if epoch.kept)
    if len(history) < limits.epochs and len(history) - best >= limits.patience:
        return f"nothing was gained in {limits.patience} epochs: kept the weights of epoch {best}"
    return None
