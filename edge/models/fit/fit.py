"""``edge fit``: good frames in, a bundle out. One pass for the model, one for outliers, then the self-test."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import edge
from edge.config.bundle import Bundle
from edge.config.bundle_spec import BundleSpec, DisplaySpec
from edge.frames import Frame, Skip
from edge.models.fit.contamination import HeldOutScore, ScoreTask, are_left_out, outliers_of, scores, scores_from_bytes
from edge.models.fit.fit_plan import MEND, FitPlan, FitRequest, plan_fit
from edge.models.fit.gather_frames import FitNotes, GatheredFrames, GatherTask, check_enough, from_bytes, gather_frames
from edge.models.fit.methods import method_row
from edge.models.fit.protocol import FittedModel
from edge.models.fit.self_test import SelfTest, self_test
from edge.models.frame_sequence import FrameSequence
from edge.models.robust_outliers import Outlier
from edge.models.write import check_target, write_bundle
from edge.spread import SHARD_FRAMES, LostFrame, Progress, default_workers, shards_of, spread
from edge.storage.pictures import encode_png

_HEAD = 16
"""Frames of an iterator that can't be begun again, copied so that the plan can look at them first."""
STATISTICS = "statistics.npz"
_LOOKS = 2
"""So often outliers are looked for and left out: a defect that a worse one hid stands out once that one is gone."""


@dataclass(frozen=True, slots=True)
class FitRun:
    """How the work is done, which changes nothing of the result but ``leave_out`` and ``test``."""

    workers: int | None = 1
    """Worker processes; None: as many as there are cores, if there are frames enough."""
    cluster: str | None = None
    """Address of a Ray cluster whose nodes do the work instead, and see the frames by the same paths."""
    kept_in: Path | None = None
    """Folder for finished shards, from which a run that was stopped goes on."""
    leave_out: float = 0.0
    """Fit once more without the outliers if they are at most this share of the frames, or one; 0: keep them, 1: always."""
    test: bool = True
    """Look for outliers, and test the model on pasted defects."""
    progress: Callable[[str, Progress], None] = lambda _what, _progress: None

    @property
    def is_alone(self) -> bool:
        """All work is done in this process."""
        return self.workers == 1 and self.cluster is None


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted model and all that is known of it; ``scores`` is empty if the frames couldn't be gone through again."""

    plan: FitPlan
    gathered: GatheredFrames
    model: FittedModel
    scores: tuple[HeldOutScore, ...] = ()
    outliers: tuple[Outlier, ...] = ()
    left_out: frozenset[int] = frozenset()
    """Numbers of those of ``outliers`` that the model was made without."""
    lost: tuple[LostFrame, ...] = ()
    tested: SelfTest | None = None

    @property
    def left_out_names(self) -> tuple[str, ...]:
        return tuple(outlier.name for outlier in self.outliers if outlier.index in self.left_out)


def fit(frames: Iterable[Frame | Skip], request: FitRequest, run: FitRun = FitRun()) -> Fit:
    """Fit a model on good frames.

    ``frames`` that can't be iterated anew are gone through once: outliers aren't looked for then.

    Raises:
        UserError: too few frames can be read or fit onto the reference, they are all the same picture, a plan can't be made
            (``plan_fit``), the options don't fit the method.
    """
    once = iter(frames) is frames
    if once:
        if request.illumination is not None and request.illumination.missing(3):
            raise TypeError("frames are read more than once: a list or the like, no generator")
        frames, plan = _planned(frames, request)
    else:
        plan = plan_fit(frames, request)
    gathered, lost = gather_all(plan, frames, run, frozenset())
    if isinstance(frames, FrameSequence):
        sized = request.size is not None or plan.spec.input.size == "any"
        gathered.notes.survey.check(request.source, sized=sized, mend=MEND)
    return finish_fit(plan, gathered, () if once else frames, request.source, run, lost)


def finish_fit(
    plan: FitPlan,
    gathered: GatheredFrames,
    frames: Iterable[Frame | Skip],
    source: str,
    run: FitRun,
    lost: Sequence[LostFrame] = (),
    *,
    before: Callable[[], GatheredFrames] | None = None,
) -> Fit:
    """The model of what was gathered, tested. ``frames``: those that are looked through for outliers.

    ``before``: reads what was gathered earlier, from other frames, and is part of ``gathered``.
    """
    row = method_row(plan.method)
    check_enough(gathered.notes, row, source, gathered.statistics.frames)
    model = gathered.statistics.model(gathered.kept.pictures())
    fitted = Fit(plan, gathered, model, lost=tuple(lost))
    if not run.test or gathered.statistics.frames < 3:
        return fitted
    found = _scores(plan, gathered, model, frames, run)
    fitted = replace(fitted, scores=tuple(found), outliers=outliers_of(found))
    fitted = _without_outliers(fitted, frames, source, run, before)
    return replace(fitted, tested=self_test(plan, fitted.gathered, fitted.scores))


