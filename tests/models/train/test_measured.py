"""A threshold rests on maps that lie where the line sees them: the bundle has the same highest values on these frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: scripts/test --all installs it")

from support.sets import save, vote
from support.trainings import GABOR, bad_frame, network_request, remembered, request, surfaces

from edge.config.line import ModelConfig
from edge.config.sources import SyntheticConfig
from edge.engines.open import open_engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.frames import AnomalyMap, Frame
from edge.models.calibrate.thresholds import choose_high
from edge.models.fit.fit_plan import FitRequest
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.train.measured import trained_map_to_image
from edge.models.train.samples import SetFrames
from edge.models.train.train import TrainRun, train
from edge.models.train.write_trained import write_trained
from edge.sources.synthetic.parts import synthetic_part

SIDE = 128


def shifted_parts(root: Path, count: int = 16) -> FrameSet:
    """Parts that lie alike, but each some pixels to one side."""
    config = SyntheticConfig(kind="synthetic", preset="pinned", width=SIDE, height=SIDE, defect_rate=0.0)
    frames = []
    for number in range(count):
        pixels = np.roll(synthetic_part(config, number).pixels, (number % 5 - 2) * 3, axis=(0, 1))
        save(root / f"{number:03d}.png", pixels)
        frames.append(SetFrame(f"{number:03d}.png", part=f"p{number}", votes=(vote(f"{number:03d}.png"),)))
    return FrameSet(root, root, tuple(frames))


def test_a_map_px_covers_what_the_bundle_says_it_does() -> None:
    memory = remembered(2)
    assert trained_map_to_image(memory, alone=False) == (8, 8, 0, 0)
    assert trained_map_to_image(memory, alone=True) == (4, 4, 0, 0)


def test_the_threshold_of_a_fixed_pose_is_that_of_the_maps_which_the_line_sees(tmp_path: Path) -> None:
    source = shifted_parts(tmp_path / "set")
    asked = network_request(alone=True, epochs=1, steps=1, start="fresh")
    asked = replace(asked, fit=FitRequest("x", method="memory", pose="fixed", options=GABOR, source="the set"))
    trained = train(source, asked, tmp_path / "t", TrainRun(test=False))
    assert trained.plan.reference is not None
    made = write_trained(tmp_path / "b", trained, asked.options, "the set")
    engine = open_engine(ModelConfig(bundle=made.folder, engine="onnx"), made)
    work, maxima = ready_workspace(made), []
    for frame in SetFrames(source, trained.roles.validated_good):
        assert isinstance(frame, Frame)
        amap = to_map(frame, engine, work)
        assert isinstance(amap, AnomalyMap)
        maxima.append(float(amap.values.max()))
    engine.close()
    assert trained.threshold == pytest.approx(choose_high(maxima, 0.001, 1.0)[0], rel=1e-4)


@pytest.mark.parametrize(("labels", "weight"), [(9, 0.5), (10, 1.0)])
def test_what_was_learned_counts_in_full_where_it_has_learned_from_labels(
    tmp_path: Path, labels: int, weight: float
) -> None:
    good = surfaces(tmp_path / "s", parts=6)
    bad = [bad_frame(tmp_path / "s", number, number, side="fit") for number in range(labels)]
    sides = [replace(frame, side="validation" if frame.part in ("p0", "p1") else "fit") for frame in good.frames]
    source = replace(good, frames=(*sides, *bad))
    assert train(source, request(epochs=1), tmp_path / "t", TrainRun(test=False)).scales.weight == weight
