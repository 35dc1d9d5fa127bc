"""What the room says: a cause with its size in physical words, and the drift in force on a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

DriftLevel: TypeAlias = Literal["info", "warn", "lock"]
"""``info``: a block of frames lies beyond the limit; ``warn``: several in a row; ``lock``: frames can't be judged."""
Breach: TypeAlias = Literal["clipped", "out_of_focus", "out_of_place"]
"""What makes frames invalid: a picture with pixels cut off, without its edges, or of another place."""
BREACHES: Final[tuple[Breach, ...]] = ("clipped", "out_of_focus", "out_of_place")
UNKNOWN: Final = "unknown"
"""Cause and group of a change that is like none of the library."""


@dataclass(frozen=True, slots=True)
class Named:
    """A cause by its name in ``edge.disturb``, or ``unknown``.

    ``size``: its strength in ``unit`` ("px", "deg", "%"), signed if the cause has two directions; None for an unknown
    one. ``near``: distance to the nearest signature, in bands of how much neighbouring signatures differ. ``words``: the
    part of a sentence for people, such as "brighter by 18 %".
    """

    cause: str
    group: str
    size: float | None
    unit: str
    near: float
    words: str


@dataclass(frozen=True, slots=True)
class Drift:
    """The drift in force. ``since_ns``: UTC of the first frame of the first block beyond the limit, or of the first frame
    behind a breach.

    ``causes``: one, or two of different groups, the nearer first. ``z``: the largest deviation among the statistics, in
    widened deviations of the reference's blocks; ``statistic`` is its name. ``breaches``: those in force, whether they lock
    or not; ``locks``: those that make frames invalid, each with the reason ``drift_<breach>``.
    """

    causes: tuple[Named, ...]
    since_ns: int
    z: float
    statistic: str
    level: DriftLevel
    breaches: tuple[Breach, ...] = ()
    locks: tuple[Breach, ...] = ()

    @property
    def cause(self) -> str:
        return self.causes[0].cause if self.causes else UNKNOWN

    @property
    def group(self) -> str:
        return self.causes[0].group if self.causes else UNKNOWN

    @property
    def size(self) -> float | None:
        return self.causes[0].size if self.causes else None

    @property
    def unit(self) -> str:
        return self.causes[0].unit if self.causes else ""

    @property
    def words(self) -> str:
        """All causes in words: "18 % brighter, and moved by 3.1 px"."""
        return ", and ".join(cause.words for cause in self.causes)

    @property
    def locked(self) -> bool:
        return bool(self.locks)

    @property
    def reason(self) -> str | None:
        """Reason of the frames' invalid records while it is locked, such as ``drift_out_of_focus``."""
        return f"drift_{self.locks[0]}" if self.locks else None
