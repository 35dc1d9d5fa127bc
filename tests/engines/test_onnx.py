"""ONNX Runtime behind the engine protocol: exact values, no copies, and a graph that breaks the contract is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto
from support.graphs import (
    graph_model,
    identity_model,
    nan_model,
    node,
    slow_model,
    tensor,
    write_identity_bundle,
    wrong_model,
)

from edge.config.bundle import Bundle
from edge.engines.onnx import OnnxEngine
from edge.engines.protocol import Engine
from edge.errors import UserError


def noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_map_is_the_graphs(tmp_path: Path, channels: Any) -> None:
    engine: Engine = OnnxEngine(write_identity_bundle(tmp_path / "b", channels))
    engine.warm_up()
    for seed in range(6):
        image = noise(12, 16, channels, seed=seed)
        prediction = engine.infer(image)
        assert prediction.map.dtype == np.float32
        assert (prediction.map == image.max(axis=2) / np.float32(255)).all()
        assert prediction.score == float(prediction.map.max())
        assert prediction.embedding is None
    assert (engine.name, engine.precision) == ("onnx", "fp32")
    engine.close()


def test_a_map_stays_until_the_fourth_infer_after_it(tmp_path: Path) -> None:
    engine = OnnxEngine(write_identity_bundle(tmp_path / "b"))
    images = [noise(8, 8, 1, seed=k) for k in range(12)]
    predictions = []
    for k, image in enumerate(images):
        predictions.append(engine.infer(image))
        for back in range(min(k + 1, 4)):
            expected = images[k - back][:, :, 0] / np.float32(255)
            assert (predictions[k - back].map == expected).all(), f"frame {k - back} after {back} more"
    assert len({p.map.ctypes.data for p in predictions[1:]}) == 4


def test_pictures_may_change_their_size_where_the_bundle_takes_any(tmp_path: Path) -> None:
    engine = OnnxEngine(write_identity_bundle(tmp_path / "b"))
    held = []
    for size in ((8, 8), (8, 8), (12, 20), (12, 20), (8, 8), (5, 3)):
        image = noise(*size, 1)
        held.append((engine.infer(image).map, image))
    for amap, image in held[-4:]:
        assert (amap == image[:, :, 0] / np.float32(255)).all()


def test_pixels_are_read_in_place_at_each_call(tmp_path: Path) -> None:
    engine = OnnxEngine(write_identity_bundle(tmp_path / "b"))
    image = np.zeros((4, 4, 1), np.uint8)
    for value in (10, 20, 30):
        image[...] = value
        assert engine.infer(image).map[0, 0] == np.float32(value) / np.float32(255)


def test_a_picture_that_is_not_contiguous_is_refused(tmp_path: Path) -> None:
    engine = OnnxEngine(write_identity_bundle(tmp_path / "b"))
    with pytest.raises(ValueError, match="the image must be C-contiguous"):
        engine.infer(noise(8, 8, 1)[:, ::2])


def test_an_embedding_is_passed_on(tmp_path: Path) -> None:
    model = identity_model(1, (4, 4))
    model.graph.node.append(node("Flatten", ["map"], ["embedding"]))
    model.graph.output.append(tensor("embedding", TensorProto.FLOAT, ["n", 16]))
    image = noise(4, 4, 1)
    prediction = OnnxEngine(write_identity_bundle(tmp_path / "b", 1, (4, 4), model=model)).infer(image)
    assert prediction.embedding is not None
    assert (prediction.embedding == prediction.map.ravel()).all()


def test_nan_is_the_judges_business(tmp_path: Path) -> None:
    engine = OnnxEngine(write_identity_bundle(tmp_path / "b", model=nan_model()))
    engine.warm_up()
    assert np.isnan(engine.infer(noise(8, 8, 1)).map).all()


def test_the_slow_graph_is_the_identity_too(tmp_path: Path) -> None:
    image = noise(8, 8, 1)
    prediction = OnnxEngine(write_identity_bundle(tmp_path / "b", model=slow_model(cost=2))).infer(image)
    assert (prediction.map == image[:, :, 0] / np.float32(255)).all()


def test_threads_and_spinning_are_as_configured(tmp_path: Path) -> None:
    engine = OnnxEngine(write_identity_bundle(tmp_path / "b"), threads=2)
    assert engine._session is not None
    options = engine._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_a_closed_engine_says_so(tmp_path: Path) -> None:
    engine = OnnxEngine(write_identity_bundle(tmp_path / "b"))
    engine.close()
    engine.close()
    with pytest.raises(RuntimeError, match="the engine is closed"):
        engine.infer(noise(8, 8, 1))


def refusal(bundle: Bundle) -> str:
    with pytest.raises(UserError) as caught:
        OnnxEngine(bundle).warm_up()
    return str(caught.value).replace(str(bundle.model_path), "M")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (
            "no_map",
            "M: the graph's outputs are not a bundle's\n  received: result\n"
            "  expected: map, and optionally score and embedding\n  fix: run `edge build` on the original model",
        ),
        ("float64_map", "M: output 'map' has a wrong type\n  received: tensor(double)\n  expected: tensor(float)"),
        ("rank_4_map", "M: output 'map' has a wrong shape\n  received: (n, 16, 16, 1)\n  expected: (n, h, w)"),
        (
            "hidden_rank",
            "M: output 'map' has a wrong shape for one picture\n  received: (1, 16, 16, 1)\n"
            "  expected: (n, h, w) with n = 1\n  fix: run `edge build` on the original model",
        ),
        ("two_inputs", "M: the graph's inputs are not a bundle's\n  received: frame, mask\n  expected: frame"),
        ("float_frame", "M: input 'frame' has a wrong type\n  received: tensor(float)\n  expected: tensor(uint8)"),
    ],
)
def test_a_graph_that_breaks_the_contract_is_refused(tmp_path: Path, kind: Any, text: str) -> None:
    assert refusal(write_identity_bundle(tmp_path / "b", 1, (16, 16), model=wrong_model(kind))) == text


def test_a_graph_of_another_size_than_the_spec_says_is_refused(tmp_path: Path) -> None:
    bundle = write_identity_bundle(tmp_path / "b", 1, (20, 10), model=identity_model(1, (16, 16)))
    assert refusal(bundle) == (
        "M: input 'frame' has a wrong shape\n  received: (n, 16, 16, 1)\n  expected: (n, 10, 20, 1), as bundle.yaml says"
    )


def test_a_map_of_another_size_than_told_is_refused(tmp_path: Path) -> None:
    bundle = write_identity_bundle(tmp_path / "b", 1, (16, 12))
    wrong = replace(bundle, spec=bundle.spec.model_copy(update={"map_to_image": (2.0, 1.0, 0.0, 0.0)}))
    assert refusal(wrong) == (
        "M: the map has another size than bundle.yaml says\n"
        "  received: 16x12, which map_to_image stretches to 32x12\n  expected: at most the picture's 16x12\n"
        "  fix: run `edge build` on the original model"
    )


SHRUNK = "M: the map has another size than bundle.yaml says\n  received: {}\n  expected: {}\n{}"
MEND = "  fix: run `edge build` on the original model"


@pytest.mark.parametrize(
    ("told", "received", "expected"),
    [
        ({"map_size": (16, 12)}, None, None),
        ({"map_size": (12, 16)}, "16x12", "12x16"),
        ({"map_size": (8, 6), "map_to_image": (2.0, 2.0, 0.0, 0.0)}, "16x12", "8x6"),
        ({"map_to_image": (0.5, 1.0, 0.0, 0.0)}, "16x12, which map_to_image stretches to 8x12", "the picture's 16x12"),
        ({"map_to_image": (0.5, 0.5, 4.0, 3.0)}, None, None),
        (
            {"map_to_image": (1.0, 1.0, -5.0, 0.0)},
            "16x12, which map_to_image stretches to 11x12",
            "the middle of the picture's 16x12",
        ),
        (
            {"map_to_image": (0.5, 1.0, 6.0, 0.0)},
            "16x12, which map_to_image stretches to 14x12",
            "the middle of the picture's 16x12",
        ),
    ],
)
def test_a_map_must_be_of_the_size_that_is_told_or_cover_its_picture(
    tmp_path: Path, told: dict[str, Any], received: str | None, expected: str | None
) -> None:
    """An older bundle tells no size: its map covers the picture, or the middle of it."""
    bundle = write_identity_bundle(tmp_path / "b", 1, (16, 12))
    other = replace(bundle, spec=bundle.spec.model_copy(update=told))
    if received is None:
        OnnxEngine(other).warm_up()
    else:
        assert refusal(other) == SHRUNK.format(received, expected, MEND)


def test_an_operator_that_the_runtime_lacks_is_named(tmp_path: Path) -> None:
    model = identity_model()
    model.opset_import.append(onnx.helper.make_opsetid("maker.example", 1))
    model.graph.node[2].op_type, model.graph.node[2].domain = "Sparkle", "maker.example"
    text = refusal(write_identity_bundle(tmp_path / "b", model=model))
    assert text.startswith("M: ONNX Runtime ")
    assert "maker.example:Sparkle(-1) is not a registered function/op" in text
    assert text.endswith("\n  fix: export the model again, or use an ONNX Runtime that knows its operators")


def test_a_model_that_fails_on_a_blank_picture_is_refused_at_warm_up(tmp_path: Path) -> None:
    model = graph_model(
        [
            node("Cast", ["frame"], ["pixels"], to=TensorProto.FLOAT),
            node("Reshape", ["pixels", "shape"], ["map"]),
        ],
        [tensor("frame", TensorProto.UINT8, [1, "H", "W", 1])],
        [tensor("map", TensorProto.FLOAT, [1, 7, 7])],
        {"shape": np.array([1, 7, 7])},
    )
    text = refusal(write_identity_bundle(tmp_path / "b", model=model))
    assert text.startswith("M: the model does not run on a blank 256x256 picture\n  received: ")
    assert "Reshape" in text


# ---- execution providers ----


def test_the_cpu_is_taken_unless_another_provider_is_named(tmp_path: Path) -> None:
    for providers in (None, ["CPUExecutionProvider"]):
        engine = OnnxEngine(write_identity_bundle(tmp_path / str(providers)), providers=providers)
        assert engine._session is not None
        assert engine._session.get_providers() == ["CPUExecutionProvider"]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("TensorrtExecutionProvider", "this ONNX Runtime was built without it"),
        ("CudaExecutionProvider", "no such execution provider"),
    ],
)
def test_a_provider_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, what: str
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["AzureExecutionProvider", "CPUExecutionProvider"])
    with pytest.raises(UserError) as caught:
        OnnxEngine(write_identity_bundle(tmp_path / "b"), providers=[name, "CPUExecutionProvider"])
    assert str(caught.value) == (
        f"model.providers: {name}: {what}\n  received: ONNX Runtime {ort.__version__}\n"
        "  expected: one of: AzureExecutionProvider, CPUExecutionProvider\n"
        "  fix: install the ONNX Runtime that has it (onnxruntime-gpu has CUDA and TensorRT) in place of this one"
    )


def test_a_provider_that_does_not_start_is_refused_though_the_runtime_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with CUDA on a machine without its driver: the session is made all the same, on the CPU."""
    real = ort.InferenceSession

    def fallen_back(model: Any, options: Any, providers: Any) -> Any:
        assert providers == [("CUDAExecutionProvider", {"use_tf32": "0"})]
        return real(model, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(ort, "InferenceSession", fallen_back)
    with pytest.raises(UserError) as caught:
        OnnxEngine(write_identity_bundle(tmp_path / "b"), providers=["CUDAExecutionProvider"])
    assert str(caught.value) == (
        "model.providers: CUDAExecutionProvider does not start on this machine\n"
        "  received: the runtime took CPUExecutionProvider instead\n"
        "  fix: see what ONNX Runtime printed above (a driver or a library is missing), or leave the provider out"
    )


@pytest.mark.parametrize(
    "program",
    [
        "import edge.client, onnxruntime",
        "import edge.engines.onnx, onnxruntime",
        "import edge.spread.processes, onnxruntime",
    ],
)
def test_onnx_runtime_keeps_nothing_about_this_machine(tmp_path: Path, program: str) -> None:
    """Without our word ONNX Runtime 1.32 writes a device id and a database of events below ``~/.cache/Microsoft``. An
    environment with ``CI`` in it, as most tests have, would hide that.
    """
    onnx.save(identity_model(), tmp_path / "model.onnx")
    code = f"{program}\nonnxruntime.InferenceSession({str(tmp_path / 'model.onnx')!r}, providers=['CPUExecutionProvider'])"
    home = tmp_path / "home"
    home.mkdir()
    bare = {"PATH": os.defpath, "HOME": str(home), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code], env=bare, check=True, timeout=120)
    assert list(home.rglob("*")) == []


@pytest.mark.parametrize("way", ["a run", "a worker", "a trial"])
def test_onnx_runtime_leaves_nothing_in_the_home_and_is_told_so_before_it_is_imported(tmp_path: Path, way: str) -> None:
    """Its telemetry keeps a device id and a database of events there, but not where CI=true: no test showed it."""
    write_identity_bundle(tmp_path / "b")
    home = tmp_path / "home"
    home.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    first = {
        "a run": "import edge.__main__",
        "a worker": "import edge.spread.processes",
        "a trial": "import edge.service.trial",
    }[way]
    code = (
        f"{first}\n"
        "import os, sys; assert 'onnxruntime' not in sys.modules; assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'\n"
        "from pathlib import Path; import numpy as np\n"
        "from edge.config.bundle import load_bundle; from edge.engines.onnx import OnnxEngine\n"
        "engine = OnnxEngine(load_bundle(Path(sys.argv[1]))); engine.infer(np.zeros((8, 8, 1), np.uint8)); engine.close()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "b")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "elemetry" not in done.stdout + done.stderr
    assert list(home.rglob("*")) == []
