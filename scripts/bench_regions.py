"""Anomaly maps to regions, against pyimgano's extractor and against the least that OpenCV needs, on the same maps.

Each map is a file that both processes read. They take turns, one call each; times are each thread's own CPU time. The
floor is one pass each of the smoothing, the threshold and cv2.findContours over the whole map.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from peer import Peer, peer_or_none

from edge.config.regions import RegionsConfig, RoiConfig, SmoothConfig
from edge.regions.find import find_regions
from edge.regions.plan import RegionPlan
from edge.regions.roi import Grid

SIZES = (256, 512, 1024, 2048)
SEEDS = (1, 2)
OWN_RUNS = 3
"""Calls of ours, and of the floor, between two of the peer's."""
PEER_SECONDS = 12.0
"""A cell in which the peer has taken this long is measured no more: its plain threshold takes 15 s a call at 2048."""

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Settings:
    """The same controls in our words and in the peer's, and the thresholds."""

    config: RegionsConfig
    peer: dict[str, Any]
    high: float
    low: float | None

    def prepared(self, side: int) -> RegionPlan:
        return RegionPlan.for_size(
            self.config, Grid((side, side), (side, side), (1.0, 1.0, 0.0, 0.0)), high=self.high, low=self.low
        )


_NONE: dict[str, Any] = {"open_ksize": 0, "close_ksize": 0, "fill_holes": False, "max_regions": None}
GUIDE = Settings(
    RegionsConfig(
        roi=RoiConfig(include=((0.1, 0.1, 0.9, 0.9),)),
        border_px=2,
        smooth=SmoothConfig(kind="median", size=3),
        min_area_px=16,
        min_fill_ratio=0.15,
        max_aspect_ratio=6.0,
        min_solidity=0.8,
        min_score_max=0.6,
        merge_gap_px=1,
    ),
    _NONE
    | {
        "pixel_threshold": 0.6,
        "roi_xyxy_norm": [0.1, 0.1, 0.9, 0.9],
        "border_ignore_px": 2,
        "map_smoothing_method": "median",
        "map_smoothing_ksize": 3,
        "hysteresis_enabled": True,
        "hysteresis_high": 0.6,
        "hysteresis_low": 0.45,
        "min_area": 16,
        "min_fill_ratio": 0.15,
        "max_aspect_ratio": 6.0,
        "min_solidity": 0.8,
        "min_score_max": 0.6,
        "merge_nearby_enabled": True,
        "merge_nearby_max_gap_px": 1,
    },
    0.6,
    0.45,
)
PLAIN = Settings(RegionsConfig(), _NONE | {"pixel_threshold": 0.6, "roi_xyxy_norm": None, "min_area": 0}, 0.6, None)
UNMERGED = Settings(
    GUIDE.config.model_copy(update={"merge_gap_px": 0}), GUIDE.peer | {"merge_nearby_enabled": False}, GUIDE.high, GUIDE.low
)


@dataclass(frozen=True)
class Kind:
    """A kind of map, the controls it is timed with, and those with which both must agree.

    Where defects lie on top of each other, the peer merges what its boxes enclose, and we don't: agreement is then asked
    before merging.
    """

    name: str
    draw: Callable[[int, np.random.Generator], Map]
    settings: Settings
    same: Settings


def noise(side: int, rng: np.random.Generator) -> Map:
    """A good part: smooth noise around 0.15, nowhere above 0.4."""
    smooth = cv2.GaussianBlur(rng.normal(size=(side, side)).astype(np.float32), (0, 0), 2.0)
    return (0.15 + 0.04 * smooth / smooth.std()).clip(0, 0.4).astype(np.float32)


def spots(side: int, rng: np.random.Generator, count: int, width: tuple[float, float], *, apart: bool = True) -> Map:
    """Gaussian spots on the noise, inside the ROI, their deviations ``width`` of the side (2.4 px at least)."""
    values = noise(side, rng)
    placed: list[tuple[float, float, float]] = []
    while len(placed) < count:
        deviation = max(rng.uniform(*width) * side, 2.4)
        reach = 1.8 * deviation + 2
        x, y = rng.uniform(0.1 * side + reach + 2, 0.9 * side - reach - 2, 2)
        if apart and any(np.hypot(x - a, y - b) < reach + r for a, b, r in placed):
            continue
        placed.append((x, y, reach))
        far = int(4 * deviation)
        rows, columns = (slice(max(int(at) - far, 0), int(at) + far + 1) for at in (y, x))
        dy, dx = np.ogrid[rows, columns][0] - y, np.ogrid[rows, columns][1] - x
        spot = rng.uniform(0.57, 0.8) * np.exp(-(dx * dx + dy * dy) / (2 * deviation**2))
        part = values[rows, columns]
        part += spot[: part.shape[0], : part.shape[1]].astype(np.float32)
    return values


