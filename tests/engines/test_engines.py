"""Every engine that this machine has gives the same numbers, keeps the protocol, and says why where it can't."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import structlog
from support.disks import small_disk
from support.fits import pixel_bundle
from support.graphs import anomalib_model, identity_model, nan_model, node, tensor, write_identity_bundle, wrong_model
from support.nets import write_distance_bundle

from edge.config.bundle import Bundle
from edge.config.bundle_spec import DisplaySpec
from edge.config.line import ModelConfig
from edge.config.regions import RegionsConfig
from edge.config.sources import SyntheticConfig
from edge.engines import cpu, int8
from edge.engines import open as engines
from edge.engines.onnx import OnnxEngine
from edge.engines.open import open_engine
from edge.engines.openvino import OpenvinoEngine
from edge.engines.protocol import Engine, Prediction
from edge.engines.to_map import to_map
from edge.errors import UserError
from edge.frames import Frame, FrameMeta
from edge.models.build.build import build
from edge.preprocess.prepare import Workspace
from edge.regions.criteria import Criteria
from edge.regions.to_inspection import to_inspection
from edge.sources.synthetic.parts import synthetic_part

SIZE = 128
KINDS = [("onnx", "int8"), ("openvino", "fp32"), ("openvino", "bf16"), ("openvino", "int8")]
if engines._RUNTIMES["tensorrt"].why_not() is None:
    KINDS += [("tensorrt", "fp32"), ("tensorrt", "fp16"), ("tensorrt", "int8")]
CPU_ENGINES: list[Callable[[Bundle], Engine]] = [OnnxEngine, OpenvinoEngine]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


# ---- the same numbers ----


@dataclass(frozen=True)
class Case:
    """A model, the parts that it looks at, and what the reference says of them."""

    bundle: Bundle
    frames: list[Frame]
    defective: list[bool]
    has_convolutions: bool

    def samples(self) -> Iterator[Any]:
        spec, workspace = self.bundle.spec, Workspace()
        for frame in self.frames[1::2]:
            yield np.array(prepared(frame, spec, workspace))


def prepared(frame: Frame, spec: Any, workspace: Workspace) -> Any:
    from edge.preprocess.prepare import prepare

    return prepare(frame, spec, workspace).image


def parts(count: int, defect_rate: float, first: int = 0) -> list[tuple[Frame, bool]]:
    config = SyntheticConfig(kind="synthetic", preset="easy", width=SIZE, height=SIZE, defect_rate=defect_rate)
    found = []
    for index in range(first, first + count):
        part = synthetic_part(config, index)
        found.append((Frame(FrameMeta(index, "counted", SIZE, SIZE, "Mono8", 0, 0), part.pixels), bool(part.defects)))
    return found


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    folder = tmp_path_factory.mktemp("bundles")
    good = [frame for frame, _ in parts(24, 0.0)]
    shown = parts(32, 0.5, first=100)
    frames, defective = [f for f, _ in shown], [d for _, d in shown]
    assert 8 <= sum(defective) <= 24
    fitted = pixel_bundle(good, folder / "fitted")
    net = write_distance_bundle(folder / "net", [f.pixels for f in good], [f.pixels for f in frames])
    path = folder / "model.onnx"
    onnx.save(anomalib_model(size=(SIZE, SIZE)), path)
    exported = build(path, folder / "exported").bundle
    return {
        "fitted": Case(fitted, frames, defective, False),
        "net": Case(net, frames, defective, True),
        "exported": Case(exported, frames, defective, False),
    }


def opened(kind: str, precision: str, case: Case) -> Engine:
    config = ModelConfig(
        bundle=case.bundle.folder,
        engine=kind,  # type: ignore[arg-type]
        precision=precision,  # type: ignore[arg-type]
        sample_frames=Path("frames"),
    )
    return open_engine(config, case.bundle, case.samples)


def results(engine: Engine, case: Case) -> tuple[list[Any], Any]:
    workspace = Workspace()
    maps = []
    for frame in case.frames:
        amap: Any = to_map(frame, engine, workspace)
        maps.append(amap.values.copy())
    engine.close()
    return maps, np.array([m.max() for m in maps])


def auroc(values: Any, defective: list[bool]) -> float:
    """Share of pairs of a defective and a good frame in which the defective one has the higher value; ties count half."""
    bad, good = values[np.array(defective)], values[~np.array(defective)]
    return float(((bad[:, None] > good) + 0.5 * (bad[:, None] == good)).mean())


def verdicts(maps: list[Any], case: Case, high: float) -> list[str]:
    criteria = Criteria(RegionsConfig(min_area_px=4), high)
    found = []
    for frame, values in zip(case.frames, maps, strict=True):
        from edge.frames import AnomalyMap

        inspection, _ = to_inspection(frame, AnomalyMap(values, case.bundle.spec.map_to_image), criteria)
        found.append(inspection.verdict)
    return found


@pytest.mark.parametrize("model", ["fitted", "net", "exported"])
@pytest.mark.parametrize(("kind", "precision"), KINDS)
def test_every_engine_gives_the_same_numbers(cases: dict[str, Case], kind: str, precision: str, model: str) -> None:
    """Against ONNX Runtime in fp32: maps, verdicts on frames with clear defects, and how well defects are told apart."""
    case = cases[model]
    if lacking := cpu.missing(precision) if kind != "tensorrt" else None:
        pytest.skip(f"{precision} needs a CPU with {lacking}")
    if precision == "int8" and not case.has_convolutions:
        with pytest.raises(UserError, match="nothing in this model that int8 would speed up"):
            opened(kind, precision, case)
        return
    reference, expected = results(opened("onnx", "fp32", case), case)
    maps, highest = results(opened(kind, precision, case), case)
    span = float(max(m.max() for m in reference) - min(m.min() for m in reference))
    for got, want in zip(maps, reference, strict=True):
        off = np.abs(got - want)
        if precision == "fp32":
            assert off.max() <= 1e-3 * span
        else:
            assert np.quantile(off, 0.999) <= 5e-2 * span
    good = [v for v, bad in zip(expected, case.defective, strict=True) if not bad]
    high = 1.05 * max(good)
    clear = [bad and value > 1.25 * high for value, bad in zip(expected, case.defective, strict=True)]
    assert model == "exported" or sum(clear) >= 5, "there must be clear defects, or nothing is shown"
    judged, wanted = verdicts(maps, case, high), verdicts(reference, case, high)
    assert [v for v, c in zip(judged, clear, strict=True) if c] == [v for v, c in zip(wanted, clear, strict=True) if c]
    if model != "exported":  # one edge filter, which knows nothing of defects
        assert abs(auroc(highest, case.defective) - auroc(expected, case.defective)) <= 0.005


def test_the_small_network_tells_defects_apart(cases: dict[str, Case]) -> None:
    """Else the comparison of AUROC and verdicts would compare nothing."""
    for model in ("fitted", "net"):
        _, values = results(opened("onnx", "fp32", cases[model]), cases[model])
        assert auroc(values, cases[model].defective) > 0.9


# ---- the protocol ----


@pytest.mark.parametrize("make", CPU_ENGINES)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_map_is_the_graphs(tmp_path: Path, make: Callable[[Bundle], Engine], channels: Any) -> None:
    engine = make(write_identity_bundle(tmp_path / "b", channels))
    engine.warm_up()
    for seed in range(6):
        image = noise(12, 16, channels, seed=seed)
        prediction = engine.infer(image)
        assert prediction.map.dtype == np.float32
        np.testing.assert_allclose(prediction.map, image.max(axis=2) / np.float32(255), rtol=2e-7)
        assert prediction.score == float(prediction.map.max())
        assert prediction.embedding is None
    engine.close()


@pytest.mark.parametrize("make", CPU_ENGINES)
def test_a_map_stays_until_the_fourth_infer_after_it(tmp_path: Path, make: Callable[[Bundle], Engine]) -> None:
    engine = make(write_identity_bundle(tmp_path / "b"))
    images = [noise(8, 8, 1, seed=k) for k in range(12)]
    predictions = []
    for k, image in enumerate(images):
        predictions.append(engine.infer(image))
        for back in range(min(k + 1, 4)):
            expected = images[k - back][:, :, 0] / np.float32(255)
            np.testing.assert_allclose(predictions[k - back].map, expected, rtol=2e-7)
    assert len({p.map.ctypes.data for p in predictions[1:]}) == 4
    engine.close()


@pytest.mark.parametrize("make", CPU_ENGINES)
def test_pictures_may_change_their_size_where_the_bundle_takes_any(
    tmp_path: Path, make: Callable[[Bundle], Engine]
) -> None:
    engine = make(write_identity_bundle(tmp_path / "b"))
    held = []
    for size in ((8, 8), (8, 8), (12, 20), (12, 20), (8, 8), (5, 3), (6, 3), (7, 3), (8, 8)):
        image = noise(*size, 1)
        held.append((engine.infer(image).map, image))
    for amap, image in held[-4:]:
        np.testing.assert_allclose(amap, image[:, :, 0] / np.float32(255), rtol=2e-7)
    engine.close()


@pytest.mark.parametrize("make", CPU_ENGINES)
@pytest.mark.parametrize("frozen", [False, True])
def test_tiles_of_a_picture_go_in_one_call(tmp_path: Path, make: Callable[[Bundle], Engine], frozen: bool) -> None:
    """Also where the graph takes one picture only; a single picture of a tile's size may come between."""
    model = identity_model(1, (16, 12))
    if frozen:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = 1
    engine = make(write_identity_bundle(tmp_path / "b", 1, (16, 12), model=model))
    engine.warm_up()
    for seed in range(6):
        tiles = noise(3, 12, 16, 1, seed=seed)
        prediction = engine.infer(tiles)
        np.testing.assert_allclose(prediction.map, tiles[..., 0] / np.float32(255), rtol=2e-7)
        assert prediction.score == float(prediction.map.max())
        alone = engine.infer(tiles[1].copy())
        np.testing.assert_allclose(alone.map, tiles[1, :, :, 0] / np.float32(255), rtol=2e-7)
    engine.close()


