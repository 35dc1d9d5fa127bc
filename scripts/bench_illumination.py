"""Illumination steps and stitched tiles against pyimgano's, on the same frames of 2048x1536, one thread, interleaved.

Ours takes its statistics per frame, as theirs does, so that both do the same work; a column tells what frozen ones cost.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from peer import Peer, peer_or_none

from edge.config.bundle_spec import TileSpec
from edge.config.illumination_spec import FrozenSpec, IlluminationSpec
from edge.preprocess.illumination import Illuminator
from edge.preprocess.tiling import Tiling

WIDTH, HEIGHT = 2048, 1536
OWN_RUNS = 3
TILES = ((512, 384), (256, 192))


@dataclass(frozen=True, slots=True)
class Case:
    """``steps`` of ours, with default numbers, which are also theirs. ``least``: the speedup that is wanted."""

    name: str
    steps: dict[str, Any]
    colour: bool
    least: float | None = None


FULL: dict[str, Any] = {"white_balance": "gray_world", "homomorphic": {}, "clahe": {}, "gamma": 0.9}
CASES = (
    Case("chain_colour", FULL, True, 5),
    Case("chain_grey", FULL, False, 5),
    Case("gray_world", {"white_balance": "gray_world"}, True, 10),
    Case("max_rgb", {"white_balance": "max_rgb"}, True, 10),
    Case("stretch_colour", {"contrast_stretch": {}}, True, 10),
    Case("stretch_grey", {"contrast_stretch": {}}, False, 10),
    Case("clahe_colour", {"clahe": {}}, True, 0.95),
    Case("clahe_grey", {"clahe": {}}, False, 0.95),
    Case("homomorphic_colour", {"homomorphic": {}}, True),
    Case("homomorphic_grey", {"homomorphic": {}}, False),
)


@dataclass(slots=True)
class Times:
    """Milliseconds, turn by turn."""

    peer: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    frozen: list[float] = field(default_factory=list)

    @property
    def speedup(self) -> list[float]:
        return [peer / own for peer, own in zip(self.peer, self.own, strict=True)]


def scene() -> NDArray[np.uint8]:
    """Soft, coloured light, texture and noise."""
    rng = np.random.default_rng(0)
    soft = cv2.resize(rng.uniform(60, 190, (4, 5)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    texture = cv2.GaussianBlur(rng.normal(0, 60, (HEIGHT, WIDTH)), (0, 0), 3)
    noise = rng.normal(0, 3, (HEIGHT, WIDTH, 3))
    return np.clip((soft + texture)[:, :, None] * [1.0, 0.85, 0.7] + noise, 0, 255).astype(np.uint8)


def measure(repeats: int, spread: Callable[[Sequence[float]], str], *, smoke: bool = False) -> dict[str, float]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    results: dict[str, float] = {}
    with (
        peer_or_none("pyimgano==0.9.1", "bench_illumination_peer.py", smoke=smoke) as peer,
        tempfile.TemporaryDirectory() as temp,
    ):
        versions = peer.ask()["versions"] if peer else "none: its times are ours"
        print(f"peer: {versions}; here: OpenCV {cv2.__version__}, NumPy {np.__version__}")
        print(f"{WIDTH}x{HEIGHT:<14} peer ms   ours ms frozen ms  {'peer / ours':<34}wanted  levels that differ")
        for case in CASES:
            times, differs = _steps(case, peer, Path(temp), repeats)
            _show(case.name, times, spread, case.least, differs)
            results[f"speedup_{case.name}"] = round(statistics.median(times.speedup), 2)
        for side, stride in TILES:
            times, calls = _stitch(side, stride, peer, Path(temp), repeats)
            _show(f"hann_{side}", times, spread, 1.6, f"model calls {calls[0]} there, {calls[1]} here")
            results[f"speedup_hann_{side}"] = round(statistics.median(times.speedup), 2)
            results[f"calls_share_{side}"] = round(calls[1] / calls[0], 3)
    cv2.setNumThreads(threads)
    return results


def _show(name: str, times: Times, spread: Callable[[Sequence[float]], str], least: float | None, remark: str) -> None:
    columns = [f"{statistics.median(v):9.2f}" if v else " " * 9 for v in (times.peer, times.own, times.frozen)]
    wanted = "" if least is None else f">= {least:g}"
    print(f"{name:<19} {' '.join(columns)}  {spread(times.speedup):<34}{wanted:<7} {remark}", flush=True)


def _steps(case: Case, peer: Peer | None, folder: Path, repeats: int) -> tuple[Times, str]:
    picture = scene() if case.colour else np.ascontiguousarray(scene()[:, :, 1])
    path, out = folder / f"{case.name}.npy", folder / f"{case.name}-out.npy"
    np.save(path, picture)
    knobs: dict[str, Any] = {step: value if value else True for step, value in case.steps.items()}
    if "gamma" in knobs:
        knobs["gamma"] = 1 / knobs["gamma"]  # theirs is the inverse of the exponent
    channels = 3 if case.colour else 1
    statistic = FrozenSpec(frames=1, gains=(0.9, 1.0, 1.1)[:channels], levels=((20.0, 220.0),) * channels)
    own = Illuminator(IlluminationSpec.model_validate(case.steps | {"statistics": "per_frame"}))
    frozen = Illuminator(IlluminationSpec.model_validate(case.steps | {"frozen": statistic}))
    times, differs = Times(), ""
    for turn in range(repeats):
        answer = peer.ask(picture=str(path), knobs=knobs, out=None if turn else str(out)) if peer is not None else None
        times.own.append(_median_ms(lambda: own.apply(picture)))
        times.peer.append(answer["seconds"] * 1e3 if answer is not None else times.own[-1])
        times.frozen.append(_median_ms(lambda: frozen.apply(picture)))
        if peer is not None:
            differs = differs or _difference(own.apply(picture), np.load(out), case)
    path.unlink()
    out.unlink(missing_ok=True)
    return times, differs


def _difference(ours: NDArray[np.uint8], theirs: NDArray[np.uint8], case: Case) -> str:
    """Their means are float32 sums, off by 1e-4 on a frame of this size: a gain may then move a level by one, and every
    further step multiplies that.
    """
    apart = np.abs(ours.astype(np.int16) - theirs)
    if apart.mean() > 0.6 or (len(case.steps) == 1 and apart.max() > 1):
        raise AssertionError(f"{case.name}: the levels differ by {apart.mean():.2g} in the mean and {apart.max()} at most")
    return f"{(apart > 0).mean():.2%} by {apart.max()}" if apart.any() else "none"


def _stitch(side: int, stride: int, peer: Peer | None, folder: Path, repeats: int) -> tuple[Times, tuple[int, int]]:
    tiling = Tiling(TileSpec(size=(side, side), stride=(stride, stride)), (WIDTH, HEIGHT))
    maps = np.random.default_rng(side).random((len(tiling.positions), side, side), np.float32)
    path, out, frame = (folder / f"{name}-{side}.npy" for name in ("maps", "out", "frame"))
    np.save(path, maps)
    np.save(frame, scene())
    request = {"maps": str(path), "positions": tiling.positions, "side": side, "shape": (HEIGHT, WIDTH)}
    times = Times()
    for turn in range(repeats):
        answer = peer.ask(**request, out=None if turn else str(out)) if peer is not None else None
        times.own.append(_median_ms(lambda: tiling.stitch(maps)))
        times.peer.append(answer["seconds"] * 1e3 if answer is not None else times.own[-1])
        if answer is not None and not turn and not np.allclose(tiling.stitch(maps), np.load(out), rtol=0, atol=1e-5):
            raise AssertionError(f"hann {side}: the stitched maps differ")
    calls = len(tiling.cut(np.load(frame)))
    there = peer.ask(frame=str(frame), side=side, stride=stride)["calls"] if peer is not None else calls
    return times, (there, calls)


def _median_ms(call: Callable[[], Any]) -> float:
    """CPU time of the median of a few calls."""
    times = []
    for _ in range(OWN_RUNS):
        began = time.thread_time()
        call()
        times.append(time.thread_time() - began)
    return statistics.median(times) * 1e3
