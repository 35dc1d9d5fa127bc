"""Sets and heads for tests of training: striped surfaces of several parts, tiny heads with seeded weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.models.fit.fit_plan import FitRequest
from edge.models.fit.gather_frames import gather_frames
from edge.models.fit.memory import METHOD, MemoryStatistics
from edge.models.fit.protocol import MethodOptions
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.train.checkpoint import Epoch
from edge.models.train.fused_graph import fused_graph
from edge.models.train.head_weights import HeadWeights
from edge.models.train.measured import measure_trained, placed_pictures
from edge.models.train.options import TrainOptions, preset_options
from edge.models.train.samples import SetFrames
from edge.models.train.shifted_head import measured_anew
from edge.models.train.train import Trained, TrainRequest, prepared
from edge.models.train.write_trained import write_trained
from support.sets import save, vote

GABOR = MethodOptions(backbone=Path("gabor"), vectors=150)
TINY = {"epochs": 3, "versions": 1, "hidden": 8, "threads": 1}


def surface(seed: int, size: tuple[int, int] = (112, 96)) -> NDArray[np.uint8]:
    """Upright stripes that begin anywhere, with noise; ``size`` is width and height."""
    rng = np.random.default_rng(seed)
    x = np.arange(size[0]) + rng.uniform(0, 8)
    return np.clip(120 + 30 * np.sin(x * np.pi / 4) + rng.normal(0, 4, (size[1], size[0])), 0, 255).astype(np.uint8)


def good_frame(root: Path, number: int, part: int, **more: Any) -> SetFrame:
    """A good surface of its own, on the disk."""
    file = f"good/{number:03d}.png"
    save(root / file, surface(number))
    return SetFrame(file, part=f"p{part}", votes=(vote(file),), **more)


def bad_frame(root: Path, number: int, part: int, kind: str = "blot", *, mask: bool = True, **more: Any) -> SetFrame:
    """A surface with a dark square of 24 px, and its mask."""
    file, drawn = f"bad/{number:03d}.png", f"masks/{number:03d}.png"
    pixels, where = surface(500 + number), np.zeros((96, 112), np.uint8)
    where[30:54, 40:64] = 255
    pixels[where > 0] //= 3
    save(root / file, pixels)
    save(root / drawn, where)
    label = vote(file, "defect", defects=(kind,), mask=drawn if mask else None)
    return SetFrame(file, part=f"b{part}", votes=(label,), **more)


def surfaces(root: Path, parts: int = 8, each: int = 2, bad: int = 0) -> FrameSet:
    """``parts`` good parts of ``each`` frames, and ``bad`` parts with one defect; without a split."""
    good = [good_frame(root, part * each + turn, part) for part in range(parts) for turn in range(each)]
    return FrameSet(root, root, (*good, *(bad_frame(root, number, number) for number in range(bad))))


def request(**options: Any) -> TrainRequest:
    """A training of seconds."""
    fit = FitRequest("x", method="memory", pose="texture", options=GABOR, source="the set")
    return TrainRequest(fit, TrainOptions(**(TINY | options)))


def network_request(**options: Any) -> TrainRequest:
    """A training of a tiny network, of seconds."""
    tiny = {"epochs": 2, "steps": 2, "batch": 2, "width": 4, "crop": 64, "versions": 1, "pretrain_epochs": 1, "threads": 1}
    fit = FitRequest("x", method="memory", pose="texture", options=GABOR, source="the set")
    return TrainRequest(fit, preset_options("hour", **(tiny | options)))


def remembered(count: int = 6) -> MemoryStatistics:
    """The memory of a few surfaces."""
    statistics = METHOD.empty((96, 112, 1), GABOR)
    for seed in range(count):
        statistics.add(surface(seed)[:, :, None])
    assert isinstance(statistics, MemoryStatistics)
    return statistics


def seeded_head(width: int, hidden: int = 5) -> HeadWeights:
    """A head that nobody trained."""
    rng = np.random.default_rng(1)

    def drawn(*shape: int) -> NDArray[np.float32]:
        return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) or 1)).astype(np.float32)

    arrays = {
        "mix.weight": drawn(hidden, width, 1, 1),
        "mix.bias": drawn(hidden),
        "see.weight": drawn(hidden, hidden, 3, 3),
        "see.bias": drawn(hidden),
        "say.weight": drawn(1, hidden, 1, 1),
        "say.bias": drawn(1),
    }
    return HeadWeights(arrays, drawn(width), np.abs(drawn(width)) + np.float32(0.5))


def drawn_request(**options: Any) -> TrainRequest:
    """A training of a head that sees new defects in each epoch, of seconds."""
    tiny = {"epochs": 3, "steps": 3, "batch": 2, "crop": 64, "versions": 1, "hidden": 8, "threads": 1}
    fit = FitRequest("x", method="memory", pose="texture", options=GABOR, source="the set")
    return TrainRequest(fit, preset_options("hour", **(tiny | options)))


def bundle_with_head(root: Path) -> Bundle:
    """A bundle as `edge train --preset minute` writes it, with a head that nobody trained: without PyTorch."""
    source, asked = surfaces(root / "set", parts=10), request()
    roles, plan = prepared(source, asked)
    gathered = gather_frames(plan, SetFrames(source, [*roles.good, *roles.validated_good]))
    memory = gathered.statistics
    assert isinstance(memory, MemoryStatistics)
    grids = [memory.vectors(one.picture) for one in placed_pictures(source, roles.good, plan)]
    head, _ = measured_anew(seeded_head(memory.width), grids, 1.0)
    validated = list(placed_pictures(source, roles.validated_good, plan))
    scales, threshold, _ = measure_trained(plan, memory, head, validated, alone=False, test=False)
    trained = Trained(
        plan=plan,
        roles=roles,
        gathered=gathered,
        weights=head,
        history=(Epoch(1, 0.5, 0.5, None, None, kept=True),),
        stopped=None,
        not_a_number=False,
        scales=scales,
        graph=fused_graph(memory, head, scales),
        threshold=threshold,
        used=tuple(gathered.notes.contents),
        forgotten=False,
    )
    return write_trained(root / "bundle", trained, asked.options, "the set")