@pytest.mark.parametrize("make", CPU_ENGINES)
def test_pixels_are_read_in_place_at_each_call(tmp_path: Path, make: Callable[[Bundle], Engine]) -> None:
    engine = make(write_identity_bundle(tmp_path / "b"))
    image = np.zeros((4, 4, 1), np.uint8)
    for value in (10, 20, 30):
        image[...] = value
        assert engine.infer(image).map[0, 0] == pytest.approx(value / 255, rel=2e-7)
    image.flags.writeable = False  # as pixels of a mapped file are
    assert engine.infer(image).map[0, 0] == pytest.approx(30 / 255, rel=2e-7)
    engine.close()


@pytest.mark.parametrize("make", CPU_ENGINES)
def test_pixels_of_16_bits(tmp_path: Path, make: Callable[[Bundle], Engine]) -> None:
    model = identity_model(1, (8, 6))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT16
    bundle = write_identity_bundle(tmp_path / "b", 1, (8, 6), model=model)
    spec = bundle.spec.model_copy(update={"input": bundle.spec.input.model_copy(update={"bits": 12})})
    engine = make(Bundle(bundle.folder, spec, bundle.sha256))
    image = np.random.default_rng(0).integers(0, 4096, (6, 8, 1), np.uint16)
    for _ in range(2):
        np.testing.assert_allclose(engine.infer(image).map, image[:, :, 0] / np.float32(255), rtol=2e-7)
    engine.close()


