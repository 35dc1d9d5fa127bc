"""The answer ``moments``: the features' mean, and how far they spread, are brought from the factory's to the lab's.

Where places have means of their own, those become the factory's; how much each place may differ stays the lab's, times one
factor. Where one space serves all places, each component is moved and scaled. A defect among twenty frames hardly moves
either. Sun, Feng and Saenko, "Return of frustratingly easy domain adaptation", AAAI 2016, is the next step: ``coral``.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from edge.shift.answers.protocol import NotOffered, Pictures, Proposal, Situation
from edge.shift.answers.taps import PlaceTap, features, move, place_taps, set_weight, shared_tap, tapped, weight

SCALES: Final = (0.5, 4.0)
"""Least and most that the allowed spread may change."""


def propose(situation: Situation) -> Proposal:
    """The graph with moved features, whichever way it compares them."""
    model = situation.copy()
    places = place_taps(model, situation.method)
    if places:
        sentence = _move_places(model, places, situation)
        return Proposal(sentence, model, situation.bundle.spec)
    shared = shared_tap(model, situation.method)
    if shared is None:
        raise NotOffered("the graph has no features that edge knows: models of edge fit and edge train have some")
    here, lab = features(model, shared, situation.pictures), features(model, shared, situation.known_lab())
    ratio: Any = lab.std(axis=0) / np.maximum(here.std(axis=0), 1e-9)
    scale = np.clip(ratio, 1 / SCALES[1], 1 / SCALES[0]).astype(np.float64)
    move(model, shared, np.diag(scale), lab.mean(axis=0) - scale * here.mean(axis=0), "moments")
    spread = float(np.linalg.norm(lab.std(axis=0)))
    far = float(np.linalg.norm(here.mean(axis=0) - lab.mean(axis=0))) / max(spread, 1e-9)
    sentence = f"features moved by {far:.2f} of their spread, which was {1 / float(np.median(scale)):.2f} times the lab's"
    return Proposal(sentence, model, situation.bundle.spec)


def _move_places(model: onnx.ModelProto, taps: list[PlaceTap], situation: Situation) -> str:
    """Each place's mean becomes that of the factory's pictures; n of them know it to 1 / sqrt(n) of a deviation."""
    count = len(situation.pictures)
    names = [tap.tensor for tap in taps]
    here = _means(model, names, situation.pictures)
    spreads = _spreads(model, taps, situation.pictures, here)
    lab = None if not situation.lab else _spreads(model, taps, situation.lab, [weight(model, tap.mean) for tap in taps])
    factors = []
    for index, tap in enumerate(taps):
        factor = np.sqrt(count / (count - 1)) * spreads[index] / (lab[index] if lab is not None else spreads[index])
        factor = float(np.clip(factor, *SCALES))
        factors.append(factor)
        set_weight(model, tap.mean, here[index].reshape(weight(model, tap.mean).shape))
        if tap.inverse is not None:
            set_weight(model, tap.inverse, weight(model, tap.inverse) / (factor * np.sqrt(1 + 1 / count)))
    return f"means of {count} frames in place of the lab's; spread {', '.join(f'{f:.2f}' for f in factors)} times the lab's"


def _means(model: onnx.ModelProto, names: list[str], pictures: Pictures) -> list[NDArray[np.float64]]:
    totals: list[Any] = [0.0] * len(names)
    for values in tapped(model, names, pictures):
        totals = [total + value.astype(np.float64) for total, value in zip(totals, values, strict=True)]
    return [total / len(pictures) for total in totals]


def _spreads(
    model: onnx.ModelProto, taps: list[PlaceTap], pictures: Pictures, means: list[NDArray[Any]]
) -> NDArray[np.float64]:
    """The median over places and pictures of the distance from the mean, in allowed deviations."""
    found = []
    for values in tapped(model, [tap.tensor for tap in taps], pictures):
        row = []
        for tap, value, mean in zip(taps, values, means, strict=True):
            distance = np.abs(value - mean.reshape(value.shape))
            row.append(float(np.median(distance if tap.inverse is None else distance * weight(model, tap.inverse))))
        found.append(row)
    return np.maximum(np.median(found, axis=0), 1e-9)
