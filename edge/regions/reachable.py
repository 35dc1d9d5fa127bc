"""Whether any map at all could give a region under the controls (pure): a line where none can lets every frame pass."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from edge.regions.plan import Controls


def check_reachable(controls: Controls) -> None:
    """Refuse an opening or a minimum area that nothing survives, not even a map that is hot everywhere.

    All steps up to the minimum area are monotone, so no region can be larger than the largest piece of what they leave of
    all the pixels that take part.

    Raises:
        UserError: names the key, and how many pixels take part.
    """
    config, left = controls.config, controls.inside_window
    (h, w), count = controls.inside.shape, np.count_nonzero(controls.inside)
    least = [("regions.min_area_px", config.min_area_px)]
    least += [(f"regions.zones.{i}.min_area_px", zone.min_area_px or 0) for i, zone in enumerate(config.zones)]
    if not config.open_px and max(area for _, area in least) <= 1:
        return
    if config.open_px:
        left = np.asarray(cv2.morphologyEx(left, cv2.MORPH_OPEN, _square(config.open_px)), np.uint8)
        if not left.any():
            raise UserError(
                "regions.open_px: nothing is left to inspect",
                received=f"{config.open_px}, and no square of that width fits into what takes part: "
                f"{count} of the map's {w} x {h} pixels",
                expected="a square that fits; it is counted in map pixels, not the frame's",
                fix="make it smaller",
            )
    if config.close_px:
        left = np.asarray(cv2.morphologyEx(left, cv2.MORPH_CLOSE, _square(config.close_px)), np.uint8) & controls.growing
    most = int(cv2.connectedComponentsWithStats(left, connectivity=8, ltype=cv2.CV_32S)[2][1:, cv2.CC_STAT_AREA].max())
    for key, area in least:
        if area > most:
            pieces = "" if most == count else f", and no region can have more than {most}"
            raise UserError(
                f"{key}: no region can be so large",
                received=area,
                expected=f"at most {most}: {count} of the map's {w} x {h} pixels take part{pieces}",
                fix="make it smaller; it is counted in map pixels, not the frame's",
            )


def _square(side: int) -> NDArray[np.uint8]:
    return np.ones((side, side), np.uint8)
