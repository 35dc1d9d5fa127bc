"""``edge build``: a bundle from any ONNX model of the form image -> anomaly map [, score], checked against the original."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.config.bundle_spec import BundleSpec, IlluminationSpec, InputSpec, ResizeKernel, ResizeSpec, TileSpec
from edge.engines.graph_io import check_first, check_input, check_outputs
from edge.errors import UserError
from edge.frames import Frame
from edge.models import graphs
from edge.models.build import trial_pictures as trial
from edge.models.build.describe_bundle import display_of, own_resize_of, provenance_of, warnings_of
from edge.models.build.foreign import (
    Layout,
    ModelInput,
    ModelOutput,
    find_embedding,
    find_map,
    find_score,
    find_tail,
    read_input,
    spatial_axes,
)
from edge.models.build.lighten import lightened
from edge.models.build.parity import Check, compare
from edge.models.build.placement import MapToImage, Placement, place_of
from edge.models.build.probe import Look, look_at, thawed
from edge.models.build.tiles import expect_tile, takes_batch, tile_map_to_image, tiled
from edge.models.build.wrap import GRAPH_KERNELS, Exposed, InputTransform, input_transform_of, reference_feed, wrapped
from edge.models.freeze_illumination import frozen
from edge.models.write import check_target, write_bundle


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
    place: Placement | None = None
    """Where the map was found to lie; None where it doesn't answer clearly enough to tell."""
    warnings: tuple[str, ...] = ()