@pytest.mark.parametrize("make", CPU_ENGINES)
def test_an_embedding_is_passed_on(tmp_path: Path, make: Callable[[Bundle], Engine]) -> None:
    model = identity_model(1, (4, 4))
    model.graph.node.append(node("Flatten", ["map"], ["embedding"]))
    model.graph.output.append(tensor("embedding", onnx.TensorProto.FLOAT, ["n", 16]))
    engine = make(write_identity_bundle(tmp_path / "b", 1, (4, 4), model=model))
    for seed in range(3):
        prediction = engine.infer(noise(4, 4, 1, seed=seed))
        assert prediction.embedding is not None
        assert (prediction.embedding == prediction.map.ravel()).all()
    engine.close()


@pytest.mark.parametrize("make", CPU_ENGINES)
def test_nan_is_the_judges_business(tmp_path: Path, make: Callable[[Bundle], Engine]) -> None:
    engine = make(write_identity_bundle(tmp_path / "b", model=nan_model()))
    engine.warm_up()
    assert np.isnan(engine.infer(noise(8, 8, 1)).map).all()
    engine.close()


@pytest.mark.parametrize("make", CPU_ENGINES)
def test_a_picture_that_is_not_contiguous_is_refused(tmp_path: Path, make: Callable[[Bundle], Engine]) -> None:
    engine = make(write_identity_bundle(tmp_path / "b"))
    with pytest.raises(ValueError, match="the image must be C-contiguous"):
        engine.infer(noise(8, 8, 1)[:, ::2])
    engine.close()
    engine.close()
    with pytest.raises(RuntimeError, match="the engine is closed"):
        engine.infer(noise(8, 8, 1))


