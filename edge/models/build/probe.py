"""A foreign model is run on pictures of one size or two, to learn what its declaration leaves open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from edge.engines.probe_pictures import generated_pictures
from edge.errors import UserError
from edge.models import graphs
from edge.models.build.foreign import ModelInput, find_map, spatial_axes
from edge.models.build.graph_geometry import Geometry, find_geometry
from edge.models.build.unbatch import unbaked

_PROBES = ((256, 256), (320, 288))
"""Widths and heights to try. Two sizes show whether a model's map follows the picture; multiples of 32 suit networks with
strides."""
_GUESS = 0.05
"""Share of the map's range, on soft shapes, which a resize hardly changes."""
_ODD = (271, 233)
_STEPS = (2, 4, 8, 16, 32)
"""Steps in px of which sides must be multiples in networks with strides; tried if an odd size fails."""


@dataclass(frozen=True, slots=True)
class ProbeRun:
    """One run. ``size`` (w, h): of its picture, which is the one that a bundle would feed.

    ``follows``: the model takes any size and its map follows, so the bundle need fix none. ``own_resize``: the model takes
    any size and brings it to ``size`` by itself, so that fed at ``size`` its own resize does nothing. ``guessed``: ``size``
    is the map's, for the model brings all pictures to one size that doesn't show.
    """

    size: tuple[int, int]
    outputs: Mapping[str, NDArray[Any]]
    geometry: Geometry
    follows: bool = False
    own_resize: bool = False
    guessed: bool = False

    def map_to_image(self, shape: tuple[int, ...], batch: int) -> tuple[float, float, float, float]:
        """Return the place of the edges of a map of this shape in the picture of ``size``, across the model's own crop."""
        rows, columns = (shape[axis] for axis in spatial_axes(shape, batch))
        sx, sy, ox, oy = self.geometry.to_input
        return sx * self.geometry.size[0] / columns, sy * self.geometry.size[1] / rows, ox, oy


def look_at(
    model: onnx.ModelProto, taken: ModelInput, size: tuple[int, int] | None, map_name: str | None, path: Path
) -> ProbeRun:
    """Run the model at ``size`` or at its own; at two sizes where neither is known.

    Raises:
        UserError: ``size`` is not the one that the model fixes, or is needed (the model fixes one side only, or crops
            whatever it gets); it doesn't run, or its map follows the picture unevenly.
    """
    _check_size(taken, size, path)
    session = graphs.session(model, str(path))
    fixed = taken.size or size
    if fixed is not None:
        return _run(session, model, taken, fixed, path)
    looks = [_run(session, model, taken, at, path) for at in _PROBES]
    batch = taken.batch or 1
    shapes = [look.outputs[find_map(look.outputs, batch, path, map_name)].shape for look in looks]
    sizes = [tuple(shape[axis] for axis in reversed(spatial_axes(shape, batch))) for shape in shapes]
    inner = looks[0].geometry.resized
    if inner is not None and inner == looks[1].geometry.resized:
        return replace(_run(session, model, taken, inner, path), own_resize=True)
    if sizes[0] == sizes[1] and not all(look.geometry.untouched for look in looks):
        raise UserError(
            f"{path}: the model takes any size and crops it, so the size that it was made for does not show",
            received=" and ".join(
                "{}x{} of {}x{}".format(*look.geometry.size, *(look.geometry.resized or look.size)) for look in looks
            ),
            fix="say to which size frames are brought before that crop: --size WIDTH,HEIGHT",
        )
    if sizes[0] == sizes[1]:  # it resizes inside, in a way that isn't seen from outside
        guess = _run(session, model, taken, (sizes[0][0], sizes[0][1]), path)
        _check_guess(session, taken, guess, map_name, path)
        return replace(guess, guessed=True)
    if any(s[k] * _PROBES[0][k] != sizes[0][k] * p[k] for s, p in zip(sizes, _PROBES, strict=True) for k in (0, 1)):
        raise UserError(
            f"{path}: the model takes any size, but its map does not follow it evenly",
            received=" and ".join(f"map {s[0]}x{s[1]} of {p[0]}x{p[1]}" for s, p in zip(sizes, _PROBES, strict=True)),
            fix="say which size it takes: --size WIDTH,HEIGHT",
        )
    _check_any_size(session, taken, sizes[0], map_name, path)
    return replace(looks[0], follows=True)


