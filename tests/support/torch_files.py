"""Files as ``torch.save`` wrote them before torch 1.6, put together without torch."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_KINDS = {"f": "FloatStorage", "i": "LongStorage"}


def text(words: str) -> bytes:
    """One pickled piece of text, as part of a larger pickle."""
    data = words.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def tensor(kind: str, key: str, numel: int, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """A tensor as a pickle describes it: a view of the storage ``key``."""
    storage = b"(" + text("storage") + name("torch", kind) + text(key) + text("cpu") + number(numel) + b"Nt" + b"Q"
    sides = (b"(" + b"".join(map(number, values)) + b"t" for values in (shape, strides))
    hooks = name("collections", "OrderedDict") + b")R"
    return (
        name("torch._utils", "_rebuild_tensor_v2")
        + b"("
        + storage
        + number(offset)
        + b"".join(sides)
        + b"\x89"
        + hooks
        + b"tR"
    )


def torch_file(views: Mapping[str, bytes], storages: Mapping[str, NDArray[np.generic]]) -> bytes:
    """The whole file; ``views`` are the tensors by name."""
    items = b"".join(text(key) + view for key, view in views.items())
    body = b"\x80\x02" + name("collections", "OrderedDict") + b")R(" + items + b"u."
    heads = [pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, {"little_endian": True})]
    raw = b"".join(struct.pack("<q", values.size) + values.tobytes() for values in storages.values())
    return b"".join(heads) + body + pickle.dumps(list(storages), 2) + raw


def plain(values: Mapping[str, NDArray[np.generic]]) -> bytes:
    """A file of these arrays, each in a storage of its own."""
    views = {
        key: tensor(
            _KINDS[array.dtype.kind],
            f"s_{key}",
            array.size,
            0,
            array.shape,
            tuple(stride // array.itemsize for stride in array.strides),
        )
        for key, array in values.items()
    }
    return torch_file(views, {f"s_{key}": array for key, array in values.items()})
