"""Frames in batches: the same records as one by one, in the same order, from runs that depend on the frames alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs
from support.graphs import graph_model, identity_model, node, tensor, write_identity_bundle
from support.lines import loaded, records, stable_lines

from edge.config.bundle import Bundle
from edge.config.bundle_spec import TileSpec
from edge.config.line import ModelConfig
from edge.config.load import Loaded
from edge.engines.acceptance import why_not_together
from edge.engines.batch import Batches
from edge.engines.lane import Lane, open_lane
from edge.engines.onnx import OnnxEngine
from edge.engines.open import open_engine
from edge.engines.openvino import OpenvinoEngine
from edge.engines.protocol import Engine, Prediction
from edge.line import stages
from edge.line.line import Line
from edge.line.recipe import open_model
from edge.line.replay import ReplayOptions, replay
from edge.sources.in_memory import MemorySource
from edge.sources.protocol import Source
from edge.sources.recorded import RecordedSource

ENGINES: list[Any] = [OnnxEngine, OpenvinoEngine]


def noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


class Counted(Engine):
    """Maps of one value, the picture's own; ``runs`` tells how many went in at once. ``bad``: values that raise."""

    def __init__(self, batch: int, bad: tuple[int, ...] = ()) -> None:
        self.batch = batch
        self.bad = bad
        self.runs: list[int] = []

    def infer(self, image: Any) -> Prediction:
        self.runs.append(1)
        if image[0, 0, 0] in self.bad:
            raise RuntimeError(f"no {image[0, 0, 0]}")
        return Prediction(image[:, :, 0].astype(np.float32), None, None)

    def infer_batch(self, pictures: Any) -> list[Prediction]:
        self.runs.append(len(pictures))
        if any(picture[0, 0, 0] in self.bad for picture in pictures):
            raise RuntimeError("one of them")
        return [Prediction(picture[:, :, 0].astype(np.float32), None, None) for picture in pictures]


def through(lane: Batches[int], pictures: list[Any]) -> list[tuple[int, Any]]:
    found = []
    for ticket, image in enumerate(pictures):
        lane.submit(ticket, image)
        image[:] = 99  # it was copied
        while lane.full:
            found.append(lane.collect())
    return found + [lane.collect() for _ in range(lane.pending)]


def flat(value: int, height: int = 2) -> Any:
    return np.full((height, 3, 1), value, np.uint8)


def test_runs_are_full_but_for_the_last_and_come_out_in_order() -> None:
    engine = Counted(4)
    found = through(Batches(engine), [flat(value) for value in range(10)])
    assert engine.runs == [4, 4, 2]
    assert [(ticket, outcome.map.max()) for ticket, outcome in found] == [(i, i) for i in range(10)]


def test_another_shape_ends_a_run() -> None:
    engine = Counted(3)
    heights = [2, 2, 2, 2, 5, 5, 2]
    found = through(Batches(engine), [flat(value, height) for value, height in enumerate(heights)])
    assert engine.runs == [3, 1, 2, 1]
    assert [(outcome.map.max(), len(outcome.map)) for _, outcome in found] == list(enumerate(heights))


def test_a_run_that_fails_costs_only_the_frame_that_failed() -> None:
    engine = Counted(4, bad=(2, 9))
    with capture_logs() as logs:
        found = through(Batches(engine), [flat(value) for value in range(12)])
    assert engine.runs == [4, 1, 1, 1, 1, 4, 4, 1, 1, 1, 1]
    results = [str(outcome) if isinstance(outcome, Exception) else int(outcome.map.max()) for _, outcome in found]
    assert results == [0, 1, "no 2", 3, 4, 5, 6, 7, 8, "no 9", 10, 11]
    assert logs == [
        {
            "event": "batch_failed",
            "pictures": 4,
            "error": "one of them",
            "effect": "they go one by one",
            "log_level": "warning",
        }
    ]


def test_nothing_goes_in_beyond_a_run() -> None:
    lane: Batches[int] = Batches(Counted(2))
    lane.submit(0, flat(0))
    lane.submit(1, flat(1))
    with pytest.raises(RuntimeError, match="the lane is full: collect first"):
        lane.submit(2, flat(2))


@pytest.mark.parametrize("make", ENGINES)
def test_each_picture_of_a_run_gets_its_own_map_score_and_embedding(tmp_path: Path, make: Callable[..., Any]) -> None:
    model = identity_model(1, (4, 4))
    model.graph.node.append(node("Flatten", ["map"], ["embedding"], axis=1))
    model.graph.output.append(tensor("embedding", 1, ["n", 16]))
    engine = make(write_identity_bundle(tmp_path / "b", 1, (4, 4), model=model), batch=3)
    held: list[tuple[Any, Any]] = []
    for seed, count in enumerate([3, 3, 1, 2, 3, 3, 3]):
        pictures = noise(count, 4, 4, 1, seed=seed)
        found = engine.infer_batch(pictures)
        assert len(found) == count
        held.append((found, pictures))
        for run, shown in held[-4:]:  # maps stay until the fourth call after theirs
            for one, picture in zip(run, shown, strict=True):
                assert one.map == pytest.approx(picture[:, :, 0] / 255, abs=1e-7)
                assert one.score == one.map.max()
                assert (one.embedding == one.map.ravel()).all()
    engine.close()


