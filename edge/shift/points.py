"""The frames of both sets as points: where each lies in a plane, what it can be coloured by, and its small picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import accumulate
from typing import Any, Final

import numpy as np

from edge.models.evaluate.ranking import Floats
from edge.report.scatter import ScatterView
from edge.shift.look import ShiftSide
from edge.shift.projections import MOST, pca, stratified, tsne, umap
from edge.shift.shift import Shift

LEAST_DRAWN: Final = 6
"""Frames of both sets below which there is nothing to project."""
_TAGS: Final = ("camera", "day", "lighting")
"""Tags that points are coloured by first; others of a set follow."""
_MOST_TAGS: Final = 6


@dataclass(frozen=True, slots=True)
class FramePoints:
    """All lists have one entry for each frame, the first set's before the second's.

    ``sides``: 0 or 1. ``files``: as the set names them. ``views``: PCA, t-SNE and UMAP as far as they could be made.
    ``values``: for each thing to colour by the frames' values; the set is the first. ``pictures``: JPEG, or empty.
    """

    embedding: str
    names: tuple[str, str]
    sides: tuple[int, ...]
    files: tuple[str, ...]
    views: tuple[ScatterView, ...]
    values: dict[str, list[str | None]]
    pictures: tuple[bytes, ...]

    def as_json(self, pictures: str | None) -> dict[str, Any]:
        """The points as ``shift.json`` has them; ``pictures`` is the file beside it that has all pictures end to end."""
        return {
            "embedding": self.embedding,
            "side": list(self.sides),
            "file": list(self.files),
            "views": [
                {
                    "name": view.title,
                    "across": view.across,
                    "up": view.up,
                    "x": _short(view.xy[:, 0]),
                    "y": _short(view.xy[:, 1]),
                }
                for view in self.views
            ],
            "values": {name: own for name, own in self.values.items() if name != "set"},
            "pictures": None
            if pictures is None
            else {"file": pictures, "ends": list(accumulate(len(one) for one in self.pictures))},
        }


def points_of(done: Shift, *, with_umap: bool = False, seed: int = 0) -> FramePoints | None:
    """The points of a comparison; None if it has too few frames. Without scikit-learn there is no t-SNE.

    Raises:
        UserError: the extra ``umap`` isn't installed where it is asked for.
    """
    frames = [(side, at) for side in done.sides for at in range(len(side.seen))]
    if len(frames) < LEAST_DRAWN:
        return None
    sets = [side.name for side, _ in frames]
    flat, shares = pca(done.vectors)
    axes = [f"component {n + 1}, {100 * share:.0f} % of the variance" for n, share in enumerate(shares)]
    views = [ScatterView("PCA", flat, *axes)]
    chosen = stratified(sets, MOST, seed)
    of = "" if len(chosen) == len(frames) else f" of {len(chosen)} frames"
    if find_spec("sklearn") is not None:
        views.append(ScatterView(f"t-SNE{of}", _spread(tsne(done.vectors[chosen], seed), chosen, len(frames))))
    if with_umap:
        views.append(ScatterView(f"UMAP{of}", _spread(umap(done.vectors[chosen], seed), chosen, len(frames))))
    return FramePoints(
        embedding=done.embedding,
        names=(done.sides[0].name, done.sides[1].name),
        sides=tuple(int(side is done.sides[1]) for side, _ in frames),
        files=tuple(side.seen[at].file for side, at in frames),
        views=tuple(views),
        values=_values(frames),
        pictures=tuple(side.pictures[at] for side, at in frames),
    )


def cameras_of_sets(done: Shift) -> list[str]:
    """The cameras that frames of either set say they come from."""
    return sorted({frame.tags["camera"] for side in done.sides for frame in side.seen if frame.tags.get("camera")})


def without_camera(done: Shift) -> int:
    """How many frames of either set don't say which camera they come from."""
    return sum(not frame.tags.get("camera") for side in done.sides for frame in side.seen)


def _values(frames: Sequence[tuple[ShiftSide, int]]) -> dict[str, list[str | None]]:
    """What points can be coloured by: set, verdict, label, and tags that tell groups of frames apart."""
    values: dict[str, list[str | None]] = {"set": [side.name for side, _ in frames]}
    candidates = {
        "verdict": [side.verdicts[at] for side, at in frames],
        "label": [side.seen[at].kind if side.seen[at].label else None for side, at in frames],
    }
    tags = sorted({tag for side, at in frames for tag in side.seen[at].tags}, key=lambda tag: (tag not in _TAGS, tag))
    for tag in tags:
        candidates[tag] = [side.seen[at].tags.get(tag) for side, at in frames]
    for name, own in candidates.items():
        different = len({value for value in own if value is not None})
        asked_for = different == 1 and name in ("verdict", "label", *_TAGS)
        if asked_for or (1 < different <= len(frames) // 2 and len(values) <= _MOST_TAGS + 2):
            values[name] = own
    return values


def _spread(xy: Floats, chosen: Any, count: int) -> Floats:
    everywhere = np.full((count, 2), np.nan)
    everywhere[chosen] = xy
    return everywhere


def _short(column: Floats) -> list[float | None]:
    """Four digits are more than a screen shows; None for a frame that isn't drawn."""
    return [None if np.isnan(value) else float(f"{value:.4g}") for value in column.tolist()]
