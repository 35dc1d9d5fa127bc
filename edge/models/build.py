"""``edge build``: a bundle from any ONNX model of the form image -> anomaly map [, score], checked against the original."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import onnx
import onnxruntime as ort
from numpy.typing import NDArray

import edge
from edge.bundle import Bundle, BundleSpec, DisplaySpec, InputSpec, Kernel, ResizeSpec, sha256_of
from edge.engines.tolerance import generated_pictures
from edge.errors import UserError
from edge.frames import Frame
from edge.illumination import IlluminationSpec
from edge.models import graphs
from edge.models.check import Check, compare
from edge.models.contract import (
    Layout,
    ModelInput,
    ModelOutput,
    Tail,
    find_map,
    find_score,
    find_tail,
    read_input,
    spatial_axes,
)
from edge.models.freeze import frozen
from edge.models.lighten import lightened
from edge.models.look import Look, look_at, thawed
from edge.models.tiles import expect_tile, middle_tile, takes_batch, tile_map_to_image, tiled
from edge.models.wrap import GRAPH_KERNELS, Exposed, Recipe, reference_feed, wrapped
from edge.models.write import check_target, write_bundle
from edge.preprocess import Workspace, prepare
from edge.tiling import TileSpec

_RANDOM = 4
"""Of the check's pictures these come first; given frames follow."""
_MOST_FRAMES = 16


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What was built from what, and how it compares."""

    bundle: Bundle
    taken: ModelInput
    amap: ModelOutput
    score: ModelOutput | None
    map_size: tuple[int, int]
    check: Check
    one_run: bool = False
    """Tiles only: the graph takes all of a frame at once."""
    rewritten: tuple[str, ...] = ()
    """What the graph computes in a shorter way than the model did, in words."""


def build(
    model_path: Path,
    folder: Path,
    *,
    name: str | None = None,
    size: tuple[int, int] | None = None,
    resize: Literal["host", "graph"] = "host",
    kernel: Kernel | None = None,
    channels: Literal[1, 3] | None = None,
    bits: int = 8,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    scale: float | None = None,
    order: Literal["rgb", "bgr"] = "rgb",
    layout: Layout | None = None,
    map_name: str | None = None,
    score_name: str | None = None,
    tile: TileSpec | None = None,
    illumination: IlluminationSpec | None = None,
    frames: Iterable[Frame] = (),
    force: bool = False,
) -> BuildReport:
    """Build, check and write a bundle.

    ``size``: width and height of the picture that the network sees; needed only where the model leaves it open and its
    map doesn't follow. With ``tile`` the network sees one of those, and ``size`` is of the picture that is cut into them.
    ``resize``: where frames are brought to it, by ``kernel`` (area on the host, in the graph linear or the exporter's own).
    ``channels``: of the frames, where a grey camera feeds a model of colour; ``bits``: of their values. ``scale``,
    ``mean``, ``std``: ``(pixel * scale - mean) / std``; the default gives 0 to 1. ``frames``: good ones; the first 16 are
    checked besides the random pictures, and statistics that ``illumination`` lacks are measured on all of them.

    Raises:
        UserError: the model is none of this form, says too little about itself, or its bundle gives other numbers.
    """
    check_target(folder, force=force)
    model = graphs.load_model(model_path)
    taken = read_input(model, model_path, layout, channels)
    recipe = _recipe(taken, channels, bits, scale, mean, std, order, model_path)
    if tile is not None:
        expect_tile(tile, taken, resize, model_path)
    look = look_at(model, taken, tile.size if tile else size, map_name, model_path)
    frozen_at = taken.batch
    model, taken, look = thawed(model, taken, look, model_path)
    spec = _spec(name or folder.absolute().name, taken, recipe, look, resize, kernel, own=size is None)
    if tile is not None:
        spec = tiled(spec, tile, size)
    if illumination is not None:
        if bits != 8:
            raise UserError("--bits with --illumination", received=bits, expected="8: it works on 8-bit pictures")
        light = frozen(illumination, spec.input.channels, frames, "give good frames: --frames FOLDER")
        spec = spec.model_copy(update={"illumination": light})
    if spec.resize.where == "graph" and not (look.own_resize and size is None):
        recipe = replace(recipe, inner=spec.resize.size, kernel=spec.resize.kernel)
    pictures = generated_pictures(_check_size(spec, look), recipe.channels, bits)
    workspace = Workspace()
    for index, frame in enumerate(islice(frames, _MOST_FRAMES)):
        image = prepare(frame, spec, workspace).image
        pictures[f"frame {frame.meta.frame_ref or index}"] = middle_tile(image, tile) if tile else image.copy()
    built = _built(model, taken, recipe, look, spec, pictures, (map_name, score_name), model_path)
    one_run = tile is not None and taken.batch is None and takes_batch(built.model, pictures, model_path)
    if tile is not None and taken.batch is None and not one_run:
        alone = replace(taken, batch=1)
        built = _built(model, alone, recipe, look, spec, pictures, (map_name, score_name), model_path)
    if frozen_at not in (None, 1) and taken.batch == 1:
        built = replace(built, rewritten=(f"a batch of {frozen_at} as one picture", *built.rewritten))
    map_shape, batch = look.outputs[built.amap.name].shape, taken.batch or 1
    rows, columns = (map_shape[axis] for axis in spatial_axes(map_shape, batch))
    map_to_image = look.map_to_image(map_shape, batch)
    spec = spec.model_copy(
        update={
            "map_to_image": tile_map_to_image(map_to_image, tile, model_path) if tile else map_to_image,
            "display": _display(built),
            "provenance": _provenance(model, model_path, taken, recipe, built),
        }
    )
    bundle = write_bundle(folder, built.model, spec, force=force)
    return BuildReport(bundle, taken, built.amap, built.score, (columns, rows), built.check, one_run, built.rewritten)


@dataclass(frozen=True, slots=True)
class _Built:
    model: onnx.ModelProto
    amap: ModelOutput
    score: ModelOutput | None
    check: Check
    rewritten: tuple[str, ...]


def _built(
    model: onnx.ModelProto,
    taken: ModelInput,
    recipe: Recipe,
    look: Look,
    spec: BundleSpec,
    pictures: Mapping[str, NDArray[Any]],
    names: tuple[str | None, str | None],
    path: Path,
) -> _Built:
    """The bundle's graph, checked on ``pictures`` against the model as it came; lightened where it then passes."""
    feeds = [reference_feed(p, taken, recipe) for p in pictures.values()]
    amap, score = _outputs(model, taken, look, feeds[:_RANDOM], names, path)
    tensors = [amap.tensor, score.tensor] if score else [amap.tensor]
    session = graphs.session(graphs.with_outputs(model, tensors), str(path))
    runs = [_run(session, feed, picture, path) for picture, feed in zip(pictures, feeds, strict=True)]
    exposed = [Exposed(t, runs[0][t].shape) for t in tensors]
    size = spec.input.size if spec.input.size != "any" else None
    wrapper = wrapped(model, taken, recipe, size, exposed[0], exposed[1] if score else None, map_follows=look.follows)
    light, rewritten = lightened(wrapper)
    if rewritten:
        try:
            return _Built(light, amap, score, compare(light, pictures, runs, tensors, path), rewritten)
        except UserError:  # a model whose numbers hang on the order of its sums: it stays as it is
            rewritten = ()
    return _Built(wrapper, amap, score, compare(wrapper, pictures, runs, tensors, path), rewritten)


def _run(session: ort.InferenceSession, feed: NDArray[Any], picture: str, path: Path) -> dict[str, NDArray[Any]]:
    try:
        return graphs.run(session, feed)
    except Exception as error:  # noqa: BLE001  (the runtime's exceptions have no common base but this)
        what = f"{path}: the model does not run on {picture}, shape {feed.shape}"
        raise UserError(what, received=graphs.first_line(error)) from None


def _spec(
    name: str,
    taken: ModelInput,
    recipe: Recipe,
    look: Look,
    resize: Literal["host", "graph"],
    kernel: Kernel | None,
    *,
    own: bool,
) -> BundleSpec:
    """The spec as far as frames are concerned."""
    channels: Any = recipe.channels
    if resize == "host":
        size: Any = None if look.follows else look.size
        where = ResizeSpec(where="none" if size is None else "host", kernel=kernel or "area", size=size)
        return BundleSpec(name=name, input=InputSpec(channels=channels, size=size or "any", bits=recipe.bits), resize=where)
    if look.follows:
        raise UserError(
            "--resize graph",
            received="a model that takes any size",
            fix="say to which size it resizes: --size WIDTH,HEIGHT",
        )
    if taken.dtype == "uint8":
        raise UserError(
            "--resize graph", received="a model that takes uint8 pixels", fix="resize on the host: --resize host"
        )
    exporters = look.geometry.mode if look.own_resize and own else None
    known = (exporters,) if exporters else GRAPH_KERNELS
    chosen: Any = kernel or known[0]
    if chosen not in known:
        raise UserError("--kernel of a resize in the graph", received=kernel, expected=" or ".join(known))
    where = ResizeSpec(where="graph", kernel=chosen, size=look.size)
    return BundleSpec(name=name, input=InputSpec(channels=channels, size="any", bits=recipe.bits), resize=where)


def _check_size(spec: BundleSpec, look: Look) -> tuple[int, int]:
    """Of the random pictures: the picture's own, or odd ones that a resize in the graph has work with."""
    width, height = look.size
    return (width * 3 // 2 + 1, height * 2 + 3) if spec.resize.where == "graph" else (width, height)


def _recipe(
    taken: ModelInput,
    channels: int | None,
    bits: int,
    scale: float | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    order: Literal["rgb", "bgr"],
    path: Path,
) -> Recipe:
    if not 8 <= bits <= 16:
        raise UserError("--bits", received=bits, expected="8 to 16")
    if taken.dtype == "uint8" and (scale, mean, std, bits) != (None, None, None, 8):
        raise UserError(
            f"{path}: input {taken.name!r} takes uint8 pixels as they are",
            received="scale, mean, std or bits",
            fix="leave them out",
        )
    for label, values in (("mean", mean), ("std", std)):
        if values is not None and len(values) not in (1, taken.channels):
            raise UserError(f"{label}", received=f"{len(values)} values", expected=f"1 or {taken.channels}")
    if any(v <= 0 for v in std or ()):
        raise UserError("std", received=", ".join(map(str, std or ())), expected="values above 0")
    if channels == 3 and taken.channels == 1:
        raise UserError(
            f"{path}: the model takes grey pictures",
            received="--channels 3",
            expected="--channels 1; colour frames are then turned grey on the host",
        )
    return Recipe(
        channels or taken.channels,
        bits,
        scale,
        tuple(mean) if mean is not None else None,
        tuple(std) if std is not None else None,
        order if taken.channels == 3 else "rgb",
    )


def _outputs(
    model: onnx.ModelProto,
    taken: ModelInput,
    look: Look,
    feeds: Sequence[NDArray[Any]],
    names: tuple[str | None, str | None],
    path: Path,
) -> tuple[ModelOutput, ModelOutput | None]:
    """Map and score, each in front of the exporter's normalisation where there is one."""

    def tapped(name: str) -> ModelOutput:
        tail = find_tail(model, name, feeds, path)
        return ModelOutput(name, tail.raw if tail else name, tail)

    batch = taken.batch or 1
    amap = find_map(look.outputs, batch, path, names[0])
    others = {n: a for n, a in look.outputs.items() if n != amap}
    score = find_score(others, batch, path, names[1])
    return tapped(amap), tapped(score) if score else None


def _display(built: _Built) -> DisplaySpec:
    amap, check = built.amap, built.check
    if amap.tail is not None:
        half = amap.tail.range / 2
        return DisplaySpec(threshold=amap.tail.threshold, range=(amap.tail.threshold - half, amap.tail.threshold + half))
    if (check.low >= 0 and check.high <= 1) or check.low == check.high:
        return DisplaySpec()
    return DisplaySpec(range=(check.low, check.high))


def _provenance(
    model: onnx.ModelProto,
    path: Path,
    taken: ModelInput,
    recipe: Recipe,
    built: _Built,
) -> dict[str, Any]:
    given = {label: o for label, o in (("map", built.amap), ("score", built.score)) if o is not None}
    return {
        "built_with": f"edge {edge.__version__}",
        "built_at": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "source": path.name,
        "source_sha256": sha256_of(path),
        "exporter": f"{model.producer_name} {model.producer_version}".strip() or "unknown",
        "opset": graphs.opset(model),
        "input": f"{taken.name} {taken.dtype} {taken.layout}, {taken.channels} channels {recipe.order}",
        "outputs": {label: output.name for label, output in given.items()},
        "undone": {
            label: {"formula": Tail.FORMULA, "threshold": o.tail.threshold, "range": o.tail.range}
            for label, o in given.items()
            if o.tail is not None
        },
        "rewritten": list(built.rewritten),
        "check": {"pictures": built.check.pictures, "difference_of_range": built.check.difference},
    }
