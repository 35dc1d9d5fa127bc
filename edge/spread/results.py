"""A shard's result crosses a process, a network or a disk as bytes; read back, the bytes build results and nothing else."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from edge.errors import UserError

T = TypeVar("T")
_NUMPY: Final = frozenset(
    (module, name)
    for package in ("numpy._core", "numpy.core")
    for module, name in (
        (f"{package}.multiarray", "_reconstruct"),
        (f"{package}.multiarray", "scalar"),
        (f"{package}.numeric", "_frombuffer"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
    )
)
"""What arrays and numbers of NumPy are pickled by, in its versions 1 and 2."""


class _Unpickler(pickle.Unpickler):
    """A pickle can run any code; this one knows the types that it was given and NumPy's arrays."""

    def __init__(self, data: bytes, types: Iterable[type]) -> None:
        super().__init__(io.BytesIO(data))
        self._types = {(known.__module__, known.__qualname__): known for known in types}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._types:
            return self._types[module, name]
        if (module, name) in _NUMPY:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no result holds")


def unpacked(data: bytes, kind: type[T], parts: Iterable[type] = ()) -> T:
    """Build the ``kind`` that ``pickle.dumps`` made ``data`` of. ``parts``: the other types that stand in one.

    Raises:
        UserError: the bytes are of something else, or damaged.
    """
    try:
        found = _Unpickler(data, (kind, *parts)).load()
    except Exception as error:  # noqa: BLE001  (damaged bytes raise whatever the first wrong one leads to)
        raise _refused(str(error) or type(error).__name__) from None
    if not isinstance(found, kind):
        raise _refused(type(found).__name__)
    return found


def _refused(received: str) -> UserError:
    return UserError(
        "a finished shard can't be read",
        received=received,
        fix="delete the folder of finished shards, OUT.parts, and start again",
    )