# ---- what openvino refuses ----


def refusal(make: Callable[[], Any]) -> str:
    def opened_and_warm() -> None:
        make().warm_up()

    with pytest.raises(UserError) as caught:
        opened_and_warm()
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (
            "no_map",
            "M: the graph's outputs are not a bundle's\n  received: result\n"
            "  expected: map, and optionally score and embedding\n  fix: run `edge build` on the original model",
        ),
        ("float64_map", "M: output 'map' has a wrong type\n  received: tensor(double)\n  expected: tensor(float)"),
        ("rank_4_map", "M: output 'map' has a wrong shape\n  received: (?, 16, 16, 1)\n  expected: (n, h, w)"),
        (
            "hidden_rank",
            "M: the model does not run on a blank 16x16 picture\n"
            "  received: Unexpected: CPU plug-in doesn't support Reshape operation with dynamic rank. Operation name: map",
        ),
        ("two_inputs", "M: the graph's inputs are not a bundle's\n  received: frame, mask\n  expected: frame"),
        ("float_frame", "M: input 'frame' has a wrong type\n  received: tensor(float)\n  expected: tensor(uint8)"),
    ],
)
def test_a_graph_that_breaks_the_contract_is_refused(tmp_path: Path, kind: Any, text: str) -> None:
    bundle = write_identity_bundle(tmp_path / "b", 1, (16, 16), model=wrong_model(kind))
    assert refusal(partial(OpenvinoEngine, bundle)).replace(str(bundle.model_path), "M") == text


def test_an_operator_that_the_runtime_lacks_is_named(tmp_path: Path) -> None:
    model = identity_model()
    model.opset_import.append(onnx.helper.make_opsetid("maker.example", 1))
    model.graph.node[2].op_type, model.graph.node[2].domain = "Sparkle", "maker.example"
    bundle = write_identity_bundle(tmp_path / "b", model=model)
    text = refusal(partial(OpenvinoEngine, bundle)).replace(str(bundle.model_path), "M")
    assert text.startswith("M: OpenVINO 20")
    assert "\n  received: No conversion rule found for operations: maker.example.Sparkle\n" in text
    assert text.endswith("\n  fix: set model.engine: onnx, or use an OpenVINO that knows its operators")


def test_a_model_that_fails_on_a_blank_picture_is_refused_at_warm_up(tmp_path: Path) -> None:
    model = identity_model(1, score=False)
    model.graph.node[2].output[0] = "bright"
    model.graph.node.append(node("Reshape", ["bright", "shape"], ["map"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 7, 7]), "shape"))
    bundle = write_identity_bundle(tmp_path / "b", model=model)
    text = refusal(partial(OpenvinoEngine, bundle)).replace(str(bundle.model_path), "M")
    assert text.startswith("M: the model does not run on a blank 256x256 picture\n  received: ")


# ---- precision ----


def test_the_precision_is_pinned_and_reported(tmp_path: Path) -> None:
    """Whatever this CPU's default is."""
    engine = OpenvinoEngine(write_identity_bundle(tmp_path / "b"), threads=2)
    engine.warm_up()
    compiled = next(iter(engine._shaped.values())).compiled
    told = {k: compiled.get_property(k) for k in ("INFERENCE_PRECISION_HINT", "INFERENCE_NUM_THREADS", "PERFORMANCE_HINT")}
    assert told["INFERENCE_PRECISION_HINT"].get_type_name() == "f32"
    assert told["INFERENCE_NUM_THREADS"] == 2
    assert str(told["PERFORMANCE_HINT"]).endswith("LATENCY")
    assert compiled.get_property("ENABLE_CPU_PINNING") is False
    assert (engine.name, engine.precision) == ("openvino", "fp32")


