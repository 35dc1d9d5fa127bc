"""What the meter compares frames with: the reference picture, where the part is, and the places for edges and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Template:
    """``size``: width and height of the line's frames. ``fixed``: parts lie in one pose, up to what a registration undoes;
    otherwise (textures, parts anywhere) frames are compared with the reference as a whole.

    ``picture``: float32 (h, w), the shrunken reference in levels of 0 to 255. ``counted``, ``on_part``: bool (h, w), what
    is measured, and where the part is.
    """

    size: tuple[int, int]
    fixed: bool
    picture: NDArray[np.float32]
    counted: NDArray[np.bool_]
    on_part: NDArray[np.bool_]
