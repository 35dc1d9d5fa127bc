"""Which engine a config gets: a fixed order for each precision, the reason told, and never another than the one named."""

from __future__ import annotations

import builtins
import importlib
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import structlog
from support.graphs import nan_model, write_identity_bundle, wrong_model
from support.lines import BASE, loaded, make_line

from edge.config.bundle import Bundle
from edge.config.line import ModelConfig
from edge.engines import cpu
from edge.engines import open as engines
from edge.engines.onnx import OnnxEngine
from edge.engines.open import open_engine
from edge.engines.protocol import Engine
from edge.errors import UserError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def here(monkeypatch: pytest.MonkeyPatch, **absent: str) -> None:
    """Every engine is on this machine but those ``absent``, each with the reason."""
    for kind in engines._RUNTIMES:
        row(monkeypatch, kind, why_not=partial(absent.get, kind))


def row(monkeypatch: pytest.MonkeyPatch, kind: str, **changes: Any) -> None:
    """Change what a runtime's row in the table holds."""
    monkeypatch.setitem(engines._RUNTIMES, kind, replace(engines._RUNTIMES[kind], **changes))


def named(name: str, asked: list[str]) -> Any:
    """Opens the CPU's engine under another name and precision."""

    def make(config: ModelConfig, bundle: Bundle, samples: Any, batch: int, tell: Any) -> Engine:
        asked.append(name)
        engine: Any = OnnxEngine(bundle)
        engine.name, engine.precision = name, config.precision
        return engine  # type: ignore[no-any-return]

    return make


def fails(config: ModelConfig, bundle: Bundle, samples: Any, batch: int, tell: Any) -> Engine:
    raise UserError("no operator Sparkle", fix="none")


def black() -> Any:
    return iter([np.zeros((8, 8, 1), np.uint8)])


def config(folder: Path, **keys: Any) -> ModelConfig:
    return ModelConfig(bundle=folder, **keys)


@pytest.mark.parametrize(
    ("precision", "absent", "expected", "why"),
    [
        ("fp32", {}, "tensorrt", "the fastest in fp32 that works here"),
        ("fp32", {"tensorrt": "no GPU"}, "onnx", "the fastest in fp32 that works here; not tensorrt: no GPU"),
        ("bf16", {"tensorrt": "no GPU"}, "openvino", "the fastest in bf16 that works here"),
        ("int8", {"tensorrt": "no GPU"}, "openvino", "the fastest in int8 that works here; not tensorrt: no GPU"),
        (
            "int8",
            {"tensorrt": "no GPU", "openvino": "not installed"},
            "onnx",
            "the fastest in int8 that works here; not tensorrt: no GPU; not openvino: not installed",
        ),
    ],
)
def test_auto_goes_by_a_fixed_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: Any, absent: dict[str, str], expected: str, why: str
) -> None:
    here(monkeypatch, **absent)
    for kind in ("onnx", "openvino", "tensorrt"):
        row(monkeypatch, kind, open=named(kind, []))
    bundle = write_identity_bundle(tmp_path / "b")
    with structlog.testing.capture_logs() as logs:
        engine = open_engine(config(bundle.folder, precision=precision, sample_frames=Path("x")), bundle, black)
    assert (engine.name, engine.why) == (expected, why)
    assert logs[-1] == {
        "event": "engine_opened",
        "engine": expected,
        "precision": precision,
        "why": why,
        "model": "identity",
        "log_level": "info",
    }


def test_auto_passes_over_an_engine_that_does_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch)
    row(monkeypatch, "tensorrt", open=fails)
    bundle = write_identity_bundle(tmp_path / "b")
    engine = open_engine(config(bundle.folder), bundle)
    assert engine.name == "onnx"
    assert engine.why == "the fastest in fp32 that works here; not tensorrt: no operator Sparkle"


def test_auto_says_what_the_last_engine_says_of_a_bad_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch, tensorrt="no GPU")
    bundle = write_identity_bundle(tmp_path / "b", 1, (16, 16), model=wrong_model("no_map"))
    with pytest.raises(UserError, match="the graph's outputs are not a bundle's"):
        open_engine(config(bundle.folder), bundle)


def test_auto_without_any_engine_for_the_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch, tensorrt="no GPU")
    bundle = write_identity_bundle(tmp_path / "b")
    with pytest.raises(UserError) as caught:
        open_engine(config(bundle.folder, precision="fp16"), bundle)
    assert str(caught.value) == (
        "model.engine: auto: no engine runs fp16 here\n  received: tensorrt: no GPU\n"
        "  fix: mend that (with model.engine: tensorrt `edge check` says how), or set model.precision: fp32"
    )
    here(monkeypatch, tensorrt="the NVIDIA driver is too old", openvino="not installed", onnx="not installed")
    with pytest.raises(UserError) as caught:
        open_engine(config(bundle.folder, precision="int8", sample_frames=Path("x")), bundle, black)
    assert str(caught.value) == (
        "model.engine: auto: no engine runs int8 here\n"
        "  received: tensorrt: the NVIDIA driver is too old; openvino: not installed; onnx: not installed\n"
        "  fix: mend that (with model.engine: tensorrt `edge check` says how), "
        "or install openvino or onnx (docs/engines.md), or set model.precision: fp32"
    )


