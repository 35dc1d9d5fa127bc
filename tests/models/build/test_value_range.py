"""Which values a network is fed is shown, and never guessed where the graph or a person's numbers speak of grey levels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.builds import refusal, saved, simple
from support.graphs import node

from edge.models.build.build import build
from edge.models.build.options import BuildOptions

FLOAT = TensorProto.FLOAT


def headed(operator: str, value: Any, *, behind: tuple[str, ...] = (), first: bool = True) -> onnx.ModelProto:
    """A model whose head is ``image operator value``, behind operators that keep the pixels."""
    model = simple(["n", 3, 12, 16])
    del model.graph.node[0]
    name, nodes = "image", []
    for k, kind in enumerate(behind):
        extra = {"to": FLOAT} if kind == "Cast" else {"perm": [0, 1, 2, 3]} if kind == "Transpose" else {}
        nodes.append(node(kind, [name], [f"kept{k}"], **extra))
        name = f"kept{k}"
    nodes.append(node(operator, [name, "value"] if first else ["value", name], ["as_float"]))
    nodes += list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.append(numpy_helper.from_array(np.float32(value), "value"))
    return model


CAFFE = np.reshape([103.939, 116.779, 123.68], (1, 3, 1, 1))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (headed("Div", 255), "Div by 255"),
        (headed("Mul", 1 / 255), "Mul by 0.00392157"),
        (headed("Mul", 1 / 127.5), "Mul by 0.00784314"),
        (headed("Sub", 127.5), "Sub by 127.5"),
        (headed("Add", -128), "Add by -128"),
        (headed("Sub", CAFFE), "Sub by 103.939, 116.779, 123.68"),
        (headed("Div", 255, behind=("Cast", "Transpose")), "Div by 255"),
        (headed("Mul", 1 / 255, behind=("Identity",), first=False), "Mul by 0.00392157"),
    ],
)
def test_a_model_that_scales_by_itself_is_not_scaled_twice(tmp_path: Path, model: onnx.ModelProto, words: str) -> None:
    path = saved(tmp_path, model)
    assert refusal(path, tmp_path / "b") == (
        "M: this model scales its picture by itself\n"
        f"  received: {words}, in front of which the default would put values of 0 to 1\n"
        "  expected: values of 0 to 255 as it seems, so no scale\n"
        "  fix: say --scale 1, or --scale 0.00392157 if it does want 0 to 1"
    )
    assert build(path, tmp_path / "a", BuildOptions(scale=1.0)).fed == (0.0, 255.0)
    assert build(path, tmp_path / "b", BuildOptions(scale=1 / 255)).fed == pytest.approx((0.0, 1.0))


@pytest.mark.parametrize(("operator", "value"), [("Sub", 0.5), ("Div", 0.225), ("Mul", 2.0), ("Mul", 255.0), ("Add", -1.0)])
def test_a_head_for_pixels_from_0_to_1_is_left_alone(tmp_path: Path, operator: str, value: float) -> None:
    assert build(saved(tmp_path, headed(operator, value)), tmp_path / "b").fed == (0.0, 1.0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"mean": (123.0, 116.0, 103.0), "std": (58.0, 57.0, 57.0)},
            "--mean is on the scale of whole grey levels, and pixels are brought to 0 to 1 first\n"
            "  received: 123, 116, 103\n"
            "  expected: at most 2 for the default --scale, which is 1/255\n"
            "  fix: say --scale 1",
        ),
        (
            {"std": (58.0,)},
            "--std is on the scale of whole grey levels, and pixels are brought to 0 to 1 first\n"
            "  received: 58\n"
            "  expected: at most 10 for the default --scale, which is 1/255\n"
            "  fix: say --scale 1",
        ),
    ],
)
def test_means_of_grey_levels_want_a_scale(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    """OpenMMLab's numbers."""
    path = saved(tmp_path, simple(["n", 3, 12, 16]))
    assert refusal(path, tmp_path / "b", **options) == text
    low, high = build(path, tmp_path / "b", BuildOptions(scale=1.0, **options)).fed
    assert (low, high) == pytest.approx((-123 / 58, (255 - 103) / 57) if "mean" in options else (0, 255 / 58))


def test_imagenets_numbers_feed_what_they_should(tmp_path: Path) -> None:
    options = BuildOptions(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    low, high = build(saved(tmp_path, simple(["n", 3, 12, 16])), tmp_path / "b", options).fed
    assert (low, high) == pytest.approx((-0.485 / 0.229, (1 - 0.406) / 0.225))


def test_a_file_of_an_older_exporter_beside_the_model_is_mentioned(tmp_path: Path) -> None:
    path = saved(tmp_path, simple(["n", 3, 12, 16]))
    (tmp_path / "metadata.json").write_text("{}")
    (warning,) = build(path, tmp_path / "b").warnings
    assert warning.startswith(
        f"{tmp_path / 'metadata.json'} is not read: exporters that write one leave their normalisation out"
    )


@pytest.mark.parametrize("kind", ["Dropout", "RandomNormalLike"])
def test_a_model_that_gives_other_numbers_each_time_is_told_apart(tmp_path: Path, kind: str) -> None:
    """Dropout left in training is no fault of the bundle's graph."""
    model = simple(["n", 3, 12, 16])
    if kind == "Dropout":
        model.graph.node[0].CopyFrom(helper.make_node("Dropout", ["image", "half", "on"], ["as_float"]))
        for name, value in (("half", np.float32(0.5)), ("on", np.array(True))):
            model.graph.initializer.append(numpy_helper.from_array(value, name))
    else:
        model.graph.node[0].output[0] = "still"
        model.graph.node.insert(1, node("RandomNormalLike", ["still"], ["noise"]))
        model.graph.node.insert(2, node("Add", ["still", "noise"], ["as_float"]))
    text = refusal(saved(tmp_path, model), tmp_path / "b")
    assert text.startswith(
        "M: the model gives other numbers each time for the same picture\n  received: heat: a difference of "
    )
    assert text.endswith("\n  fix: export the model in evaluation mode: dropout off, nothing random in it")
