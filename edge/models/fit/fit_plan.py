"""What a fit is going to do, settled on its first frames: pose, reference, method, size, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np

from edge.config.bundle_spec import BundleSpec, InputSpec, ResizeSpec
from edge.config.illumination_spec import IlluminationSpec
from edge.config.register_spec import RegisterLimits, RegisterSpec
from edge.errors import UserError
from edge.frames import Frame, Skip
from edge.models.fit.methods import DEFAULTS, method_row
from edge.models.fit.protocol import GraphPicture, MethodOptions, Pose
from edge.models.frame_sequence import FrameSequence, name_of
from edge.models.frame_survey import FrameSize, Survey
from edge.models.freeze_illumination import frozen
from edge.preprocess.prepare import Workspace, prepare
from edge.preprocess.register import Placement, Registrar

PoseChoice: TypeAlias = Literal["auto", "fixed", "texture"]
_LOOKED_AT = 16
"""Frames on which pose and reference are settled."""
_SIZED = 256
"""Frames whose sizes are looked at where they vary."""
_SHARE = 0.75
"""So many of those must lie alike for a pose to be called fixed."""
_CONTRAST = 2.0
"""Grey levels by which a picture must vary at 64 px for a registration to have something to go by."""
_SLACK, _AGREEMENT = 4.0, (0.3, 0.85)
"""The bundle's least agreement lies four times as far below 1 as the worst of the frames that fit, within these bounds: a
large defect lowers it too, and is to be a ``fail``, not a part out of place."""
MEND = ", or say to which size all are brought: --size WIDTH,HEIGHT"
"""How a set of frames of several sizes can be mended, beside leaving some out."""


@dataclass(frozen=True, slots=True)
class FitRequest:
    """What the user asks of a fit; ``None`` leaves the choice to it."""

    name: str
    method: str | None = None
    pose: PoseChoice = "auto"
    size: tuple[int, int] | None = None
    """Width and height of the picture that the model sees."""
    max_side: int = 1024
    """Without ``size``: larger frames are shrunk to this longer side, where the pose is fixed."""
    illumination: IlluminationSpec | None = None
    options: MethodOptions = field(default_factory=MethodOptions)
    source: str = "the frames"
    """What errors call the frames, and the bundle's provenance."""


@dataclass(frozen=True, slots=True)
class FitPlan:
    """All that turns a frame into a picture for the method; it goes to every worker.

    ``shape``: (H, W, C) of the first picture. ``reference``: uint8 of that shape, None if nothing is registered.
    """

    spec: BundleSpec
    method: str
    options: MethodOptions
    pose: Pose
    why: str
    shape: tuple[int, int, int]
    frame_size: tuple[int, int]
    """Width and height of the frames before any resize; their median where they vary."""
    reference: GraphPicture | None = field(repr=False, default=None)


def plan_fit(frames: Iterable[Frame | Skip], request: FitRequest) -> FitPlan:
    """Look at the first frames and settle everything.

    Raises:
        UserError: no frame can be read, sizes differ though the pose is said to be fixed, there is no such method, frames
            are to be mirrored though parts lie alike.
    """
    plan = _plan(frames, request)
    if plan.options.mirror and (plan.method != "memory" or plan.pose == "fixed"):
        raise UserError(
            f"{request.source}: mirrored frames are of no use here",
            received=f"--mirror with pose {plan.pose}, method {plan.method} ({plan.why})",
            expected="method memory, and parts that may lie either way",
            fix="leave --mirror out; or say --pose texture",
        )
    return plan