def _check_guess(
    session: ort.InferenceSession, taken: ModelInput, guess: ProbeRun, map_name: str | None, path: Path
) -> None:
    """Raises UserError where a picture that is four times as large gives another map: then the guess was wrong."""
    batch = taken.batch or 1
    name = find_map(guess.outputs, batch, path, map_name)
    large = (4 * guess.size[0], 4 * guess.size[1])
    picture = generated_pictures(large, taken.channels, 8)["soft shapes"]
    small = cv2.resize(picture, guess.size, interpolation=cv2.INTER_AREA).reshape(guess.size[1], guess.size[0], -1)
    planes = [p.transpose(2, 0, 1) if taken.layout == "nchw" else p for p in (picture, small)]
    one, other = (graphs.run_graph(session, _feed(np.ascontiguousarray(p), taken))[name] for p in planes)
    spanned = float(np.ptp(one[np.isfinite(one)])) if np.isfinite(one).any() else 0.0
    off = np.abs(one - other)
    if np.isfinite(off).any() and float(np.nanmax(np.where(np.isfinite(off), off, 0))) > _GUESS * spanned:
        raise UserError(
            f"{path}: the model takes any size and brings it to one that does not show",
            received=f"a map of {guess.size[0]}x{guess.size[1]} from any picture, and another one from "
            f"{guess.size[0]}x{guess.size[1]} than from {large[0]}x{large[1]}",
            fix="say to which size it brings its pictures: --size WIDTH,HEIGHT",
        )


def _check_any_size(
    session: ort.InferenceSession,
    taken: ModelInput,
    map_size: tuple[int, ...],
    map_name: str | None,
    path: Path,
) -> None:
    """Raises UserError where the model fails on sizes that frames may have, or its map then leaves a part of them out."""

    def why_not(size: tuple[int, int]) -> str | None:
        try:
            outputs = graphs.run_graph(session, _noise(taken, size))
        except Exception as error:  # noqa: BLE001  (the runtime's exceptions have no common base but this)
            return graphs.first_line(error)
        batch = taken.batch or 1
        shape = outputs[find_map(outputs, batch, path, map_name)].shape
        found = tuple(shape[axis] for axis in reversed(spatial_axes(shape, batch)))
        for side, px, whole, probe in zip(size, found, map_size, _PROBES[0], strict=True):
            scale = probe / whole
            if not side - scale - 0.5 < px * scale <= side + 0.5:
                return f"a map of {found[0]}x{found[1]}, which does not cover it"
        return None

    reason = why_not(_ODD)
    if reason is None:
        return
    step = next((s for s in _STEPS if all(why_not((w + s, h - s)) is None for w, h in _PROBES)), None)
    fits = "" if step is None else f", multiples of {step} as it seems"
    raise UserError(
        f"{path}: the model takes some sizes only{fits}",
        received=f"on a picture of {_ODD[0]}x{_ODD[1]}: {reason}",
        expected="a model that takes frames of any size, or one size to which they are brought",
        fix="say which size it takes: --size WIDTH,HEIGHT" + ("" if step is None else f", both multiples of {step}"),
    )


def _check_size(taken: ModelInput, size: tuple[int, int] | None, path: Path) -> None:
    """Raises UserError where ``size`` is not the one that the model declares, or is missing for the side that it leaves."""
    if taken.size is None and size is None and taken.sides != (None, None):
        fixed, left = ("height", "width") if taken.sides[0] is None else ("width", "height")
        width, height = (side or open_ for side, open_ in zip(taken.sides, ("WIDTH", "HEIGHT"), strict=True))
        raise UserError(
            f"{path}: input {taken.name!r} fixes its {fixed} and leaves its {left} open",
            received=f"{fixed} {taken.sides[0] or taken.sides[1]}",
            fix=f"say which size it takes: --size {width},{height}",
        )
    if size is not None and any(own not in (None, given) for own, given in zip(taken.sides, size, strict=True)):
        own = ",".join(str(side or "any") for side in taken.sides)
        raise UserError(
            f"{path}: the model fixes its picture's size",
            received=f"--size {size[0]},{size[1]}",
            expected=own if taken.size is None else f"{own}, or no --size",
        )


def thawed(
    model: onnx.ModelProto, taken: ModelInput, look: ProbeRun, path: Path
) -> tuple[onnx.ModelProto, ModelInput, ProbeRun]:
    """A batch frozen at 2 or more made open, else brought down to 1, where the model then gives the same; else as it is.

    anomalib 2.7 leaves such models: PatchCore, with the batch in the graph's constants too. Where it can't be undone the
    picture goes in twice, at twice the cost.
    """
    if taken.batch in (None, 1):
        return model, taken, look
    anew, single = _declared(model, "n"), _declared(model, 1)
    for candidate, batch in ((anew, None), (single, 1), (unbaked(single, taken.batch), 1)):
        if candidate is None:
            continue
        changed = replace(taken, batch=batch)
        try:
            alone = _run(graphs.session(candidate, str(path)), candidate, changed, look.size, path)
            if (
                _same(look.outputs, alone.outputs)
                and _same_on_others(model, taken, candidate, changed, look.size, path)
                and (batch == 1 or _same_together(candidate, changed, look.size, path))
            ):
                return candidate, changed, replace(look, outputs=alone.outputs)
        except UserError:  # sizes of the batch are written into the graph
            continue
    return model, taken, look


