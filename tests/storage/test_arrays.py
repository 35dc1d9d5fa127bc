"""Arrays come out of an archive as they went in, and whatever is wrong with its bytes is a ValueError."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge.storage.arrays import read_arrays

WORDS = "no archive of arrays (.npz), or a damaged one"


def archive(save: Callable[..., Any] = np.savez) -> bytes:
    buffer = io.BytesIO()
    save(buffer, a=np.arange(400), b=np.zeros(3, "U7"))
    return buffer.getvalue()


def test_those_that_are_wanted_come_out() -> None:
    found = read_arrays(archive())
    assert sorted(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"], np.arange(400))
    assert list(read_arrays(archive(), lambda name: name == "b")) == ["b"]


def one_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(4))
    return buffer.getvalue()


@pytest.mark.parametrize("data", [b"", b"PK", b"xx", bytes(100), one_array(), archive()[:-40]])
def test_what_is_no_archive_is_said_in_our_words(data: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        read_arrays(data)
    assert str(caught.value) == WORDS


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_changed_bytes_have_one_error(save: Callable[..., Any]) -> None:
    """1,000 archives with a few bytes changed or an end cut off; NumPy and zipfile have at least six errors for them."""
    whole, rng, read = archive(save), np.random.default_rng(0), 0
    for number in range(1000):
        data = np.frombuffer(whole, np.uint8).copy()
        places = rng.integers(0, len(data), 1 + number % 8)
        data[places] = rng.integers(0, 256, len(places))
        with contextlib.suppress(ValueError):
            read_arrays(data[: rng.integers(1, len(data)) if number % 7 == 0 else None].tobytes())
            read += 1
    assert read < 200
