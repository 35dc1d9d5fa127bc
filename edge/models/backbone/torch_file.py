"""Weights are read here, without torch, out of a file that ``torch.save`` wrote before torch 1.6.

Such a file is five pickles (a magic number, a protocol number, facts about the machine, the tensors by name, the keys of
their storages) followed by the storages, each as its number of elements and its raw bytes. A pickle can run any code; the
unpickler here knows four names, none of which does anything, and refuses every other.
"""

from __future__ import annotations

import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError

MAGIC = 0x1950A86A20F9469CFC6C
"""``torch.serialization.MAGIC_NUMBER``."""
PROTOCOL = 1001
_STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


@dataclass(frozen=True, slots=True)
class _Storage:
    """A storage is a run of numbers that stands behind the pickles; several tensors may look into one."""

    dtype: np.dtype[Any]
    key: str
    numel: int


@dataclass(frozen=True, slots=True)
class _View:
    """A view is a tensor as the pickle describes it, before its storage was read. Offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    """It builds dictionaries, tuples, numbers, text and ``_View``, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _view
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no file of weights needs")

    def persistent_load(self, pid: Any) -> _Storage:
        tag, dtype, key, _, numel, *rest = pid
        if tag != "storage" or not isinstance(dtype, np.dtype) or rest not in ([], [None]):
            raise pickle.UnpicklingError("a reference that is no storage")
        return _Storage(dtype, str(key), int(numel))


def read_weights(data: bytes, what: str) -> dict[str, NDArray[Any]]:
    """Return every tensor of the file by its name, float32 or int64, each in memory of its own.

    Raises:
        UserError: ``what`` names a file that isn't in this form, is cut off, or holds more than weights.
    """
    stream = io.BytesIO(data)
    try:
        if (_Unpickler(stream).load(), _Unpickler(stream).load()) != (MAGIC, PROTOCOL):
            raise pickle.UnpicklingError("another magic number or protocol")
        _Unpickler(stream).load()
        views = _Unpickler(stream).load()
        keys = _Unpickler(stream).load()
        if not isinstance(views, Mapping) or not all(isinstance(view, _View) for view in views.values()):
            raise pickle.UnpicklingError("it holds other things than tensors")
        numbers = _storages(stream, keys, {view.storage.key: view.storage for view in views.values()})
        return {str(name): _tensor(view, numbers[view.storage.key]) for name, view in views.items()}
    except (pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError, EOFError, AttributeError) as error:
        raise UserError(
            f"{what}: the weights cannot be read",
            received=str(error) or type(error).__name__,
            expected="a file of weights alone, as torch.save wrote it before torch 1.6",
        ) from None


def _view(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _View:
    """Stand in for ``torch._utils._rebuild_tensor_v2``; gradients and hooks are left behind."""
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    return _View(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _storages(stream: io.BytesIO, keys: Any, declared: Mapping[str, _Storage]) -> dict[str, NDArray[Any]]:
    numbers = {}
    for key in keys:
        storage = declared[str(key)]
        numel = int(np.frombuffer(stream.read(8), "<i8")[0])
        if numel != storage.numel:
            raise ValueError(f"storage {key} holds {numel} numbers and {storage.numel} were announced")
        numbers[storage.key] = np.frombuffer(stream.read(numel * storage.dtype.itemsize), storage.dtype, numel)
    return numbers


def _tensor(view: _View, numbers: NDArray[Any]) -> NDArray[Any]:
    if len(view.shape) != len(view.strides) or min((view.offset, *view.shape, *view.strides)) < 0:
        raise ValueError(f"a tensor of shape {view.shape} and strides {view.strides}")
    if math.prod(view.shape) > numbers.size:  # a stride of 0 would make gigabytes of a few bytes
        raise ValueError(f"a tensor of shape {view.shape} over {numbers.size} numbers")
    last = view.offset + sum((side - 1) * stride for side, stride in zip(view.shape, view.strides, strict=True))
    if 0 not in view.shape and last >= numbers.size:
        raise ValueError(f"a tensor that ends at number {last} of {numbers.size}")
    strides = tuple(stride * numbers.itemsize for stride in view.strides)
    return np.lib.stride_tricks.as_strided(numbers[view.offset :], view.shape, strides).copy()