def _plan(frames: Iterable[Frame | Skip], request: FitRequest) -> FitPlan:
    named = None if request.method is None else method_row(request.method)
    first = [frame for frame in islice(frames, _LOOKED_AT) if isinstance(frame, Frame)]
    if not first:
        first = list(islice((f for f in frames if isinstance(f, Frame)), 1))
    if not first:
        raise UserError(
            f"{request.source}: no good frame to fit on", expected="pictures, a recording or a video of good parts"
        )
    channels: Literal[1, 3] = 1 if first[0].pixels.ndim == 2 else 3
    light = _light(request, channels, frames)
    own = _own_size(frames, first)
    if named is not None and not named.registers and request.pose != "texture":
        spec = _fixed_spec(own, request, channels, light)
        shape = prepare(first[0], spec).image.shape
        return FitPlan(
            spec=spec,
            method=named.name,
            options=request.options,
            pose="fixed",
            why=f"{named.name} takes frames as they lie",
            shape=shape,
            frame_size=own,
        )
    sizes = {(frame.meta.width, frame.meta.height): frame for frame in reversed(first)}
    if request.pose == "fixed" and len(sizes) > 1 and request.size is None:
        raise _sizes_differ(request, sizes)
    wanted: Pose | None = None if request.pose == "auto" else request.pose
    if wanted is None and named is not None and len(named.poses) == 1:
        wanted = named.poses[0]
    if wanted is None and len(sizes) > 1 and request.size is None:
        _expect_crops(first, request.source)
        wanted, why = "texture", f"frames differ in size: {_listed(sizes)}"
    elif wanted is not None:
        why = f"--pose {wanted}" if request.pose != "auto" else f"{named.name if named else ''} is made for it"
    else:
        why = ""
    if wanted != "texture":
        plan = _fixed(first, request, channels, light, own=own, forced=wanted == "fixed", why=why)
        if plan is not None:
            return plan
        why = _too_few(first)
    method = named or method_row(DEFAULTS["texture"])
    spec = _texture_spec(own, request, channels, light, any_size=method.any_size)
    shape = prepare(first[0], spec).image.shape
    return FitPlan(
        spec=spec,
        method=method.name,
        options=request.options,
        pose="texture",
        why=why,
        shape=shape,
        frame_size=own,
    )


class PlanPictures:
    """Turns frames into the pictures that the method sees, as the engines' host step will at run time."""

    def __init__(self, plan: FitPlan) -> None:
        self._plan = plan
        self._workspace = Workspace()
        register = plan.spec.register_
        self.registrar = None if register is None or plan.reference is None else Registrar(plan.reference, register)

    def of(self, frame: Frame) -> tuple[GraphPicture, Placement | None]:
        """The picture, valid until the next call, and where its part lay; look at ``Placement.problem`` before use."""
        picture: Any = prepare(frame, self._plan.spec, self._workspace).image
        if self.registrar is None:
            return picture, None
        placement = self.registrar.locate(picture)
        if placement.problem is None:
            out = self._workspace.array("registered", picture.shape, np.uint8)
            picture = self.registrar.apply(picture, placement, out)
        return picture, placement


def _light(request: FitRequest, channels: Literal[1, 3], frames: Iterable[Frame | Skip]) -> IlluminationSpec | None:
    if request.illumination is None:
        return None
    return frozen(request.illumination, channels, frames, f"give frames that can be read in {request.source}")


def _fixed(
    first: Sequence[Frame],
    request: FitRequest,
    channels: Literal[1, 3],
    light: IlluminationSpec | None,
    *,
    own: FrameSize,
    forced: bool,
    why: str,
) -> FitPlan | None:
    """The plan for parts that lie alike; None if they don't, and nobody said so."""
    spec = _fixed_spec(own, request, channels, light)
    work = Workspace()
    pictures: list[Any] = [prepare(frame, spec, work).image.copy() for frame in first]
    shape: Any = pictures[0].shape
    method = request.method or DEFAULTS["fixed"]
    if _contrast(pictures[0]) < _CONTRAST:
        reason = "the frames show nothing to register by, so they are taken as they lie"
        return FitPlan(
            spec=spec,
            method=method,
            options=request.options,
            pose="fixed",
            why="; ".join(filter(None, (why, reason))),
            shape=shape,
            frame_size=own,
        )
    limits = RegisterLimits(shift_px=float(max(16, round(max(shape[:2]) / 32))))
    index, placements = _reference(pictures, RegisterSpec(limits=limits))
    fitting = [p for p in placements if p.problem is None]
    if not forced and len(fitting) < _SHARE * len(placements):
        return None
    worst = min((p.agreement for p in fitting), default=1.0)
    agreement = round(float(np.clip(1 - _SLACK * (1 - worst), *_AGREEMENT)), 2)
    limits = limits.model_copy(update={"agreement": agreement})
    register = RegisterSpec(map_times_gain=method_row(method).in_noise, limits=limits)
    reason = why or (
        f"{len(fitting)} of the first {len(placements)} frames lie alike: they agree by {worst:.2f} or more once registered"
    )
    registered = spec.model_copy(update={"register_": register})
    return FitPlan(
        spec=registered,
        method=method,
        options=request.options,
        pose="fixed",
        why=reason,
        shape=shape,
        frame_size=own,
        reference=pictures[index],
    )