@pytest.mark.parametrize("kind", ["openvino", "onnx"])
@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_cpu_without_the_arithmetic_is_told(
    cases: dict[str, Case], monkeypatch: pytest.MonkeyPatch, kind: str, precision: str
) -> None:
    if (kind, precision) == ("onnx", "bf16"):
        text = (
            "model.precision: bf16: ONNX Runtime has no arithmetic for it here\n  expected: fp32 or int8\n"
            "  fix: set model.engine: openvino (bf16) or tensorrt (fp16), or model.precision: fp32"
        )
        assert refusal(partial(opened, kind, precision, cases["net"])) == text
        return
    monkeypatch.setattr(cpu, "cpu_flags", lambda: frozenset({"avx2", "fma"}))
    lines = refusal(partial(opened, kind, precision, cases["net"])).splitlines()
    needs = {
        "bf16": "AMX-BF16, AVX512-BF16 or ARM's BF16",
        "int8": "AVX512-VNNI, AVX-VNNI, AMX-INT8 or ARM's dot product",
    }
    assert lines[0] == f"model.precision: {precision}: this CPU has no arithmetic for it"
    assert lines[-2:] == [f"  expected: a CPU with {needs[precision]}", "  fix: set model.precision: fp32"]


def test_fp16_is_for_gpus(cases: dict[str, Case]) -> None:
    assert refusal(partial(opened, "openvino", "fp16", cases["net"])) == (
        "model.precision: fp16 on openvino: slower than fp32 on a CPU, and not offered\n  expected: fp32, bf16 or int8\n"
        "  fix: set model.precision: bf16 or fp32, or use an engine on a GPU"
    )


@pytest.mark.parametrize("sampled", [False, True])
def test_a_precision_beyond_the_bundles_tolerance_is_refused_with_both_numbers(
    cases: dict[str, Case], monkeypatch: pytest.MonkeyPatch, sampled: bool
) -> None:
    """Here the engine is 0.3 off, of a display range that is 2 wide."""
    bundle = cases["net"].bundle
    spec = bundle.spec.model_copy(update={"display": DisplaySpec(threshold=1.0, range=(0.0, 2.0))})
    bundle = Bundle(bundle.folder, spec, bundle.sha256)

    class Off(OnnxEngine):
        def infer(self, image: Any) -> Any:
            found = super().infer(image)
            return Prediction(found.map + np.float32(0.3), found.score, None)

    def off(config: ModelConfig, bundle: Bundle, samples: Any, batch: int, tell: Any) -> Engine:
        engine = Off(bundle)
        engine.name, engine.precision = "openvino", "bf16"
        return engine

    monkeypatch.setitem(engines._RUNTIMES, "openvino", replace(engines._RUNTIMES["openvino"], open=off))
    config = ModelConfig(bundle=bundle.folder, engine="openvino", precision="bf16", sample_frames=Path("x"))
    where, more = (
        r"(noise|soft shapes|a blank picture|a nearly black picture)",
        ", or model.sample_frames: a folder of typical frames, to be compared on those",
    )
    if sampled:
        where, more = "sample frame (0|8)", ""
    text = refusal(lambda: open_engine(config, bundle, cases["net"].samples if sampled else None))
    assert re.sub(rf"on {where}\n", "on A PICTURE\n", text) == (
        "model.precision: bf16 on openvino departs too far from the model's own numbers\n"
        "  received: 0.15 of the map's range at the 99.9th percentile, on A PICTURE\n"
        f"  expected: at most 0.05, the tolerance in {bundle.folder / 'bundle.yaml'}\n"
        f"  fix: set model.precision: fp32{more}"
    )


def test_int8_is_made_once_and_only_of_wide_convolutions(cases: dict[str, Case], tmp_path: Path) -> None:
    if lacking := cpu.missing("int8"):
        pytest.skip(f"int8 needs a CPU with {lacking}")
    opened("openvino", "int8", cases["net"]).close()
    (kept,) = (tmp_path / "cache" / "edge-inspect" / "int8").iterdir()
    content = kept.read_bytes()
    graph = onnx.load_from_string(content[32:]).graph
    inverse = {n.output[0]: n.op_type for n in graph.node}
    weights = [inverse.get(n.input[1]) for n in graph.node if n.op_type == "Conv"]
    assert weights == [None, "DequantizeLinear", "DequantizeLinear"], "the first has one channel on its one side"
    stamp = kept.stat().st_mtime_ns
    opened("openvino", "int8", cases["net"]).close()
    assert kept.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("spoil", [lambda c: b"", lambda c: c[:-1], lambda c: c[:50] + b"x" + c[51:]])
