"""Pictures to learn from: good ones, copies with synthetic defects, labelled defects, and these on other good frames.

A head learns from the features of all of them, computed once; a network from pixels, with defects drawn anew in each epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.disturb.synthetic import SyntheticDefect, chosen, draw, transplanted
from edge.errors import UserError
from edge.frames import Frame, Skip
from edge.models.fit.feature_net import FeatureNet
from edge.models.fit.fit_plan import FitPlan, PlanPictures
from edge.models.fit.memory import MemoryStatistics
from edge.models.fit.protocol import GraphPicture
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.train.augment import displaced, disturbed, mirrored
from edge.models.train.feature_cache import CachedPicture, SampleGroup
from edge.models.train.frame_roles import FrameRole, Roles
from edge.models.train.options import TrainOptions, draws_anew
from edge.models.train.picture_cache import DrawnPicture
from edge.models.train.seen_targets import seen_targets, shows_defect, without_surroundings
from edge.storage.pictures import PictureError

_WHOLE = 0.1
"""Share of a place's square that a defect must cover to make it wholly defective."""


@dataclass(frozen=True, slots=True)
class SetFrames:
    """The frames of a set one after the other, from the first on each time; one that can't be read is a ``Skip``."""

    source: FrameSet
    frames: Sequence[SetFrame]

    def __iter__(self) -> Iterator[Frame | Skip]:
        for frame in self.frames:
            try:
                yield self.source.read(frame)
            except (OSError, PictureError):
                yield Skip("unreadable", 1, None, None, 0, frame_ref=frame.file)


def count_samples(roles: Roles, options: TrainOptions, *, mirrored: bool) -> int:
    """How many pictures ``samples`` or ``network_pictures`` give at most. ``mirrored``: good ones come mirrored, too."""
    drawn = 0 if draws_anew(options) else options.versions
    moved_to = drawn if options.transplant else 0
    disturbed_too = bool(drawn and (options.augment or options.randaugment))
    again = drawn if mirrored or disturbed_too else 0
    return (
        (1 + drawn + again) * len(roles.good)
        + (1 + options.versions) * len(roles.validated_good)
        + (1 + moved_to + disturbed_too) * len(roles.defects)
        + len(roles.validated_defects)
    )


def samples(
    source: FrameSet,
    roles: Roles,
    plan: FitPlan,
    memory: MemoryStatistics,
    donors: Sequence[GraphPicture],
    *,
    options: TrainOptions,
) -> Iterator[CachedPicture]:
    """Every picture that the head learns from or is validated on, with its features; the same ones for the same seed.

    ``donors``: good training pictures from which synthetic defects are cut, and onto which labelled ones are pasted.

    Raises:
        UserError: a mask is of another size than its frame, or can't be read.
    """
    last: tuple[GraphPicture, NDArray[np.float32]] | None = None
    for one in _Maker(source, plan, donors, options, options.versions).all(roles):
        features = memory.vectors(one.picture)
        targets = None if one.mask is None else place_targets(one.mask, memory.net, (features.shape[0], features.shape[1]))
        if one.clean is None:
            last = one.picture, features
            if one.group == "labelled" and targets is not None:
                targets = without_surroundings(targets)
        elif targets is not None:
            before = last[1] if last is not None and last[0] is one.clean else memory.vectors(one.clean)
            targets = seen_targets(targets, before, features, memory.deviation)
            if not shows_defect(targets):
                continue
        yield CachedPicture(one.role, one.group, one.kind, features, targets)


def with_usable_labels(source: FrameSet, roles: Roles, plan: FitPlan) -> Roles:
    """Return the roles without labelled defects to learn from that show nothing: the frame can't be used, or no px of its
    mask is in the picture. How many these are is noted.

    Raises:
        UserError: a mask is of another size than its frame, or can't be read.
    """
    maker = _Maker(source, plan, (), TrainOptions(), 0)
    usable = tuple(frame for frame in roles.defects if maker.shows_defect(frame))
    without = len(roles.defects) - len(usable)
    if not without:
        return roles
    note = f"{without} of {len(roles.defects)} labelled defects are not learned from: an empty mask, or an unusable frame"
    return replace(roles, defects=usable, notes=(*roles.notes, note))