def _reference(pictures: Sequence[Any], spec: RegisterSpec) -> tuple[int, list[Placement]]:
    """Which of the pictures lies in the middle of all, and where the others lie against it."""
    registrar = Registrar(pictures[0], spec)
    placements = [registrar.locate(picture) for picture in pictures]
    good = [(i, p) for i, p in enumerate(placements) if p.agreement >= spec.limits.agreement]
    if len(good) < 3:
        return 0, placements
    poses = np.array([(*p.shift_px, 2 * p.rotation_deg, 200 * (p.scale - 1), 20 * p.light[0]) for _, p in good])
    index = good[int(np.argmin(np.abs(poses - np.median(poses, axis=0)).sum(axis=1)))][0]
    registrar = Registrar(pictures[index], spec)
    return index, [registrar.locate(picture) for picture in pictures]


def _contrast(picture: Any) -> float:
    """Standard deviation of the picture shrunk to 64 px, where noise is averaged away."""
    grey = picture.mean(axis=2).astype(np.float32)
    scale = min(1.0, 64 / max(grey.shape))
    size = max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale))
    return float(cv2.resize(grey, size, interpolation=cv2.INTER_AREA).std())


def _fixed_spec(own: FrameSize, request: FitRequest, channels: Literal[1, 3], light: IlluminationSpec | None) -> BundleSpec:
    size = request.size or _shrunk(own, request.max_side)
    return BundleSpec(
        name=request.name,
        input=InputSpec(channels=channels, size=size),
        illumination=light,
        resize=ResizeSpec(where="host", kernel="area", size=size),
    )


def _texture_spec(
    own: FrameSize, request: FitRequest, channels: Literal[1, 3], light: IlluminationSpec | None, *, any_size: bool
) -> BundleSpec:
    """At the frames' own scale where the method takes any size: brought to one size, they would show their sizes."""
    if request.size is not None or not any_size:
        return _fixed_spec(own, request, channels, light)
    return BundleSpec(
        name=request.name,
        input=InputSpec(channels=channels, size="any"),
        illumination=light,
        resize=ResizeSpec(where="none"),
    )


def _own_size(frames: Iterable[Frame | Skip], first: Sequence[Frame]) -> FrameSize:
    """Width and height that most of the frames have, or the medians of sides that vary.

    More frames than the first are looked at where they lie on a disk: those that come first may be unlike the rest.
    """
    sizes = {_size(frame) for frame in (*first, *_spread_over(frames, _LOOKED_AT))}
    survey = Survey()
    for frame in (list(_spread_over(frames, _SIZED)) if len(sizes) > 1 else []) or first:
        survey.add(frame, compare=False)
    return survey.size


def _size(frame: Frame) -> FrameSize:
    return frame.meta.width, frame.meta.height


def _spread_over(frames: Iterable[Frame | Skip], count: int) -> Iterator[Frame]:
    """So many frames from the whole of them, at equal distances; none where they can't be picked out."""
    if not isinstance(frames, FrameSequence) or not all(place.folder.is_dir() for place in frames.places):
        return
    last = frames.count() - 1
    for index in sorted({round(k * last / max(1, count - 1)) for k in range(count)}):
        yield from (entry for entry in frames.read(index, index + 1) if isinstance(entry, Frame))


def _shrunk(size: FrameSize, max_side: int) -> tuple[int, int]:
    scale = min(1.0, max_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _expect_crops(first: Sequence[Frame], source: str) -> None:
    """Refuse a few frames of another size than the rest: they are no texture, but a mistake."""
    survey = Survey()
    for frame in first:
        survey.add(frame, compare=False)
    survey.check(source, mend=MEND)


def _too_few(first: Sequence[Frame]) -> str:
    return f"the first {len(first)} frames don't lie alike: fewer than {_SHARE:.0%} of them fit onto one of them"


def _listed(sizes: dict[tuple[int, int], Frame]) -> str:
    shown = [f"{w}x{h}" for w, h in list(sizes)[:3]]
    return ", ".join(shown) + (" ..." if len(sizes) > 3 else "")


def _sizes_differ(request: FitRequest, sizes: dict[tuple[int, int], Frame]) -> UserError:
    named = [f"{name_of(frame)} is {w}x{h}" for (w, h), frame in list(sizes.items())[:3]]
    return UserError(
        f"{request.source}: frames of a fixed pose must have one size",
        received=", ".join(named),
        expected="frames of one camera setting",
        fix="fit on frames of one size, give --size W,H to bring them to one, or say --pose texture",
    )