def _without_outliers(
    whole: Fit, frames: Iterable[Frame | Skip], source: str, run: FitRun, before: Callable[[], GatheredFrames] | None
) -> Fit:
    """The fit without its outliers and those that they hid; ``whole``, with all of them listed, where they are kept in.

    Those that the last look showed are listed and not left out; where nobody asked for leaving out, all are kept in then.
    """
    plan, row, fitted, outliers = whole.plan, method_row(whole.plan.method), whole, whole.outliers
    for _ in range(_LOOKS):
        if len(outliers) == len(fitted.left_out):
            break
        if not are_left_out(run.leave_out, len(outliers), len(whole.scores), row.least_frames):
            return replace(whole, outliers=outliers)
        left_out = frozenset(outlier.index for outlier in outliers)
        gathered, lost = gather_all(plan, frames, run, left_out)
        if before is not None:
            more, gathered = gathered, before()
            gathered.merge(more)
        check_enough(gathered.notes, row, source, gathered.statistics.frames)
        model = gathered.statistics.model(gathered.kept.pictures())
        found = tuple(_scores(plan, gathered, model, frames, run, left_out))
        fitted = Fit(plan, gathered, model, scores=found, outliers=outliers, left_out=left_out, lost=lost)
        outliers = (*outliers, *outliers_of(found))
    if len(outliers) > len(fitted.left_out) and run.leave_out < 1.0:
        return replace(whole, outliers=outliers)  # each look shows more: a person should look
    return replace(fitted, outliers=outliers)


def fit_to_bundle(
    frames: Iterable[Frame | Skip],
    folder: Path,
    request: FitRequest | None = None,
    *,
    run: FitRun = FitRun(),
    force: bool = False,
    **options: Any,
) -> Bundle:
    """``fit`` and write; ``options`` are those of ``FitRequest`` where none is given, and the name is the folder's.

    Raises:
        UserError: as ``fit`` and ``write_bundle`` do.
    """
    check_target(folder, force=force)
    request = request or FitRequest(**{"name": folder.absolute().name, **options})
    return write_fit(folder, fit(frames, request, run), request.source, force=force)


def write_fit(folder: Path, fitted: Fit, source: str, *, force: bool = False) -> Bundle:
    """Write the bundle of a fit: model, reference, statistics, and the self-test with its pictures."""
    return write_bundle(folder, fitted.model.graph, spec_of(fitted, source), force=force, files=bundle_files(fitted))


def bundle_files(fitted: Fit) -> dict[str, bytes]:
    """The files of a fit beside the model: reference, statistics, and the self-test with its pictures."""
    files: dict[str, bytes] = {}
    if fitted.plan.reference is not None:
        register = fitted.plan.spec.register_
        assert register is not None
        reference = fitted.plan.reference
        files[register.reference] = encode_png(reference if reference.shape[2] == 3 else reference[:, :, 0])
    if fitted.gathered.statistics.arrays():
        files[STATISTICS] = fitted.gathered.to_bytes()
    if fitted.tested is not None:
        files["self_test.json"] = fitted.tested.to_json()
        files["self_test.png"] = encode_png(fitted.tested.sheet)
    return files


def spec_of(fitted: Fit, source: str) -> BundleSpec:
    """``bundle.yaml`` of a fit, its files not yet in it."""
    plan, model, notes = fitted.plan, fitted.model, fitted.gathered.notes
    threshold = model.display_threshold
    provenance = {
        "built_with": f"edge {edge.__version__}",
        "built_at": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "method": plan.method,
        **model.provenance,
        "options": _options(plan),
        "pose": plan.pose,
        "why": plan.why,
        "frame_size": list(plan.frame_size),
        "picture_shape": list(plan.shape),
        "source": source,
        "frames": fitted.gathered.statistics.frames,
        "frames_of_another_size": _resized(notes, plan),
        "unreadable": notes.unreadable,
        "out_of_place": [f"{name}: {why}" for name, why in notes.out_of_place],
        "clipped_frames": notes.clipped,
        "outliers": [outlier.name for outlier in fitted.outliers],
        "left_out": list(fitted.left_out_names),
    }
    return plan.spec.model_copy(
        update={
            "map_to_image": model.map_to_image,
            "map_size": model.map_size,
            "frames": notes.survey.common(),
            "display": DisplaySpec(threshold=threshold, range=(0.0, 2 * threshold)),
            "provenance": provenance,
        }
    )


