"""``edge train``: a set in, a bundle out. The memory, a head or a network that learned defects, and both fused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import cast

import numpy as np
import onnx

from edge.config.bundle import Bundle
from edge.errors import UserError
from edge.frames import Frame, Skip
from edge.models.fit.fit import STATISTICS
from edge.models.fit.fit_plan import FitPlan, FitRequest, plan_fit
from edge.models.fit.gather_frames import GatheredFrames, gather_frames
from edge.models.fit.memory import MemoryStatistics
from edge.models.fit.protocol import GraphPicture
from edge.models.fit.self_test import SelfTest
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.sets.used import fitted_on
from edge.models.train.checkpoint import Epoch, make_folder
from edge.models.train.frame_roles import LEAST_GOOD, Roles, roles_of
from edge.models.train.fused_graph import (
    ENOUGH_LABELS,
    LABELLED_WEIGHT,
    LEARNED_WEIGHT,
    LearnedWeights,
    MapScales,
    fused_graph,
)
from edge.models.train.go_on import has_other_kind, learned_file, learned_of, lost_to_adapt, memory_of, plan_from
from edge.models.train.head_weights import HeadWeights
from edge.models.train.learn_defects import Learning, learn_defects
from edge.models.train.measured import measure_trained, placed_pictures
from edge.models.train.options import TrainOptions, check_torch
from edge.models.train.samples import SetFrames, count_samples, with_usable_labels
from edge.models.train.unlabelled_frames import enough, ids_of_frames
from edge.spread import Progress
from edge.spread.throughput import Throughput


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What is asked of a training.

    ``fit``: name, pose, size and backbone, as ``edge fit --method memory`` takes them. ``base``: the bundle to go on from.
    """

    fit: FitRequest
    options: TrainOptions = field(default_factory=TrainOptions)
    base: Bundle | None = None
    frames: FrameSet | None = None
    """Unlabelled frames that a network's encoder learns from alone (``options.ssl``)."""
    factory: FrameSet | None = None
    """Unlabelled frames of the line that features are drawn towards (``options.align``)."""


