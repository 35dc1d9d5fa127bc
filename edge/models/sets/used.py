"""Which frames a model was fitted on, or a threshold measured on, so that no later step judges it on the same ones.

Contents are kept, not names: a copy under another name is the same frame. 64 bits of a hash are enough to tell a million
frames apart, and 10,000 take 170 KB.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from edge.config.bundle import Bundle
from edge.errors import UserError, first_few
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.storage.arrays import read_arrays
from edge.storage.pictures import PictureError, Pixels

KEY: Final = "frames_used"
"""Key of a bundle's provenance: the ids of its frames with blanks between."""
STATISTICS: Final = "statistics.npz"
"""File of a bundle that ``edge fit`` made: its notes hold the ids."""


def content_id(pixels: Pixels) -> str:
    """16 hexadecimal digits that stand for decoded pixels."""
    return blake2b(np.ascontiguousarray(pixels).data, digest_size=8).hexdigest()


@dataclass(slots=True)
class UsedFrames:
    """The ids of frames that were used, as they come."""

    ids: set[str] = field(default_factory=set)

    def add(self, pixels: Pixels) -> None:
        self.ids.add(content_id(pixels))

    @property
    def text(self) -> str:
        """For YAML: the ids, sorted, with blanks between."""
        return " ".join(sorted(self.ids))


def ids_of(text: object) -> frozenset[str]:
    """What ``UsedFrames.text`` wrote; empty for anything else."""
    return frozenset(text.split()) if isinstance(text, str) else frozenset()


def fitted_on(bundle: Bundle) -> frozenset[str]:
    """The ids of the frames that a bundle was fitted on; empty if it doesn't say."""
    noted_ids = ids_of(bundle.spec.provenance.get(KEY))
    return noted_ids or _noted(bundle.folder / STATISTICS)


def _noted(path: Path) -> frozenset[str]:
    try:
        notes: Any = orjson.loads(read_arrays(path.read_bytes(), "notes".__eq__)["notes"].tobytes())
        return frozenset(str(one) for one in notes["contents"])
    except (OSError, ValueError, KeyError, TypeError):  # no statistics, or those of another tool
        return frozenset()


def refuse_used(used: frozenset[str], frames: Iterable[tuple[str, str]], what: str, fix: str) -> None:
    """Refuse frames that were used before. ``frames``: name and id of each. ``what``: who used them, for example "the model
    was fitted on".

    Raises:
        UserError: names the frames.
    """
    if not used:
        return
    known = list(frames)
    same = [name for name, one in known if one in used]
    if same:
        raise UserError(
            f"{len(same)} of {len(known)} frames are among those that {what}, so figures on them say nothing",
            received=first_few(same, 5),
            expected="frames that it has never seen",
            fix=f"{fix}; or say --seen-before to go on all the same",
        )


def refuse_used_parts(used: frozenset[str], source: FrameSet, judged: Sequence[SetFrame], what: str, fix: str) -> None:
    """Refuse frames whose part another frame of the same set shows that was used before.

    Only frames of judged parts that aren't judged themselves are read: none, where the set was split by part.

    Raises:
        UserError: names the frames and their parts.
    """
    if not used:
        return
    parts = {frame.part for frame in judged if frame.part is not None}
    files = {frame.file for frame in judged}
    shared: dict[str, str] = {}
    for frame in source.frames:
        if frame.part in parts and frame.file not in files and frame.part is not None:
            try:
                if content_id(source.read(frame).pixels) in used:
                    shared.setdefault(frame.part, frame.file)
            except (OSError, PictureError):
                continue
    if shared:
        names = [
            f"{f.file} (part {f.part}, as {shared[f.part]})" for f in judged if f.part is not None and f.part in shared
        ]
        raise UserError(
            f"{len(names)} of {len(judged)} frames show parts that {what}, so figures on them say little",
            received=first_few(names, 5),
            expected="parts that it has never seen",
            fix=f"{fix}; or say --seen-before to go on all the same",
        )
