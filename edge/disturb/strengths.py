"""How strong a corruption is, in words of the factory: "defocus 1.2 px", "gradient 18 %", "darker by 20 %"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

BEYOND: Final = 1.5
"""By how much the strength behind the strongest one goes past it."""


@dataclass(frozen=True, slots=True)
class Strengths:
    """Five strengths of one corruption, weak to strong, in its physical unit.

    Attributes:
        unit: ``px``, ``deg``, ``%`` and the like.
        steps: five positive numbers, rising; the third is what a line sees in a bad week.
        beyond: the factor past the strongest step up to which the corruption still makes sense.
        two_way: a negative strength is the opposite change (darker instead of brighter).
        more, less: what the two directions of a two-way corruption are called, such as "brighter by" and "darker by".
    """

    unit: str
    steps: tuple[float, float, float, float, float]
    beyond: float = BEYOND
    two_way: bool = False
    more: str | None = None
    less: str | None = None

    @property
    def strongest(self) -> float:
        """The strength beyond the steps."""
        return self.steps[-1] * self.beyond

    def __iter__(self) -> Iterator[float]:
        """The five steps and the one beyond them."""
        yield from (*self.steps, self.strongest)

    def words(self, name: str, strength: float) -> str:
        """The strength of the corruption ``name`` as a person would say it, such as ``defocus 1.2 px``."""
        if not self.two_way:
            return f"{name} {amount(strength, self.unit)}"
        if self.more is None or self.less is None:
            return f"{name} {'+' if strength >= 0 else '-'}{amount(abs(strength), self.unit)}"
        return f"{self.more if strength >= 0 else self.less} {amount(abs(strength), self.unit)}"


def amount(strength: float, unit: str) -> str:
    """A strength with its unit, rounded to what can be told apart: ``18 %``, ``1.2 px``, ``0.35 deg``."""
    digits = 0 if abs(strength) >= 10 else 1 if abs(strength) >= 1 else 2
    text = f"{strength:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text} {unit}".rstrip()
