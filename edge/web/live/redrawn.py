"""A preview is made smaller, or gets the boxes of its own record, for programs that can draw neither (pure).

libjpeg-turbo and NumPy do it, because the front has no OpenCV: 640x480 takes 3 ms of CPU. They are imported when a program
asks for the first time: the 12 MB that they take are not every page's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.client import Preview
from edge.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LINE_PX: Final = 2
_RED: Final = (255, 89, 100)
"""That of the boxes on Live."""
_QUALITY: Final = 80


@dataclass(frozen=True, slots=True)
class AsAsked:
    """How a picture is wanted. ``height``: at most so many px, never made larger; None: as it came."""

    boxes: bool = False
    height: int | None = None
    quality: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no picture can be. Raises UserError."""
        for name, value, least, most in (("h", self.height, 16, 4096), ("q", self.quality, 1, 100)):
            if value is not None and not least <= value <= most:
                raise UserError(name, received=value, expected=f"{least} to {most}")


def redrawn(preview: Preview, asked: AsAsked) -> bytes:
    """Return the preview's JPEG as it is asked for; the very bytes that came if nothing is asked."""
    if asked == AsAsked():
        return preview.jpeg
    import numpy as np
    import simplejpeg

    pixels = simplejpeg.decode_jpeg(preview.jpeg, "RGB", min_height=asked.height or 0, min_width=1 if asked.height else 0)
    if asked.height is not None and asked.height < len(pixels):
        pixels = _shrunk(pixels, asked.height)
    if asked.boxes:
        height, width = pixels.shape[:2]
        whole = preview.frame_size or simplejpeg.decode_jpeg_header(preview.jpeg)[1::-1]
        for region in preview.record.get("regions", ()):
            _draw(pixels, region["bbox_xyxy"], (width / whole[0], height / whole[1]))
    jpeg: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), asked.quality or _QUALITY, "RGB", "420")
    return jpeg


def _shrunk(pixels: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """Each pixel is the mean of those that it stands for; (H, W, 3) uint8."""
    import numpy as np

    width = max(1, round(pixels.shape[1] * height / len(pixels)))
    total: NDArray[Any] = pixels.astype(np.float32)
    for axis, size in ((0, height), (1, width)):
        starts = np.arange(size) * total.shape[axis] // size
        counts = np.diff(np.append(starts, total.shape[axis]))
        shape = [1, 1, 1]
        shape[axis] = size
        total = np.add.reduceat(total, starts, axis=axis) / counts.reshape(shape)
    return np.asarray(total.round(), np.uint8)


def _draw(pixels: NDArray[np.uint8], box: list[float], scale: tuple[float, float]) -> None:
    """Draw a box as its four sides, in place; what lies outside is cut off."""
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = (round(value * scale[at % 2]) for at, value in enumerate(box))
    x0, x1 = (min(max(x, 0), width) for x in (x0, x1))
    y0, y1 = (min(max(y, 0), height) for y in (y0, y1))
    for rows, columns in (
        (slice(y0, min(y0 + _LINE_PX, y1)), slice(x0, x1)),
        (slice(max(y1 - _LINE_PX, y0), y1), slice(x0, x1)),
        (slice(y0, y1), slice(x0, min(x0 + _LINE_PX, x1))),
        (slice(y0, y1), slice(max(x1 - _LINE_PX, x0), x1)),
    ):
        pixels[rows, columns] = _RED
