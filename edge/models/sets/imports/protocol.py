"""What every reader of labels gives, and how a label finds its frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from edge.models.sets.frame_set import FrameSet, SetFrame

_NAMED = 3


@dataclass(frozen=True, slots=True)
class ImportedLabel:
    """One word about one picture. ``file``: as the other tool names it. ``mask``: bool (H, W), None if nobody drew one.

    ``by``, ``at``: who said it and when, None if the file doesn't say.
    """

    file: str
    label: Literal["good", "defect"]
    defects: tuple[str, ...] = ()
    mask: NDArray[np.bool_] | None = None
    by: str | None = None
    at: str | None = None


class FrameNames:
    """Finds the frame of a set that another tool means: by its name, its source, or the end of either."""

    def __init__(self, frames: FrameSet) -> None:
        self._frames = {frame.file: frame for frame in frames.frames}
        self._by_source = {frame.source: frame for frame in frames.frames if frame.source is not None}
        self._by_end: dict[str, list[SetFrame]] = {}
        for frame in frames.frames:
            for name in {frame.file, frame.source or frame.file}:
                self._by_end.setdefault(name.rpartition("/")[2].casefold(), []).append(frame)

    def find(self, name: str) -> SetFrame | None:
        """The one frame that ``name`` can mean; None if there is none, or several."""
        clean = name.replace("\\", "/")
        found = self._frames.get(clean) or self._by_source.get(clean)
        if found is not None:
            return found
        same_end = self._by_end.get(clean.rpartition("/")[2].casefold(), [])
        longer = [
            f for f in same_end if clean.endswith((f.file, f.source or f.file)) or (f.source or f.file).endswith(clean)
        ]
        matches = longer if len(longer) == 1 else same_end
        return matches[0] if len(matches) == 1 else None


def matched(
    labels: Sequence[ImportedLabel], frames: FrameSet, source: str, *, partly: bool
) -> tuple[list[tuple[SetFrame, ImportedLabel]], list[str]]:
    """Each label with its frame, and the names that no frame has.

    Raises:
        UserError: some have none and ``partly`` is false; a mask isn't of its frame's size.
    """
    names = FrameNames(frames)
    pairs, unknown = [], []
    for label in labels:
        frame = names.find(label.file)
        if frame is None:
            unknown.append(label.file)
            continue
        if label.mask is not None and frame.size is not None and label.mask.shape != frame.size[::-1]:
            raise UserError(
                f"{source}: the mask of {label.file} is of another size",
                received=f"{label.mask.shape[1]}x{label.mask.shape[0]}",
                expected=f"{frame.size[0]}x{frame.size[1]}, as the frame",
            )
        pairs.append((frame, label))
    if unknown and not partly:
        raise UserError(
            f"{source}: {len(unknown)} of {len(labels)} labels are of no frame of the set, or could be of several",
            received=", ".join(unknown[:_NAMED]) + (" ..." if len(unknown) > _NAMED else ""),
            expected=f"names as the set has them, such as {frames.frames[0].file}"
            if frames.frames
            else "a set with frames",
            fix="gather the frames first, or take the rest alone: --partly",
        )
    return pairs, unknown
