"""Parts recognised by what pictures show, where neither names nor records say which frames belong together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from edge.models.audit.same_part import TRIED, TwinFinder
from edge.models.sets.frame_set import FrameSet, SetFrame, why_unreadable, with_hash
from edge.storage.pictures import PictureError


def parts_by_content(
    source: FrameSet, unreadable: Callable[[SetFrame, str], None], seen: Callable[[int], None] = lambda _: None
) -> FrameSet:
    """The set with a part for each frame: frames that look like one part share it. Frames that can't be read are left
    out.
    """
    finder: TwinFinder | None = None
    frames: list[SetFrame] = []
    looks = []
    waiting = []
    sampled = set(np.unique(np.linspace(0, len(source) - 1, TRIED).astype(int)).tolist())
    for index in sampled:
        try:
            waiting.append(source.read(source.frames[index]))
        except (OSError, PictureError):
            continue
    if waiting:
        finder = TwinFinder(waiting)
    for number, frame in enumerate(source.frames, 1):
        try:
            loaded = source.read(frame)
        except (OSError, PictureError) as error:
            unreadable(frame, why_unreadable(error))
            continue
        assert finder is not None
        frames.append(with_hash(frame, loaded))
        looks.append(finder.look(loaded))
        seen(number)
    if finder is None:
        return source.with_frames(())
    groups = finder.groups(looks)
    named = [replace(frame, part=f"like {frames[group].file}") for frame, group in zip(frames, groups, strict=True)]
    return replace(source, frames=tuple(named), parts_by="content")