def _declared(model: onnx.ModelProto, batch: int | str) -> onnx.ModelProto:
    """Return a copy whose input is of ``batch`` pictures, and whose other shapes are left to the runtime."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    first = graphs.inputs(copy)[0].type.tensor_type.shape.dim[0]
    first.CopyFrom(graphs.value("x", onnx.TensorProto.FLOAT, [batch]).type.tensor_type.shape.dim[0])
    del copy.graph.value_info[:]
    for output in copy.graph.output:
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")
    return copy


def _same_together(model: onnx.ModelProto, taken: ModelInput, size: tuple[int, int], path: Path) -> bool:
    """Return True if three pictures in one run give what each gives alone."""
    session = graphs.session(model, str(path))
    feed = np.concatenate([_feed(planes, taken) for planes in _others(taken, size)])
    try:
        together = graphs.run_graph(session, feed)
        alone = [graphs.run_graph(session, picture[None]) for picture in feed]
    except Exception:  # noqa: BLE001  (the runtime's exceptions have no common base but this)
        return False
    return all(
        values.shape[:1] == (len(feed),)
        and all(_same({name: values[k : k + 1]}, {name: run[name]}) for k, run in enumerate(alone))
        for name, values in together.items()
    )


def _same(batch: Mapping[str, NDArray[Any]], alone: Mapping[str, NDArray[Any]]) -> bool:
    return all(
        a.shape == batch[n][:1].shape and np.allclose(a, batch[n][:1], rtol=1e-5, atol=1e-6, equal_nan=True)
        for n, a in alone.items()
    )


def _same_on_others(
    model: onnx.ModelProto, taken: ModelInput, single: onnx.ModelProto, one: ModelInput, size: tuple[int, int], path: Path
) -> bool:
    """Return True if the model gives the same on ``_others``, besides the noise that ``_run`` feeds."""
    sessions = [graphs.session(m, str(path)) for m in (model, single)]
    for planes in _others(taken, size):
        feeds = [_feed(planes, t) for t in (taken, one)]
        try:
            outputs = [graphs.run_graph(s, f) for s, f in zip(sessions, feeds, strict=True)]
        except Exception:  # noqa: BLE001  (the runtime's exceptions have no common base but this)
            return False
        if not _same(*outputs):
            return False
    return True


def _others(taken: ModelInput, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Make a black picture, a ramp with a bright corner, and the ramp upside down."""
    ramp = np.linspace(0, 200, size[0] * size[1]).reshape(size[1], size[0]).astype(np.uint8)
    ramp[: size[1] // 8, -size[0] // 8 :] = 255
    axis = 0 if taken.layout == "nchw" else 2
    return [np.stack([picture] * taken.channels, axis=axis) for picture in (np.zeros_like(ramp), ramp, ramp[::-1])]


def _noise(taken: ModelInput, size: tuple[int, int]) -> NDArray[Any]:
    shape = (taken.channels, size[1], size[0]) if taken.layout == "nchw" else (size[1], size[0], taken.channels)
    return _feed(np.random.default_rng(0).integers(0, 256, shape, np.uint8), taken)


def _feed(planes: NDArray[np.uint8], taken: ModelInput) -> NDArray[Any]:
    return np.repeat(planes[None] if taken.dtype == "uint8" else planes[None] / np.float32(255), taken.batch or 1, axis=0)


def _run(
    session: ort.InferenceSession, model: onnx.ModelProto, taken: ModelInput, size: tuple[int, int], path: Path
) -> ProbeRun:
    feed = _noise(taken, size)
    try:
        outputs = graphs.run_graph(session, feed)
    except Exception as error:  # noqa: BLE001  (the runtime's exceptions have no common base but this)
        raise UserError(
            f"{path}: the model does not run on a {size[0]}x{size[1]} picture",
            received=graphs.first_line(error),
            fix=None if taken.size else "say which size it takes: --size WIDTH,HEIGHT",
        ) from None
    return ProbeRun(size, outputs, find_geometry(model, taken, feed, path))
