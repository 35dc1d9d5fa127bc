"""The factory's good frames, each with one job: to adapt by, to measure the threshold on, or to judge the answers on.

Whatever a model adapted to looks better than it is: a threshold from the frames that were aligned to or added rejected 62
to 100 % of fresh good ones. So the three are disjoint by content, and by part where parts are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from edge.config.bundle import Bundle
from edge.errors import UserError, first_few
from edge.frames import Frame
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.sets.used import fitted_on
from edge.preprocess.pixel_formats import Depth, LevelWindow, to_depth
from edge.shift.seen_frames import SeenFrames, check_shows, check_size

ADAPT_SHARE: Final = 2 / 7
"""This makes of 28 good frames 8 to adapt by and 20 for the threshold."""
MOST_ADAPT: Final = 64
MOST_THRESHOLD: Final = 60
MOST_JUDGED: Final = 60
LEAST_ADAPT, LEAST_THRESHOLD = 4, 10
CLIPPED_SHARE: Final = 0.02
"""Share of pixels at white, in the middle frame, above which nothing is adapted: no answer gives back what is lost."""
_MENTIONED_SHARE: Final = 0.005
"""Share of pixels at white from which a note says so."""


@dataclass(frozen=True, slots=True)
class FactoryFrames:
    """``adapt``, ``threshold``, ``judged``: disjoint; ``judged`` is empty if there are too few frames for it.

    ``ids``: content id of every file. ``notes``: what a reader must know.
    """

    source: FrameSet
    levels: tuple[Depth, LevelWindow | None]
    adapt: tuple[SetFrame, ...]
    threshold: tuple[SetFrame, ...]
    judged: tuple[SetFrame, ...]
    ids: dict[str, str] = field(repr=False)
    notes: tuple[str, ...] = ()

    def read(self, frames: Sequence[SetFrame]) -> Iterator[tuple[SetFrame, Frame]]:
        """The frames as the line's model gets them; they could be read before."""
        for frame in frames:
            yield frame, to_depth(self.source.read(frame), *self.levels)

    def without(self, files: frozenset[str]) -> FactoryFrames:
        """The same without these files."""

        def kept(frames: tuple[SetFrame, ...]) -> tuple[SetFrame, ...]:
            return tuple(frame for frame in frames if frame.file not in files)

        return replace(self, adapt=kept(self.adapt), threshold=kept(self.threshold), judged=kept(self.judged))

    def ids_of(self, frames: Sequence[SetFrame]) -> str:
        """Content ids for provenance: sorted, blanks between."""
        return " ".join(sorted({self.ids[frame.file] for frame in frames}))


def factory_frames(
    source: FrameSet,
    bundle: Bundle,
    levels: tuple[Depth, LevelWindow | None],
    *,
    adapt: int | None = None,
    lab_clipped: float = 0.0,
    seen: Callable[[int, int], None] = lambda *_: None,
) -> FactoryFrames:
    """Read every good frame once, refuse what can't be adapted to, and hand the frames out.

    Sides ``adapt`` and ``calibrate`` of a split are taken as they are, ``validation`` to judge on. ``adapt``: how many
    frames to adapt by, None: 2 of 7. ``lab_clipped``: share of clipped pixels that the lab's frames have, too.

    Raises:
        UserError: no good frame, too few, of another size than the model's, constant or clipped ones, such that the model
            was fitted on or adapted to before, sides that share a frame.
    """
    good, notes = _good(source)
    look = SeenFrames()
    for number, frame in enumerate(good, 1):
        look.look(frame, source, levels)
        seen(number, len(good))
    good = [frame for frame in good if frame.file in look.ids]
    _check(source, bundle, good, look, lab_clipped)
    if (share := float(np.median(look.clipped))) > max(_MENTIONED_SHARE, 2 * lab_clipped):
        notes.append(
            f"{share:.1%} of the pixels are at the highest level, the lab's had {lab_clipped:.1%}: reduce exposure"
        )
    notes += [f"{file} can't be read: {why}" for file, why in look.unreadable]
    if "adapt" in source.sides or "calibrate" in source.sides:
        sides = _of_split(source, good, look.ids)
    else:
        sides = _handed_out(source, good, look.ids, adapt)
    return FactoryFrames(source.lacking(len(look.unreadable)), levels, *sides, look.ids, tuple(notes))


def _good(source: FrameSet) -> tuple[list[SetFrame], list[str]]:
    labelled = any(frame.label for frame in source.frames)
    good = [frame for frame in source.frames if frame.label == ("good" if labelled else None)]
    if not good:
        raise UserError(
            f"{source.path}: no frame of it is labelled good, so there is nothing to adapt by",
            received=f"{len(source.frames)} frames",
            expected="frames of good parts that somebody confirmed",
            fix="label it: edge label",
        )
    if labelled:
        return good, []
    return good, [f"no frame of {source.path} has a label: all {len(good)} count as good"]


