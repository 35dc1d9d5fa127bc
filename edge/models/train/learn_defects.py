"""What is learned beside the memory: a head on cached features, or a network on pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.errors import UserError
from edge.models.fit.fit_plan import FitPlan
from edge.models.fit.memory import MemoryStatistics
from edge.models.fit.protocol import GraphPicture
from edge.models.sets.frame_set import FrameSet
from edge.models.train.checkpoint import ENCODER, FACTORY, Arrays, Epoch
from edge.models.train.epochs import Learned
from edge.models.train.feature_cache import FeatureCache, fill_cache, open_cache
from edge.models.train.frame_roles import LEAST_VALIDATED, Roles
from edge.models.train.fused_graph import LearnedWeights
from edge.models.train.head_weights import HeadWeights
from edge.models.train.network_weights import NetworkWeights
from edge.models.train.options import TrainOptions, draws_anew, is_network
from edge.models.train.picture_cache import PictureCache, fill_pictures, open_pictures
from edge.models.train.samples import network_pictures, samples, unlabelled_pictures
from edge.models.train.unlabelled_frames import check_unlabelled

if TYPE_CHECKING:
    from edge.models.train.factory_features import FactoryFeatures  # it imports PyTorch, which may be missing

MOST_UNLABELLED: Final = 1000
MOST_KEPT: Final = 300
"""Unlabelled frames whose features are kept: each takes as much room as a training picture's."""


@dataclass(frozen=True, slots=True)
class Learning:
    """All that learning depends on, beside the options.

    ``donors``: good training pictures. ``frames``: those that the encoder learns from alone, ``factory``: those that
    features are drawn towards, neither labelled. ``key``: a hash of everything. ``done``: called with the number of
    pictures that are ready; ``epoch``: after each epoch; ``pretrained``: after each epoch of the encoder alone.
    """

    source: FrameSet
    roles: Roles
    plan: FitPlan
    memory: MemoryStatistics
    donors: Sequence[GraphPicture]
    folder: Path
    key: str
    resume: bool
    frames: FrameSet | None
    factory: FrameSet | None
    done: Callable[[int], None]
    epoch: Callable[[Epoch], None]
    pretrained: Callable[[Epoch], None]


def learn_defects(learning: Learning, options: TrainOptions, start: LearnedWeights | None) -> Learned[LearnedWeights]:
    """Learn by the preset; ``start``: weights to go on from.

    Raises:
        UserError: too few frames to validate on, too few unlabelled ones, a mask that doesn't fit, a checkpoint of another
            training, a loss that is NaN from the beginning.
        OSError: the disk is full, or can't be written.
    """
    if is_network(options):
        return _network(learning, options, start if isinstance(start, NetworkWeights) else None)
    return _head(learning, options, start if isinstance(start, HeadWeights) else None)


def check_validated(usable: int) -> None:
    """Raise UserError where too few good frames of other parts can be used."""
    if usable < LEAST_VALIDATED:
        raise UserError(
            "too few good frames of other parts to validate on",
            received=f"{usable} that can be used",
            expected=f"at least {LEAST_VALIDATED}",
        )


def _head(learning: Learning, options: TrainOptions, start: HeadWeights | None) -> Learned[HeadWeights]:
    from edge.models.train.drawn_features import DrawnFeatures, kept_features
    from edge.models.train.loop import train_head

    memory = learning.memory
    if draws_anew(options) and memory.net.size is not None:
        raise UserError(
            f"--preset {options.preset}: its cut-outs don't fit the backbone",
            received=f"{memory.net.backbone.what}, which takes pictures of {'x'.join(map(str, memory.net.size))} px alone",
            expected="a backbone of open size, such as lite0",
            fix="--start fresh makes a network of its own; --preset minute needs no cut-outs",
        )
    pictures = _pictures(learning, options) if draws_anew(options) else None
    cache = open_cache(learning.folder, learning.key) if learning.resume else None
    if cache is None:
        made = (
            samples(learning.source, learning.roles, learning.plan, memory, learning.donors, options=options)
            if pictures is None
            else kept_features(pictures, memory)
        )
        cache = fill_cache(learning.folder, learning.key, memory.width, made, learning.done)
    check_validated(sum(sample.group == "good" for sample in cache.of("validation")))
    turns = learning.plan.pose == "texture"
    return train_head(
        cache,
        options,
        learning.folder,
        learning.key,
        drawn=None if pictures is None else DrawnFeatures(pictures, memory, cache, options, turns=turns),
        factory=None if options.align is None else _factory(learning, options, cache, turns=turns),
        start=start,
        resume=learning.resume,
        epoch_done=learning.epoch,
    )


