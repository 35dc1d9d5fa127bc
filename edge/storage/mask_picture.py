"""The ROI's mask picture is data, not looks: whatever is above 0, in any channel and at any depth, is inspected."""

from __future__ import annotations

import cv2
import numpy as np
import structlog

from edge.config.regions import MaskPicture, RoiConfig
from edge.errors import UserError, may_pass
from edge.storage.disk import read_regular
from edge.storage.pictures import PictureError, decode_picture

log = structlog.get_logger()

_MASK_LEVELS = 2


def read_mask(roi: RoiConfig | None) -> MaskPicture:
    """Read the ROI's mask picture, 255 where any channel at any depth is above 0, and the bytes of its file.

    Its pixels lie as the file stores them, as those of frames do: a note of its orientation turns nothing.
    (None, None) where the config names none.

    Raises:
        UserError: the picture can't be read, or has an alpha channel: what is meant by it can't be known.
    """
    if roi is None or roi.mask is None:
        return None, None
    path = roi.mask
    try:
        data = read_regular(path)
    except OSError as error:
        raise UserError(f"regions.roi.mask: {path} cannot be read: {error.strerror}", passes=may_pass(error)) from None
    if _has_alpha(data):
        raise UserError(
            f"regions.roi.mask: {path} has an alpha channel",
            expected="grey or colour, above 0 where inspected",
            fix="save it without transparency",
        )
    try:
        picture = decode_picture(data)
    except PictureError as error:
        raise UserError(
            f"regions.roi.mask: {path} is no picture that can be read: {error}",
            expected="PNG, BMP or TIFF, above 0 where inspected",
            passes=True,  # torn, or on its way here
        ) from None
    values = picture.reshape(*picture.shape[:2], -1).max(axis=2)
    levels = len(np.unique(values))
    if levels > _MASK_LEVELS:
        log.warning("mask_of_many_values", mask=str(path), values=levels, hint="all above 0 are inspected alike")
    return np.where(values > 0, np.uint8(255), np.uint8(0)), data


def _has_alpha(data: bytes) -> bool:
    """Whether the picture has two or four channels; False if it can't be decoded."""
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    except cv2.error:
        return False
    return picture is not None and picture.ndim == 3 and picture.shape[2] not in (1, 3)
