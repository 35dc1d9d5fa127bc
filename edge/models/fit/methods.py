"""A table lists the methods that ``edge fit`` knows."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Final, Literal, TypeAlias

from edge.errors import UserError
from edge.models.fit.protocol import Method, Pose

MethodName: TypeAlias = Literal["residual", "memory", "cells", "pixel"]
"""The names in ``METHODS``, as the command line offers them."""


@dataclass(frozen=True, slots=True)
class MethodRow:
    """A row is one method, known without importing it."""

    name: str
    summary: str
    """One line for people: what a map value means."""
    poses: tuple[Pose, ...]
    """Poses that it is made for, the one that it is the default of first."""
    mergeable: bool
    """Statistics of parts merge to those of the whole: ``--merge`` is allowed, and frames can be spread over workers."""
    registers: bool = True
    """With a fixed pose, frames are registered to a reference before the method sees them."""
    in_noise: bool = False
    """The map counts in deviations of the camera's noise, which a registration enlarges in darker frames."""
    any_size: bool = False
    """Pictures may differ in size, and the graph takes any."""
    least_frames: int = 2
    """Fewer good frames are refused."""
    enough_frames: str = "20 to 200 make a steady model"
    """How many good frames are enough, for people."""

    def load(self) -> Method:
        """Import the method's file, ``edge/models/fit/<name>.py``, and take its ``METHOD``."""
        method: Method = import_module(f"edge.models.fit.{self.name}").METHOD
        return method


METHODS: Final[tuple[MethodRow, ...]] = (
    MethodRow(
        "residual",
        "difference from the registered mean at three scales, over what good parts differ by",
        poses=("fixed",),
        mergeable=True,
        in_noise=True,
        least_frames=5,
        enough_frames="20 to 100 make a steady model",
    ),
    MethodRow(
        "memory",
        "distance of each place's features to the nearest of a bank of good ones",
        poses=("texture", "fixed"),
        mergeable=False,
        any_size=True,
        least_frames=2,
        enough_frames="50 to 500 make a steady model",
    ),
    MethodRow(
        "cells",
        "Mahalanobis distance of each cell's features from the good ones at that place",
        poses=("fixed",),
        mergeable=True,
        least_frames=5,
        enough_frames="50 to 200 make a steady model",
    ),
    MethodRow(
        "pixel",
        "deviation of each pixel from its mean, in standard deviations",
        poses=("fixed",),
        mergeable=True,
        registers=False,
    ),
)
DEFAULTS: Final[dict[Pose, str]] = {"fixed": "residual", "texture": "memory"}
"""The method of each pose where the user names none."""


def method_row(name: str) -> MethodRow:
    """The row of this name.

    Raises:
        UserError: there is no such method; the closest name is suggested.
    """
    names = [row.name for row in METHODS]
    for row in METHODS:
        if row.name == name:
            return row
    close = get_close_matches(name, names, 1)
    raise UserError(
        "--method: there is no such method",
        received=name,
        expected=", ".join(names),
        fix=f"did you mean {close[0]}?" if close else None,
    )