def opened(bundle: Bundle, batch: int, engine: Any = "onnx") -> tuple[Any, list[dict[str, Any]]]:
    with capture_logs() as logs:
        made = open_engine(ModelConfig(bundle=bundle.folder, engine=engine), bundle, None, batch)
    return made, [{k: log[k] for k in ("wanted", "why", "effect")} for log in logs if log["event"] == "no_batches"]


def one_at_a_time() -> Any:
    model = identity_model(1, (8, 8))
    for port in (*model.graph.input, *model.graph.output):
        port.type.tensor_type.shape.dim[0].dim_value = 1
    return model


def mixing(of: str = "map") -> Any:
    """The map, or the score alone, is scaled by the brightest pixel of the whole run."""
    model = identity_model(1, (8, 8))
    clean = "clean_" + of
    for n in model.graph.node:
        n.output[:] = [clean if o == of else o for o in n.output]
        if of == "map":
            n.input[:] = [clean if i == of else i for i in n.input]
    model.graph.node.append(node("ReduceMax", [clean], ["brightest_of_all"], keepdims=0))
    model.graph.node.append(node("Div", [clean, "brightest_of_all"], [of]))
    return model


def one_inside() -> Any:
    """Says that it takes any number, and holds a shape of one."""
    return graph_model(
        [
            node("Cast", ["frame"], ["pixels"], to=1),
            node("Reshape", ["pixels", "shape"], ["map"]),
        ],
        [tensor("frame", 2, ["n", 8, 8, 1])],
        [tensor("map", 1, ["n", 8, 8])],
        {"shape": np.array([1, 8, 8])},
    )


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (one_at_a_time, "the model takes one picture at a time: it was exported with a fixed batch"),
        (mixing, "its map or score of a picture depends on the others of the run"),
        (lambda: mixing("score"), "its map or score of a picture depends on the others of the run"),
        (one_inside, "it fails on 3 at once: "),
    ],
)
@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_a_model_that_takes_no_batch_says_so_in_one_line(tmp_path: Path, model: Any, why: str, engine: str) -> None:
    made, notes = opened(write_identity_bundle(tmp_path / "b", 1, (8, 8), model=model()), 3, engine)
    (line,) = notes
    assert line["why"].startswith(why)
    assert (line["wanted"], line["effect"]) == (3, "pictures go in one by one")
    assert made.batch == 1
    assert isinstance(open_lane(made), Lane)
    made.close()


def test_the_tiles_of_a_frame_are_a_batch_already(tmp_path: Path) -> None:
    bundle = write_identity_bundle(tmp_path / "b", 1, (8, 8))
    spec = bundle.spec.model_copy(update={"tile": TileSpec(size=(8, 8), stride=(4, 4))})
    made, notes = opened(Bundle(bundle.folder, spec, bundle.sha256), 4)
    assert [line["why"] for line in notes] == ["the tiles of a frame go in together already"]
    assert made.batch == 1


def test_a_model_that_takes_a_batch_has_it(tmp_path: Path) -> None:
    made, notes = opened(write_identity_bundle(tmp_path / "b"), 6)
    assert (made.batch, notes) == (6, [])
    assert (made.in_hand, made.depth) == (6, 1)
    made, notes = opened(write_identity_bundle(tmp_path / "c"), 1)
    assert (made.batch, notes, made.in_hand) == (1, [], 1)


def pictures(folder: Path) -> Path:
    """27 pictures: of two sizes, one that can't be read, and defects."""
    folder.mkdir()
    for index in range(27):
        shape = (40, 48) if 9 <= index < 12 else (64, 64)
        image = noise(*shape, seed=index) // 2
        image[10:20, 20:31] += np.uint8(100 if index % 3 == 0 else 0)
        cv2.imwrite(str(folder / f"{index:02}.png"), image)
    (folder / "17.png").write_bytes(b"no picture")
    return folder


class Runs:
    """Notes how many pictures go in at once."""

    def __init__(self, patch: pytest.MonkeyPatch, kind: Any) -> None:
        self.sizes: list[int] = []
        real = kind.infer_batch

        def noted(engine: Any, given: Any) -> Any:
            self.sizes.append(len(given))
            return real(engine, given)

        patch.setattr(kind, "infer_batch", noted)


