"""Weights are read as torch wrote them, and nothing in a file is run."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from support.torch_files import MAGIC, PROTOCOL, name, plain, tensor, text, torch_file

from edge.errors import UserError
from edge.models.backbone.torch_file import read_weights

NUMBERS = np.arange(12, dtype=np.float32)


def test_arrays_come_back_bit_for_bit() -> None:
    arrays = {
        "conv.weight": np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32),
        "bn.count": np.array([7], np.int64),
    }
    found = read_weights(plain(arrays), "x.pth")
    assert list(found) == list(arrays)
    for key, array in arrays.items():
        assert found[key].dtype == array.dtype
        np.testing.assert_array_equal(found[key], array)


def test_two_tensors_may_look_into_one_storage_from_their_own_places() -> None:
    views = {
        "rows": tensor("FloatStorage", "s", 12, 0, (3, 4), (4, 1)),
        "columns": tensor("FloatStorage", "s", 12, 1, (2, 2), (1, 4)),
        "scalar": tensor("FloatStorage", "s", 12, 5, (), ()),
    }
    found = read_weights(torch_file(views, {"s": NUMBERS}), "x.pth")
    assert found["rows"].tolist() == NUMBERS.reshape(3, 4).tolist()
    assert found["columns"].tolist() == [[1, 5], [2, 6]]
    assert found["scalar"] == 5
    found["rows"][0, 0] = 99
    assert NUMBERS[0] == 0


def test_a_call_hidden_in_the_file_is_refused_and_never_made(capsys: pytest.CaptureFixture[str]) -> None:
    call = name("builtins", "print") + b"(" + text("it ran") + b"tR"
    with pytest.raises(UserError) as caught:
        read_weights(torch_file({"w": call}, {"s": NUMBERS}), "x.pth")
    assert str(caught.value) == (
        "x.pth: the weights cannot be read\n"
        "  received: it names builtins.print, which no file of weights needs\n"
        "  expected: a file of weights alone, as torch.save wrote it before torch 1.6"
    )
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("view", "received"),
    [
        (tensor("FloatStorage", "s", 12, 4, (3, 4), (4, 1)), "a tensor that ends at number 15 of 12"),
        (tensor("FloatStorage", "s", 12, -1, (2,), (1,)), "a tensor of shape (2,) and strides (1,)"),
        (tensor("FloatStorage", "s", 12, 0, (1 << 30,), (0,)), f"a tensor of shape ({1 << 30},) over 12 numbers"),
        (tensor("FloatStorage", "s", 13, 0, (2,), (1,)), "storage s holds 12 numbers and 13 were announced"),
        (tensor("HalfStorage", "s", 12, 0, (2,), (1,)), "it names torch.HalfStorage, which no file of weights needs"),
        (text("no tensor"), "it holds other things than tensors"),
    ],
)
def test_a_tensor_that_is_none_is_refused_in_words(view: bytes, received: str) -> None:
    with pytest.raises(UserError) as caught:
        read_weights(torch_file({"w": view}, {"s": NUMBERS}), "x.pth")
    assert f"  received: {received}\n" in str(caught.value)


def test_a_file_that_is_cut_off_anywhere_is_refused() -> None:
    data = plain({"w": NUMBERS})
    for length in range(0, len(data), 7):
        with pytest.raises(UserError, match=r"^x\.pth: the weights cannot be read"):
            read_weights(data[:length], "x.pth")


@pytest.mark.parametrize("heads", [(MAGIC + 1, PROTOCOL), (MAGIC, PROTOCOL + 1)])
def test_another_magic_number_or_protocol_is_refused(heads: tuple[int, int]) -> None:
    data = b"".join(pickle.dumps(head, 2) for head in heads)
    with pytest.raises(UserError, match="another magic number or protocol"):
        read_weights(data, "x.pth")