def test_auto_tells_what_each_engine_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(config: ModelConfig, bundle: Bundle, samples: Any, batch: int, tell: Any) -> Engine:
        raise UserError("nothing that int8 would speed up", received="2 convolutions", fix="use fp32")

    here(monkeypatch, tensorrt="no GPU")
    row(monkeypatch, "openvino", open=fails)
    row(monkeypatch, "onnx", open=other)
    bundle = write_identity_bundle(tmp_path / "b")
    with pytest.raises(UserError) as caught:
        open_engine(config(bundle.folder, precision="int8", sample_frames=Path("x")), bundle, black)
    assert str(caught.value) == (
        "model.engine: auto: no engine opens this model in int8\n"
        "  received: openvino: no operator Sparkle\n"
        "      fix: none\n"
        "    onnx: nothing that int8 would speed up\n"
        "      received: 2 convolutions\n"
        "      fix: use fp32\n"
        "    tensorrt: no GPU\n"
        "  fix: mend what one of them says, or set model.precision: fp32"
    )


def test_below_fp32_without_sample_frames_state_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch)
    row(monkeypatch, "tensorrt", open=named("tensorrt", []))
    bundle = write_identity_bundle(tmp_path / "b")
    engine = open_engine(config(bundle.folder, precision="fp16"), bundle)
    assert engine.why == (
        "the fastest in fp16 that works here; checked on generated pictures only: there are no model.sample_frames"
    )


@pytest.mark.parametrize("kind", ["auto", "onnx"])
def test_a_model_without_one_finite_value_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    here(monkeypatch, tensorrt="no GPU")
    bundle = write_identity_bundle(tmp_path / "b", model=nan_model())
    with pytest.raises(UserError) as caught:
        open_engine(config(bundle.folder, engine=kind), bundle)
    assert str(caught.value) == (
        f"{bundle.model_path}: the model's map is NaN or infinite on every picture\n"
        "  received: tried on noise, soft shapes, a nearly black picture, a blank picture, with onnx in fp32\n"
        "  expected: finite numbers\n"
        "  fix: run `edge build` on the original model, or use the bundle that ran before"
    )
    some = write_identity_bundle(tmp_path / "some", model=nan_model(only_where_black=True))
    open_engine(config(some.folder, engine=kind), some).close()


@pytest.mark.parametrize("kind", ["onnx", "openvino", "tensorrt"])
def test_an_engine_that_is_named_is_never_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    asked: list[str] = []
    for other in ("onnx", "openvino", "tensorrt"):
        row(monkeypatch, other, open=named(other, asked))
    bundle = write_identity_bundle(tmp_path / "b")
    engine = open_engine(config(bundle.folder, engine=kind), bundle)
    assert (engine.name, engine.why) == (kind, "configured")
    row(monkeypatch, kind, open=fails)
    with pytest.raises(UserError, match="no operator Sparkle"):
        open_engine(config(bundle.folder, engine=kind), bundle)
    assert asked == [kind]


def test_without_its_package_openvino_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "openvino":
            raise ImportError("No module named 'openvino'")
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "edge.engines.openvino", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name == "openvino" else importlib.util.find_spec(name))
    bundle = write_identity_bundle(tmp_path / "b")
    with pytest.raises(UserError) as caught:
        open_engine(config(bundle.folder, engine="openvino"), bundle)
    assert str(caught.value) == (
        "model.engine: openvino: the package openvino cannot be imported\n  received: No module named 'openvino'\n"
        "  fix: pip install 'edge-inspect[openvino]', or set model.engine: onnx"
    )
    assert engines._RUNTIMES["openvino"].why_not() == "not installed"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("providers: [CUDAExecutionProvider]", "providers are ONNX Runtime's: they need engine: onnx, not auto"),
        (
            "precision: int8",
            "precision: int8 needs sample_frames, a folder of typical frames: its scales come from them",
        ),
        (
            "precision: bf16",
            "precision: bf16 needs sample_frames, a folder of typical frames: its maps are checked on them",
        ),
    ],
)
def test_keys_that_do_not_go_together(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        loaded(tmp_path, text=BASE.replace("{bundle: bundle}", "{bundle: bundle, " + text + "}"))
    assert said in str(caught.value)


def test_state_tells_which_engine_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch, tensorrt="no GPU")
    line = make_line(loaded(tmp_path))
    assert line._book.engine == {
        "name": "onnx",
        "precision": "fp32",
        "why": "the fastest in fp32 that works here; not tensorrt: no GPU",
        "bundle": "identity",
        "threshold": "explicit",
        "calibration_overridden": False,
    }
    line.stop()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor: 0\nflags\t\t: fpu avx512_bf16 avx512_vnni\nflags\t\t: fpu\n", {"fpu", "avx512_bf16", "avx512_vnni"}),
        ("processor: 0\nFeatures\t: fp asimd asimddp bf16\n", {"fp", "asimd", "asimddp", "bf16"}),
        ("", set()),
        (None, set()),
    ],
)
def test_what_the_cpu_has_is_read_from_linux(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, expected: set[str]
) -> None:
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "cpuinfo")
    cpu.cpu_flags.cache_clear()
    try:
        assert cpu.cpu_flags() == expected
        assert (cpu.missing("bf16") is None) == bool({"avx512_bf16", "bf16"} & expected)
        assert cpu.missing("fp32") is None
    finally:
        cpu.cpu_flags.cache_clear()


def test_each_engine_of_the_config_has_its_row_and_each_precision_an_engine() -> None:
    words, precisions = (get_args(ModelConfig.model_fields[key].annotation) for key in ("engine", "precision"))
    assert set(words) - {"auto"} == set(engines._RUNTIMES)
    assert set().union(*(runtime.for_auto for runtime in engines._RUNTIMES.values())) == set(precisions)