def test_a_spoilt_int8_graph_is_made_again(cases: dict[str, Case], tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    if lacking := cpu.missing("int8"):
        pytest.skip(f"int8 needs a CPU with {lacking}")
    opened("onnx", "int8", cases["net"]).close()
    (kept,) = (tmp_path / "cache" / "edge-inspect" / "int8").iterdir()
    kept.write_bytes(spoil(kept.read_bytes()))
    with structlog.testing.capture_logs() as logs:
        opened("onnx", "int8", cases["net"]).close()
    assert [e["event"] for e in logs][:2] == ["cache_spoilt", "int8_graph_begins"]
    assert int8._kept(kept) is not None


def test_a_full_disk_costs_the_int8_graph_its_place_in_the_cache_and_no_start(
    cases: dict[str, Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lacking := cpu.missing("int8"):
        pytest.skip(f"int8 needs a CPU with {lacking}")
    with small_disk(tmp_path / "disk", monkeypatch) as disk:
        monkeypatch.setenv("CACHE_DIRECTORY", str(disk.folder))
        (disk.folder / "int8").mkdir()
        (disk.folder / "openvino").mkdir()
        disk.fill()
        with structlog.testing.capture_logs() as logs:
            opened("onnx", "int8", cases["net"]).close()
            opened("openvino", "int8", cases["net"]).close()
        told = [(log["why"], log["effect"]) for log in logs if log["event"] == "int8_graph_not_kept"]
        assert told == [("No space left on device", "the next start makes it again")] * 2
        disk.free()


def test_int8_without_frames_is_refused(cases: dict[str, Case], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "missing", lambda _: None)  # on a CPU without int8 that would be said first
    with pytest.raises(UserError) as caught:
        OpenvinoEngine(cases["net"].bundle, precision="int8")
    assert str(caught.value) == (
        "model.precision: int8 needs frames to take its scales from\n"
        "  fix: set model.sample_frames: a folder of typical frames"
    )


def test_compiled_models_are_kept(tmp_path: Path) -> None:
    bundle = write_identity_bundle(tmp_path / "b", 1, (16, 12))
    folder = tmp_path / "cache" / "edge-inspect" / "openvino"
    OpenvinoEngine(bundle).warm_up()
    blobs = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert blobs
    OpenvinoEngine(bundle).warm_up()
    assert {p: p.stat().st_mtime_ns for p in folder.iterdir()} == blobs


@pytest.mark.parametrize("content", [b"", b"no compiled model"])
def test_a_spoilt_cache_is_made_again(tmp_path: Path, content: bytes) -> None:
    bundle = write_identity_bundle(tmp_path / "b", 1, (16, 12))
    OpenvinoEngine(bundle).warm_up()
    for blob in (tmp_path / "cache" / "edge-inspect" / "openvino").iterdir():
        blob.write_bytes(content)
    engine = OpenvinoEngine(bundle)
    engine.warm_up()
    image = noise(12, 16, 1)
    np.testing.assert_allclose(engine.infer(image).map, image[:, :, 0] / np.float32(255), rtol=2e-7)


def test_without_a_place_for_a_cache_the_engine_runs_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CACHE_DIRECTORY", f"{tmp_path / 'file'}:/other")
    with structlog.testing.capture_logs() as logs:
        OpenvinoEngine(write_identity_bundle(tmp_path / "b")).warm_up()
    assert [(e["event"], e["kind"]) for e in logs] == [("no_engine_cache", "openvino")]


def test_openvino_reports_nothing_to_anyone() -> None:
    """Its own telemetry would start a thread, write to the home folder and send over the network at each import."""
    code = (
        "import sys, threading, edge.engines.openvino;"
        "print([t.name for t in threading.enumerate()], sys.modules['openvino_telemetry'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "['MainThread'] None\n"
