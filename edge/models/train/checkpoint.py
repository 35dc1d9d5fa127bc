"""What a training has reached lies whole on the disk after each epoch, so that a run that was killed goes on to the same
weights.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from edge.errors import UserError
from edge.models.train.feature_cache import INDEX as FEATURES
from edge.models.train.picture_cache import INDEX as PICTURES
from edge.storage.arrays import read_arrays
from edge.storage.disk import write_whole

CHECKPOINT: Final = "checkpoint.npz"
ENCODER: Final = "encoder"
"""Folder of the encoder's own checkpoint and pictures, inside the training's."""
FACTORY: Final = "factory"
"""Folder of the factory's unlabelled pictures and of their features, inside the training's."""
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch brought. ``loss``, ``validation_loss``: means. ``synthetic_auroc``, ``real_auroc``: image AUROC of the
    head's highest logit on validation parts; None if there are none of them.
    """

    number: int
    loss: float
    validation_loss: float
    synthetic_auroc: float | None
    real_auroc: float | None
    kept: bool
    """These weights are kept, unless a later epoch's are."""


@dataclass(frozen=True, slots=True)
class TrainingState:
    """``weights``: of the head after the last epoch. ``best``: those that are kept. ``moments``: of the optimiser."""

    weights: Arrays
    best: Arrays
    moments: Arrays
    history: tuple[Epoch, ...] = field(default_factory=tuple)


def make_folder(folder: Path, *, anew: bool) -> None:
    """Make the folder of a training. ``anew``: what an earlier run left is taken away, so that no later one resumes it.

    Raises:
        OSError: the disk is full, or can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if anew:
        for name in (
            CHECKPOINT,
            FEATURES,
            PICTURES,
            f"{ENCODER}/{CHECKPOINT}",
            f"{ENCODER}/{PICTURES}",
            f"{FACTORY}/{PICTURES}",
            f"{FACTORY}/{FEATURES}",
        ):
            (folder / name).unlink(missing_ok=True)


def write_checkpoint(folder: Path, key: str, checkpoint: TrainingState) -> None:
    """Write it so that a crash at any moment leaves this one or the one before.

    Raises:
        OSError: the disk is full, or can't be written.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for part in ("weights", "best", "moments"):
        arrays |= {f"{part}/{name}": values for name, values in getattr(checkpoint, part).items()}
    notes = orjson.dumps({"key": key, "history": [asdict(epoch) for epoch in checkpoint.history]})
    buffer = io.BytesIO()
    np.savez(buffer, notes=np.frombuffer(notes, np.uint8), **arrays)  # type: ignore[arg-type]
    write_whole(folder / CHECKPOINT, buffer.getvalue(), sync=True)


def read_checkpoint(folder: Path, key: str) -> TrainingState | None:
    """The last whole one; None if there is none.

    Raises:
        UserError: it is of other frames or options, or damaged.
    """
    path = folder / CHECKPOINT
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        named = read_arrays(data)
        notes = orjson.loads(named.pop("notes").tobytes())
        history = tuple(Epoch(**entry) for entry in notes["history"])
        its_key = str(notes["key"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not a checkpoint of edge train", received=error, fix="begin anew, without --resume"
        ) from None
    if its_key != key:
        raise UserError(
            f"{path}: the checkpoint is of another training",
            received="other frames, options, backbone or seed",
            expected="those that it was begun with",
            fix="give the same command again, or begin anew without --resume",
        )

    def part(name: str) -> dict[str, NDArray[Any]]:
        return {key.partition("/")[2]: values for key, values in named.items() if key.startswith(f"{name}/")}

    return TrainingState(part("weights"), part("best"), part("moments"), history)