def network_pictures(
    source: FrameSet, roles: Roles, plan: FitPlan, donors: Sequence[GraphPicture], *, options: TrainOptions
) -> Iterator[DrawnPicture]:
    """Every picture that a network learns from, as it is, and all that it is validated on, with synthetic defects.

    Raises:
        UserError: a mask is of another size than its frame, or can't be read.
    """
    yield from _Maker(source, plan, donors, options, 0).all(roles)


def unlabelled_pictures(source: FrameSet, plan: FitPlan, most: int) -> Iterator[DrawnPicture]:
    """Up to ``most`` frames of a set that nobody labelled, spread over all of them, as the graph takes them."""
    maker = _Maker(source, plan, (), TrainOptions(), 0)
    last = len(source.frames) - 1
    for index in sorted({round(k * last / max(1, most - 1)) for k in range(most)}) if source.frames else ():
        picture, _ = maker._picture(source.frames[index], masked=False)  # noqa: SLF001  (of this file)
        if picture is not None:
            yield DrawnPicture("train", "good", "good", picture, np.zeros(picture.shape[:2], np.bool_))


class _Maker:
    """``drawn``: synthetic defects for each good training picture, and new places for each labelled defect."""

    def __init__(
        self, source: FrameSet, plan: FitPlan, donors: Sequence[GraphPicture], options: TrainOptions, drawn: int
    ) -> None:
        self._source, self._donors, self._options, self._drawn = source, donors, options, drawn
        self._plan = plan
        self._pictures = PlanPictures(plan)
        self._kinds: Sequence[SyntheticDefect] = chosen(options.without)

    def all(self, roles: Roles) -> Iterator[DrawnPicture]:
        yield from self._good(roles.good, "train", roles.false_positives)
        yield from self._good(roles.validated_good, "validation", frozenset())
        yield from self._labelled(roles.defects, "train")
        yield from self._labelled(roles.validated_defects, "validation")

    def shows_defect(self, frame: SetFrame) -> bool:
        """Whether a labelled frame can be used, and its mask marks some of the picture."""
        picture, mask = self._picture(frame)
        return picture is not None and mask is not None and bool(mask.any())

    def _good(self, frames: Sequence[SetFrame], role: FrameRole, false_positives: frozenset[str]) -> Iterator[DrawnPicture]:
        rows, random = (self._options.augment, self._options.randaugment) if role == "train" else ((), 0)
        for number, frame in enumerate(frames):
            picture, _ = self._picture(frame)
            if picture is None:
                continue
            group: SampleGroup = "false_positive" if frame.file in false_positives else "good"
            clean = np.zeros(picture.shape[:2], np.bool_)
            yield DrawnPicture(role, group, group, picture, clean)
            for version in range(self._drawn if role == "train" else self._options.versions):
                rng = np.random.default_rng((self._options.seed, 2 if role == "train" else 3, number, version))
                ground = mirrored(rng, picture) if role == "train" and self._plan.pose == "texture" else picture
                ground = displaced(rng, ground, rows)
                made = draw(rng, ground, self._donors[int(rng.integers(len(self._donors)))], self._kinds)
                alike = int(rng.integers(2**31))  # both are disturbed by the same draws, so that the defect alone differs
                before = disturbed(np.random.default_rng(alike), ground, rows, random)
                if before is not picture:
                    yield DrawnPicture(role, group, group, before, clean)
                if made is not None:
                    after = disturbed(np.random.default_rng(alike), made[0], rows, random)
                    yield DrawnPicture(role, "synthetic", made[2], after, made[1], clean=before)

    def _labelled(self, frames: Sequence[SetFrame], role: FrameRole) -> Iterator[DrawnPicture]:
        for number, frame in enumerate(frames):
            picture, mask = self._picture(frame)
            if picture is None:
                continue
            if mask is None or not mask.any():
                if role == "validation":
                    yield DrawnPicture(role, "labelled", frame.kind, picture, None)
                continue
            yield DrawnPicture(role, "labelled", frame.kind, picture, mask)
            if role == "train" and self._drawn:  # where nothing is kept, each draw is disturbed anew
                rng = np.random.default_rng((self._options.seed, 12, number))
                changed = self._disturbed(int(rng.integers(2**31)), picture)
                if changed is not picture:
                    yield DrawnPicture(role, "labelled", frame.kind, changed, mask)
                if self._options.transplant:
                    yield from self._moved(number, frame.kind, picture, mask)

    def _disturbed(self, seed: int, picture: GraphPicture) -> GraphPicture:
        return disturbed(np.random.default_rng(seed), picture, self._options.augment, self._options.randaugment)

    def _moved(self, number: int, kind: str, picture: GraphPicture, mask: NDArray[np.bool_]) -> Iterator[DrawnPicture]:
        """The labelled defect at other places of other frames."""
        for version in range(self._drawn):
            rng = np.random.default_rng((self._options.seed, 4, number, version))
            ground = self._donors[int(rng.integers(len(self._donors)))]
            made = transplanted(rng, ground, picture, mask)
            if made is not None:
                alike = int(rng.integers(2**31))
                before, after = self._disturbed(alike, ground), self._disturbed(alike, made[0])
                yield DrawnPicture("train", "labelled", kind, after, made[1], clean=before)

    def _picture(self, frame: SetFrame, *, masked: bool = True) -> tuple[GraphPicture | None, NDArray[np.bool_] | None]:
        """The picture that the graph takes, in an array of its own, with its mask in the same place; None if it can't be
        used.
        """
        try:
            loaded = self._source.read(frame)
        except (OSError, PictureError):
            return None, None
        mask = self._mask(frame, loaded) if masked else None
        picture, placement = self._pictures.of(loaded)
        if placement is not None and placement.problem is not None:
            return None, None
        size = (picture.shape[1], picture.shape[0])
        if mask is not None:
            moved = mask.astype(np.uint8)
            if moved.shape != picture.shape[:2]:
                moved = (cv2.resize(moved * 255, size, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
            if placement is not None:
                flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
                moved = np.asarray(cv2.warpAffine(moved, placement.matrix, size, flags=flags), np.uint8)
            mask = moved > 0
        return picture.copy(), mask

    def _mask(self, frame: SetFrame, loaded: Frame) -> NDArray[np.bool_] | None:
        if frame.mask is None:
            return None
        try:
            mask = self._source.read_mask(frame)
        except (OSError, PictureError) as error:
            raise UserError(f"{self._source.root / frame.mask}: the mask of {frame.file} cannot be read: {error}") from None
        wanted = loaded.pixels.shape[:2]
        if mask is not None and mask.shape != wanted:
            raise UserError(
                f"{self._source.root / frame.mask}: the mask is not of its frame's size",
                received=f"{mask.shape[1]}x{mask.shape[0]}",
                expected=f"{wanted[1]}x{wanted[0]}, as {frame.file}",
                fix="draw it on the frame itself, or leave labelled defects out: --no-labels",
            )
        return mask


def place_targets(mask: NDArray[np.bool_], net: FeatureNet, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return how defective each place of a backbone's grid is, float32 (h, w) of ``shape``."""
    return target_grid(mask, net.stride, net.first, shape)


def target_grid(
    mask: NDArray[np.bool_], side: int, first: tuple[float, float], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return how defective each place of a grid is, float32 (h, w) of ``shape``: the share of its square of ``side`` px
    that is, 1 from a tenth on, because a crack covers little of any. ``first``: (x, y) of the first place's middle.
    """
    share = cv2.boxFilter(mask.astype(np.float32), -1, (side, side), normalize=True, borderType=cv2.BORDER_CONSTANT)
    at = (
        np.clip((start + side * np.arange(count)).astype(int), 0, limit - 1)
        for start, count, limit in zip(reversed(first), shape, mask.shape, strict=True)
    )
    return np.asarray(np.minimum(share[np.ix_(*at)] / _WHOLE, 1), np.float32)
