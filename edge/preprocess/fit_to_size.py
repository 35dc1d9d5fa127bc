"""Where a frame lies in a picture of another shape: stretched to it, letterboxed into it, or cropped to its middle."""

from __future__ import annotations

from dataclasses import dataclass

from edge.config.bundle_spec import ResizeSpec


@dataclass(frozen=True, slots=True)
class FrameFit:
    """``inner``: width and height that the whole frame is resized to. ``left``, ``top``: where that begins in the picture,
    below 0 where the picture is cut out of it.
    """

    inner: tuple[int, int]
    left: int
    top: int

    def to_frame(
        self, map_to_image: tuple[float, float, float, float], width: int, height: int
    ) -> tuple[float, float, float, float]:
        """``map_to_image`` of the picture as one of the frame, which is ``width`` x ``height``."""
        sx, sy, ox, oy = map_to_image
        fx, fy = width / self.inner[0], height / self.inner[1]
        return sx * fx, sy * fy, (ox - self.left) * fx, (oy - self.top) * fy


def fit_of(resize: ResizeSpec, width: int, height: int) -> FrameFit:
    """The fit of a frame of this size.

    ``letterbox``: the largest size of the frame's shape that fits in, sides rounded, in the middle (Ultralytics).
    ``crop``: the short side becomes ``short_side`` and the long one is rounded down (torchvision's Resize), then the middle
    is cut out (its CenterCrop).
    """
    size = resize.size or (width, height)
    if resize.fit == "letterbox":
        ratio = min(size[0] / width, size[1] / height)
        inner = max(1, min(size[0], round(width * ratio))), max(1, min(size[1], round(height * ratio)))
        return FrameFit(inner, (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2)
    if resize.fit == "crop":
        short = resize.short_side
        if short is None:  # so that the picture is just covered
            ratio = max(size[0] / width, size[1] / height)
            inner = max(size[0], round(width * ratio)), max(size[1], round(height * ratio))
        elif width <= height:
            inner = short, int(short * height / width)
        else:
            inner = int(short * width / height), short
        return FrameFit(inner, -round((inner[0] - size[0]) / 2), -round((inner[1] - size[1]) / 2))
    return FrameFit(size, 0, 0)
