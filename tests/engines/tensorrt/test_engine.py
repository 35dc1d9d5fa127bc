"""The TensorRT engine over a stand-in for the device: cache, tiles, shapes, errors, overlap, and a call that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from support.cuda_stand_in import StandInCuda, StandInMaker
from support.disks import small_disk
from support.graphs import identity_model, write_identity_bundle
from support.waits import PATIENCE_S

from edge.config.bundle import Bundle
from edge.config.bundle_spec import TileSpec
from edge.config.line import ModelConfig
from edge.engines.lane import Lane
from edge.engines.open import open_engine
from edge.engines.protocol import Engine
from edge.engines.tensorrt import engine as module
from edge.engines.tensorrt.cuda import CudaError
from edge.engines.tensorrt.engine import TensorrtEngine, open_tensorrt, why_not_here
from edge.engines.tensorrt.engine_cache import EngineCache
from edge.errors import UserError
from edge.line.supervise import Worker, examine
from edge.preprocess.prepare import FrameSizeMismatch, prepare


def noise(*shape: int, seed: int = 0, dtype: Any = np.uint8) -> Any:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def opened(
    bundle: Bundle, folder: Path, cuda: StandInCuda | None = None, **more: Any
) -> tuple[TensorrtEngine, StandInMaker]:
    cuda = cuda or StandInCuda()
    maker = StandInMaker(cuda, more.pop("version", "1.0"))
    precision, samples = more.pop("precision", "fp32"), more.pop("samples", None)
    return TensorrtEngine(bundle, precision, cuda, maker, EngineCache(folder), samples, **more), maker


@pytest.mark.parametrize("channels", [1, 3])
def test_the_map_is_the_graphs(tmp_path: Path, channels: Any) -> None:
    made, _ = opened(write_identity_bundle(tmp_path / "b", channels, (16, 12)), tmp_path / "cache")
    engine: Engine = made
    engine.warm_up()
    for seed in range(9):
        image = noise(12, 16, channels, seed=seed)
        prediction = engine.infer(image)
        assert prediction.map.dtype == np.float32
        assert (prediction.map == image.max(axis=2) / np.float32(255)).all()
        assert prediction.score == float(prediction.map.max())
    assert (engine.name, engine.precision) == ("tensorrt", "fp32")
    engine.close()
    engine.close()
    with pytest.raises(RuntimeError, match="the engine is closed"):
        engine.infer(noise(12, 16, channels))


def test_frames_of_16_bits_travel_as_int32(tmp_path: Path) -> None:
    model = identity_model(1, (8, 8))
    model.graph.input[0].type.tensor_type.elem_type = 4  # uint16
    bundle = write_identity_bundle(tmp_path / "b", 1, (8, 8), model=model)
    spec = bundle.spec.model_copy(update={"input": bundle.spec.input.model_copy(update={"bits": 16})})
    engine, maker = opened(replace(bundle, spec=spec), tmp_path / "cache")
    engine.warm_up()
    image = noise(8, 8, 1, dtype=np.uint16)
    assert (engine.infer(image).map == image[:, :, 0] / np.float32(255)).all()
    assert maker.plan is not None
    assert maker.plan.tensors[0].dtype == np.int32
    engine.close()


def test_an_engine_file_is_built_once_and_loaded_from_then_on(tmp_path: Path) -> None:
    bundle = write_identity_bundle(tmp_path / "b", 1, (8, 8))
    builds = []
    for _ in range(2):
        engine, maker = opened(bundle, tmp_path / "cache")
        engine.warm_up()
        builds.append((maker.builds, maker.kernels))
        engine.close()
    assert builds == [(1, [None]), (0, [b"kernels"])], "kernels compiled at the first run are loaded at the second start"


def changed(what: str, bundle: Bundle, tmp_path: Path) -> tuple[Bundle, StandInCuda, dict[str, Any]]:
    cuda, more = StandInCuda(), {}
    if what == "gpu":
        cuda.name = "Another GPU"
    elif what == "capability":
        cuda.capability = (8, 9)
    elif what == "version":
        more["version"] = "1.1"
    elif what == "precision":
        more["precision"] = "fp16"
    elif what == "model":
        bundle = write_identity_bundle(tmp_path / "b2", 1, (8, 8), score=False)
    elif what == "shape":
        spec = bundle.spec
        bundle = replace(bundle, spec=spec.model_copy(update={"input": spec.input.model_copy(update={"size": (10, 8)})}))
    return bundle, cuda, more


@pytest.mark.parametrize("what", ["gpu", "capability", "version", "precision", "model", "shape"])
def test_a_file_of_another_key_is_not_used(tmp_path: Path, what: str) -> None:
    bundle = write_identity_bundle(tmp_path / "b", 1, "any")
    bundle = module._fixed(bundle, (8, 8))
    first, maker = opened(bundle, tmp_path / "cache")
    first.close()
    bundle, cuda, more = changed(what, bundle, tmp_path)
    second, other = opened(bundle, tmp_path / "cache", cuda, **more)
    second.warm_up()
    second.close()
    assert (maker.builds, other.builds) == (1, 1)


def test_int8_frames_are_part_of_the_key(tmp_path: Path) -> None:
    bundle = write_identity_bundle(tmp_path / "b", 1, (8, 8))
    engine, _ = opened(bundle, tmp_path / "cache")
    engine.precision = "int8"
    keys = [engine._cache_key(lambda s=seed: iter([noise(8, 8, 1, seed=s)])) for seed in (1, 1, 2)]  # type: ignore[misc]
    assert keys[0] == keys[1] != keys[2]
    engine.close()


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda data: data[:-1], "it is cut off"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "its content does not match its SHA-256"),
        (lambda _: b"", "no engine file of this program's"),
        (lambda data: data.replace(b'"sha256"', b'"sha25x"'), "its head is damaged"),
    ],
)
def test_a_damaged_file_is_built_again(tmp_path: Path, damage: Callable[[bytes], bytes], why: str) -> None:
    bundle = write_identity_bundle(tmp_path / "b", 1, (8, 8))
    opened(bundle, tmp_path / "cache")[0].close()
    (file,) = (tmp_path / "cache").glob("*.engine")
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    with structlog.testing.capture_logs() as logs:
        engine, maker = opened(bundle, tmp_path / "cache")
    assert maker.builds == 1
    (entry,) = logs
    assert (entry["event"], entry["path"]) == ("tensorrt_cache_rejected", str(file))
    assert entry["why"].startswith(why)
    assert file.read_bytes() == whole
    engine.close()


def test_a_whole_file_that_tensorrt_refuses_is_built_again(tmp_path: Path) -> None:
    bundle = write_identity_bundle(tmp_path / "b", 1, (8, 8))
    engine, _ = opened(bundle, tmp_path / "cache")
    engine._cache.store(engine._key, b"of a TensorRT that said it was this one")
    engine.close()
    with structlog.testing.capture_logs() as logs:
        engine, maker = opened(bundle, tmp_path / "cache")
    assert maker.builds == 1
    assert [entry["why"] for entry in logs] == ["TensorRT refuses it: of another version"]
    engine.close()


def test_too_little_memory_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        opened(write_identity_bundle(tmp_path / "b", 1, (64, 64)), tmp_path / "cache", StandInCuda(memory_bytes=10_000))
    assert str(caught.value) == (
        "model.engine: tensorrt: the GPU's memory is too small for the model\n"
        "  received: cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY\n"
        "  fix: end what else uses the GPU (`nvidia-smi` lists it), or set model.precision: fp16, "
        "or build the bundle smaller"
    )


def test_a_map_of_another_size_than_told_is_refused(tmp_path: Path) -> None:
    bundle = write_identity_bundle(tmp_path / "b", 1, (16, 12))
    wrong = replace(bundle, spec=bundle.spec.model_copy(update={"map_to_image": (2.0, 1.0, 0.0, 0.0)}))
    with pytest.raises(UserError, match=r"the map has another size than bundle\.yaml says"):
        opened(wrong, tmp_path / "cache")


def test_a_bundle_of_any_size_needs_to_know_the_frames(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        module._fixed(write_identity_bundle(tmp_path / "b"), None)
    assert str(caught.value) == (
        "model.frame_size: tensorrt builds its engine for one size of frames, and the bundle takes any\n"
        "  expected: width and height of the camera's frames, for example [2448, 2048]\n"
        "  fix: set model.frame_size, or build the bundle with a resize on the host"
    )


def test_a_frame_of_another_size_than_the_engines_is_no_frame_for_it(tmp_path: Path) -> None:
    from edge.line.recipe import blank_frame

    bundle = write_identity_bundle(tmp_path / "b")
    with pytest.raises(FrameSizeMismatch, match="the frame is 9x8, the bundle takes 16x12"):
        prepare(blank_frame(9, 8), module._fixed(bundle, (16, 12)).spec)
    spec = bundle.spec
    resized = spec.model_copy(update={"resize": spec.resize.model_copy(update={"where": "graph", "size": (8, 8)})})
    fixed = module._fixed(replace(bundle, spec=resized), (16, 12))
    with pytest.raises(FrameSizeMismatch, match=r"the frame is 9x8, the engine was built for 16x12: model\.frame_size"):
        prepare(blank_frame(9, 8), fixed.spec)
    assert prepare(blank_frame(16, 12), fixed.spec).image.shape == (12, 16, 1)


def test_bf16_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        module._precision("bf16")
    assert str(caught.value) == (
        "model.precision: bf16: TensorRT does not run it here\n  expected: fp32, fp16 or int8\n"
        "  fix: set model.precision: fp16, or model.engine: openvino"
    )


def tiled(folder: Path, *, batch: int | None = None) -> Bundle:
    """Tiles of 8x8, half a tile apart."""
    model = identity_model(1, (8, 8))
    if batch is not None:
        for port in (*model.graph.input, *model.graph.output):
            port.type.tensor_type.shape.dim[0].dim_value = batch
    bundle = write_identity_bundle(folder, 1, (8, 8), model=model)
    return replace(bundle, spec=bundle.spec.model_copy(update={"tile": TileSpec(size=(8, 8), stride=(4, 4))}))


@pytest.mark.parametrize(
    ("batch", "frame_size", "at_once"), [(None, (16, 12), 6), (None, None, 1), (1, (16, 12), 1)], ids=str
)
def test_tiles_of_a_frame_go_in_at_once_where_the_graph_allows(
    tmp_path: Path, batch: int | None, frame_size: Any, at_once: int
) -> None:
    engine, maker = opened(tiled(tmp_path / "b", batch=batch), tmp_path / "cache", frame_size=frame_size)
    engine.warm_up()
    assert maker.plan is not None
    assert maker.plan.tensors[0].shape == (at_once, 8, 8, 1)
    held = []
    for seed in range(6):
        tiles = noise(6, 8, 8, 1, seed=seed)
        prediction = engine.infer(tiles)
        assert prediction.score == tiles.max() / np.float32(255)
        assert prediction.embedding is None
        held.append((prediction.map, tiles))
        for amap, pictures in held[-4:]:
            assert (amap == pictures[..., 0] / np.float32(255)).all()
    engine.close()


def test_another_number_of_tiles_than_the_engine_was_built_for_is_refused(tmp_path: Path) -> None:
    engine, _ = opened(tiled(tmp_path / "b"), tmp_path / "cache", frame_size=(16, 12))
    with pytest.raises(FrameSizeMismatch) as caught:
        engine.submit(noise(4, 8, 8, 1))
    assert str(caught.value) == "the frame has 4 tiles, the engine was built for 6: model.frame_size"
    engine.close()


def test_a_lane_keeps_two_frames_on_the_device_in_order(tmp_path: Path) -> None:
    cuda = StandInCuda(graphs=True)
    engine, _ = opened(write_identity_bundle(tmp_path / "b", 1, (16, 12)), tmp_path / "cache", cuda)
    engine.warm_up()
    cuda.calls.clear()
    lane: Lane[int] = Lane(engine)
    assert lane.depth == 2
    results = []
    for seed in range(10):
        lane.submit(seed, noise(12, 16, 1, seed=seed))
        if lane.full:
            results.append(lane.collect())
            found = results[-1]
            assert (found[1].map == noise(12, 16, 1, seed=found[0])[:, :, 0] / np.float32(255)).all()  # type: ignore[union-attr]
    while lane.pending:
        results.append(lane.collect())
    assert [ticket for ticket, _ in results] == list(range(10))
    order = [call for call in cuda.calls if call in ("copy_in", "synchronize")]
    assert order == ["copy_in"] + ["copy_in", "synchronize"] * 9 + ["synchronize"], "frame n + 1 goes in before n comes out"
    engine.close()


@pytest.mark.parametrize("call", ["copy_in", "kernel", "copy_out", "record", "wait"])
def test_an_error_falls_on_its_frame_and_the_next_ones_are_well(tmp_path: Path, call: str) -> None:
    cuda = StandInCuda()
    engine, _ = opened(write_identity_bundle(tmp_path / "b", 1, (16, 12)), tmp_path / "cache", cuda)
    engine.warm_up()
    lane: Lane[int] = Lane(engine)
    results: list[tuple[int, Any]] = []
    for seed in range(12):
        if seed == 5:
            cuda.fail[call] = 0
        lane.submit(seed, noise(12, 16, 1, seed=seed))
        while lane.full or (seed == 11 and lane.pending):
            results.append(lane.collect())
            for ticket, outcome in results[-4:]:  # maps stay until the fourth collect, also across an error
                if ticket == 5:
                    assert isinstance(outcome, CudaError)
                    assert str(outcome) == f"{call}: CUDA_ERROR_LAUNCH_FAILED"
                else:
                    assert (outcome.map == noise(12, 16, 1, seed=ticket)[:, :, 0] / np.float32(255)).all()
    assert [ticket for ticket, _ in results] == list(range(12))
    engine.close()


def test_an_error_found_late_takes_the_frame_behind_it_along(tmp_path: Path) -> None:
    cuda = StandInCuda()
    engine, _ = opened(write_identity_bundle(tmp_path / "b", 1, (16, 12)), tmp_path / "cache", cuda)
    lane: Lane[int] = Lane(engine)
    lane.submit(0, noise(12, 16, 1))
    lane.submit(1, noise(12, 16, 1))
    cuda.fail["synchronize"] = 0
    first, second = lane.collect(), lane.collect()
    assert str(first[1]) == "synchronize: CUDA_ERROR_LAUNCH_FAILED"
    assert str(second[1]) == "given up after the frame before it: synchronize: CUDA_ERROR_LAUNCH_FAILED"
    lane.submit(2, noise(12, 16, 1, seed=2))
    outcome = lane.collect()[1]
    assert not isinstance(outcome, Exception)
    assert (outcome.map == noise(12, 16, 1, seed=2)[:, :, 0] / np.float32(255)).all()
    engine.close()


def test_an_engine_that_overlaps_nothing_has_one_frame_in_its_lane(tmp_path: Path) -> None:
    from edge.engines.onnx import OnnxEngine

    lane: Lane[str] = Lane(OnnxEngine(write_identity_bundle(tmp_path / "b", 1, (16, 12))))
    lane.submit("a", noise(12, 16, 1))
    assert (lane.depth, lane.full, lane.pending) == (1, True, 1)
    with pytest.raises(RuntimeError, match="the lane is full: collect first"):
        lane.submit("b", noise(12, 16, 1))
    ticket, outcome = lane.collect()
    assert ticket == "a"
    assert not isinstance(outcome, Exception)
    lane.submit("c", noise(12, 16, 1)[:, ::2])
    ticket, outcome = lane.collect()
    assert ticket == "c"
    assert isinstance(outcome, ValueError)
    assert lane.pending == 0


def test_a_call_that_hangs_stops_the_stages_progress(tmp_path: Path) -> None:
    cuda = StandInCuda()
    engine, _ = opened(write_identity_bundle(tmp_path / "b", 1, (16, 12)), tmp_path / "cache", cuda)
    engine.warm_up()
    looked = threading.Event()

    def stage(beat: Callable[[], bool]) -> None:
        while beat() and not looked.is_set():
            engine.infer(noise(12, 16, 1))

    worker = Worker("infer", stage, restarts=0)
    worker.start()
    assert worker.wait_alive(5)
    assert examine([worker], 60.0).hung is None
    cuda.hang.clear()
    while worker.age_s() < 0.3:
        time.sleep(0.02)
    assert examine([worker], 0.25).hung == "infer"
    looked.set()
    cuda.hang.set()
    assert worker.join(PATIENCE_S)
    assert worker.failed is None
    engine.close()


def test_a_model_that_does_not_start_says_so_at_warm_up(tmp_path: Path) -> None:
    bundle = write_identity_bundle(tmp_path / "b", 1, (16, 12))
    engine, maker = opened(bundle, tmp_path / "cache")
    assert maker.plan is not None
    maker.plan.refuses = "TensorRT did not start: no kernel for this GPU"
    with pytest.raises(UserError) as caught:
        engine.warm_up()
    assert str(caught.value) == (
        f"{bundle.model_path}: the model does not run on a blank 16x12 picture\n"
        "  received: TensorRT did not start: no kernel for this GPU"
    )
    engine.close()


def test_an_engine_set_by_hand_does_not_fall_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Any:
        raise UserError("model.engine: tensorrt: there is no NVIDIA GPU")

    monkeypatch.setattr(module, "open_cuda", none)
    bundle = write_identity_bundle(tmp_path / "b", 1, (16, 12))
    with pytest.raises(UserError, match=r"^model\.engine: tensorrt: there is no NVIDIA GPU$"):
        open_tensorrt(ModelConfig(bundle=bundle.folder, engine="tensorrt"), bundle, None)
    engine = open_engine(ModelConfig(bundle=bundle.folder, engine="auto"), bundle)
    assert engine.name == "onnx"
    engine.close()


def test_why_not_tells_auto_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = StandInCuda()
    monkeypatch.setattr(module, "open_runtime", lambda: None)
    monkeypatch.setattr(module, "open_cuda", lambda: cuda)
    assert why_not_here() is None
    assert cuda.closed

    def none() -> Any:
        raise UserError("model.engine: tensorrt: there is no NVIDIA GPU", fix="buy one")

    monkeypatch.setattr(module, "open_cuda", none)
    assert why_not_here() == "there is no NVIDIA GPU"


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_whole_way_from_the_config_to_a_checked_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: Any
) -> None:
    cuda = StandInCuda(graphs=True)
    monkeypatch.setattr(module, "open_cuda", lambda: cuda)
    monkeypatch.setattr(module, "open_runtime", lambda: None)
    monkeypatch.setattr(module, "TrtMaker", lambda _runtime, device, _tell: StandInMaker(device))
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    bundle = write_identity_bundle(tmp_path / "b", 1, "any")
    config = ModelConfig(bundle=bundle.folder, engine="tensorrt", precision=precision, frame_size=(16, 12))
    with structlog.testing.capture_logs() as logs:
        engine = open_engine(config, bundle)
    events = {entry["event"]: entry for entry in logs}
    assert events["tensorrt_ready"] == {
        "event": "tensorrt_ready",
        "gpu": "Stand-in GPU",
        "binding": "stand-in",
        "cuda_graphs": True,
        "shape": (1, 12, 16, 1),
        "log_level": "info",
    }
    assert events["precision_checked"]["difference"] == 0.0
    assert (events["engine_opened"]["engine"], events["engine_opened"]["precision"]) == ("tensorrt", precision)
    assert len(list((tmp_path / "cache" / "tensorrt").iterdir())) == 2
    engine.close()


def test_a_batch_goes_in_at_once_and_fewer_are_filled_up(tmp_path: Path) -> None:
    bundle = write_identity_bundle(tmp_path / "b", 1, (16, 12))
    engine, maker = opened(bundle, tmp_path / "cache", batch=4)
    engine.warm_up()
    assert maker.plan is not None
    assert (maker.plan.tensors[0].shape, engine.batch) == ((4, 12, 16, 1), 4)
    held: list[tuple[Any, Any]] = []
    for seed, count in enumerate([4, 4, 1, 3, 4, 2, 4]):
        pictures = noise(count, 12, 16, 1, seed=seed)
        held.append((engine.infer_batch(pictures), pictures))
        for found, shown in held[-4:]:
            assert [p.score for p in found] == [p.max() / np.float32(255) for p in shown]
            for one, picture in zip(found, shown, strict=True):
                assert (one.map == picture[:, :, 0] / np.float32(255)).all()
    single = noise(12, 16, 1, seed=9)
    assert (engine.infer(single).map == single[:, :, 0] / np.float32(255)).all()
    engine.close()


def test_a_batch_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    cuda = StandInCuda()
    engine, _ = opened(write_identity_bundle(tmp_path / "b", 1, (16, 12)), tmp_path / "cache", cuda, batch=2)
    engine.warm_up()
    cuda.fail["synchronize"] = 0
    with pytest.raises(CudaError, match="synchronize: CUDA_ERROR_LAUNCH_FAILED"):
        engine.infer_batch(noise(2, 12, 16, 1))
    (found, _) = engine.infer_batch(pictures := noise(2, 12, 16, 1, seed=3))
    assert (found.map == pictures[0, :, :, 0] / np.float32(255)).all()
    engine.close()


def test_a_graph_of_one_picture_has_no_batch(tmp_path: Path) -> None:
    model = identity_model(1, (16, 12))
    for port in (*model.graph.input, *model.graph.output):
        port.type.tensor_type.shape.dim[0].dim_value = 1
    engine, _ = opened(write_identity_bundle(tmp_path / "b", 1, (16, 12), model=model), tmp_path / "cache", batch=4)
    assert engine.batch == 1
    engine.close()


@pytest.mark.parametrize(("tile", "batch"), [(True, 1), (True, 4), (False, 4)])
def test_tiles_and_batches_from_the_config_to_a_checked_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tile: bool, batch: int
) -> None:
    cuda = StandInCuda()
    monkeypatch.setattr(module, "open_cuda", lambda: cuda)
    monkeypatch.setattr(module, "open_runtime", lambda: None)
    monkeypatch.setattr(module, "TrtMaker", lambda _runtime, device, _tell: StandInMaker(device))
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    bundle = tiled(tmp_path / "b") if tile else write_identity_bundle(tmp_path / "b", 1, (16, 12))
    config = ModelConfig(bundle=bundle.folder, engine="tensorrt", frame_size=(16, 12))
    with structlog.testing.capture_logs() as logs:
        engine: Any = open_engine(config, bundle, None, batch)
    (shape,) = (log["shape"] for log in logs if log["event"] == "tensorrt_ready")
    assert shape == ((6, 8, 8, 1) if tile else (4, 12, 16, 1))
    assert engine.batch == (1 if tile else 4)
    told = [log["why"] for log in logs if log["event"] == "no_batches"]
    assert told == (["the tiles of a frame go in together already"] if tile and batch > 1 else [])
    engine.close()


def test_a_full_disk_does_not_refuse_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = write_identity_bundle(tmp_path / "b", 1, (16, 12))
    with small_disk(tmp_path / "disk", monkeypatch) as disk:
        cache = EngineCache(disk.folder)
        disk.fill()
        cuda = StandInCuda()
        with structlog.testing.capture_logs() as logs:
            engine = TensorrtEngine(bundle, "fp32", cuda, StandInMaker(cuda), cache)
            engine.warm_up()
        told = [log["why"] for log in logs if log["event"] == "tensorrt_cache_not_written"]
        assert told == ["No space left on device"] * 2, "the engine file, and the kernels of the first run"
        image = noise(12, 16, 1)
        assert (engine.infer(image).map == image[:, :, 0] / np.float32(255)).all()
        engine.close()
        disk.free()
