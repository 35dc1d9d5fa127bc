"""A defect's mask is painted by keys, on a frame drawn in a terminal: a brush that moves, paints, erases and zooms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

HELP: Final = (
    "arrows or hjkl move, HJKL by the brush's width; space paints, x erases, o fills an outline, + - brush, z Z zoom, "
    "u undo; Return keeps the mask, q leaves it"
)
KEEP: Final = ("\n", "\r")
LEAVE: Final = ("q", "\x1b", "\x04")
_ARROWS: Final = {"\x1b[A": "k", "\x1b[B": "j", "\x1b[C": "l", "\x1b[D": "h"}
_STEPS: Final = {"h": (-1, 0), "l": (1, 0), "k": (0, -1), "j": (0, 1)}
_MOST_RADIUS: Final = 256
_LEAST_VIEW: Final = 16
_UNDO: Final = 32
_RED: Final = np.array([230, 30, 30], np.float32)
_GREEN: Final = np.array([40, 220, 90], np.float32)


class MaskBrush:
    """A mask is painted, ``mask``: bool (height, width).

    The brush is a disc about ``at`` (x, y) of ``radius`` px, 0 being one pixel. With ``zoom`` doublings the view shows that
    much less of the frame around it.
    """

    def __init__(self, width: int, height: int, mask: NDArray[np.bool_] | None = None) -> None:
        self.mask = np.zeros((height, width), bool) if mask is None else mask.copy()
        self.at = width // 2, height // 2
        self.radius = max(1, min(width, height) // 64)
        self.zoom = 0
        self._before: list[NDArray[np.bool_]] = []

    def press(self, key: str) -> bool:
        """Do what the key says; False if it says nothing here."""
        key = _ARROWS.get(key, key)
        if key.lower() in _STEPS:
            self._move(*_STEPS[key.lower()], by=1 if key.islower() else 2 * self.radius + 1)
        elif key in (" ", "x"):
            self._remember()
            self.mask[self._disc()] = key == " "
        elif key == "o":
            self._remember()
            self._fill()
        elif key in ("+", "="):
            self.radius = min(_MOST_RADIUS, max(1, self.radius + max(1, self.radius // 4)))
        elif key == "-":
            self.radius = max(0, self.radius - max(1, self.radius // 4))
        elif key in ("z", "Z"):
            self.zoom = max(0, min(self._most_zoom(), self.zoom + (1 if key == "z" else -1)))
        elif key == "u":
            if self._before:
                self.mask = self._before.pop()
        else:
            return False
        return True

    def view(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The part of the frame around the brush, uint8 RGB: the mask in red, the brush's rim in green."""
        height, width = self.mask.shape
        rows, columns = (
            _window(at, length, max(_LEAST_VIEW, length >> self.zoom))
            for at, length in ((self.at[1], height), (self.at[0], width))
        )
        part: Any = pixels[rows, columns]
        rgb = (cv2.cvtColor(part, cv2.COLOR_GRAY2RGB) if part.ndim == 2 else part.copy()).astype(np.float32)
        masked = self.mask[rows, columns]
        rgb[masked] = 0.5 * rgb[masked] + 0.5 * _RED
        disc = self._disc().astype(np.uint8)
        rim = disc.astype(bool) & ~cv2.erode(
            disc, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), borderValue=0
        ).astype(bool)
        rgb[rim[rows, columns]] = _GREEN
        return np.asarray(np.rint(rgb), np.uint8)

    def _move(self, right: int, down: int, *, by: int) -> None:
        height, width = self.mask.shape
        self.at = min(max(self.at[0] + right * by, 0), width - 1), min(max(self.at[1] + down * by, 0), height - 1)

    def _disc(self) -> NDArray[np.bool_]:
        height, width = self.mask.shape
        y, x = np.ogrid[:height, :width]
        return np.asarray((x - self.at[0]) ** 2 + (y - self.at[1]) ** 2 <= self.radius**2, bool)

    def _fill(self) -> None:
        """What the painted pixels enclose becomes part of the mask."""
        contours, _ = cv2.findContours(self.mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        filled = np.zeros(self.mask.shape, np.uint8)
        cv2.drawContours(filled, contours, -1, (1,), cv2.FILLED)
        self.mask |= filled.astype(bool)

    def _remember(self) -> None:
        self._before = [*self._before[-_UNDO + 1 :], self.mask.copy()]

    def _most_zoom(self) -> int:
        return max(0, int(min(self.mask.shape) // _LEAST_VIEW).bit_length() - 1)


def _window(at: int, length: int, shown: int) -> slice:
    shown = min(shown, length)
    first = min(max(at - shown // 2, 0), length - shown)
    return slice(first, first + shown)


def painted(
    pixels: NDArray[np.uint8],
    read: Callable[[], str],
    show: Callable[[MaskBrush, str], None],
    mask: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_] | None:
    """The mask that keys paint on ``pixels`` (H, W) or (H, W, 3); None if it was left, or nothing was painted.

    ``read`` gives one key; an arrow's three characters are one key. ``show`` draws the brush and says what is to be said.
    ``mask``: what is there already.
    """
    brush, said = MaskBrush(pixels.shape[1], pixels.shape[0], mask), HELP
    while True:
        show(brush, said)
        key = read()
        if key in KEEP:
            return brush.mask if brush.mask.any() else None
        if key in LEAVE:
            return None
        said = HELP if brush.press(key) else f"{key!r} is no key here: {HELP}"