@dataclass(frozen=True, slots=True)
class TrainRun:
    """How the work is done, which changes nothing of the result."""

    resume: bool = False
    """Go on from the features and the checkpoint that an earlier run left beside the bundle."""
    progress: Callable[[str, Progress], None] = lambda _what, _progress: None
    epoch: Callable[[Epoch], None] = lambda _epoch: None
    pretrained: Callable[[Epoch], None] = lambda _epoch: None
    """Called after each epoch in which the encoder alone learns."""
    test: bool = True
    """Test the model on pasted defects."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model and all that is known of it. ``threshold``: what good validation frames hardly reach."""

    plan: FitPlan
    roles: Roles
    gathered: GatheredFrames
    weights: LearnedWeights
    history: tuple[Epoch, ...]
    stopped: str | None
    not_a_number: bool
    scales: MapScales
    graph: onnx.ModelProto
    threshold: float
    used: tuple[str, ...]
    """Ids of the frames that it has seen (``content_id``)."""
    forgotten: bool
    """The base has a memory that couldn't be taken over."""
    headless: bool = False
    """The base has a head or network that couldn't be taken over."""
    lost: tuple[str, ...] = ()
    """What the base keeps no more since ``edge adapt`` changed its graph."""
    other_kind: bool = False
    """The base has a network where a head is trained, or the other way round."""
    tested: SelfTest | None = None
    pretraining: str | None = None
    """Why the encoder stopped learning alone before its last epoch, in words."""
    without: tuple[str, ...] = ()
    """What was left out of the unlabelled frames, in words."""

    @property
    def incomplete(self) -> tuple[str, ...]:
        """Why the model isn't what was asked for: a loss that became NaN or infinite, in words."""
        network = self.stopped if self.not_a_number else None
        return tuple(why for why in (self.pretraining, network) if why is not None)

    @property
    def memory(self) -> MemoryStatistics:
        return cast("MemoryStatistics", self.gathered.statistics)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know beside how the frames were shared out."""
        sentences = [*self.without, *(why for why in (self.pretraining, self.stopped) if why is not None)]
        if self.plan.pose == "fixed":
            sentences.append(
                "parts lie alike: edge fit's residual needs no defects there; compare: edge evaluate -m A -m B"
            )
        if self.forgotten:
            sentences.append(
                "the memory of the bundle that it went on from has seen some of these frames: it is made anew of the set"
            )
        if self.lost:
            sentences.append(
                f"the bundle that it went on from keeps no {' and no '.join(self.lost)} since edge adapt changed its "
                "graph: made anew of the set"
            )
        if self.headless:
            sentences.append(
                "the bundle that it went on from has seen frames that are validated on now: its "
                f"{'head' if isinstance(self.weights, HeadWeights) else 'network'} is not taken over"
            )
        if self.other_kind:
            has, trains = ("network", "head") if isinstance(self.weights, HeadWeights) else ("head", "network")
            goes_on = "--start backbone goes on with it" if has == "network" else "--preset minute goes on with it"
            sentences.append(f"the bundle that it went on from has a {has} and this trains a {trains} anew: {goes_on}")
        return tuple(sentences)


def training_folder(bundle: Path) -> Path:
    """Where features and checkpoint lie while a training runs: beside the bundle."""
    return bundle.with_name(f"{bundle.name}.training")


def prepared(source: FrameSet, request: TrainRequest) -> tuple[Roles, FitPlan]:
    """What each frame is for, and how it becomes a picture; settled before any work.

    Raises:
        UserError: as ``roles_of`` and ``plan_fit`` do; the bundle to go on from is of another kind.
    """
    roles = roles_of(source, request.options.seed, labels=request.options.labels)
    frames = SetFrames(source, roles.good)
    if request.base is not None:
        return roles, plan_from(request.base, request.fit)
    plan = plan_fit(frames, request.fit)
    if plan.pose == "texture":  # parts lie in any direction, and every picture of a memory is worth three
        plan = replace(plan, options=replace(plan.options, mirror=True))
    return roles, plan


def good_pictures(source: FrameSet, roles: Roles, plan: FitPlan, most: int) -> list[GraphPicture]:
    """Up to ``most`` good training pictures, spread over all of them, as the graph takes them."""
    chosen = np.unique(np.linspace(0, len(roles.good) - 1, most).astype(int))
    return [one.picture for one in placed_pictures(source, [roles.good[int(k)] for k in chosen], plan)]


def train(source: FrameSet, request: TrainRequest, folder: Path, run: TrainRun = TrainRun()) -> Trained:
    """Train on a set. ``folder``: for features and checkpoints (``training_folder``); it stays, for ``--resume``.

    Raises:
        UserError: no PyTorch, too few frames, masks that don't fit, a checkpoint of another training or another shape, a
            loss that is NaN from the beginning, a full disk.
    """
    check_torch()
    options = request.options
    roles, plan = prepared(source, request)
    roles = with_usable_labels(source, roles, plan)
    judges = _judges(source, roles, request)
    frames, factory = (enough(one, judges, good=good) for one, good in ((request.frames, False), (request.factory, True)))
    request = replace(request, frames=frames, factory=factory)
    learned = _gathered(source, roles.good, plan, run, "remembering good frames")
    _check_usable(source, learned, LEAST_GOOD)
    learned.notes.survey.check(request.fit.source, sized=request.fit.size is not None or plan.spec.input.size == "any")
    memory = cast("MemoryStatistics", learned.statistics)
    base = request.base
    start = _begun(request, memory.width, plan.shape[2], judges)
    learning = _learning(
        source, roles, plan, learned, request, folder=folder, key=_key(source, roles, plan, request), run=run
    )
    try:
        make_folder(folder, anew=not run.resume)
        half = learn_defects(learning, options, start)
    except OSError as error:
        raise UserError(
            f"{error.filename or folder}: the training cannot go on: {error.strerror}",
            fix="make room, then give the same command with --resume: it goes on from the last epoch",
        ) from None
    validated = list(placed_pictures(source, roles.validated_good, plan))
    weight = LABELLED_WEIGHT if len(roles.defects) >= ENOUGH_LABELS else LEARNED_WEIGHT
    scales, threshold, tested = measure_trained(
        plan, memory, half.weights, validated, alone=options.alone, test=run.test, weight=weight
    )
    whole = _whole_memory(source, roles, plan, learned, request, run=run)
    return Trained(
        plan=plan,
        roles=roles,
        gathered=whole,
        weights=half.weights,
        history=half.history,
        stopped=half.stopped,
        not_a_number=half.not_a_number,
        pretraining=half.pretraining,
        without=tuple(dict.fromkeys(words for one in (request.frames, request.factory) if one for words in one.lacks)),
        scales=scales,
        graph=fused_graph(cast("MemoryStatistics", whole.statistics), half.weights, scales, alone=options.alone),
        threshold=threshold,
        used=_used(source, roles, whole, request),
        forgotten=whole is learned and base is not None and STATISTICS in base.spec.files,
        headless=start is None and base is not None and learned_file(options) in base.spec.files,
        lost=() if base is None else lost_to_adapt(base),
        other_kind=has_other_kind(base, options),
        tested=tested,
    )


def _judges(source: FrameSet, roles: Roles, request: TrainRequest) -> frozenset[str]:
    """Ids of the frames that are validated on; none where nothing but the set is learned from."""
    if request.base is None and request.frames is None and request.factory is None:
        return frozenset()
    return frozenset(ids_of_frames(source, (*roles.validated_good, *roles.validated_defects)))


def _begun(request: TrainRequest, features: int, channels: int, judges: frozenset[str]) -> LearnedWeights | None:
    """What the base has learned.

    Raises:
        UserError: it is of another shape, or its network would be pretrained again.
    """
    base = request.base
    start = None if base is None else learned_of(base, request.options, features, channels, judges)
    if base is not None and start is not None and request.frames is not None:
        raise UserError(
            "--pretrain: the network that this goes on from has begun already",
            received=f"--from {base.folder}, which has one of its own",
            expected="one of both",
            fix="leave out --pretrain, or train without --from",
        )
    return start


def _learning(
    source: FrameSet,
    roles: Roles,
    plan: FitPlan,
    learned: GatheredFrames,
    request: TrainRequest,
    *,
    folder: Path,
    key: str,
    run: TrainRun,
) -> Learning:
    pace = Throughput(count_samples(roles, request.options, mirrored=plan.pose == "texture"), 0)
    return Learning(
        source=source,
        roles=roles,
        plan=plan,
        memory=cast("MemoryStatistics", learned.statistics),
        donors=learned.kept.pictures(),
        folder=folder,
        key=key,
        resume=run.resume,
        frames=request.frames,
        factory=request.factory,
        done=lambda done: run.progress("looking at defects", pace.progress(done, workers=1, retries=0)),
        epoch=run.epoch,
        pretrained=run.pretrained,
    )


def _used(source: FrameSet, roles: Roles, whole: GatheredFrames, request: TrainRequest) -> tuple[str, ...]:
    """Ids of all frames that it, or the bundle that it went on from, has seen."""
    before = frozenset[str]() if request.base is None else fitted_on(request.base)
    unlabelled = {i for one in (request.frames, request.factory) if one is not None for i in ids_of_frames(one, one.frames)}
    defects = ids_of_frames(source, (*roles.defects, *roles.validated_defects))
    return tuple(sorted({*before, *whole.notes.contents, *unlabelled, *defects}))


def _whole_memory(
    source: FrameSet, roles: Roles, plan: FitPlan, learned: GatheredFrames, request: TrainRequest, *, run: TrainRun
) -> GatheredFrames:
    """The memory of all good frames: those that were validated on, too, and those of the bundle to go on from."""
    learned.merge(_gathered(source, roles.validated_good, plan, run, "remembering the others"))
    before = None if request.base is None else memory_of(request.base, plan, frozenset(learned.notes.contents))
    if before is None:
        return learned
    before.merge(learned)
    return before


def _gathered(source: FrameSet, frames: Sequence[SetFrame], plan: FitPlan, run: TrainRun, what: str) -> GatheredFrames:
    return gather_frames(plan, _counted(SetFrames(source, frames), len(frames), run, what))


def _counted(frames: Iterable[Frame | Skip], total: int, run: TrainRun, what: str) -> Iterator[Frame | Skip]:
    pace = Throughput(total, 0)
    for done, frame in enumerate(frames):
        run.progress(what, pace.progress(done, workers=1, retries=0))
        yield frame


def _check_usable(source: FrameSet, learned: GatheredFrames, least: int) -> None:
    notes = learned.notes
    if learned.statistics.frames < least:
        bad = [*notes.unreadable, *(name for name, _ in notes.out_of_place)]
        raise UserError(
            f"{source.path}: too few good frames to train on",
            received=f"{learned.statistics.frames} that can be used; {len(notes.unreadable)} cannot be read, in "
            f"{len(notes.out_of_place)} the part lies elsewhere",
            expected=f"at least {least}",
            fix=f"look at {', '.join(bad[:3])}" if bad else None,
        )


def _key(source: FrameSet, roles: Roles, plan: FitPlan, request: TrainRequest) -> str:
    """What features and checkpoint depend on, in one hash."""
    everyone = (*roles.good, *roles.validated_good, *roles.defects, *roles.validated_defects)
    digest = sha256()
    for text in (
        plan.spec.model_dump_json(),
        repr(plan.options),
        "" if plan.reference is None else sha256(plan.reference.tobytes()).hexdigest(),
        repr(request.options),
        "" if request.base is None else request.base.sha256,
        source.seen(everyone),
        *(f"{frame.file} {frame.kind} {frame.mask}" for frame in everyone),
        repr([len(group) for group in (roles.good, roles.validated_good, roles.defects)]),
        repr(sorted(roles.false_positives)),
        *("" if one is None else one.seen(one.frames) for one in (request.frames, request.factory)),
    ):
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()
