"""A drawn mask lies as a picture beside the set's manifest; a label names it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError, may_pass
from edge.models.sets.frame_set import FrameSet
from edge.storage.pictures import write_png


def write_mask(frames: FrameSet, file: str, mask: NDArray[np.bool_]) -> str:
    """Write the mask of the frame ``file``; returns its name under the set's root, absolute if it lies elsewhere.

    Two people's masks of one frame have two names, and so have two of one person: what was said once stays.

    Raises:
        UserError: it can't be written.
    """
    assert frames.manifest is not None
    folder = frames.manifest.parent.absolute() / "masks"
    stem = file.rpartition(".")[0].replace("/", "-")
    number = 0
    while (folder / (name := f"{stem}{f'-{number}' if number else ''}.png")).exists():
        number += 1
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_png(folder / name, np.where(mask, np.uint8(255), np.uint8(0)))
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}", passes=may_pass(error)) from None
    path = folder / name
    return path.relative_to(frames.root).as_posix() if path.is_relative_to(frames.root.absolute()) else str(path)
