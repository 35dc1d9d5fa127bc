"""Which frames a model was fitted on, or a threshold measured on, so that no later step judges it on the same ones.

Hashes are kept, not names: a copy under another name is the same frame. 48 bits of each are enough to tell a million frames
apart with a chance of 0.2 % for one false match, and 10,000 take 130 KB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from edge.errors import UserError
from edge.frames import Frame
from edge.models.sets.frame_set import SetFrame, pixels_sha256

_DIGITS: Final = 12
_NAMED: Final = 5
KEY: Final = "frames_used"
"""The key under a bundle's provenance."""


@dataclass(slots=True)
class UsedFrames:
    """Frames and parts that were used, as they come."""

    frames: set[str] = field(default_factory=set)
    parts: set[str] = field(default_factory=set)

    def add(self, frame: Frame, part: str | None = None) -> None:
        """Count one frame; ``part``: what tells its part from others, None where unknown."""
        self.frames.add(pixels_sha256(frame.pixels)[:_DIGITS])
        if part is not None:
            self.parts.add(part_sha256(part))

    def message(self) -> dict[str, str]:
        """Two texts for YAML: the first 12 digits of each hash, sorted, with blanks between."""
        return {"sha256": " ".join(sorted(self.frames)), "parts_sha256": " ".join(sorted(self.parts))}


def part_sha256(part: str) -> str:
    """The first 12 digits of the hash of a part's name."""
    return hashlib.sha256(part.encode()).hexdigest()[:_DIGITS]


def used_frames(message: Any) -> UsedFrames | None:
    """What ``UsedFrames.message`` wrote; None where there is nothing of the kind."""
    if not isinstance(message, Mapping):
        return None
    frames, parts = (message.get(key) for key in ("sha256", "parts_sha256"))
    if not isinstance(frames, str):
        return None
    return UsedFrames(set(frames.split()), set(parts.split()) if isinstance(parts, str) else set())


def refuse_shared(used: UsedFrames | None, frames: Sequence[SetFrame], what: str, fix: str) -> None:
    """Refuse frames, or frames of parts, that were used before. ``what``: who used them, such as ``the model was fitted
    on``.

    Raises:
        UserError: names the frames.
    """
    if used is None:
        return
    same = [f.file for f in frames if f.sha256 is not None and f.sha256[:_DIGITS] in used.frames]
    if same:
        raise UserError(
            f"{len(same)} of {len(frames)} frames are among those that {what}, so figures on them say nothing",
            received=_some(same),
            expected="frames that it has never seen",
            fix=fix,
        )
    parts = [f"{f.file} (part {f.part})" for f in frames if f.part is not None and part_sha256(f.part) in used.parts]
    if parts:
        raise UserError(
            f"{len(parts)} of {len(frames)} frames show parts that {what}, so figures on them say little",
            received=_some(parts),
            expected="parts that it has never seen",
            fix=fix,
        )


def _some(names: Iterable[str]) -> str:
    known = list(names)
    return ", ".join(known[:_NAMED]) + (f" and {len(known) - _NAMED} more" if len(known) > _NAMED else "")
