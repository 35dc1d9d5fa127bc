"""The table of corruptions: what a factory does to a picture, one row each.

Another corruption is a function in ``light.py``, ``optics.py`` or ``geometry.py`` and a row here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.disturb import geometry, light, optics
from edge.disturb.light import Shares
from edge.disturb.strengths import Strengths

Group: TypeAlias = Literal["lighting", "blur", "camera", "pose", "occlusion/background", "product"]
GROUPS: Final[tuple[Group, ...]] = ("lighting", "blur", "camera", "pose", "occlusion/background", "product")
FramePixels: TypeAlias = NDArray[Any]
"""A frame's pixels: uint8 or uint16, (H, W) or (H, W, 3) RGB."""
Change: TypeAlias = Callable[[Shares, float, np.random.Generator], Shares]


@dataclass(frozen=True, slots=True)
class Corruption:
    """One row of the table.

    Attributes:
        name: a word for people and files, such as ``motion_blur``.
        group: whose fault it is.
        strengths: the unit and the five strengths.
        change: the function, on shares of white.
        meaning: what a strength of 1 unit means.
        each_frame: the change differs from frame to frame (noise); otherwise it stays where it is (a shadow, dust).
    """

    name: str
    group: Group
    strengths: Strengths
    change: Change
    meaning: str
    each_frame: bool = False

    @property
    def unit(self) -> str:
        return self.strengths.unit

    def words(self, strength: float) -> str:
        """The strength as a person would say it: ``defocus 1.2 px``, ``darker by 20 %``."""
        return self.strengths.words(self.name.replace("_", " "), strength)

    def apply(
        self, picture: FramePixels, strength: float, rng: np.random.Generator, bits: int | None = None
    ) -> FramePixels:
        """The picture after the corruption; ``picture`` itself stays as it is.

        Args:
            picture: uint8 or uint16, (H, W) or (H, W, 3).
            strength: in the row's unit; a negative one only where ``strengths.two_way``. 0 changes nothing.
            rng: where directions, places and noise come from.
            bits: the bits that are used, aligned to the low end; None: all of the type.

        Returns:
            The same shape and type; values are clipped at 0 and at white.

        Raises:
            ValueError: a type or a strength that the corruption doesn't know.
        """
        check(self, picture, strength)
        if strength == 0:
            return picture.copy()
        white = (1 << (bits or 8 * picture.dtype.itemsize)) - 1
        shares = picture.astype(np.float32).reshape(*picture.shape[:2], -1) / np.float32(white)
        changed = self.change(shares, strength, rng)
        levels = np.rint(np.clip(changed, 0, 1) * np.float32(white)).astype(picture.dtype)
        return np.asarray(levels.reshape(picture.shape))

    def steady(self, strength: float, seed: int, bits: int | None = None) -> Callable[[FramePixels], FramePixels]:
        """The corruption as a line sees it, frame after frame: direction and place stay, noise is new each time.

        The direction of a two-way corruption is drawn by the seed, too, unless ``strength`` is negative.
        """
        own = np.random.default_rng([seed, 1])
        signed = -strength if self.strengths.two_way and strength > 0 and own.random() < 0.5 else strength

        def corrupted(picture: FramePixels) -> FramePixels:
            rng = own if self.each_frame else np.random.default_rng(seed)
            return self.apply(picture, signed, rng, bits)

        return corrupted


def check(row: Corruption, picture: FramePixels, strength: float) -> None:
    """Refuse a picture or a strength that the corruption doesn't know, by a ValueError."""
    if picture.dtype not in (np.uint8, np.uint16) or picture.ndim not in (2, 3) or 0 in picture.shape:
        raise ValueError(
            f"{row.name}: a picture is uint8 or uint16, (H, W) or (H, W, 3), not {picture.dtype} {picture.shape}"
        )
    if picture.ndim == 3 and picture.shape[2] not in (1, 3):
        raise ValueError(f"{row.name}: a picture has 1 or 3 channels, not {picture.shape[2]}")
    if not np.isfinite(strength) or (strength < 0 and not row.strengths.two_way):
        raise ValueError(f"{row.name}: a strength is a number of {row.unit or 'its scale'} from 0, not {strength}")


