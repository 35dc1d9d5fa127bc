"""A line's maps measured shard by shard: the highest value of each frame, and the quantiles of all pixels."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from edge.config.bundle import load_bundle
from edge.config.line import Config
from edge.engines.line_engine import open_line_engine
from edge.engines.protocol import Engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.errors import UserError
from edge.frames import FrameKind, Skip, Unmapped
from edge.models.calibrate.quantile import QuantileSketch
from edge.models.calibrate.thresholds import compared_values
from edge.models.frame_sequence import FrameSequence, name_of
from edge.models.frame_survey import Survey
from edge.models.sets.used import content_id
from edge.preprocess.pixel_formats import to_depth
from edge.regions.plans import RegionPlans
from edge.spread import SHARD_FRAMES, LostFrame, Progress, default_workers, shards_of, spread
from edge.spread.shards import At, Shard
from edge.storage.arrays import read_arrays
from edge.storage.mask_picture import read_mask

_KEPT = 1 << 20
"""Largest values that a shard keeps: its quantiles from 0.985 up are exact for frames of 512x512, its other ones near."""


@dataclass(frozen=True, slots=True)
class SpreadRun:
    """How frames are spread; it changes nothing of what is measured."""

    frames: FrameSequence
    workers: int | None = 1
    """Processes; None: as many as there are cores, if there are frames enough."""
    cluster: str | None = None
    """Address of a Ray cluster whose nodes do the work instead, and see frames and bundle by the same paths."""
    kept_in: Path | None = None
    """Folder for finished shards, from which a run that was stopped goes on."""
    progress: Callable[[str, Progress], None] = lambda _what, _progress: None


@dataclass(slots=True)
class Measured:
    """What came of some frames. ``maxima``: number, name and highest value of each that has a map."""

    maxima: list[tuple[int, str, float]]
    pixels: QuantileSketch
    survey: Survey = field(default_factory=Survey)
    kinds: set[FrameKind] = field(default_factory=set)
    scores: list[tuple[str, float | None]] = field(default_factory=list)
    """Each frame's name and image score, None if the model gives none."""
    out_of_place: list[str] = field(default_factory=list)
    unread: dict[str, int] = field(default_factory=dict)
    """Entries that could not be read, and how many frames each stands for."""
    contents: dict[str, str] = field(default_factory=dict)
    """Names and content ids of the frames."""
    lost: tuple[LostFrame, ...] = ()

    def merge(self, other: Measured) -> None:
        """Take in what came after."""
        self.maxima += other.maxima
        self.pixels.merge(other.pixels)
        self.survey.merge(other.survey)
        self.kinds |= other.kinds
        self.scores += other.scores
        self.out_of_place += other.out_of_place
        self.unread |= other.unread
        self.contents |= other.contents

    def to_bytes(self) -> bytes:
        """All of it, as an .npz file."""
        head = {
            "maxima": self.maxima,
            "survey": self.survey.to_json(),
            "scores": self.scores,
            "kinds": [(kind.size, kind.colour, kind.bits) for kind in self.kinds],
            "out_of_place": self.out_of_place,
            "unread": self.unread,
            "contents": self.contents,
        }
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {**self.pixels.arrays(), "told": np.frombuffer(orjson.dumps(head), np.uint8)}
        np.savez(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Measured:
        """Read what ``to_bytes`` wrote."""
        arrays = read_arrays(data)
        head = orjson.loads(arrays["told"].tobytes())
        pixels = QuantileSketch.from_arrays(arrays, _KEPT)
        maxima = [(index, name, maximum) for index, name, maximum in head["maxima"]]
        return cls(
            maxima=maxima,
            pixels=pixels,
            survey=Survey.from_json(head["survey"]),
            kinds={FrameKind(tuple(size), colour, bits) for size, colour, bits in head["kinds"]},
            scores=[(name, score) for name, score in head["scores"]],
            out_of_place=head["out_of_place"],
            unread=head["unread"],
            contents=head["contents"],
        )


@dataclass(slots=True)
class MeasureTask:
    """One shard through the line's own engine and regions; the engine stays open from shard to shard."""

    config: Config
    frames: FrameSequence
    left_out: frozenset[int] = frozenset()
    """Numbers of frames whose pixels don't count."""
    size: tuple[int, int] | None = None
    """Width and height that every frame must have; None if the model takes frames of any size."""
    engine: Engine | None = None

    def __call__(self, shard: Shard, at: At) -> bytes:
        if self.engine is None:
            config = self.config
            self.engine = open_line_engine(config.model, config.source, load_bundle(config.model.bundle))
        mask, _ = read_mask(self.config.regions.roi)
        plans, work = RegionPlans(self.config.regions, mask), ready_workspace(self.engine.bundle)
        found = Measured([], QuantileSketch(_KEPT))
        for index, entry in enumerate(self.frames.read(shard.start, shard.stop), shard.start):
            if index in shard.skip:
                continue
            name = name_of(entry)
            at(index, name)
            if isinstance(entry, Skip):
                found.unread[f"{entry.frame_ref}, frame {entry.frame_id_first}"] = entry.count
                continue
            frame = to_depth(entry, *self.config.source.levels)
            found.survey.add(entry, compare=False)
            found.contents[name] = content_id(entry.pixels)
            found.kinds.add(FrameKind.of(frame))
            amap = to_map(frame, self.engine, work)
            width, height = frame.meta.width, frame.meta.height
            if isinstance(amap, Unmapped):
                if amap.reason != "part_out_of_place":
                    raise UserError(f"{name}: {amap.text}")
                found.out_of_place.append(f"{name}: {amap.text}")
                continue
            if self.size is not None and (width, height) != self.size:
                raise other_size(name, (width, height), self.size)
            values = compared_values(name, amap.values, plans.plan(amap, width, height))
            found.maxima.append((index, name, float(values.max())))
            found.scores.append((name, None if amap.score is None else float(amap.score)))
            if index not in self.left_out:
                found.pixels.add(values)
        return found.to_bytes()

    def __getstate__(self) -> tuple[Any, ...]:
        return self.config, self.frames, self.left_out, self.size

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.config, self.frames, self.left_out, self.size = state
        self.engine = None


def measure_spread(
    config: Config, run: SpreadRun, engine: Engine, size: tuple[int, int] | None, left_out: Collection[int] = ()
) -> Measured:
    """All frames, shard by shard. ``engine``: the line's, used if there is one worker. ``size``: as ``MeasureTask``'s.

    Raises:
        UserError: a frame that the model or the ROI doesn't fit, or a map that isn't finite.
    """
    shards = shards_of(run.frames.count(), SHARD_FRAMES)
    workers = default_workers(len(shards)) if run.workers is None else run.workers
    task = MeasureTask(config, run.frames, frozenset(left_out), size, engine)
    what = "measuring without the outliers" if left_out else "measuring"
    done = spread(
        task,
        shards,
        workers=workers,
        cluster=run.cluster,
        seen=partial(_seen, run.frames, config.model.bundle),
        kept_in=run.kept_in,
        key="\n".join((config.model_dump_json(), engine.bundle.sha256, repr(run.frames), repr(sorted(left_out)))),
        progress=lambda progress: run.progress(what, progress),
    )
    whole = Measured([], QuantileSketch(_KEPT))
    for result in done.results:
        whole.merge(Measured.from_bytes(result))
    whole.lost = done.lost
    return whole


def _seen(frames: FrameSequence, bundle: Path) -> str:
    """What a machine sees of the frames and of the model. Raises UserError where it sees none."""
    return f"{frames.seen()}, model {load_bundle(bundle).sha256[:12]}"


def other_size(name: str, size: tuple[int, int], first: tuple[int, int]) -> UserError:
    """What is said of a frame of another size than the first."""
    return UserError(
        f"{name}: a frame of another size than the first",
        received=f"{size[0]}x{size[1]}",
        expected=f"{first[0]}x{first[1]}: one ROI and one map size for all",
        fix="calibrate on frames of one camera setting",
    )
