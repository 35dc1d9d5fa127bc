"""Arrays are read from an archive (``.npz``), and whatever is wrong with its bytes is one error."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_arrays(data: bytes, wanted: Callable[[str], bool] = lambda _: True) -> dict[str, NDArray[Any]]:
    """Return the arrays of an ``.npz`` file whose names are ``wanted``.

    Raises:
        ValueError: cut short, damaged, or no such archive.
    """
    try:
        found = np.load(io.BytesIO(data), allow_pickle=False)
        return {name: found[name] for name in found.files if wanted(name)}
    except Exception:  # noqa: BLE001  changed bytes gave BadZipFile, EOFError, zlib.error, TokenError, RuntimeError and others
        raise ValueError("no archive of arrays (.npz), or a damaged one") from None