def build(
    model_path: Path,
    folder: Path,
    *,
    name: str | None = None,
    size: tuple[int, int] | None = None,
    resize: Literal["host", "graph"] = "host",
    kernel: ResizeKernel | None = None,
    channels: Literal[1, 3] | None = None,
    bits: int = 8,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    scale: float | None = None,
    order: Literal["rgb", "bgr"] = "rgb",
    layout: Layout | None = None,
    map_name: str | None = None,
    score_name: str | None = None,
    map_to_image: MapToImage | None = None,
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
    ``mean``, ``std``: ``(pixel * scale - mean) / std``; the default gives 0 to 1. ``map_to_image``: where the map lies in
    the network's picture (in a tile), for models whose own crop isn't understood. ``frames``: good ones; the first 16 are
    checked besides the random pictures, and statistics that ``illumination`` lacks are measured on all of them.

    Raises:
        UserError: the model is none of this form, says too little about itself, its bundle gives other numbers, or its map
            lies elsewhere than its graph tells.
    """
    check_target(folder, force=force)
    model = graphs.load_model(model_path)
    taken = read_input(model, model_path, layout, channels)
    recipe = input_transform_of(taken, channels, bits, scale, mean, std, order, model_path)
    if map_to_image is not None:
        _expect_scales(map_to_image)
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
    given = trial.given(spec, frames)
    pictures = trial.generated(spec, look.size) | given
    built = _built(model, taken, recipe, look, spec, pictures, (map_name, score_name), model_path)
    one_run = tile is not None and taken.batch is None and takes_batch(built.model, pictures, model_path)
    if tile is not None and taken.batch is None and not one_run:
        alone = replace(taken, batch=1)
        built = _built(model, alone, recipe, look, spec, pictures, (map_name, score_name), model_path)
    if frozen_at not in (None, 1) and taken.batch == 1:
        built = replace(built, rewritten=(f"a batch of {frozen_at} as one picture", *built.rewritten))
    spec = spec.model_copy(update={"display": display_of(built.outputs["map"], built.check, list(given))})
    spec, size_of_map, place, warnings = _placed(built, look, taken, spec, map_to_image, pictures, folder, model_path)
    own_resize = own_resize_of(look, spec)
    provenance = provenance_of(
        model, model_path, taken, recipe, built.outputs, built.check, built.rewritten, own_resize, place
    )
    bundle = write_bundle(folder, built.model, spec.model_copy(update={"provenance": provenance}), force=force)
    amap, score = built.outputs["map"], built.outputs.get("score")
    return BuildReport(bundle, taken, amap, score, size_of_map, built.check, one_run, built.rewritten, place, warnings)


def _placed(
    built: _Built,
    look: Look,
    taken: ModelInput,
    spec: BundleSpec,
    by_hand: MapToImage | None,
    pictures: Mapping[str, NDArray[Any]],
    folder: Path,
    path: Path,
) -> tuple[BundleSpec, tuple[int, int], Placement | None, tuple[str, ...]]:
    """The spec with the map's size and place, that size, where the map was measured to lie, and all warnings.

    Raises:
        UserError: the graph breaks the contract that engines hold it to, or its map lies elsewhere than it tells.
    """
    shape, batch = look.outputs[built.outputs["map"].name].shape, taken.batch or 1
    rows, columns = (shape[axis] for axis in spatial_axes(shape, batch))
    told = by_hand or look.map_to_image(shape, batch)
    spec = spec.model_copy(
        update={
            "map_to_image": tile_map_to_image(told, spec.tile, path) if spec.tile else told,
            "map_size": None if look.follows else (columns, rows),
        }
    )
    session = graphs.session(built.model, f"the bundle of {path}")
    _expect_contract(session, Bundle(folder, spec, ""), next(iter(pictures.values())))
    place = place_of(
        lambda picture: graphs.run_graph(session, picture)["map"], look.size, spec.input.channels, spec.input.bits, told
    )
    warnings = built.warnings
    if place is not None and place.wrong:
        if by_hand is None:
            raise _misplaced(told, place, path)
        warnings += (f"--map-to-image says {_four(told)}, and measured it is about {place}: boxes may lie wrong",)
    return spec, (columns, rows), place, warnings


def _expect_scales(map_to_image: MapToImage) -> None:
    if not (all(map(math.isfinite, map_to_image)) and min(map_to_image[:2]) > 0):
        raise UserError("--map-to-image", received=_four(map_to_image), expected="SX,SY,OX,OY, finite, with scales above 0")


def _misplaced(told: MapToImage, place: Placement, path: Path) -> UserError:
    return UserError(
        f"{path}: the map does not lie where the graph tells",
        received=f"sx, sy, ox, oy of about {place}, measured with a patch at nine places",
        expected=f"about {_four(told)}",
        fix="the model crops, mirrors or skips pixels in a way that is not understood: export it without, or say where its "
        "map lies: --map-to-image SX,SY,OX,OY",
    )


def _four(values: MapToImage) -> str:
    return ", ".join(f"{v:.3g}" for v in values)


def _expect_contract(session: ort.InferenceSession, bundle: Bundle, picture: NDArray[Any]) -> None:
    """What every engine holds a bundle to; asked before it is written."""
    check_input(session.get_inputs(), bundle)
    check_outputs(session.get_outputs(), bundle)
    check_first(bundle, picture[None].shape, graphs.run_graph(session, picture[None]))


@dataclass(frozen=True, slots=True)
class _Built:
    model: onnx.ModelProto
    outputs: Mapping[str, ModelOutput]
    check: Check
    rewritten: tuple[str, ...]
    warnings: tuple[str, ...]


def _built(
    model: onnx.ModelProto,
    taken: ModelInput,
    recipe: InputTransform,
    look: Look,
    spec: BundleSpec,
    pictures: Mapping[str, NDArray[Any]],
    names: tuple[str | None, str | None],
    path: Path,
) -> _Built:
    """The bundle's graph, checked on ``pictures`` against the model as it came; lightened where it then passes."""
    feeds = [reference_feed(p, taken, recipe) for p in pictures.values()]
    outputs = _outputs(model, taken, look, feeds[: trial.RANDOM], names, path)
    if spec.tile is not None:
        outputs.pop("embedding", None)  # of a tile it means nothing
    tensors = {label: output.tensor for label, output in outputs.items()}
    session = graphs.session(graphs.with_outputs(model, tensors.values()), str(path))
    runs = [_run(session, feed, picture, path) for picture, feed in zip(pictures, feeds, strict=True)]
    exposed = {label: Exposed(tensor, runs[0][tensor].shape) for label, tensor in tensors.items()}
    size = spec.input.size if spec.input.size != "any" else None
    wrapper = wrapped(
        model, taken, recipe, size, exposed["map"], exposed.get("score"), exposed.get("embedding"), map_follows=look.follows
    )
    mapped = [run[tensors["map"]] for run in runs]
    warnings = warnings_of(model, look, taken.batch or 1, outputs["map"], outputs.get("score"), mapped)
    light, rewritten = lightened(wrapper)
    if rewritten:
        try:
            check = compare(light, pictures, runs, tensors, path)
        except UserError:  # a model whose numbers hang on the order of its sums: it stays as it is
            rewritten = ()
        else:
            return _Built(light, outputs, check, rewritten, tuple(warnings))
    return _Built(wrapper, outputs, compare(wrapper, pictures, runs, tensors, path), rewritten, tuple(warnings))


def _run(session: ort.InferenceSession, feed: NDArray[Any], picture: str, path: Path) -> dict[str, NDArray[Any]]:
    try:
        return graphs.run_graph(session, feed)
    except Exception as error:  # noqa: BLE001  (the runtime's exceptions have no common base but this)
        what = f"{path}: the model does not run on {picture}, shape {feed.shape}"
        raise UserError(what, received=graphs.first_line(error)) from None


def _spec(
    name: str,
    taken: ModelInput,
    recipe: InputTransform,
    look: Look,
    resize: Literal["host", "graph"],
    kernel: ResizeKernel | None,
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


def _outputs(
    model: onnx.ModelProto,
    taken: ModelInput,
    look: Look,
    feeds: Sequence[NDArray[Any]],
    names: tuple[str | None, str | None],
    path: Path,
) -> dict[str, ModelOutput]:
    """By the bundle's name for them: map and score in front of the exporter's normalisation where there is one."""

    def tapped(name: str) -> ModelOutput:
        tail = find_tail(model, name, feeds, path)
        return ModelOutput(name, tail.raw if tail else name, tail)

    batch = taken.batch or 1
    amap = find_map(look.outputs, batch, path, names[0])
    others = {n: a for n, a in look.outputs.items() if n != amap}
    score, embedding = find_score(others, batch, path, names[1]), find_embedding(others, batch)
    found = {"map": tapped(amap)}
    if score is not None:
        found["score"] = tapped(score)
    if embedding is not None and embedding != score:
        found["embedding"] = ModelOutput(embedding, embedding)
    return found
