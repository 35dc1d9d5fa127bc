"""Every engine checks a loaded graph and its results here before frames go through: names, types, shapes, coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.engines.protocol import Prediction
from edge.errors import UserError

RESULT_SETS = 4
"""Number of result buffers that take turns: a prediction's map is overwritten by the fourth ``infer`` after it."""
_RANKS = {"map": 3, "score": 1, "embedding": 2}
_SHAPES = {"map": "(n, h, w)", "score": "(n)", "embedding": "(n, d)"}
_ROUNDING_PX = 1.0
_ANY_SIZE = (256, 256)
"""Side in px of the blank picture for bundles that take any size."""

Outputs: TypeAlias = dict[str, NDArray[np.float32]]


class Port(Protocol):
    """A port is an input or output as ONNX Runtime describes it: ``tensor(float)``; text or None for an open dimension."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def shape(self) -> Sequence[Any]: ...


def blank_picture(bundle: Bundle) -> NDArray[Any]:
    """Return zeros (H, W, C) of the size that the graph is fed; a tile's size if frames are cut into tiles."""
    spec = bundle.spec
    fed = spec.tile.size if spec.tile else spec.resize.size or _ANY_SIZE
    width, height = spec.input.size if spec.input.size != "any" else fed
    return np.zeros((height, width, spec.input.channels), np.uint8 if spec.input.bits == 8 else np.uint16)


def check_input(inputs: Sequence[Port], bundle: Bundle) -> None:
    """Raise UserError if the graph doesn't take the one picture that ``bundle.yaml`` describes."""
    spec = bundle.spec.input
    names = [i.name for i in inputs]
    where = bundle.model_path
    if names != ["frame"]:
        raise UserError(f"{where}: the graph's inputs are not a bundle's", received=", ".join(names), expected="frame")
    dtype = "tensor(uint8)" if spec.bits == 8 else "tensor(uint16)"
    if inputs[0].type != dtype:
        raise UserError(f"{where}: input 'frame' has a wrong type", received=inputs[0].type, expected=dtype)
    width, height = spec.size if spec.size != "any" else (None, None)
    shape = inputs[0].shape
    fits = len(shape) == 4 and all(
        not isinstance(got, int) or got == want for got, want in zip(shape, (1, height, width, spec.channels), strict=True)
    )
    if not fits:
        raise UserError(
            f"{where}: input 'frame' has a wrong shape",
            received=_shape(shape),
            expected=f"(n, {height or 'H'}, {width or 'W'}, {spec.channels}), as bundle.yaml says",
        )


def check_outputs(outputs: Sequence[Port], bundle: Bundle) -> list[str]:
    """Return the names of the outputs. Raises UserError if they are not a bundle's."""
    where = bundle.model_path
    names = [o.name for o in outputs]
    if "map" not in names or not set(names) <= set(_RANKS):
        raise UserError(
            f"{where}: the graph's outputs are not a bundle's",
            received=", ".join(names),
            expected="map, and optionally score and embedding",
            fix="run `edge build` on the original model",
        )
    for output in outputs:
        if output.type != "tensor(float)":
            raise UserError(
                f"{where}: output {output.name!r} has a wrong type", received=output.type, expected="tensor(float)"
            )
        # an output without a declared shape has an empty one here; it is checked when it comes
        if output.shape and len(output.shape) != _RANKS[output.name]:
            raise UserError(
                f"{where}: output {output.name!r} has a wrong shape",
                received=_shape(output.shape),
                expected=_SHAPES[output.name],
            )
    return names


def check_first(bundle: Bundle, pictures: Sequence[int], outputs: Mapping[str, NDArray[Any]]) -> None:
    """Check the first results of pictures of this shape, (n, H, W, C).

    Raises:
        UserError: an output has another rank or count than theirs, or a map has another size than the one that
            ``map_to_image`` belongs to: boxes would lie wrong.
    """
    count, height, width, _ = pictures
    for name, array in outputs.items():
        if array.ndim != _RANKS[name] or array.shape[0] != count:
            raise UserError(
                f"{bundle.model_path}: output {name!r} has a wrong shape for "
                + ("one picture" if count == 1 else f"{count} pictures"),
                received=f"({', '.join(map(str, array.shape))})",
                expected=f"{_SHAPES[name]} with n = {count}",
                fix="run `edge build` on the original model",
            )
    _check_map_size(bundle, (width, height), outputs["map"].shape[:0:-1])


def _check_map_size(bundle: Bundle, picture: tuple[int, int], size: tuple[int, ...]) -> None:
    """Check the map's size; ``picture`` and ``size`` are width and height of what went in and of the map that came.

    A bundle declares the map's size. If it doesn't (the map follows the picture, or the bundle is an older one), the map
    must cover its picture: to the last px of the map, or from a centre crop, which leaves as much on the left as on the
    right.
    """
    spec = bundle.spec
    shown = f"{size[0]}x{size[1]}"
    if spec.map_size is not None:
        if size != spec.map_size:
            raise _other_size(bundle, shown, "{}x{}".format(*spec.map_size))
        return
    sides = picture if spec.tile else spec.resize.size or picture
    scales, offsets = spec.map_to_image[:2], spec.map_to_image[2:]
    ends = [px * scale + offset for px, scale, offset in zip(size, scales, offsets, strict=True)]
    stretched = f"{shown}, which map_to_image stretches to {ends[0]:g}x{ends[1]:g}"
    for side, end, scale, offset in zip(sides, ends, scales, offsets, strict=True):
        if offset:  # a crop's margins differ by a px where the sides are odd; a pad's are below 0
            if abs(side - end - offset) > scale + _ROUNDING_PX:
                raise _other_size(bundle, stretched, "the middle of the picture's {}x{}".format(*sides))
        elif end > side + 0.5:
            raise _other_size(bundle, stretched, "at most the picture's {}x{}".format(*sides))
        elif end <= side - scale - 0.5 and not spec.tile:  # tiles' maps may be resized to the tile first
            raise _other_size(bundle, stretched, "the picture's {}x{}".format(*sides))


def _other_size(bundle: Bundle, received: str, expected: str) -> UserError:
    what = f"{bundle.model_path}: the map has another size than bundle.yaml says"
    return UserError(what, received=received, expected=expected, fix="run `edge build` on the original model")


def prediction(outputs: Mapping[str, NDArray[np.float32]], *, tiles: bool) -> Prediction:
    """Make the prediction from one picture's outputs (n = 1), or from those of all its tiles."""
    score, embedding = outputs.get("score"), outputs.get("embedding")
    if tiles:
        return Prediction(outputs["map"], None if score is None else float(score.max()), None)
    return Prediction(
        outputs["map"][0],
        None if score is None else float(score[0]),
        None if embedding is None else embedding[0],
    )


def does_not_run(bundle: Bundle, picture: NDArray[Any], reason: str) -> UserError:
    """Make the error for a model that loads and then fails on a blank picture."""
    height, width = picture.shape[:2]
    return UserError(f"{bundle.model_path}: the model does not run on a blank {width}x{height} picture", received=reason)


def _shape(shape: Sequence[Any]) -> str:
    return f"({', '.join('?' if d is None else str(d) for d in shape)})"
