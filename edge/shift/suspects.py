"""Frames among the confirmed good ones that may be defective: they stand out for the model, or among their own kind.

After a shift every frame stands out for the model, and a defect hides among them. So each frame is also scored by a model
of the other factory frames alone, where the bundle's method allows one. Where some were found the others are looked at
again: of 28 frames with 10 defective ones, four hid the other six at first.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from edge.config.bundle import Bundle
from edge.config.line import ModelConfig
from edge.engines.open import open_engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.errors import UserError
from edge.frames import AnomalyMap, Frame
from edge.models.fit.contamination import HeldOutScore, outliers_of, scores
from edge.models.fit.continued import plan_of
from edge.models.fit.gather_frames import gather_frames
from edge.models.fit.methods import method_row
from edge.models.robust_outliers import Outlier

MOST_SHARE: Final = 0.25
"""A set with more suspects than this is no set of good frames."""


def suspects(
    bundle: Bundle, frames: Sequence[tuple[str, Frame]], place: str, backbone: Path | None = None
) -> dict[str, str]:
    """Names of frames that don't look like good ones, and why. ``backbone``: of the bundle, if that is a file.

    Raises:
        UserError: more than a quarter of them.
    """
    found: dict[str, str] = {}
    while len(found) <= MOST_SHARE * len(frames):
        new = _standing_out(bundle, [one for one in frames if one[0] not in found], backbone)
        if not new:
            break
        found |= new
    if len(found) > MOST_SHARE * len(frames):
        raise UserError(
            f"{place}: contaminated: too many of the good frames look defective",
            received=f"{len(found)} of {len(frames)}: {', '.join(list(found)[:5])}" + (" ..." if len(found) > 5 else ""),
            expected=f"at most {MOST_SHARE:.0%}, as in a set that somebody confirmed",
            fix="look at them, and label them anew: edge label",
        )
    return found


def _standing_out(bundle: Bundle, frames: Sequence[tuple[str, Frame]], backbone: Path | None) -> dict[str, str]:
    found = {
        o.name: f"highest value {o.maximum:.3g}, {o.z:.0f} times the usual spread above the others'"
        for o in _seen(bundle, frames)
    }
    for outlier in _among_themselves(bundle, frames, backbone):
        found.setdefault(outlier.name, f"unlike the other factory frames: {outlier.z:.0f} times their spread")
    return found


def _seen(bundle: Bundle, frames: Sequence[tuple[str, Frame]]) -> Sequence[Outlier]:
    engine = open_engine(ModelConfig(bundle=bundle.folder, engine="onnx"), bundle)
    workspace, found = ready_workspace(bundle), []
    try:
        for index, (name, frame) in enumerate(frames):
            amap = to_map(frame, engine, workspace)
            if isinstance(amap, AnomalyMap) and np.isfinite(amap.values).all():
                found.append(HeldOutScore(index, name, float(amap.values.max())))
    finally:
        engine.close()
    return outliers_of(found)


def _among_themselves(bundle: Bundle, frames: Sequence[tuple[str, Frame]], backbone: Path | None) -> Sequence[Outlier]:
    try:
        plan = plan_of(bundle, bundle.spec.name, backbone)
    except UserError:
        return ()
    if len(frames) < method_row(plan.method).least_frames + 1:
        return ()
    entries = [frame for _, frame in frames]
    gathered = gather_frames(plan, entries)
    if gathered.statistics.frames < method_row(plan.method).least_frames + 1:
        return ()
    place = gathered.statistics.model(gathered.kept.pictures()).map_to_image
    held_out = scores(plan, gathered, entries, map_to_image=place)
    named = [HeldOutScore(score.index, frames[score.index][0], score.maximum) for score in held_out]
    return outliers_of(named)
