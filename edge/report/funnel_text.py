"""The funnel of one map is written for people: how much each step left, and why each area went (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge.frames import FunnelStep, Rejected

STEP_NAMES: Final = {
    "above_low": "above the lower threshold",
    "roi": "inside the ROI",
    "border_px": "without the border",
    "smooth": "smoothed",
    "hysteresis": "reach the upper threshold",
    "open_px": "opened",
    "close_px": "closed",
    "kept": "kept",
}
"""What a step leaves, in words; a filter's step has its key as name."""


def lost_text(lost: Rejected) -> str | None:
    """Say why an area went before the filters; None if a filter dropped it, which has words of its own."""
    value, limit = two_numbers(lost.value, lost.limit)
    if lost.filter == "roi":
        return f"outside the ROI, highest {value}"
    if lost.filter == "border_px":
        return f"in the border, highest {value}"
    if lost.filter == "smooth":
        return f"smoothed away, {value} < {limit}"
    if lost.filter == "hysteresis":
        return f"never reaches high, {value} < {limit}"
    if lost.filter == "open_px":
        return f"opened away, narrower side {lost.value:.0f}, opening {lost.limit:.0f}"
    return None


def two_numbers(value: float, limit: float) -> tuple[str, str]:
    """Write both with as many decimals, two or more, as it takes to tell them apart."""
    for decimals in range(2, 8):
        texts = f"{value:.{decimals}f}", f"{limit:.{decimals}f}"
        if texts[0] != texts[1]:
            break
    return texts


def funnel_lines(steps: Sequence[FunnelStep]) -> list[str]:
    """List the steps, one a line, with pixels and areas left and areas lost; empty if no pixel came in."""
    if not steps or not steps[0].pixels:
        return []
    rows = [("map px", "areas", "gone", "step")]
    rows += [
        (f"{s.pixels}", f"{s.areas}", f"{len(s.lost)}" if s.lost else "", STEP_NAMES.get(s.step, s.step)) for s in steps
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return ["  ".join([*(text.rjust(width) for text, width in zip(row, widths, strict=False)), row[3]]) for row in rows]