def _check(source: FrameSet, bundle: Bundle, good: Sequence[SetFrame], look: SeenFrames, lab_clipped: float) -> None:
    if not good:
        raise UserError(
            f"{source.path}: no frame can be read",
            received=f"{len(look.unreadable)} damaged pictures",
            expected="PNG, JPEG, TIFF or BMP pictures",
        )
    check_size(source, bundle, look)
    _check_colour(source, bundle, look)
    check_shows(source, look)
    share = float(np.median(look.clipped))
    if share > CLIPPED_SHARE and share > 2 * lab_clipped:
        raise UserError(
            f"{source.path}: the frames are clipped, and what is white can't be adapted to",
            received=f"{share:.1%} of the pixels at the highest level in the middle frame, the lab's had {lab_clipped:.1%}",
            expected=f"at most {max(CLIPPED_SHARE, 2 * lab_clipped):.1%}",
            fix="reduce exposure, or the light, and record again",
        )
    used = fitted_on(bundle)
    known = [frame.file for frame in good if look.ids[frame.file] in used]
    if known:
        raise UserError(
            f"{len(known)} of {len(good)} frames were used before: {bundle.folder} was made from them",
            received=first_few(known),
            expected="frames that the model has never seen",
            fix="gather others: edge gather",
        )


def _check_colour(source: FrameSet, bundle: Bundle, look: SeenFrames) -> None:
    kind = bundle.spec.frames
    colours = {"grey" if c == 1 else "RGB" for _, _, c in look.sizes}
    if len(colours) > 1 or (kind is not None and kind.colour is not None and colours != {kind.colour}):
        raise UserError(
            f"{source.path}: frames of another colour than {bundle.folder} was made from",
            received=first_few(look.shown_sizes()),
            expected=f"{kind.colour} frames" if kind is not None and kind.colour else "grey or RGB, all alike",
            fix="record with the line's camera settings",
        )


def _of_split(
    source: FrameSet, good: Sequence[SetFrame], ids: dict[str, str]
) -> tuple[tuple[SetFrame, ...], tuple[SetFrame, ...], tuple[SetFrame, ...]]:
    sides = [tuple(f for f in good if f.side == name) for name in ("adapt", "calibrate", "validation")]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        by_id = {ids[f.file]: f.file for f in sides[first]}
        shared = [f"{f.file} is {by_id[ids[f.file]]}" for f in sides[second] if ids[f.file] in by_id]
        if shared:
            raise UserError(
                f"{source.path}: frames to adapt by, for the threshold and to judge on must be disjoint",
                received=first_few(shared),
                expected="no picture on two sides",
                fix="split the set again: edge split",
            )
    _check_enough(source, len(sides[0]), len(sides[1]))
    return sides[0][:MOST_ADAPT], sides[1][:MOST_THRESHOLD], sides[2][:MOST_JUDGED]


def _handed_out(
    source: FrameSet, good: Sequence[SetFrame], ids: dict[str, str], adapt: int | None
) -> tuple[tuple[SetFrame, ...], tuple[SetFrame, ...], tuple[SetFrame, ...]]:
    """By the hash of their first frame, part by part: the same frames are always handed out alike."""
    groups: dict[str, list[SetFrame]] = {}
    for frame in good:
        groups.setdefault(frame.part or ids[frame.file], []).append(frame)
    merged: dict[str, list[SetFrame]] = {}
    for group in groups.values():  # copies of a frame stay together, whatever their parts are called
        merged.setdefault(min(ids[frame.file] for frame in group), []).extend(group)
    count = sum(len({ids[frame.file] for frame in group}) for group in merged.values())
    wanted = adapt if adapt is not None else max(LEAST_ADAPT, min(MOST_ADAPT, round(ADAPT_SHARE * count)))
    sides: tuple[list[SetFrame], list[SetFrame], list[SetFrame]] = ([], [], [])
    most = (wanted, MOST_THRESHOLD, MOST_JUDGED)
    for key in sorted(merged):
        side = next((number for number in range(3) if len(sides[number]) < most[number]), None)
        if side is None:
            break
        once = {ids[frame.file]: frame for frame in reversed(merged[key])}
        sides[side].extend(sorted(once.values(), key=lambda frame: frame.file))
    if len(sides[2]) < LEAST_THRESHOLD:  # too few to judge on: the threshold's own are judged one by one, left out in turn
        sides[1].extend(sides[2])
        sides[2].clear()
    _check_enough(source, len(sides[0]), len(sides[1]))
    return tuple(sides[0]), tuple(sides[1]), tuple(sides[2])


def _check_enough(source: FrameSet, adapt: int, threshold: int) -> None:
    if adapt < LEAST_ADAPT or threshold < LEAST_THRESHOLD:
        raise UserError(
            f"{source.path}: too few good frames for a claim",
            received=f"{adapt} to adapt by and {threshold} for the threshold",
            expected=f"at least {LEAST_ADAPT} and {LEAST_THRESHOLD}; 8 and 20 are a good beginning",
            fix="gather more: edge gather",
        )
