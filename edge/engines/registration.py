"""The registration that a bundle declares, made ready from its reference picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.errors import UserError
from edge.preprocess.prepare import Workspace
from edge.preprocess.register import Registrar
from edge.storage.pictures import PictureError, read_picture


def ready_workspace(bundle: Bundle) -> Workspace:
    """A workspace for this bundle's frames, its reference picture ready. UserError as ``read_reference``."""
    spec = bundle.spec.register_
    return Workspace(None if spec is None else Registrar(read_reference(bundle), spec))


def read_reference(bundle: Bundle) -> NDArray[np.uint8]:
    """The bundle's reference picture, (H, W, C).

    Raises:
        UserError: the picture can't be read, or has another shape than the graph takes.
    """
    spec = bundle.spec
    assert spec.register_ is not None
    path = bundle.folder / spec.register_.reference
    try:
        picture = read_picture(path)
    except (OSError, PictureError) as error:
        raise UserError(
            f"{path}: the reference of the registration cannot be read", received=error, fix="copy the bundle again"
        ) from None
    reference = picture if picture.ndim == 3 else picture[:, :, None]
    size = spec.resize.size or spec.input.size
    assert size != "any"
    width, height = size
    expected = (height, width, spec.input.channels)
    if reference.shape != expected or reference.dtype != "uint8":
        raise UserError(
            f"{path}: the reference of the registration has another shape than the pictures",
            received=f"{reference.shape[1]}x{reference.shape[0]}, {reference.shape[2]} channels, {reference.dtype}",
            expected=f"{width}x{height}, {spec.input.channels} channels, uint8",
            fix="build the bundle again",
        )
    return np.asarray(reference, np.uint8)
