"""What folders, a ``labels.csv`` or a set say about the frames of a place, by the names that a replay's records give
them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.models.sets.frame_set import SetFrame
from edge.models.sets.manifest import MANIFEST
from edge.models.sets.open import FOLDERS, LABELS, open_set
from edge.storage.recording import is_recording

_NO_CLASS: Final = ("unlabelled", "disputed")


@dataclass(frozen=True, slots=True)
class FrameLabels:
    """``kinds`` maps a frame's name to ``good`` or a kind of defect. ``by`` says who said so, ``without`` counts frames of
    which nothing was said, or of which two people say different things.
    """

    kinds: Mapping[str, str]
    by: str
    without: int


def frame_labels(path: Path) -> FrameLabels | None:
    """Return the labels of the pictures under ``path``; None if nothing says what they show.

    Recordings and videos have none: ``edge gather`` makes a set of them that has.

    Raises:
        UserError: as ``open_set``, for a set or a ``labels.csv`` that is damaged.
    """
    if not path.is_dir() or (is_recording(path) and not (path / MANIFEST).is_file()):
        return None
    found = open_set(path)
    kinds = {_name(found.root, frame, path): frame.kind for frame in found.frames}
    known = {name: kind for name, kind in kinds.items() if kind not in _NO_CLASS}
    if not known:
        return None
    voters = Counter(vote.by for frame in found.frames for vote in frame.votes)
    by = MANIFEST if found.manifest is not None else LABELS if voters[LABELS] else FOLDERS
    return FrameLabels(known, by, len(kinds) - len(known))


def _name(root: Path, frame: SetFrame, path: Path) -> str:
    return Path(os.path.relpath(root / frame.file, path)).as_posix()
