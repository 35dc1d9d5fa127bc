"""What a person can say to a training, and the presets that say it for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, Final, Literal, TypeAlias

from edge.errors import UserError
from edge.models.train.augment import AugmentRow

TrainPreset: TypeAlias = Literal["minute", "hour", "night"]
"""``minute``: the backbone's features are frozen and cached, a small head learns on them. ``hour``: the same head sees new
defects in each epoch; or a small network of its own learns from pixels. ``night``: a wider one, longer, in bfloat16 where a
GPU has it. The map of each is fused with the memory's."""
SelfSupervision: TypeAlias = Literal["masked", "simclr", "byol", "dino"]
"""``masked``: the encoder fills in what is hidden (Xie et al., "SimMIM", CVPR 2022). ``simclr``: it knows a place again in
another light and noise (Chen et al., ICML 2020). ``byol``, ``dino``: it says of a place in another light and noise what a
network that follows it says (Grill et al., NeurIPS 2020; Caron et al., ICCV 2021)."""
Alignment: TypeAlias = Literal["coral", "mmd"]
"""``coral``: covariances (Sun and Saenko, "Deep CORAL", 2016). ``mmd``: distributions (Long et al., "DAN", ICML 2015)."""
TrainStart: TypeAlias = Literal["frozen", "backbone", "fresh"]
"""``frozen``: the memory's backbone stays in the encoder's place, and a head learns on its features. ``backbone``: a
network's encoder first learns to say what the backbone says. ``fresh``: a network with random weights."""


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """All that changes the trained weights, beside the frames."""

    preset: TrainPreset = "minute"
    seed: int = 0
    """The same frames, options and seed give the same weights, on the same number of threads."""
    epochs: int = 3
    patience: int = 5
    """Epochs without a lower loss or a higher AUROC on validation parts after which training stops."""
    versions: int = 5
    """Synthetic defects for each good frame that is kept or validated on; new places for each labelled defect."""
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
    augment: tuple[AugmentRow, ...] = ()
    """What the line does to its pictures, and how strongly."""
    width: int = 16
    """Channels of the network at its finest stride."""
    crop: int = 224
    """Side in px of the cut-outs that a network learns from, a multiple of 32; a head sees up to one and a half of it."""
    steps: int = 100
    """Batches in each epoch where defects are drawn anew."""
    start: TrainStart = "backbone"
    """What stands in the encoder's place in ``hour`` and ``night``, and what it begins with."""
    pretrain_epochs: int = 10
    """Epochs before the training proper in which the encoder alone learns, unless it starts fresh."""
    ssl: SelfSupervision | None = None
    """How the encoder learns from frames that nobody labelled, in place of ``start``."""
    align: Alignment | None = None
    """How features of training pictures and of the factory's unlabelled frames are drawn together."""
    align_weight: float = 0.3
    """How much that term of the loss counts."""
    alone: bool = False
    """Leave the memory out of the network's bundle."""
    bf16: bool = False
    """Compute in bfloat16 where the GPU has it."""
    randaugment: int = 0
    """Corruptions drawn for each training picture (Cubuk et al., "RandAugment", NeurIPS 2020)."""
    mixstyle: float = 0.0
    """Share of the batches in which styles are mixed (Zhou et al., "MixStyle", ICLR 2021)."""
    mixup: float = 0.0
    """Alpha of mixup, of a network's pictures (Zhang et al., ICLR 2018) or of a head's features (Verma et al., ICML 2019);
    0: none."""
    curriculum: bool = False
    """Show strong synthetic defects first (Bengio et al., "Curriculum learning", ICML 2009)."""


_LONG: Final[dict[str, Any]] = {"epochs": 60, "patience": 12, "versions": 2, "rate": 1e-3, "steps": 150}
_HEAD_OF_HOUR: Final[dict[str, Any]] = {"rate": 2e-3, "crop": 384, "epochs": 10, "patience": 5}
_OF_NETWORK: Final = ("alone", "ssl", "width", "pretrain_epochs")
"""Options that only a network of its own has."""
_GIVEN_BY: Final = {"ssl": "pretrain"}
_PRESETS: Final[dict[TrainPreset, dict[str, Any]]] = {
    "minute": {},
    "hour": _LONG | {"start": "frozen"},
    "night": _LONG
    | {
        "epochs": 300,
        "patience": 40,
        "steps": 400,
        "batch": 16,
        "width": 32,
        "crop": 384,
        "pretrain_epochs": 40,
        "bf16": True,
    },
}


def preset_options(preset: TrainPreset, **given: Any) -> TrainOptions:
    """Return the options of a preset, with what was ``given`` in their place; None counts as not given.

    ``hour`` is of a network of its own where an option is given that only such a one has.

    Raises:
        UserError: a network's option is given together with the frozen backbone.
    """
    given = {name: value for name, value in given.items() if value is not None}
    of_network = [name for name in _OF_NETWORK if given.get(name)]
    if of_network and given.get("start") == "frozen":
        raise UserError(
            f"--start frozen: --{_GIVEN_BY.get(of_network[0], of_network[0])} is of a network of its own",
            received="the frozen backbone, whose head has no such option",
            expected="--start backbone or --start fresh, or neither",
        )
    chosen = _PRESETS[preset] | ({"start": "backbone"} if of_network else {}) | given
    of_head = _HEAD_OF_HOUR if preset == "hour" and chosen["start"] == "frozen" else {}
    return replace(TrainOptions(preset=preset), **(chosen | of_head | given))


def is_network(options: TrainOptions) -> bool:
    """Whether a network learns from pixels, and no head on frozen features."""
    return options.preset != "minute" and options.start != "frozen"


def draws_anew(options: TrainOptions) -> bool:
    """Whether defects are drawn anew in each epoch; otherwise once, before the training."""
    return options.preset != "minute"


EXTRA: Final = "train"


def check_torch() -> None:
    """Raise UserError where PyTorch isn't installed; it is not imported."""
    if find_spec("torch") is None:
        raise UserError(
            "training needs PyTorch, which is not installed",
            expected=f"the extra {EXTRA}",
            fix=f"pip install 'edge-inspect[{EXTRA}]'; edge fit makes a model of good frames without it",
        )