def _percent(*steps: float, **how: Any) -> Strengths:
    return Strengths("%", steps, **how)  # type: ignore[arg-type]  # five numbers, which the tests count


def _px(*steps: float) -> Strengths:
    return Strengths("px", steps)  # type: ignore[arg-type]


_BRIGHTER = {"two_way": True, "more": "brighter by", "less": "darker by"}
_ROWS: Final = (
    Corruption("brightness", "lighting", _percent(5, 10, 18, 25, 35, **_BRIGHTER), light.brightness, "of the light"),
    Corruption("stray_light", "lighting", _percent(2, 4, 7, 11, 16, two_way=True), light.offset, "of white, added"),
    Corruption("gradient", "lighting", _percent(8, 15, 25, 35, 50), light.gradient, "between the two ends"),
    Corruption("shadow", "lighting", _percent(8, 15, 25, 40, 60), light.shadow, "of the light inside it"),
    Corruption("contrast", "lighting", _percent(8, 15, 25, 35, 50, two_way=True), light.contrast, "around the mean"),
    Corruption("gamma", "lighting", _percent(8, 15, 25, 40, 60, two_way=True), light.gamma, "of the exponent"),
    Corruption("clipped", "lighting", _percent(1, 3, 8, 15, 30), light.clipped, "of the pixels at white"),
    Corruption("colour_cast", "lighting", _percent(4, 8, 14, 22, 32, two_way=True), light.colour_cast, "red against blue"),
    Corruption("flicker", "lighting", _percent(2, 4, 7, 11, 16), light.flicker, "deviation of the light", each_frame=True),
    Corruption("defocus", "blur", _px(0.5, 0.8, 1.2, 1.8, 2.6), optics.defocus, "deviation of the blur"),
    Corruption("motion_blur", "blur", _px(1.5, 2.5, 4, 6, 9), optics.motion_blur, "length of the path"),
    Corruption("noise", "camera", _percent(0.8, 1.4, 2.0, 3.2, 5.0), optics.noise, "of white, deviation", each_frame=True),
    Corruption("banding", "camera", _percent(0.8, 1.5, 2.5, 4, 6), optics.banding, "of white, height", each_frame=True),
    Corruption("jpeg", "camera", Strengths("below quality 100", (20, 40, 60, 75, 88), 1.1), optics.jpeg, "of the quality"),
    Corruption("dust", "camera", _percent(5, 9, 15, 25, 40), optics.dust, "of the light on 8 specks"),
    Corruption("vignette", "camera", _percent(8, 15, 25, 35, 50), light.vignette, "of the light in the corners"),
    Corruption("shift", "pose", _px(3, 6, 9, 12, 18), geometry.shift, "of the way"),
    Corruption("rotation", "pose", Strengths("deg", (0.3, 0.6, 1.0, 1.6, 2.5), two_way=True), geometry.rotation, "of turn"),
    Corruption("scale", "pose", _percent(0.4, 0.7, 1.0, 1.7, 2.8, two_way=True), geometry.scale, "of the size"),
    Corruption("occlusion", "occlusion/background", _percent(2, 4, 7, 12, 20), geometry.occlusion, "of the picture hidden"),
    Corruption(
        "background", "occlusion/background", _percent(4, 8, 14, 22, 32, two_way=True), geometry.background, "of white"
    ),
    Corruption("product", "product", _percent(0.5, 1, 2, 4, 7), geometry.product, "of the picture changed"),
    Corruption(
        "finish", "product", _percent(1, 2, 3, 5, 8), light.surface_finish, "deviation of the level", each_frame=True
    ),
)
CORRUPTIONS: Final[dict[str, Corruption]] = {row.name: row for row in _ROWS}
"""Every corruption by its name."""