def speckled(side: int, rng: np.random.Generator) -> Map:
    """Twelve defects and, on one pixel in 2000, a speck of 3 x 3."""
    values = spots(side, rng, 12, SMALL)
    for x, y in rng.integers(0, side - 3, (side * side // 2000, 2)):
        values[y : y + 3, x : x + 3] = rng.uniform(0.6, 0.9)
    return values


SMALL = (0.004, 0.008)
KINDS = (
    Kind("clean", noise, GUIDE, GUIDE),
    Kind("typical", lambda side, rng: spots(side, rng, 12, SMALL), GUIDE, GUIDE),
    Kind("busy", lambda side, rng: spots(side, rng, 80, SMALL), GUIDE, GUIDE),
    Kind("crowded", lambda side, rng: spots(side, rng, 80, (0.015, 0.03), apart=False), GUIDE, UNMERGED),
    Kind("speckled", speckled, GUIDE, GUIDE),
    Kind("plain", speckled, PLAIN, PLAIN),
)
"""``busy``: 80 defects apart from each other; ``crowded``: 80 large ones that run into about a dozen, a third of the ROI;
``plain``: the speckled map with nothing but a threshold."""


@dataclass
class Cell:
    """Milliseconds of one size and kind, turn by turn."""

    regions: int
    peer: list[float]
    own: list[float]
    floor: list[float]

    @property
    def speedup(self) -> list[float]:
        return [peer / own for peer, own in zip(self.peer, self.own, strict=True)]

    @property
    def over_floor(self) -> list[float]:
        return [own / floor for own, floor in zip(self.own, self.floor, strict=True)]


def measure(repeats: int, spread: Callable[[Sequence[float]], str], *, smoke: bool = False) -> dict[str, float]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    results: dict[str, float] = {}
    with (
        peer_or_none("pyimgano==0.9.1", "bench_regions_peer.py", smoke=smoke) as peer,
        tempfile.TemporaryDirectory() as temp,
    ):
        print(f"peer: {peer.ask()['versions'] if peer else 'none'}; here: OpenCV {cv2.__version__}, NumPy {np.__version__}")
        print(f"{'map':>15}  regions  peer ms   ours ms  floor ms  {'peer / ours':<37}ours / floor")
        for side in SIZES[:1] if smoke else SIZES:
            for kind in KINDS:
                cell = _cell(side, kind, peer, Path(temp), repeats)
                medians = [statistics.median(values) for values in (cell.peer, cell.own, cell.floor)]
                times = "{:9.2f} {:9.3f} {:9.3f}".format(*medians)
                name = f"{side} {kind.name}"
                print(
                    f"{name:>15}  {cell.regions:7} {times}  {spread(cell.speedup):<37}{spread(cell.over_floor)}", flush=True
                )
                key = f"speckle_{side}_speedup" if kind.name == "plain" else f"speedup_{side}_{kind.name}"
                results[key] = round(statistics.median(cell.speedup), 2)
                results[f"over_floor_{side}_{kind.name}"] = round(statistics.median(cell.over_floor), 3)
    print("no peer: its times are ours" if smoke else "masks, boxes, their order and scores agree on every map")
    cv2.setNumThreads(threads)
    return results


def _cell(side: int, kind: Kind, peer: Peer | None, folder: Path, repeats: int) -> Cell:
    controls = kind.settings.prepared(side)
    maps = [
        (folder / f"{side}-{kind.name}-{seed}.npy", kind.draw(side, np.random.default_rng([side, seed]))) for seed in SEEDS
    ]
    for path, values in maps:
        np.save(path, values)
        if peer is not None:
            _check(path, values, kind, peer)
    cell = Cell(len(find_regions(maps[0][1], controls).regions), [], [], [])
    for _, (path, values) in itertools.product(range(repeats), maps):
        answer = peer.ask(map=str(path), controls=kind.settings.peer, mask=None) if peer is not None else None
        cell.own.append(_median_ms(lambda v=values: find_regions(v, controls)))  # type: ignore[misc]
        cell.floor.append(_median_ms(lambda v=values: _floor(v, kind.settings, controls)))  # type: ignore[misc]
        cell.peer.append(answer["seconds"] * 1e3 if answer is not None else cell.own[-1])
        if sum(cell.peer) > PEER_SECONDS * 1e3:
            break
    for path, _ in maps:
        path.unlink()
    return cell


def _check(path: Path, values: Map, kind: Kind, peer: Peer) -> None:
    """Same mask, same boxes in the same order, scores within 1e-6: the peer rounds them to that."""
    mask = path.with_name("mask.npy")
    peer_answer = peer.ask(map=str(path), controls=kind.same.peer, mask=str(mask))
    found = find_regions(values, kind.same.prepared(len(values)))
    scores = [(region.score_max, region.score_mean) for region in found.regions]
    for what, same in (
        ("mask", np.array_equal(found.mask > 0, np.load(mask) > 0)),
        ("boxes", [list(region.bbox_xyxy) for region in found.regions] == peer_answer["boxes"]),
        ("scores", np.allclose(np.ravel(scores), np.ravel(peer_answer["scores"]), rtol=0, atol=1e-6)),
    ):
        if not same:
            raise AssertionError(f"{path.stem}: not the peer's {what}")


def _median_ms(call: Callable[[], Any]) -> float:
    """CPU time of a few calls."""
    times = []
    for _ in range(OWN_RUNS):
        began = time.thread_time()
        call()
        times.append((time.thread_time() - began) * 1e3)
    return statistics.median(times)


_floor_memory: dict[tuple[int, ...], tuple[Map, NDArray[np.uint8]]] = {}


def _floor(values: Map, settings: Settings, controls: RegionPlan) -> None:
    memory = _floor_memory.setdefault(values.shape, (np.empty_like(values), np.empty(values.shape, np.uint8)))
    smoothed, binary = memory
    if settings.config.smooth:
        cv2.medianBlur(values, settings.config.smooth.size, dst=smoothed)
    level = controls.high if controls.low is None else controls.low
    np.greater_equal(smoothed if settings.config.smooth else values, level, out=binary.view(bool))
    cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
