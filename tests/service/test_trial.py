"""A model that never returns, or takes all memory, is refused by a process of its own, not by the one that inspects."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.graphs import identity_model, write_identity_bundle
from support.lines import loaded

from edge.errors import UserError
from edge.service import trial
from edge.service.trial import try_model


def test_a_good_model_is_tried_and_a_bad_one_is_refused_in_its_own_words(tmp_path: Path) -> None:
    line = loaded(tmp_path)
    try_model(line)
    (tmp_path / "bundle" / "bundle.yaml").unlink()
    with pytest.raises(UserError) as refused:
        try_model(line)
    assert str(refused.value).startswith(f"{tmp_path}/bundle: not a bundle")


def test_one_that_gives_no_map_in_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        try_model(loaded(tmp_path), timeout_s=0.01)
    assert str(refused.value) == (
        "bundle: tried in a process of its own, the model gave no map within 0.01 s\n"
        "  fix: edge check shows how long it takes"
    )


@pytest.mark.parametrize(
    ("body", "received"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "signal 9: it said nothing"),
        ("raise MemoryError('no room')", "exit code 1: MemoryError: no room"),
    ],
)
def test_one_that_takes_its_process_with_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, received: str
) -> None:
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda _command, **rest: run([sys.executable, "-c", body], **rest))
    with pytest.raises(UserError, match="ended its process") as refused:
        try_model(loaded(tmp_path))
    assert f"received: {received}" in str(refused.value)


def test_its_memory_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[Any] = []
    monkeypatch.setattr(trial.resource, "setrlimit", lambda *limit: set_to.append(limit))
    trial._limit_memory()
    ((which, (soft, _hard)),) = set_to
    assert which == trial.resource.RLIMIT_DATA
    assert 0 < soft < 2**50


def _endless() -> onnx.ModelProto:
    """The identity, after a loop of 2^62 rounds."""
    cond, more = (helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("cond", "more"))
    v, w = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("v", "w"))
    number = helper.make_tensor_value_info("round", TensorProto.INT64, [])
    nodes = [helper.make_node("Identity", ["cond"], ["more"]), helper.make_node("Add", ["v", "v"], ["w"])]
    body = helper.make_graph(nodes, "round", [number, cond, v], [more, w])
    return _before_the_map(
        [helper.make_node("Loop", ["rounds", "yes", "bright"], ["spun"], body=body)],
        {"rounds": np.array(2**62, np.int64), "yes": np.array(True)},
    )


def _huge() -> onnx.ModelProto:
    """The identity, plus a tensor of 4 TB."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["all"]),
        helper.make_node("ReduceMax", ["all"], ["most"], keepdims=0),
        helper.make_node("Add", ["bright", "most"], ["spun"]),
    ]
    return _before_the_map(nodes, {"shape": np.array([2**40], np.int64)})


def _before_the_map(nodes: list[onnx.NodeProto], constants: dict[str, Any]) -> onnx.ModelProto:
    model = identity_model(score=False)
    model.graph.node[-1].output[0] = "bright"
    model.graph.node.extend([*nodes, helper.make_node("Identity", ["spun"], ["map"])])
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    onnx.checker.check_model(model)
    return model


@pytest.mark.parametrize(
    ("model", "told"),
    [(_endless, "gave no map within 4 s"), (_huge, "the model does not run on a blank")],
    ids=["a loop without an end", "4 TB"],
)
def test_a_model_that_takes_all_of_a_machine_is_refused(tmp_path: Path, model: Any, told: str) -> None:
    """In the daemon's own process it burnt a core until the next restart, and no other reload was possible."""
    write_identity_bundle(tmp_path / "worse", model=model())
    with pytest.raises(UserError, match=told):
        try_model(loaded(tmp_path, "model={bundle: worse, engine: onnx}"), timeout_s=4.0 if model is _endless else 60.0)