def _resized(notes: FitNotes, plan: FitPlan) -> int:
    """Frames that had another size than most, or than their median; none where each is taken at its own."""
    if plan.spec.input.size == "any":
        return 0
    return notes.survey.frames - len(notes.survey.sizes.get(plan.frame_size, ()))


def _options(plan: FitPlan) -> dict[str, Any]:
    options = plan.options
    return {
        "floor": options.floor,
        "flat_field": options.flat_field,
        "backbone": None if options.backbone is None else options.backbone.name,
        "layers": list(options.layers),
        "vectors": options.vectors,
        **({"mirror": True} if options.mirror else {}),  # left out where it isn't, as older bundles do, which merge with it
    }


def _planned(frames: Iterable[Frame | Skip], request: FitRequest) -> tuple[Iterable[Frame | Skip], FitPlan]:
    """The plan of frames that come once, and all of them, with copies of those that were looked at."""
    source = iter(frames)
    head = [
        replace(entry, pixels=entry.pixels.copy()) if isinstance(entry, Frame) else entry for entry in islice(source, _HEAD)
    ]
    while head and not any(isinstance(entry, Frame) for entry in head):
        more = next(source, None)
        if more is None:
            break
        head.append(more)
    return chain(head, source), plan_fit(head, request)


def gather_all(
    plan: FitPlan, frames: Iterable[Frame | Skip], run: FitRun, left_out: frozenset[int]
) -> tuple[GatheredFrames, tuple[LostFrame, ...]]:
    """One pass. Frames that lie on a disk are spread in shards where the method's statistics merge."""
    if not isinstance(frames, FrameSequence) or not method_row(plan.method).mergeable:
        return gather_frames(plan, _counted(frames, run), left_out=left_out), ()
    shards = shards_of(frames.count(), SHARD_FRAMES)
    workers = default_workers(len(shards)) if run.workers is None else run.workers
    done = spread(
        GatherTask(plan, frames, left_out),
        shards,
        workers=workers,
        cluster=run.cluster,
        seen=frames.seen,
        kept_in=run.kept_in,
        key=_key(plan, frames, left_out),
        progress=lambda progress: run.progress("fitting", progress),
    )
    parts = [from_bytes(result, plan) for result in done.results]
    whole = parts[0] if parts else gather_frames(plan, ())
    for part in parts[1:]:
        whole.merge(part)
    return whole, done.lost


def _scores(
    plan: FitPlan,
    gathered: GatheredFrames,
    model: FittedModel,
    frames: Iterable[Frame | Skip],
    run: FitRun,
    left_out: frozenset[int] = frozenset(),
) -> list[HeldOutScore]:
    if not isinstance(frames, FrameSequence) or not gathered.statistics.arrays() or run.is_alone:
        counted = _counted(frames, run, "looking for outliers")
        return scores(plan, gathered, counted, map_to_image=model.map_to_image, left_out=left_out)
    shards = shards_of(frames.count(), SHARD_FRAMES)
    workers = default_workers(len(shards)) if run.workers is None else run.workers
    task = ScoreTask(plan, frames, gathered.to_bytes(), left_out)
    done = spread(
        task,
        shards,
        workers=workers,
        cluster=run.cluster,
        seen=frames.seen,
        progress=lambda progress: run.progress("looking for outliers", progress),
    )
    return [score for result in done.results for score in scores_from_bytes(result)]


def _counted(frames: Iterable[Frame | Skip], run: FitRun, what: str = "fitting") -> Iterator[Frame | Skip]:
    from edge.spread.throughput import Throughput

    total = frames.count() if isinstance(frames, FrameSequence) else 0
    pace = Throughput(total, 0)
    for done, frame in enumerate(frames):
        if total:
            run.progress(what, pace.progress(done, workers=1, retries=0))
        yield frame


def _key(plan: FitPlan, frames: FrameSequence, left_out: frozenset[int]) -> str:
    """What finished shards depend on: the plan, and which files there are."""
    reference = b"" if plan.reference is None else plan.reference.tobytes()
    from hashlib import sha256

    return "\n".join(
        (
            plan.spec.model_dump_json(),
            plan.method,
            repr(plan.options),
            sha256(reference).hexdigest(),
            *(f"{place.folder.absolute()} {place.names}" for place in frames.places),
            repr(sorted(left_out)),
        )
    )
