"""The names of the statistics that are taken of a frame, in their order, and how small a change of each means anything.

The front of the page reads them, too: nothing is imported for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Statistic:
    """One number of each measured frame. ``unit``: what it counts in. ``floor``: least standard deviation that a reference
    may have; five of them are the smallest change that is ever warned of, however still the line stands.
    """

    name: str
    unit: str
    floor: float


STATISTICS: Final = (
    Statistic("log_gain", "ln", 0.003),
    Statistic("offset", "grey levels", 0.2),
    Statistic("shift_x", "px", 0.03),
    Statistic("shift_y", "px", 0.03),
    Statistic("rotation", "degrees", 0.01),
    Statistic("scale", "ln", 0.0002),
    Statistic("clipped", "share", 0.0004),
    Statistic("edges_x", "ln", 0.006),
    Statistic("edges_y", "ln", 0.006),
    Statistic("edges_diagonal", "ln", 0.006),
    Statistic("noise", "ln", 0.008),
    Statistic("tilt_x", "share", 0.002),
    Statistic("tilt_y", "share", 0.002),
    Statistic("low_residual", "ln", 0.02),
    Statistic("mid_on_part", "ln", 0.02),
    Statistic("mid_off_part", "ln", 0.02),
    Statistic("bright", "ln", 0.02),
    Statistic("dark", "ln", 0.02),
    Statistic("disagreement", "ln", 0.02),
)
"""``log_gain, offset``: the light against the reference picture's. ``shift_x`` to ``scale``: where the part lies.

``clipped``: pixels at black or white. ``edges_*``: height of the edges over the gain, of those that rise across, down, and
down-right over down-left. ``noise``: fine noise where the reference is flat, over the gain. ``tilt_*``: by how much the
light rises from the middle to the end of the longer side. ``low_residual``, ``mid_*``: what differs after all that, of the
size of a cell of the picture and of a few px, on the part and around it. ``bright, dark``: the largest differences upwards
and downwards. ``disagreement``: how little the registered frame correlates with the reference.
"""

NAMES: Final = tuple(statistic.name for statistic in STATISTICS)
INDEX: Final = {name: number for number, name in enumerate(NAMES)}