def _factory(learning: Learning, options: TrainOptions, like: FeatureCache, *, turns: bool) -> FactoryFeatures:
    """The factory's frames as a head learns: whole where its pictures are kept whole, cut out where they are."""
    from edge.models.train.factory_features import DrawnFactory, KeptFactory, factory_pictures

    memory, folder = learning.memory, learning.folder / FACTORY
    if draws_anew(options):
        pictures = _unlabelled(learning, learning.factory, FACTORY)
        return DrawnFactory(pictures, memory, like, options, turns=turns)
    seen = open_cache(folder, learning.key) if learning.resume else None
    if seen is None:
        pictures = _unlabelled(learning, learning.factory, FACTORY, most=MOST_KEPT)
        seen = fill_cache(folder, learning.key, memory.width, factory_pictures(pictures, memory))
    return KeptFactory(seen, like, options)


def _network(learning: Learning, options: TrainOptions, start: NetworkWeights | None) -> Learned[NetworkWeights]:
    from edge.models.train.network_loop import train_network

    cache = _pictures(learning, options)
    check_validated(len(cache.of("validation", "good")))
    turns = learning.plan.pose == "texture"
    encoder = None if start is not None else _encoder(learning, options, cache, turns=turns)
    factory = None if options.align is None else _unlabelled(learning, learning.factory, FACTORY, like=cache)
    trained = train_network(
        cache,
        options,
        learning.folder,
        learning.key,
        turns=turns,
        factory=factory,
        start=start,
        encoder=None if encoder is None else encoder.weights,
        resume=learning.resume,
        epoch_done=learning.epoch,
    )
    before = None if encoder is None or encoder.stopped is None else f"while the encoder learned alone {encoder.stopped}"
    return replace(trained, pretraining=before)


def _pictures(learning: Learning, options: TrainOptions) -> PictureCache:
    """The pictures that cut-outs are drawn from."""
    cache = open_pictures(learning.folder, learning.key) if learning.resume else None
    if cache is None:
        made = network_pictures(learning.source, learning.roles, learning.plan, learning.donors, options=options)
        cache = fill_pictures(learning.folder, learning.key, made, learning.done)
    return cache


def _encoder(learning: Learning, options: TrainOptions, cache: PictureCache, *, turns: bool) -> Learned[Arrays] | None:
    """The encoder's beginning; None if that is random."""
    from edge.models.train.distil import Distilling
    from edge.models.train.encoder_training import EncoderTask, trained_encoder
    from edge.models.train.self_supervised import SELF_SUPERVISED

    task: EncoderTask
    if options.ssl is not None:
        task = SELF_SUPERVISED[options.ssl](
            _unlabelled(learning, learning.frames, ENCODER, like=cache), options, turns=turns
        )
    elif options.start == "backbone" and learning.memory.net.size is None:
        task = Distilling(cache, learning.memory.net, options, turns=turns)
    else:
        return None
    folder = learning.folder / ENCODER
    folder.mkdir(exist_ok=True)
    return trained_encoder(task, options, folder, learning.key, resume=learning.resume, epoch_done=learning.pretrained)


def _unlabelled(
    learning: Learning,
    frames: FrameSet | None,
    name: str,
    *,
    like: PictureCache | None = None,
    most: int = MOST_UNLABELLED,
) -> PictureCache:
    """Pictures of up to ``most`` frames that nobody labelled, to be standardised as those of ``like`` are."""
    assert frames is not None, "asked for with the option that needs them"
    folder = learning.folder / name
    folder.mkdir(exist_ok=True)
    cache = open_pictures(folder, learning.key) if learning.resume else None
    if cache is None:
        cache = fill_pictures(folder, learning.key, unlabelled_pictures(frames, learning.plan, most))
    check_unlabelled(frames, len(cache.kept))
    return cache if like is None else replace(cache, mean=like.mean, deviation=like.deviation)
