"""The cause of a shift in words, with its size: the same statistics and learned signatures that name drift on a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edge.disturb.corruptions import CORRUPTIONS
from edge.drift.floors import FLOORS
from edge.drift.learn import SIGNATURE_FRAMES, learn, plan_signatures
from edge.drift.named import UNKNOWN, Named
from edge.drift.signatures import Library, Signatures
from edge.drift.statistics import INDEX, STATISTICS
from edge.models.evaluate.ranking import Floats
from edge.shift.advice import advice_for
from edge.shift.look import Ruler
from edge.shift.told_apart import LEAST, Effect, Separability

ROWS: Final = 1260
"""Signatures that are learned of frames up to 1 MP; of larger ones fewer, as the same time allows."""
_FEWEST_ROWS: Final = 630
_MEGAPIXEL: Final = 2**20
_QUIET: Final = 0.7
"""Deviations below which a statistic is called unchanged."""
UNCHANGED: Final = {
    "light": ("log_gain", "offset", "tilt_x", "tilt_y"),
    "focus": ("edges_x", "edges_y", "edges_diagonal"),
    "place": ("shift_x", "shift_y", "rotation", "scale"),
    "noise": ("noise",),
}
"""What people ask for next, and the statistics that answer it."""
_OF_GROUP: Final = {"lighting": "light", "blur": "focus", "pose": "place", "camera": "noise"}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What differs. ``verdict``: ``different``, ``not different`` or ``too few frames``. ``headline``: for people.

    ``causes``: the nearest first; none where nothing differs. ``ranges``: of each cause that a statistic measures by
    itself, its 5 and 95 % quantiles over the second set's frames, in the cause's unit.
    """

    verdict: str
    headline: str
    causes: tuple[Named, ...]
    ranges: dict[str, dict[str, Any]]


def usual(statistics: Floats) -> tuple[Floats, Floats]:
    """Middle and robust deviation of each statistic over the frames (n, 19), as a line's reference has them."""
    center = np.median(statistics, axis=0)
    return center, np.maximum(1.4826 * np.median(np.abs(statistics - center), axis=0), FLOORS)


