"""What a person can say to a training, and the presets that say it for them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final, Literal, TypeAlias

from edge.errors import UserError

TrainPreset: TypeAlias = Literal["minute"]
"""``minute``: the backbone's features are frozen and cached, a small head learns on them, and its map is fused with that of
the memory."""


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """All that changes the trained weights, beside the frames."""

    preset: TrainPreset = "minute"
    seed: int = 0
    """The same frames, options and seed give the same weights, on the same number of threads."""
    epochs: int = 16
    patience: int = 5
    """Epochs without a lower validation loss after which training stops."""
    versions: int = 3
    """Synthetic defects for each good frame, and new places for each labelled defect."""
    without: tuple[str, ...] = ()
    """Kinds of synthetic defects that are switched off."""
    labels: bool = True
    """Learn from labelled defects and known false positives too."""
    transplant: bool = True
    """Paste labelled defects onto other good frames."""
    hidden: int = 64
    """Channels of the head."""
    batch: int = 8
    rate: float = 2e-3
    """Adam's step size at the beginning; it falls to 0 along half a cosine."""
    focal: float = 2.0
    """Exponent that takes weight off places that are right already (Lin et al., "Focal loss", ICCV 2017); 0: none."""
    balance: bool = True
    """Give defective and good places the same weight in all."""
    dice: float = 0.5
    """Weight of the Dice loss (Milletari et al., "V-Net", 3DV 2016), which counts defects and not places; 0: none."""
    threads: int | None = None
    """Threads of PyTorch. null: as many as there are cores."""


EXTRA: Final = "train"


def check_torch() -> None:
    """Raise UserError where PyTorch isn't installed; it is not imported."""
    if find_spec("torch") is None:
        raise UserError(
            "training needs PyTorch, which is not installed",
            expected=f"the extra {EXTRA}",
            fix=f"pip install 'edge-inspect[{EXTRA}]'; edge fit makes a model of good frames without it",
        )