def replayed(config: Loaded, source: Source, out: Path, batch_size: int) -> tuple[list[dict[str, Any]], Line]:
    options = ReplayOptions(out, batch_size=batch_size)
    code, line = replay(config, source, options, threading.Event(), lambda *_: None)
    assert code == 0
    assert line.tally.sum_fault is None
    return records(out), line


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("batch_size", [2, 5])
def test_records_are_those_of_frames_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, batch_size: int
) -> None:
    config = loaded(tmp_path, "regions={threshold: {high: 0.8}, min_area_px: 4}", f"model.engine={kind.name}")
    source = pictures(tmp_path / "pictures")
    one, alone = replayed(config, RecordedSource(source, "max"), tmp_path / "one", 1)
    runs = Runs(monkeypatch, kind)
    many, line = replayed(config, RecordedSource(source, "max"), tmp_path / "many", batch_size)
    assert stable_lines(many) == stable_lines(one)
    assert [r["kind"] for r in one].count("skip") == 1
    assert {r["verdict"] for r in one} == {"pass", "fail", "invalid"}
    # the trial's run; 9 pictures, 3 of another size, and 14 on both sides of the one that can't be read
    assert runs.sizes == [batch_size, *cut(9, batch_size), *cut(3, batch_size), *cut(14, batch_size)]
    assert line.ring.slots == config.config.ring.slots + batch_size - 1
    assert line._limit_s == alone._limit_s * batch_size


def cut(count: int, batch: int) -> list[int]:
    return [batch] * (count // batch) + ([count % batch] if count % batch else [])


class Slow(MemorySource):
    """Frames that come slower than the stage's longest wait, with a check of the sum rule behind each."""

    def read(self, timeout_s: float) -> Any:
        time.sleep(0.15)
        return super().read(timeout_s)


def test_which_frames_share_a_run_does_not_depend_on_when_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "CHECK_S", 0.0)
    runs = Runs(monkeypatch, OnnxEngine)
    for make in (Slow, MemorySource):
        runs.sizes.clear()
        found, line = replayed(loaded(tmp_path), make([noise(64, 64)], 7), tmp_path / make.__name__, 3)
        assert runs.sizes == [3, 3, 3, 1]  # the trial's, and seven frames
        assert len(found) == 7
        assert line.tally.sum_checks >= 7


def test_an_engine_error_in_a_run_makes_one_frame_invalid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = OnnxEngine._run

    def raises(engine: Any, image: Any) -> Any:
        if (image == 77).all(axis=(-3, -2, -1)).any():
            raise RuntimeError("no 77")
        return real(engine, image)

    monkeypatch.setattr(OnnxEngine, "_run", raises)
    shown = [np.full((64, 64), 77 if index == 5 else 10, np.uint8) for index in range(12)]
    found, _ = replayed(loaded(tmp_path), MemorySource(shown, 12), tmp_path / "out", 4)
    assert [r["reason"] for r in found] == [None] * 5 + ["engine_error"] + [None] * 6


def test_live_nothing_waits_for_a_batch(tmp_path: Path) -> None:
    engine, _ = open_model(loaded(tmp_path))
    assert isinstance(open_lane(engine), Lane)
    assert engine.batch == 1


class OnlyInfers(Engine):
    """What a new runtime has to bring: everything else is the contract's own."""

    name, precision = "plain", "fp32"

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._map = np.zeros((2, 3), np.float32)

    def infer(self, image: Any) -> Prediction:
        if image[0, 0, 0] == 9:
            raise RuntimeError("no 9")
        self._map[:] = image[:, :, 0]
        return Prediction(self._map, None, None)


def test_an_engine_that_only_infers_is_a_whole_engine(tmp_path: Path) -> None:
    engine = OnlyInfers(write_identity_bundle(tmp_path / "b"))
    assert (engine.depth, engine.batch, engine.in_hand, engine.why) == (1, 1, 1, "")
    assert why_not_together(engine) == "plain takes one picture at a time"
    lane = open_lane(engine)
    outcomes = []
    for value in (1, 9, 2):
        lane.submit(value, flat(value))
        assert lane.full
        ticket, outcome = lane.collect()
        outcomes.append((ticket, outcome.map.max() if isinstance(outcome, Prediction) else str(outcome)))
    assert outcomes == [(1, 1), (9, "no 9"), (2, 2)]
    assert [p.map.max() for p in engine.infer_batch(np.stack([flat(3), flat(4)]))] == [3, 4]
    engine.close()


def test_what_was_abandoned_is_not_handed_out(tmp_path: Path) -> None:
    engine = OnlyInfers(write_identity_bundle(tmp_path / "b"))
    number = engine.submit(flat(1))
    engine.abandon()
    with pytest.raises(RuntimeError, match=f"picture {number} is not the one that was submitted"):
        engine.collect(number)
    assert engine.submit(flat(1)) != number
