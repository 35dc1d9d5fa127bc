"""The one pass over the good frames: each is added to the method's statistics, and what stood out is noted."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from edge.errors import UserError
from edge.frames import Frame, Skip
from edge.models.fit.fit_plan import FitPlan, PlanPictures
from edge.models.fit.methods import MethodRow, method_row
from edge.models.fit.protocol import Statistics
from edge.models.fit.sums import KeptPictures
from edge.models.frame_sequence import FrameSequence, name_of
from edge.models.frame_survey import Survey
from edge.models.sets.used import content_id
from edge.spread.shards import At, Shard
from edge.storage.arrays import read_arrays

_CLIPPED_PX = 0.005
"""Share of a frame's pixels at the highest level from which on it counts as clipped."""
_WHITE_PPM = 990_000
"""Pixels of a million at the highest level: nothing can be seen anywhere."""


@dataclass(slots=True)
class FitNotes:
    """What stood out among the frames that were gone through. ``skipped``: names and reasons, not in the statistics."""

    used: int = 0
    survey: Survey = field(default_factory=Survey)
    """Sizes, colours and depths of all that could be read."""
    clipped: int = 0
    clipped_ppm: int = 0
    """Sum over the clipped frames of their pixels at the highest level, in millionths of a frame."""
    unreadable: list[str] = field(default_factory=list)
    out_of_place: list[tuple[str, str]] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)
    """A short hash of each used frame's pixels."""

    def merge(self, other: FitNotes) -> None:
        self.used += other.used
        self.survey.merge(other.survey)
        self.clipped += other.clipped
        self.clipped_ppm += other.clipped_ppm
        self.unreadable += other.unreadable
        self.out_of_place += other.out_of_place
        self.contents += other.contents

    @property
    def copies(self) -> int:
        """Used frames that are the same as an earlier one."""
        return len(self.contents) - len(set(self.contents))


@dataclass(slots=True)
class GatheredFrames:
    """Statistics of some frames, a fixed choice of their pictures, and the notes."""

    statistics: Statistics
    kept: KeptPictures
    notes: FitNotes

    def merge(self, other: GatheredFrames) -> None:
        """Take in what came after."""
        self.statistics.merge(other.statistics)
        self.kept.merge(other.kept)
        self.notes.merge(other.notes)

    def to_bytes(self) -> bytes:
        """All of it as an .npz file; the same bytes for the same content."""
        arrays = {f"statistics_{name}": array for name, array in self.statistics.arrays().items()}
        arrays |= {f"kept_{i:02d}": picture for i, picture in enumerate(self.kept.pictures())}
        notes = {name: getattr(self.notes, name) for name in FitNotes.__slots__} | {"survey": self.notes.survey.to_json()}
        arrays["notes"] = np.frombuffer(orjson.dumps(notes), np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()


def empty(plan: FitPlan) -> GatheredFrames:
    """What is gathered before the first frame."""
    height, width, channels = plan.shape
    statistics = method_row(plan.method).load().empty(plan.shape, plan.options)
    return GatheredFrames(statistics, KeptPictures(height * width * channels), FitNotes())


def from_bytes(data: bytes, plan: FitPlan) -> GatheredFrames:
    """Read what ``GatheredFrames.to_bytes`` wrote. Raises ValueError or KeyError where it is something else."""
    named = read_arrays(data)
    gathered = empty(plan)
    of_method = {name[11:]: array for name, array in named.items() if name.startswith("statistics_")}
    gathered.statistics = method_row(plan.method).load().restore(of_method, plan.shape, plan.options)
    for name in sorted(named):
        if name.startswith("kept_"):
            gathered.kept.add(named[name])
    notes = orjson.loads(named["notes"].tobytes())
    notes["out_of_place"] = [(name, why) for name, why in notes["out_of_place"]]
    notes["survey"] = Survey.from_json(notes["survey"])
    gathered.notes = FitNotes(**notes)
    return gathered


def kept_pictures(data: bytes) -> list[NDArray[Any]]:
    """Read the kept pictures alone of what ``GatheredFrames.to_bytes`` wrote: the method and its backbone aren't asked.

    Raises ValueError where it is something else.
    """
    kept = read_arrays(data, lambda name: name.startswith("kept_"))
    return [kept[name] for name in sorted(kept)]


def gather_frames(
    plan: FitPlan,
    frames: Iterable[Frame | Skip],
    *,
    at: At = lambda _index, _name: None,
    first: int = 0,
    left_out: frozenset[int] = frozenset(),
) -> GatheredFrames:
    """Go through the frames once. ``first``: number of the first of them; ``left_out``: numbers that aren't used."""
    gathered = empty(plan)
    pictures, notes = PlanPictures(plan), gathered.notes
    for index, entry in enumerate(frames, first):
        if index in left_out:
            continue
        at(index, name_of(entry))
        if isinstance(entry, Skip):
            notes.unreadable.append(name_of(entry))
            continue
        notes.survey.add(entry, compare=False)
        picture, placement = pictures.of(entry)
        if placement is not None and placement.problem is not None:
            notes.out_of_place.append((name_of(entry), placement.problem))
            continue
        notes.used += 1
        _note_clipping(entry, notes)
        notes.contents.append(content_id(entry.pixels))
        gathered.statistics.add(picture)
        gathered.kept.add(picture)
    return gathered


def check_enough(notes: FitNotes, row: MethodRow, source: str, frames: int) -> None:
    """Raise UserError where so few frames, or nothing but copies of one, can't make a model."""
    if frames < row.least_frames:
        received = [f"{frames} that can be used"]
        if notes.unreadable:
            received.append(f"{len(notes.unreadable)} that cannot be read")
        if notes.out_of_place:
            received.append(f"{len(notes.out_of_place)} in which the part lies elsewhere")
        raise UserError(
            f"{source}: too few good frames to fit on",
            received=", ".join(received),
            expected=f"at least {row.least_frames}; {row.enough_frames}",
            fix=notes.out_of_place[0][0] + ": " + notes.out_of_place[0][1] if notes.out_of_place else None,
        )
    if len(set(notes.contents)) == 1 and len(notes.contents) > 1:
        white = notes.clipped_ppm >= _WHITE_PPM * notes.used
        raise UserError(
            f"{source}: all frames are the same picture",
            received=f"{len(notes.contents)} copies of one" + (", clipped: white all over" if white else ""),
            expected="frames of different good parts, so that it shows how good parts differ",
            fix="reduce exposure, and record again"
            if white
            else "record again: the camera repeats its picture, or one file was copied",
        )


@dataclass(frozen=True, slots=True)
class GatherTask:
    """``gather_frames`` on one shard of frames that every worker can read."""

    plan: FitPlan
    frames: FrameSequence
    left_out: frozenset[int] = frozenset()

    def __call__(self, shard: Shard, at: At) -> bytes:
        entries = self.frames.read(shard.start, shard.stop)
        left_out = self.left_out | frozenset(shard.skip)
        return gather_frames(self.plan, entries, at=at, first=shard.start, left_out=left_out).to_bytes()


def _note_clipping(frame: Frame, notes: FitNotes) -> None:
    share = float(np.count_nonzero(frame.pixels >= 2**frame.bits - 1)) / frame.pixels.size
    if share > _CLIPPED_PX:
        notes.clipped += 1
        notes.clipped_ppm += round(share * 1e6)
