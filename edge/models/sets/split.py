"""A set split into disjoint sides by part (pure): no part on two sides, kinds, lightings, cameras and days in balance.

Parts with a defective frame go to ``validation`` and ``test`` alone, since the other sides must be good. The search begins
with the heaviest parts, gives each to the side that lacks most of what it holds, and then moves and exchanges parts while
that brings the counts nearer to their targets. The same frames, labels, shares and seed give the same split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from edge.models.sets.frame_set import SetFrame
from edge.models.sets.manifest import SIDES

SHARES: Final[Mapping[str, float]] = {"fit": 0.4, "adapt": 0.1, "calibrate": 0.2, "validation": 0.1, "test": 0.2}
"""Shares of the good frames."""
DEFECT_SHARES: Final[Mapping[str, float]] = {"validation": 0.3, "test": 0.7}
"""Shares of the frames of each kind of defect."""
BALANCED: Final = ("lighting", "camera", "day", "cause")
"""Tags that are kept in balance where the set has them; a tag with more values than ``_MOST_VALUES`` is left alone."""
_MOST_VALUES: Final = 40
_PASSES: Final = 30
_EXCHANGES: Final = 20_000


@dataclass(frozen=True, slots=True)
class Split:
    """Files of each side, and what couldn't be handed out. ``columns``: what was kept in balance, with its counts."""

    sides: dict[str, tuple[str, ...]]
    left_out: tuple[str, ...]
    parts: dict[str, int]
    columns: tuple[tuple[str, dict[str, int]], ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Part:
    frames: list[SetFrame] = field(default_factory=list)

    def holds(self, label: str) -> bool:
        return any(frame.label == label for frame in self.frames)


def split(
    frames: Sequence[SetFrame], *, seed: int = 0, shares: Mapping[str, float] = SHARES, tags: Sequence[str] = BALANCED
) -> Split:
    """Hand out every labelled frame to one of the sides of ``shares``; all must have their part.

    Frames whose labels disagree are left out. Unlabelled parts go to ``adapt`` where some frames have labels, and count as
    good where none has. Parts that share a picture, bit for bit, count as one.

    Raises:
        UserError: a frame without a part; fewer good parts than sides; shares that aren't positive.
    """
    total = sum(shares.values())
    if not shares or min(shares.values()) <= 0 or set(shares) - set(SIDES):
        raise UserError("--share", received=dict(shares), expected=f"positive shares of {', '.join(SIDES)}")
    wanted = {side: share / total for side, share in shares.items()}
    unplaced = [frame.file for frame in frames if frame.part is None]
    if unplaced:
        raise UserError(
            f"{len(unplaced)} of {len(frames)} frames have no part, so parts could stand on two sides",
            received=", ".join(unplaced[:3]),
            fix="give --by EXPRESSION, --by TABLE.csv or --part-gap; --by frame makes each picture a part of its own",
        )
    disputed = tuple(frame.file for frame in frames if frame.label == "disputed")
    usable = [frame for frame in frames if frame.label != "disputed"]
    notes = [f"{len(disputed)} frames whose labels disagree are left out"] if disputed else []
    labelled = any(frame.label for frame in usable)
    if not labelled and usable:
        notes.append("no frame has a label: all count as good")
    parts = _parts(usable)
    allowed = [_allowed(part, wanted, labelled) for part in parts]
    good = sum(not part.holds("defect") for part in parts)
    if good < len(wanted):
        raise UserError(
            f"{good} good parts can't be split into {len(wanted)} disjoint sides",
            received=f"{len(usable)} frames of {len(parts)} parts",
            expected=f"at least one good part for each of {', '.join(wanted)}; 20 of each make figures that say something",
            fix="gather more parts, or ask for fewer sides: --share fit=0.5 --share test=0.5",
        )
    stray = [f for part, sides in zip(parts, allowed, strict=True) if not sides for f in part.frames]
    if stray:
        notes.append(f"{len(stray)} frames fit none of the sides asked for (defects need validation or test)")
    columns = _columns(usable, tags)
    counts = np.array([[sum(test in _marks(f, tags) for f in part.frames) for test in columns] for part in parts], float)
    targets = _targets(columns, counts.sum(axis=0), wanted)
    sides = list(wanted)
    places = _Search(counts, targets, [[sides.index(side) for side in options] for options in allowed], seed).run()
    files: dict[str, list[str]] = {side: [] for side in sides}
    numbers = dict.fromkeys(sides, 0)
    for part, place in zip(parts, places, strict=True):
        if place >= 0:
            files[sides[place]] += [frame.file for frame in part.frames]
            numbers[sides[place]] += 1
    table = _table(columns, counts, places, sides)
    left = disputed + tuple(frame.file for frame in stray)
    return Split({side: tuple(sorted(names)) for side, names in files.items()}, left, numbers, table, tuple(notes))


def _table(
    columns: Sequence[tuple[str, str]], counts: NDArray[np.float64], places: Sequence[int], sides: Sequence[str]
) -> tuple[tuple[str, dict[str, int]], ...]:
    """How many frames of each kind and tag stand on each side."""
    return tuple(
        (
            f"{name}: {value}" if name != "kind" else value,
            {side: int(counts[[p == i for p in places], column].sum()) for i, side in enumerate(sides)},
        )
        for column, (name, value) in enumerate(columns)
    )


def _parts(frames: Sequence[SetFrame]) -> list[_Part]:
    """Frames by part; parts with an equal picture joined; in the order of their names."""
    root: dict[str, str] = {}

    def find(name: str) -> str:
        while root.setdefault(name, name) != name:
            name = root[name]
        return name

    by_hash: dict[str, str] = {}
    for frame in frames:
        assert frame.part is not None
        mine = find(frame.part)
        if frame.sha256 is not None:
            other = find(by_hash.setdefault(frame.sha256, mine))
            root[max(mine, other)] = min(mine, other)
    parts: dict[str, _Part] = {}
    for frame in sorted(frames, key=lambda f: f.file):
        assert frame.part is not None
        parts.setdefault(find(frame.part), _Part()).frames.append(frame)
    return [parts[name] for name in sorted(parts)]


def _allowed(part: _Part, wanted: Mapping[str, float], labelled: bool) -> list[str]:
    if part.holds("defect"):
        return [side for side in wanted if side in DEFECT_SHARES]
    if labelled and all(frame.label is None for frame in part.frames) and "adapt" in wanted:
        return ["adapt"]
    return list(wanted)


def _marks(frame: SetFrame, tags: Sequence[str]) -> set[tuple[str, str]]:
    return {("kind", frame.kind)} | {(tag, frame.tags[tag]) for tag in tags if tag in frame.tags}


def _columns(frames: Sequence[SetFrame], tags: Sequence[str]) -> list[tuple[str, str]]:
    marks = {mark for frame in frames for mark in _marks(frame, tags)}
    many = {tag for tag in tags if sum(name == tag for name, _ in marks) > _MOST_VALUES}
    return sorted((name, value) for name, value in marks if name not in many)


def _targets(
    columns: Sequence[tuple[str, str]], totals: NDArray[np.float64], wanted: Mapping[str, float]
) -> NDArray[np.float64]:
    """How many frames of each column each side should get: (sides, columns)."""
    defect = {side: DEFECT_SHARES[side] * (side in wanted) for side in DEFECT_SHARES}
    whole = sum(defect.values()) or 1.0
    bad = np.array([defect.get(side, 0.0) / whole for side in wanted])
    good = np.array(list(wanted.values()))
    kinds = np.array([name == "kind" for name, _ in columns])
    is_bad = np.array([name == "kind" and value not in ("good", "unlabelled") for name, value in columns])
    defects = totals[is_bad].sum()
    share_bad = defects / max(totals[kinds].sum(), 1.0)
    mixed = good * (1 - share_bad) + bad * share_bad  # tags are spread over good and defective frames alike
    return np.stack(
        [total * (bad if b else good if k else mixed) for total, b, k in zip(totals, is_bad, kinds, strict=True)], axis=1
    )


class _Search:
    """Counts of each side while parts are handed out. ``places``: the side of each part, -1 where none is allowed."""

    def __init__(
        self, counts: NDArray[np.float64], targets: NDArray[np.float64], allowed: Sequence[Sequence[int]], seed: int
    ) -> None:
        self.places = [-1] * len(counts)
        self._counts, self._targets, self._allowed = counts, targets, allowed
        self._weight = 1 / (targets.sum(axis=0) + 1) / (targets.mean(axis=0) + 1)
        self._have = np.zeros_like(targets)
        self._rng = np.random.default_rng(seed)
        self._order = sorted(self._rng.permutation(len(counts)).tolist(), key=lambda i: -counts[i].sum())

    def run(self) -> list[int]:
        for part in self._order:
            if self._allowed[part]:
                side = min(self._allowed[part], key=lambda side: (self._added(part, side), side))
                self.places[part] = side
                self._have[side] += self._counts[part]
        for _ in range(_PASSES):
            moved = self._move()
            if not self._exchange() and not moved:
                break
        self._fill_empty()
        return self.places

    def _cost(self, side: int, row: NDArray[np.float64]) -> float:
        lacking = row - self._targets[side]
        return float(np.sum(lacking * lacking * self._weight))

    def _added(self, part: int, side: int) -> float:
        """By how much the cost of ``side`` grows with the part."""
        return self._cost(side, self._have[side] + self._counts[part]) - self._cost(side, self._have[side])

    def _passed(self, giver: int, taker: int, change: NDArray[np.float64]) -> bool:
        """Pass ``change`` on where that lowers the cost."""
        have = self._have
        before = self._cost(giver, have[giver]) + self._cost(taker, have[taker])
        if self._cost(giver, have[giver] - change) + self._cost(taker, have[taker] + change) >= before - 1e-12:
            return False
        have[giver] -= change
        have[taker] += change
        return True

    def _move(self) -> bool:
        moved = False
        for part in self._order:
            for side in self._allowed[part]:
                if side != self.places[part] and self._passed(self.places[part], side, self._counts[part]):
                    self.places[part], moved = side, True
        return moved

    def _exchange(self) -> bool:
        moved, places, allowed = False, self.places, self._allowed
        count = min(_EXCHANGES, len(places) ** 2)
        for one, other in self._rng.integers(len(places), size=(count, 2)).tolist():
            a, b = places[one], places[other]
            if a == b or a < 0 or b < 0 or b not in allowed[one] or a not in allowed[other]:
                continue
            if self._passed(a, b, self._counts[one] - self._counts[other]):
                places[one], places[other], moved = b, a, True
        return moved

    def _fill_empty(self) -> None:
        """Give an empty side the smallest part that may go there, from a side that has several."""
        for side in range(len(self._targets)):
            if side in self.places:
                continue
            spare = [p for p, at in enumerate(self.places) if side in self._allowed[p] and self.places.count(at) > 1]
            if spare:
                self.places[min(spare, key=lambda p: (self._counts[p].sum(), p))] = side