def learned(ruler: Ruler, sigma: Floats, jitter: float, tell: Callable[[int, int], None] = lambda *_: None) -> Library:
    """Signatures of every corruption on frames of the first set. ``jitter``: by how much medians of the sets vary by
    chance, in deviations of single frames. ``tell``: done, total.
    """
    width, height = ruler.meter.template.size
    rows = int(max(_FEWEST_ROWS, min(ROWS, ROWS * _MEGAPIXEL / (width * height))))
    plan = plan_signatures(rows)
    step = max(1, len(ruler.samples) // SIGNATURE_FRAMES)
    frames = ruler.samples[::step][:SIGNATURE_FRAMES]
    return Library(learn(ruler.meter, frames, ruler.bits, sigma, plan, lambda done: tell(done, len(plan))), jitter)


def diagnose(
    a: Floats, b: Floats, changed: Sequence[Effect], apart: Separability | None, library: Callable[[Floats], Library]
) -> tuple[str, tuple[Named, ...]]:
    """The verdict and the causes. ``a``, ``b``: statistics (n, 19) of both sets. ``library``: learns for a sigma, and is
    only asked where something changed.
    """
    if min(len(a), len(b)) < LEAST:
        return "too few frames", ()
    moved = [effect for effect in changed if effect.is_changed]
    if not moved and (apart is None or not apart.is_different):
        return "not different", ()
    if not moved:
        return "different", ()
    center, sigma = usual(a)
    return "different", library(sigma).name((np.median(b, axis=0) - center) / sigma)


def headline(verdict: str, causes: Sequence[Named], effects: Sequence[Effect], apart: Separability | None, few: int) -> str:
    """The first line: the cause in words with its size, what is unchanged, and what to do."""
    if verdict == "too few frames":
        return f"too few frames for a claim: {few} in the smaller set, at least {LEAST} are needed"
    separability = "" if apart is None else f" (told apart with AUROC {apart.auroc:.2f}, p {apart.p:.3g})"
    if verdict == "not different":
        return f"not different{separability}"
    if not causes:
        return (
            f"different, though light, focus, place and noise are unchanged{separability}: the content differs -> another "
            f"product, material or background? {advice_for(UNKNOWN)}"
        )
    said = ", and ".join(f"{one.group}: {_words(one)}" if one.cause != UNKNOWN else one.words for one in causes)
    still = [name for name in unchanged(effects) if name not in {_OF_GROUP.get(one.group) for one in causes}]
    quiet = f"; {', '.join(still)} unchanged" if still else ""
    return f"{said}{quiet} -> {'; '.join(dict.fromkeys(advice_for(one.cause) for one in causes))}"


def _words(one: Named) -> str:
    strength = strength_of(one)
    return one.words if strength is None else f"{one.words} (like strength {strength:.2g})"


def strength_of(one: Named) -> float | None:
    """The size as a share of the strongest step that ``edge stress`` tries; None for an unknown cause."""
    if one.size is None or one.cause not in CORRUPTIONS:
        return None
    return abs(one.size) / CORRUPTIONS[one.cause].strengths.steps[-1]


def unchanged(effects: Sequence[Effect]) -> list[str]:
    """Names of light, focus, place and noise whose statistics all stayed where they were."""
    z = {effect.name: effect for effect in effects}
    return [name for name, of in UNCHANGED.items() if all(not z[s].is_changed and abs(z[s].z) < _QUIET for s in of)]


def ranges_of(a: Floats, b: Floats, noise_sigma: float, library: Library | None) -> dict[str, dict[str, Any]]:
    """For each cause that has a statistic of its own: 5 and 95 % quantiles over the second set, against the first's middle.

    ``noise_sigma``: of the first set's frames, in levels of 0 to 255. Defocus is read off the library's own signatures.
    """
    d = b - np.median(a, axis=0)

    def of(name: str) -> Floats:
        return np.asarray(d[:, INDEX[name]])

    measured = {
        "brightness": 100 * np.expm1(of("log_gain")),
        "stray_light": 100 * of("offset") / 255,
        "gradient": 200 * np.hypot(of("tilt_x"), of("tilt_y")),
        "clipped": 100 * np.maximum(of("clipped"), 0),
        "shift": np.hypot(of("shift_x"), of("shift_y")),
        "rotation": of("rotation"),
        "scale": 100 * np.expm1(of("scale")),
        "noise": 100 / 255 * noise_sigma * np.sqrt(np.maximum(np.expm1(2 * of("noise")), 0)),
    }
    if library is not None:
        measured["defocus"] = _read_off(library.signatures, "defocus", of("edges_x") + of("edges_y"), usual(a)[1])
    ranges = {}
    for cause, values in measured.items():
        low, high = np.quantile(values, [0.05, 0.95])
        ranges[cause] = {"p5": round(float(low), 4), "p95": round(float(high), 4), "unit": CORRUPTIONS[cause].unit}
    return ranges


def _read_off(signatures: Signatures, cause: str, edges: Floats, sigma: Floats) -> Floats:
    """Sizes of a cause that lowers edges, by the sum of both directions' change, from the cause's own signatures."""
    own = signatures.cause == signatures.causes.index(cause)
    columns = [INDEX["edges_x"], INDEX["edges_y"]]
    lost = (signatures.rows[own][:, columns] * sigma[columns]).sum(axis=1)
    sizes = np.abs(signatures.size[own])
    order = np.argsort(sizes)
    falling = np.minimum.accumulate(np.append(0.0, lost[order]))
    return np.asarray(np.interp(-edges, -falling, np.append(0.0, sizes[order])), np.float64)


def names_and_units() -> list[tuple[str, str]]:
    """Name and unit of each statistic, in order."""
    return [(one.name, one.unit) for one in STATISTICS]
